//! One text conversation: who holds the floor, which generation is live, what was said and what was heard.
//!
//! A pure state machine. Every input carries `now`, every effect is an [`Action`], and no input can make it fail: what is
//! stale or impossible is ignored. Sockets, models, tools and the journal belong to the driver.

mod event;
mod keypad;
mod tool_runs;

#[cfg(test)]
mod keypad_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use event::{Action, EndReason, Event};

use crate::history::{History, Sequence};
use crate::message::{GenerationId, Message, ToolCall, ToolCallId};
use crate::playback::Playback;
use crate::ports::Spent;
use crate::speech_filter::SpeechFilter;
use crate::use_case::UseCase;
use keypad::Keypad;
use tool_runs::ToolRuns;

/// One per call.
#[derive(Debug)]
pub struct Conversation {
    use_case: Arc<UseCase>,
    phase: Phase,
    history: History,
    playback: Playback,
    keypad: Keypad,
    next_generation: u32,
    /// The caller interrupted last; what is not answered some time after that is answered after all.
    interrupted_at: Option<Instant>,
    /// Text was sent since the talk cycle was last ended.
    talking: bool,
}

/// How a session finds its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The call has just been answered.
    Fresh,
    /// Another session of the call was lost.
    Resumed,
    /// The call was handed over and nobody took it; `reason` tells the model why.
    Returned { reason: String },
}

/// What is known of a call besides its dialogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Background {
    /// The language that the conversation went on in, if it was changed.
    pub language: Option<String>,
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
    Ended,
}

#[derive(Debug)]
struct Generation {
    id: GenerationId,
    /// How often tools have run since the caller last spoke.
    round: u32,
    filter: SpeechFilter,
    /// When the caller is told to wait, if the model has not said a word by then.
    filler: Option<Instant>,
    /// The agent's message, once it has a word.
    message: Option<Sequence>,
    tool_calls: Vec<(ToolCall, Arguments)>,
}

/// Whether the model wrote arguments that can be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arguments {
    Sound,
    Broken,
}

