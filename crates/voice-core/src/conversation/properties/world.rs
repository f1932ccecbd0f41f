//! The world around a conversation: an ear, a carrier, a model, tools, and what must be true of it all.
//!
//! The ear plays what was said at its own pace and reports it as the carrier does. At any interruption the agent's part of
//! history must be exactly what that ear has heard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::model_rules;
use super::settings::{ASIDE, LIMIT, PROMPT, RESCUE, SILENCE_GOODBYE, WARNING};
use super::step::{Does, Step};
use crate::conversation::stage::beginning;
use crate::conversation::{Action, Background, Conversation, EndReason, Event, Opening};
use crate::history::History;
use crate::message::{GenerationId, Message, RunId, ToolCallId, ToolOutcome};
use crate::ports::{Effect, SessionChange, ToolResult};
use crate::use_case::{Tool, UseCase};

/// Stands for a recording among the words that wait to be played.
const RECORDING: &str = "\u{266a}";
/// At most.
const RECORDING_LASTS: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct World {
    conversation: Conversation,
    now: Instant,
    begun: Instant,
    elapsed: Duration,
    use_case: Arc<UseCase>,
    spoken: String,
    other: Arc<UseCase>,
    live: Option<GenerationId>,
    running: BTreeSet<RunId>,
    /// Every run that was started, and whether its tool may end a call.
    ever_started: BTreeMap<RunId, bool>,
    tokens: u64,
    tool_runs: u32,
    verified: bool,
    ending: Ending,
    /// Words and recordings that were sent and not played yet, oldest first.
    queue: Vec<String>,
    /// Letters of the dialogue that the ear has heard.
    heard: String,
    last_word_said: Instant,
    recording_over_by: Instant,
    caller_acted: Instant,
    caller_speaks_until: Option<Instant>,
    /// The caller was heard, and by then it is known whether anything was said.
    words_come_by: Option<Instant>,
    /// The caller said something since the last generation finished.
    disturbed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    /// A last sentence is said; the call ends by then. A caller who fell silent may keep it.
    Closing {
        by: Instant,
        firm: bool,
    },
    Ended,
}

impl World {
    pub(super) fn new(first: UseCase, second: UseCase, background: Background) -> Self {
        let (now, use_case) = (beginning(), Arc::new(first));
        Self {
            now,
            begun: now,
            elapsed: background.elapsed,
            spoken: "en-US".to_owned(),
            other: Arc::new(second),
            live: None,
            running: BTreeSet::new(),
            ever_started: BTreeMap::new(),
            tokens: background.spent.tokens,
            tool_runs: background.spent.tool_runs,
            verified: background.verified,
            ending: Ending::No,
            queue: Vec::new(),
            heard: String::new(),
            last_word_said: now,
            recording_over_by: now,
            caller_acted: now,
            caller_speaks_until: None,
            words_come_by: None,
            disturbed: false,
            conversation: Conversation::resume(
                Arc::clone(&use_case),
                History::default(),
                0,
                None,
                background,
            ),
            use_case,
        }
    }

    pub(super) fn begin(&mut self, opening: Opening) -> Result<(), TestCaseError> {
        let mut actions = Vec::new();
        self.conversation.begin(self.now, opening, &mut actions);
        self.perform(actions)
    }

