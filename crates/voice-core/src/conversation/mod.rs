//! One text conversation: who holds the floor, which generation is live, what was said and what was heard.
//!
//! A pure state machine. Every input carries `now`, every effect is an [`Action`], and no input can make it fail: what is
//! stale or impossible is ignored. Sockets, models, tools and the journal belong to the driver.

mod closing;
mod effects;
mod event;
mod generation;
mod keypad;
mod language;
mod limits;
mod patience;
mod reconnection;
mod rescue;
mod silence;
mod tool_runs;
mod voice;

#[cfg(test)]
mod effects_tests;
#[cfg(test)]
mod keypad_tests;
#[cfg(test)]
mod language_tests;
#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod reconnection_tests;
#[cfg(test)]
mod rescue_tests;
#[cfg(test)]
mod silence_tests;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::history::History;
use crate::message::{GenerationId, Message};
use crate::ports::{Spent, SpokenLanguage};
use crate::use_case::UseCase;
use closing::Closing;
pub use event::{Action, EndReason, Event};
use generation::Generation;
use keypad::Keypad;
use language::Tongue;
use limits::Limits;
use rescue::Rescuers;
use silence::Quiet;
pub use tool_runs::TOOL_OVERTIME;
use tool_runs::ToolRuns;
use voice::Voice;

/// One per call.
pub struct Conversation {
    use_case: Arc<UseCase>,
    phase: Phase,
    history: History,
    voice: Voice,
    keypad: Keypad,
    tongue: Tongue,
    limits: Limits,
    quiet: Quiet,
    next_generation: u32,
    /// The caller interrupted last; what is not answered some time after that is answered after all.
    interrupted_at: Option<Instant>,
    /// The caller has proved who they are.
    verified: bool,
    rescuers: Rescuers,
}

/// How a session finds its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The call has just been answered.
    Fresh,
    /// Another session of the call was lost, and perhaps words with it.
    Resumed,
    /// Another session of the call came to its end between two turns, so that nothing was lost.
    Continued,
    /// The call was handed over and nobody took it; `reason` tells the model why.
    Returned { reason: String },
}

/// What is known of a call besides its dialogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Background {
    /// The language that the conversation went on in, if it was changed.
    pub language: Option<SpokenLanguage>,
    /// The caller has proved who they are.
    pub verified: bool,
    pub spent: Spent,
    /// Since the call was answered first.
    pub elapsed: Duration,
}

#[derive(Debug)]
enum Phase {
    /// Nothing runs: the caller has the floor, or the agent's words are still playing.
    Listening,
    Generating(Generation),
    RunningTools(ToolRuns),
    /// The last sentence is being heard.
    Closing(Closing),
    Ended,
}

/// Whether the model wrote arguments that can be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arguments {
    Sound,
    Broken,
}

impl fmt::Debug for Conversation {
    /// Leaves out whatever is made of words.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::Listening => "listening",
            Phase::Generating(_) => "generating",
            Phase::RunningTools(_) => "running tools",
            Phase::Closing(_) => "closing",
            Phase::Ended => "ended",
        };
        let mut shown = formatter.debug_struct("Conversation");
        shown.field("use_case", &self.use_case.name).field("phase", &phase).finish_non_exhaustive()
    }
}

/// A caller who interrupts says something within this time; or else it was a noise.
const WORDS_FOLLOW: Duration = Duration::from_millis(2500);
/// Nobody speaks longer than this without a pause.
const LONGEST_UTTERANCE: Duration = Duration::from_secs(15);

impl Conversation {
    /// A conversation of which nothing was said yet, except a greeting that the carrier speaks by itself.
    pub fn new(use_case: Arc<UseCase>, greeting: Option<&str>) -> Self {
        Self::resume(use_case, History::default(), 0, greeting, Background::default())
    }

    /// Goes on with a dialogue that another session began. `next_generation` must be higher than any id it used.
    pub fn resume(
        use_case: Arc<UseCase>,
        history: History,
        next_generation: u32,
        greeting: Option<&str>,
        background: Background,
    ) -> Self {
        Self {
            use_case,
            phase: Phase::Listening,
            history,
            voice: Voice::with_greeting(greeting),
            keypad: Keypad::default(),
            tongue: Tongue::resumed(background.language),
            limits: Limits::resumed(background.spent, background.elapsed),
            quiet: Quiet::default(),
            next_generation,
            interrupted_at: None,
            verified: background.verified,
            rescuers: Rescuers::default(),
        }
    }

    /// Starts the clocks and answers what a dialogue left unanswered. An agent that was cut off says that it is back,
    /// unless it has something better to say.
    /// To be called once, before any event.
    pub fn begin(&mut self, now: Instant, opening: Opening, actions: &mut Vec<Action>) {
        if self.limits.have_begun() {
            return;
        }
        self.begin_limits(now, &opening);
        self.rescuers = Rescuers::from(&opening);
        self.voice.begin(now);
        self.resume_language(actions);
        if !self.end_in_time(now, actions) {
            self.open(now, opening, actions);
        }
        self.keep_limits(now, actions);
        self.record_changes(actions);
    }

    /// Applies one event and appends the effects to `actions`.
    pub fn handle(&mut self, now: Instant, event: Event, actions: &mut Vec<Action>) {
        match &self.phase {
            Phase::Ended => return,
            Phase::Closing(closing) if !closing.yields_to(&event) => {
                self.handle_closing(now, event, actions);
            }
            Phase::Closing(_) => {
                self.phase = Phase::Listening;
                self.converse(now, event, actions);
            }
            Phase::Listening | Phase::Generating(_) | Phase::RunningTools(_) => {
                self.converse(now, event, actions);
            }
        }
        self.keep_limits(now, actions);
        self.record_changes(actions);
    }