/// A caller who interrupts says something within this time; or else it was a noise.
const WORDS_FOLLOW: Duration = Duration::from_millis(2500);
/// Nobody speaks longer than this without a pause.
const LONGEST_UTTERANCE: Duration = Duration::from_secs(15);
/// Silence of a model that a caller bears without a word.
const MODEL_SILENCE: Duration = Duration::from_millis(3500);
/// What Bedrock takes as the name of a tool or the id of a call.
const LONGEST_NAME: usize = 64;
/// After this many rounds of tools in one turn no more are run: the model is told to answer.
const MAX_TOOL_ROUNDS: u32 = 8;

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
        _background: Background,
    ) -> Self {
        let mut playback = Playback::default();
        if let Some(greeting) = greeting {
            playback.push(None, greeting);
        }
        Self {
            use_case,
            phase: Phase::Listening,
            history,
            playback,
            keypad: Keypad::default(),
            next_generation,
            interrupted_at: None,
            talking: false,
        }
    }

    /// Answers what a dialogue left unanswered; an agent that was cut off says that it is back.
    pub fn begin(&mut self, now: Instant, opening: Opening, actions: &mut Vec<Action>) {
        let unanswered = self.history.last().is_some_and(Message::is_callers);
        match (&self.phase, opening) {
            (Phase::Listening, _) if unanswered => self.generate(now, 0, actions),
            (Phase::Listening, Opening::Resumed | Opening::Returned { .. }) => {
                self.say_aside(self.use_case.sentences.resumed.clone(), actions);
            }
            _ => {}
        }
    }

    /// Applies one event and appends the effects to `actions`.
    pub fn handle(&mut self, now: Instant, event: Event, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        match event {
            Event::CallerSaid { text, language: _ } => {
                self.act_on_keys(now, actions);
                self.caller_said(now, &text, actions);
            }
            // Who interrupted is still speaking: their words come when they have finished.
            Event::CallerSpeaking => self.move_interruption(now + LONGEST_UTTERANCE),
            Event::CallerPaused => self.move_interruption(now),
            Event::CallerInterrupted { heard } => {
                self.interrupt(now, &heard, actions);
                self.keys_are_clear(now, actions);
            }
            Event::KeyPressed { key } => self.key_pressed(now, key, actions),
            Event::Played { text } => {
                self.playback.played(&text);
                self.hasten_terminal_runs(now);
            }
            Event::GenerationText { generation, text } => self.generation_text(generation, &text, actions),
            Event::GenerationToolCall { generation, id, name, arguments } => {
                self.generation_tool_call(generation, &id, &name, &arguments);
            }
            Event::GenerationFinished { generation, tokens: _, blocked: _ } => {
                self.generation_finished(now, generation, actions);
            }
            Event::GenerationFailed { generation } => {
                if matches!(&self.phase, Phase::Generating(live) if live.id == generation) {
                    self.apologise(actions);
                }
            }
            Event::ToolFinished { run, result } => self.tool_finished(now, &run, result, actions),
            Event::CallerHungUp => self.end(EndReason::CallerHungUp, actions),
            Event::DeadlineReached => {
                self.keys_are_due(now, actions);
                self.tool_deadlines(now, actions);
                self.break_silence(now, actions);
            }
        }
        actions.extend(self.history.take_changes().into_iter().map(Action::Record));
    }

    /// When [`Event::DeadlineReached`] is wanted next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::RunningTools(runs) => runs.next_deadline(),
            Phase::Generating(generation) => generation.filler,
            Phase::Listening => self.unanswered_until(),
            Phase::Ended => None,
        };
        [self.keypad.due(), phase].into_iter().flatten().min()
    }

    /// The dialogue as the model may see it.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.history.messages()
    }

    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    fn caller_said(&mut self, now: Instant, text: &str, actions: &mut Vec<Action>) {
        if text.trim().is_empty() {
            return;
        }
        if let Phase::RunningTools(_) = self.phase {
            return self.caller_said_during_tools(now, text, actions);
        }
        self.stop_generation(actions);
        self.history.push_caller(text);
        self.generate(now, 0, actions);
    }

    /// The caller talked over the agent: stop everything, and remember only what was heard.
    fn interrupt(&mut self, now: Instant, heard: &str, actions: &mut Vec<Action>) {
        self.interrupted_at = Some(now);
        self.stop_generation(actions);
        self.end_talk_cycle(actions);
        for cut in self.playback.interrupted(heard) {
            self.history.cut(cut.message, &cut.heard);
        }
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
        let unanswered = self.history.last().is_some_and(Message::is_callers) && self.keypad.due().is_none();
        self.interrupted_at.filter(|_| unanswered).map(|since| since + WORDS_FOLLOW)
    }

    /// Nobody has said anything for too long, and it is the agent's turn.
    fn break_silence(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match &mut self.phase {
            Phase::Generating(generation) if generation.filler.is_some_and(|due| due <= now) => {
                generation.filler = None;
                let waiting = self.use_case.sentences.waiting.clone();
                self.say_aside(waiting, actions);
            }
            Phase::Listening => {
                if self.unanswered_until().is_some_and(|until| until <= now) {
                    self.generate(now, 0, actions);
                }
            }
            Phase::Generating(_) | Phase::RunningTools(_) | Phase::Ended => {}
        }
    }

    /// Cancels the live generation; what it said so far is a message.
    fn stop_generation(&mut self, actions: &mut Vec<Action>) {
        let Phase::Generating(generation) = &self.phase else { return };
        let (id, said_something) = (generation.id, generation.message.is_some());
        self.phase = Phase::Listening;
        actions.push(Action::CancelGeneration { generation: id });
        if said_something {
            self.history.close_agent(Vec::new());
            self.end_talk_cycle(actions);
        }
    }

    fn generate(&mut self, now: Instant, round: u32, actions: &mut Vec<Action>) {
        self.interrupted_at = None;
        let id = self.new_generation_id();
        self.phase = Phase::Generating(Generation {
            id,
            round,
            filter: SpeechFilter::default(),
            filler: Some(now + MODEL_SILENCE),
            message: None,
            tool_calls: Vec::new(),
        });
        actions.push(Action::StartGeneration { generation: id });
    }

    fn new_generation_id(&mut self) -> GenerationId {
        let id = GenerationId(self.next_generation);
        self.next_generation += 1;
        id
    }

    fn generation_text(&mut self, id: GenerationId, text: &str, actions: &mut Vec<Action>) {
        if let Phase::Generating(live) = &mut self.phase
            && live.id == id
        {
            let speakable = live.filter.push(text);
            self.say_generated(speakable, actions);
        }
    }

    /// Speaks words of the live generation.
    fn say_generated(&mut self, text: String, actions: &mut Vec<Action>) {
        let Phase::Generating(live) = &mut self.phase else {
            return;
        };
        if text.is_empty() {
            return;
        }
        live.filler = None;
        let message = *live.message.get_or_insert_with(|| self.history.open_agent());
        self.history.append_agent(&text);
        self.playback.push(Some(message), &text);
        self.say(text, actions);
    }

    fn say(&mut self, text: String, actions: &mut Vec<Action>) {
        self.talking = true;
        actions.push(Action::Say { text, last: false });
    }

    fn end_talk_cycle(&mut self, actions: &mut Vec<Action>) {
        if std::mem::take(&mut self.talking) {
            actions.push(Action::Say { text: String::new(), last: true });
        }
    }

    /// Speaks a whole sentence that is no part of the dialogue.
    fn say_aside(&mut self, text: String, actions: &mut Vec<Action>) {
        self.playback.push(None, &text);
        actions.push(Action::Say { text, last: true });
    }

    fn generation_tool_call(&mut self, id: GenerationId, call_id: &str, name: &str, arguments: &str) {
        let Phase::Generating(live) = &mut self.phase else {
            return;
        };
        let call_id = ToolCallId(legal(call_id));
        if live.id != id || live.tool_calls.iter().any(|(call, _)| call.id == call_id) {
            return;
        }
        let (input, arguments) = match serde_json::from_str(arguments) {
            Ok(input @ serde_json::Value::Object(_)) => (input, Arguments::Sound),
            _ if arguments.trim().is_empty() => (serde_json::json!({}), Arguments::Sound),
            _ => (serde_json::json!({}), Arguments::Broken),
        };
        live.tool_calls.push((ToolCall { id: call_id, name: legal(name), input }, arguments));
    }

    fn generation_finished(&mut self, now: Instant, id: GenerationId, actions: &mut Vec<Action>) {
        let rest = match &mut self.phase {
            Phase::Generating(live) if live.id == id => live.filter.finish(),
            _ => return,
        };
        self.say_generated(rest, actions);
        let Phase::Generating(generation) = std::mem::replace(&mut self.phase, Phase::Listening) else {
            return;
        };
        let calls = generation.tool_calls;
        if calls.is_empty() || generation.round > MAX_TOOL_ROUNDS {
            if generation.message.is_none() {
                // Neither a word nor something to do: silence would be the worst answer.
                return self.apologise(actions);
            }
            self.history.close_agent(Vec::new());
            return self.end_talk_cycle(actions);
        }
        if generation.message.is_none() {
            self.history.open_agent();
        }
        self.history.close_agent(calls.iter().map(|(call, _)| call.clone()).collect());
        self.end_talk_cycle(actions);
        self.run_tools(now, generation.id, generation.round, calls, actions);
    }

    /// The model did not answer: the caller hears a sentence instead.
    fn apologise(&mut self, actions: &mut Vec<Action>) {
        let sentence = self.use_case.sentences.failure.clone();
        let open = match std::mem::replace(&mut self.phase, Phase::Listening) {
            Phase::Generating(generation) => generation.message,
            _ => None,
        };
        let (message, sentence) = match open {
            Some(message) => (message, format!(" {sentence}")),
            None => (self.history.open_agent(), sentence),
        };
        self.history.append_agent(&sentence);
        self.history.close_agent(Vec::new());
        self.playback.push(Some(message), &sentence);
        self.say(sentence, actions);
        self.end_talk_cycle(actions);
    }

    fn end(&mut self, reason: EndReason, actions: &mut Vec<Action>) {
        self.stop_generation(actions);
        for cut in self.playback.interrupted("") {
            self.history.cut(cut.message, &cut.heard);
        }
        self.abandon_tools(actions);
        actions.extend(self.history.take_changes().into_iter().map(Action::Record));
        self.phase = Phase::Ended;
        self.keypad = Keypad::Clear;
        actions.push(Action::End(reason));
    }
}

/// A name that may stand in a dialogue. A model can make up any, and one that its API refuses would end every later turn.
fn legal(name: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let name: String = name.chars().map(legal).take(LONGEST_NAME).collect();
    if name.is_empty() { "_".to_owned() } else { name }
}