    /// Lets time pass, with the deadlines in it.
    pub(super) fn pass(&mut self, milliseconds: u64) -> Result<(), TestCaseError> {
        let until = self.now + Duration::from_millis(milliseconds);
        while let Some(deadline) = self.conversation.next_deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.handle(Event::DeadlineReached)?;
            let next = self.conversation.next_deadline();
            prop_assert!(next.is_none_or(|next| next > self.now), "a deadline that has passed is dealt with");
        }
        self.now = until;
        self.limits_are_kept()
    }

    pub(super) fn apply(&mut self, step: Step) -> Result<(), TestCaseError> {
        let generation = |live: bool| if live { self.live } else { Some(GenerationId(9999)) };
        let event = match step {
            Step::Say { text, language } => {
                self.disturbed = true;
                self.caller_acts();
                Some(Event::CallerSaid { text, language: language.map(str::to_owned) })
            }
            Step::Speak { speaking } => {
                self.caller_speaks_until = speaking.then(|| self.now + Duration::from_secs(15));
                let pause = Duration::from_millis(2500);
                self.words_come_by = self.caller_speaks_until.or(Some(self.now + pause));
                Some(if speaking { Event::CallerSpeaking } else { Event::CallerPaused })
            }
            Step::Interrupt { words } => return self.interrupt(words),
            Step::Press(key) => {
                self.caller_acted = self.now;
                Some(Event::KeyPressed { key })
            }
            Step::Play { words } => Some(Event::Played { text: self.listen(words) }),
            Step::Text { live, text } => {
                generation(live).map(|generation| Event::GenerationText { generation, text })
            }
            Step::ToolCall { live, id, name, arguments } => {
                generation(live).map(|generation| Event::GenerationToolCall {
                    generation,
                    id: format!("call-{id}"),
                    name: name.to_owned(),
                    arguments: arguments.to_owned(),
                })
            }
            Step::Finish { live, tokens, blocked } => {
                let generation = generation(live);
                if live && generation.is_some() {
                    self.live = None;
                    self.disturbed = false;
                    self.tokens += tokens;
                }
                generation.map(|generation| Event::GenerationFinished { generation, tokens, blocked })
            }
            Step::Fail => self.live.take().map(|generation| Event::GenerationFailed { generation }),
            Step::Spend { tokens } => {
                self.tokens += tokens;
                Some(Event::TokensSpent { tokens })
            }
            Step::Outcome { index, stale, success, does } => self.outcome(index, stale, success, does),
            Step::Wake => Some(Event::DeadlineReached),
            Step::HangUp => Some(Event::CallerHungUp),
        };
        event.map_or(Ok(()), |event| self.handle(event))
    }

    fn caller_acts(&mut self) {
        self.caller_acted = self.now;
        self.caller_speaks_until = None;
        self.words_come_by = None;
    }

    fn interrupt(&mut self, words: usize) -> Result<(), TestCaseError> {
        self.disturbed = true;
        self.caller_acted = self.now;
        let fragment = self.listen(words);
        if !fragment.is_empty() {
            self.handle(Event::Played { text: fragment.clone() })?;
        }
        self.queue.clear();
        self.handle(Event::CallerInterrupted { heard: fragment })?;
        self.heard_is_remembered()
    }

    /// A run tells its outcome; it may be one that nobody waits for.
    fn outcome(&mut self, index: usize, stale: bool, success: bool, does: Does) -> Option<Event> {
        let run = if stale { self.ever_started.keys().nth(index) } else { self.running.iter().nth(index) }
            .cloned()?;
        self.running.remove(&run);
        let effect = match does {
            Does::Nothing => None,
            Does::EndCall => Some(Effect::EndCall { handoff_data: None }),
            Does::HandOff => Some(Effect::HandOff { handoff_data: "person".to_owned() }),
            Does::SendDigits => Some(Effect::SendDigits { digits: "1".to_owned() }),
            Does::Play => Some(Effect::Play { source: "https://example.com/a".to_owned() }),
            Does::Switch(code) => Some(Effect::SwitchLanguage { code: code.to_owned() }),
            Does::ChangeUseCase => Some(Effect::ChangeUseCase(Arc::clone(&self.other))),
            Does::Verify => Some(Effect::Verified),
        };
        let id = ToolCallId(run.call.0.clone());
        let outcome = if success {
            ToolOutcome::success(id, json!({ "ok": true }))
        } else {
            ToolOutcome::error(id, "It failed.")
        };
        Some(Event::ToolFinished { run, result: ToolResult { outcome, effect } })
    }

    /// The ear hears the next words; after the end there are none.
    fn listen(&mut self, words: usize) -> String {
        if self.ending == Ending::Ended {
            self.queue.clear();
        }
        let mut words: Vec<String> = self.queue.drain(..words.min(self.queue.len())).collect();
        // A recording is reported by nobody, but words behind it are.
        while words.last().is_some_and(|word| word == RECORDING) {
            words.pop();
            words.extend((!self.queue.is_empty()).then(|| self.queue.remove(0)));
        }
        words.retain(|word| word != RECORDING);
        self.heard.push_str(&dialogue_letters(words.iter().map(String::as_str)));
        words.concat()
    }

    fn handle(&mut self, event: Event) -> Result<(), TestCaseError> {
        let stale_text =
            matches!(&event, Event::GenerationText { generation, .. } if Some(*generation) != self.live);
        let from_caller = matches!(
            event,
            Event::CallerSaid { .. }
                | Event::CallerSpeaking
                | Event::CallerInterrupted { .. }
                | Event::KeyPressed { .. }
        );
        if from_caller && matches!(self.ending, Ending::Closing { firm: false, .. }) {
            self.ending = Ending::No;
        }
        let new_turn = matches!(event, Event::CallerSaid { .. }) && self.running.is_empty();
        let mut actions = Vec::new();
        self.conversation.handle(self.now, event, &mut actions);
        prop_assert!(self.ending != Ending::Ended || actions.is_empty(), "nothing happens after the end");
        prop_assert!(!stale_text || only_asides(&actions), "nothing is spoken from the dead");
        let answers = actions.iter().any(|action| matches!(action, Action::StartGeneration { .. }));
        prop_assert!(!(new_turn && self.tokens_are_spent() && answers), "what is spent is spent");
        self.perform(actions)?;
        self.limits_are_kept()
    }

    fn perform(&mut self, actions: Vec<Action>) -> Result<(), TestCaseError> {
        for action in actions {
            prop_assert!(self.ending != Ending::Ended, "nothing comes behind the end");
            let firm = matches!(self.ending, Ending::Closing { firm: true, .. });
            match action {
                Action::StartGeneration { generation } => {
                    prop_assert!(!firm, "nothing is begun before the end");
                    prop_assert!(self.live.is_none(), "one live generation");
                    prop_assert!(self.running.is_empty(), "outcomes come before the next generation");
                    self.live = Some(generation);
                }
                Action::CancelGeneration { generation } => {
                    prop_assert_eq!(self.live.take(), Some(generation));
                }
                Action::StartTool { run, tool, .. } => {
                    prop_assert!(!firm, "nothing is begun before the end");
                    self.start_tool(run, &tool)?;
                }
                Action::CancelTool { run } => prop_assert!(self.running.remove(&run)),
                Action::Say { text, .. } => self.say(&text)?,
                Action::Remember(SessionChange::Verified) => self.verified = true,
                Action::SwitchLanguage { code, .. } => {
                    self.spoken = code;
                }
                Action::ChangeUseCase(use_case) => {
                    prop_assert_eq!(&use_case.name, "second");
                    self.use_case = use_case;
                }
                Action::Play { .. } => {
                    self.recording_over_by = self.now + RECORDING_LASTS;
                    self.queue.push(RECORDING.to_owned());
                }
                Action::Record(_) | Action::Remember(_) | Action::SendDigits { .. } => {}
                Action::End(reason) => self.end(&reason)?,
            }
        }
        let declared = self.use_case.languages.iter().any(|language| language.code() == self.spoken);
        prop_assert!(declared || self.spoken == "en-US", "only what the use case has: {}", self.spoken);
        if self.live.is_some() {
            model_rules(&self.conversation.messages())?;
        }
        Ok(())
    }

    fn start_tool(&mut self, run: RunId, tool: &Tool) -> Result<(), TestCaseError> {
        let ends = tool.handler.ends_the_conversation();
        if ends {
            prop_assert!(!self.disturbed, "an interrupted turn ends nothing");
            self.may_end()?;
        }
        prop_assert!(self.verified || !tool.requires_verified, "not for strangers");
        let within = self.use_case.budget.tool_runs.is_none_or(|most| self.tool_runs < most);
        prop_assert!(within || ends, "what is spent is spent");
        self.tool_runs += 1;
        prop_assert!(self.ever_started.insert(run.clone(), ends).is_none(), "a run starts once");
        self.running.insert(run);
        Ok(())
    }

    fn say(&mut self, text: &str) -> Result<(), TestCaseError> {
        if text == PROMPT || text == WARNING || text == SILENCE_GOODBYE {
            self.floor_is_free()?;
        }
        if text == PROMPT || text == SILENCE_GOODBYE {
            let after = self.use_case.silence.as_ref().map(|silence| silence.after).unwrap_or_default();
            let silent_since = self.last_word_said.max(self.caller_acted);
            prop_assert!(self.now >= silent_since + after, "it was silent for so long");
        }
        let words = text.split_inclusive(' ').filter(|word| !word.is_empty());
        self.queue.extend(words.map(str::to_owned));
        if !text.is_empty() {
            self.last_word_said = self.now;
        }
        if [LIMIT, SILENCE_GOODBYE, RESCUE].contains(&text.trim()) {
            let by = self.now + Duration::from_secs(4) + self.playing_time();
            self.ending = Ending::Closing { by, firm: text != SILENCE_GOODBYE };
        }
        Ok(())
    }

    /// Nobody speaks, nothing works, and what was said has been heard or must have been.
    fn floor_is_free(&self) -> Result<(), TestCaseError> {
        prop_assert!(self.live.is_none() && self.running.is_empty(), "somebody works");
        prop_assert!(self.caller_speaks_until.is_none_or(|until| until <= self.now), "the caller speaks");
        let heard =
            letters_left(&self.queue) == 0 || self.now >= self.last_word_said + Duration::from_secs(4);
        prop_assert!(heard, "the agent's words are still playing");
        prop_assert!(self.now >= self.recording_heard_by(), "a recording is playing");
        Ok(())
    }

    /// The caller has nothing to say to the end, and nothing is broken off by it.
    fn may_end(&self) -> Result<(), TestCaseError> {
        prop_assert!(self.words_come_by.is_none_or(|by| by <= self.now), "the caller has something to say");
        prop_assert!(self.now >= self.recording_heard_by(), "a recording is playing");
        Ok(())
    }

    /// Before that, a recording may be playing.
    fn recording_heard_by(&self) -> Instant {
        let waits = self.queue.iter().any(|word| word == RECORDING);
        if waits { self.recording_over_by } else { self.begun }
    }

    /// What the slowest voice and the longest recordings take for what was not heard yet.
    fn playing_time(&self) -> Duration {
        let time = |word: &String| {
            let speaking = Duration::from_millis(word.len() as u64 * 125);
            if word == RECORDING { RECORDING_LASTS } else { speaking }
        };
        self.queue.iter().map(time).sum::<Duration>() + Duration::from_millis(1)
    }

    fn end(&mut self, reason: &EndReason) -> Result<(), TestCaseError> {
        match reason {
            EndReason::CallerHungUp => {}
            EndReason::AgentEnded { .. } | EndReason::HandedOff { .. } => {
                prop_assert!(!self.disturbed, "an interrupted turn ends nothing");
                self.may_end()?;
                prop_assert!(self.ever_started.values().any(|ends| *ends), "not every tool may end a call");
            }
            EndReason::CallerSilent => {
                prop_assert!(matches!(self.ending, Ending::Closing { firm: false, .. }), "said before");
            }
            EndReason::TimeUp | EndReason::BudgetSpent | EndReason::Rescued { .. } => {
                prop_assert!(matches!(self.ending, Ending::Closing { firm: true, .. }), "said before");
            }
        }
        self.ending = Ending::Ended;
        self.live = None;
        prop_assert_eq!(self.conversation.next_deadline(), None);
        Ok(())
    }

    fn tokens_are_spent(&self) -> bool {
        self.use_case.budget.tokens.is_some_and(|most| self.tokens > most)
    }

    /// A call that has lasted as long as it may has ended, or is about to.
    fn limits_are_kept(&self) -> Result<(), TestCaseError> {
        let limits = [self.use_case.max_duration.map(|most| most.limit), self.use_case.budget.duration];
        let limit = limits.into_iter().flatten().min();
        let time_is_up =
            limit.is_some_and(|limit| self.now >= self.begun + limit.saturating_sub(self.elapsed));
        match self.ending {
            Ending::No => prop_assert!(!time_is_up, "the call goes on for too long"),
            Ending::Closing { by, .. } => prop_assert!(self.now <= by, "the end does not come"),
            Ending::Ended => prop_assert_eq!(self.conversation.next_deadline(), None),
        }
        Ok(())
    }

    /// Nothing waits to be played but what was said since the interruption.
    fn heard_is_remembered(&self) -> Result<(), TestCaseError> {
        let messages = self.conversation.messages();
        let agent = messages.iter().filter_map(|message| match &**message {
            Message::Agent { text, .. } => Some(text.as_str()),
            _ => None,
        });
        let agent: String = agent.flat_map(str::chars).filter(char::is_ascii_alphanumeric).collect();
        let said_since = dialogue_letters(self.queue.iter().map(String::as_str));
        let remembered = format!("{}{said_since}", self.heard);
        prop_assert_eq!(agent, remembered, "history holds what was heard and no more");
        Ok(())
    }
}

/// Any event may be the moment in which a limit is reached.
fn only_asides(actions: &[Action]) -> bool {
    actions.iter().all(|action| match action {
        Action::Say { text, .. } => text.chars().all(|letter| letter == ASIDE),
        _ => true,
    })
}

/// Letters and digits of words, without those that are no part of the dialogue.
fn dialogue_letters<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.flat_map(str::chars).filter(|letter| letter.is_ascii_alphanumeric() && *letter != ASIDE).collect()
}

fn letters_left(words: &[String]) -> usize {
    words.iter().flat_map(|word| word.chars()).filter(char::is_ascii_alphanumeric).count()
}