    /// When [`Event::DeadlineReached`] is wanted next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::RunningTools(runs) => runs.next_deadline(),
            Phase::Generating(generation) => Some(generation.patience().ends()),
            Phase::Listening => self.unanswered_until(),
            Phase::Closing(closing) => return Some(closing.release()),
            Phase::Ended => return None,
        };
        let clocks = [self.keypad.due(), phase, self.limit_deadline(), self.silence_deadline()];
        clocks.into_iter().flatten().min()
    }

    /// The dialogue as the model may see it.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.history.messages()
    }

    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// The agent's first move in a session.
    fn open(&mut self, now: Instant, opening: Opening, actions: &mut Vec<Action>) {
        let resumed = opening == Opening::Resumed;
        if let Opening::Returned { reason } = opening {
            self.history.push_caller(&format!(
                "(The transfer did not happen: {}. The caller is back with you.)",
                reason.trim().trim_end_matches('.')
            ));
        }
        if self.owes_an_answer() {
            self.generate(now, 0, actions);
        } else if resumed {
            self.say_aside(now, self.sentences().resumed.clone(), actions);
        }
    }

    /// Applies an event while the dialogue goes on.
    fn converse(&mut self, now: Instant, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::CallerSaid { text, language } => {
                self.quiet.caller_was_understood();
                self.act_on_keys(now, actions);
                if text.trim().is_empty() {
                    self.hold_terminal_runs(now);
                } else {
                    self.follow_language(language.as_deref(), actions);
                    self.caller_said(now, &text, actions);
                }
            }
            // Who interrupted is still speaking: their words come when they have finished.
            Event::CallerSpeaking => {
                self.quiet.caller_speaks(now);
                self.move_interruption(now + LONGEST_UTTERANCE);
                self.hold_terminal_runs(now);
            }
            Event::CallerPaused => {
                self.quiet.caller_paused(now);
                self.move_interruption(now);
                self.hold_terminal_runs(now);
            }
            Event::CallerInterrupted { heard } => {
                self.interrupt(now, &heard, actions);
                self.keys_are_clear(now, actions);
            }
            Event::KeyPressed { key } => {
                self.quiet.caller_acted();
                self.key_pressed(now, key, actions);
                self.hold_terminal_runs(now);
            }
            Event::Played { text } => {
                self.voice.played(now, &text);
                self.hasten_terminal_runs(now);
            }
            Event::GenerationText { generation, text } => {
                self.generation_text(now, generation, &text, actions);
            }
            Event::GenerationToolCall { generation, id, name, arguments } => {
                self.generation_tool_call(generation, &id, &name, &arguments);
            }
            Event::GenerationFinished { generation, tokens, blocked } => {
                self.generation_finished(now, generation, tokens, blocked, actions);
            }
            Event::GenerationFailed { generation } => self.generation_failed(now, generation, actions),
            Event::TokensSpent { tokens } => self.limits.count_tokens(tokens),
            Event::ToolFinished { run, result } => self.tool_finished(now, &run, result, actions),
            Event::Reconnected => self.reconnected(now, actions),
            Event::CallerHungUp => self.end(EndReason::CallerHungUp, actions),
            Event::DeadlineReached => {
                self.keys_are_due(now, actions);
                self.tool_deadlines(now, actions);
                self.break_silence(now, actions);
            }
        }
    }

    fn caller_said(&mut self, now: Instant, text: &str, actions: &mut Vec<Action>) {
        self.quiet.caller_acted();
        match self.phase {
            Phase::RunningTools(_) => self.caller_said_during_tools(now, text, actions),
            Phase::Closing(_) | Phase::Ended => self.history.push_caller(text),
            Phase::Listening | Phase::Generating(_) => {
                self.stop_generation(actions);
                self.history.push_caller(text);
                self.generate(now, 0, actions);
            }
        }
    }

    /// The caller talked over the agent: stop everything, and remember only what was heard.
    fn interrupt(&mut self, now: Instant, heard: &str, actions: &mut Vec<Action>) {
        self.interrupted_at = Some(now);
        self.quiet.interrupted(now);
        self.stop_generation(actions);
        self.end_talk_cycle(actions);
        self.cut_to(heard);
        self.interrupt_tools(now, actions);
    }

    fn move_interruption(&mut self, to: Instant) {
        if let Some(interrupted_at) = &mut self.interrupted_at {
            *interrupted_at = to;
        }
    }

    /// When the caller's last words are answered although an interruption stopped the answer. A caller who is entering a
    /// number is not interrupted by that.
    fn unanswered_until(&self) -> Option<Instant> {
        let unanswered = self.owes_an_answer() && self.keypad.due().is_none();
        self.interrupted_at.filter(|_| unanswered).map(|since| since + WORDS_FOLLOW)
    }

    /// Nobody has said anything for too long, and it is the agent's turn.
    fn break_silence(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Generating(_) => self.break_models_silence(now, actions),
            Phase::Listening => {
                if self.unanswered_until().is_some_and(|until| until <= now) {
                    self.generate(now, 0, actions);
                }
            }
            Phase::RunningTools(_) | Phase::Closing(_) | Phase::Ended => {}
        }
    }

    fn new_generation_id(&mut self) -> GenerationId {
        let id = GenerationId(self.next_generation);
        self.next_generation += 1;
        id
    }

    fn record_changes(&mut self, actions: &mut Vec<Action>) {
        actions.extend(self.history.take_changes().into_iter().map(Action::Record));
    }

    fn end(&mut self, reason: EndReason, actions: &mut Vec<Action>) {
        self.stop_generation(actions);
        self.cut_to("");
        self.abandon_tools(actions);
        self.keep_keys();
        self.record_changes(actions);
        self.phase = Phase::Ended;
        actions.push(Action::End(reason));
    }
}
