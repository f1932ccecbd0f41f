//! The rules of a conversation, for any order of events.
//!
//! Beside the conversation runs an ear: it plays what was said at its own pace and reports it as the carrier does. At any
//! interruption the agent's part of history must be exactly what that ear has heard.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::stage::{beginning, use_case};
use super::{Action, Conversation, Event};
use crate::message::{GenerationId, Message, RunId, ToolCallId, ToolOutcome};
use crate::ports::{Effect, ToolResult};

/// What happens next. Where a generation or a run is meant, the live one is aimed at, or else a stale one.
#[derive(Clone, Debug)]
enum Step {
    Say(String),
    Interrupt { words: usize },
    Press(char),
    Play { words: usize },
    Text { live: bool, text: String },
    ToolCall { live: bool, id: u8, name: &'static str, arguments: &'static str },
    Finish { live: bool },
    Fail,
    Outcome { index: usize, stale: bool },
    HangUp,
}

fn step() -> impl Strategy<Value = Step> {
    let live = prop_oneof![6 => Just(true), 1 => Just(false)];
    prop_oneof![
        6 => "[a-y]{1,5}".prop_map(Step::Say),
        3 => (0usize..4).prop_map(|words| Step::Interrupt { words }),
        2 => prop::sample::select(vec!['1', '2', '3', '4', '7', '8', '#']).prop_map(Step::Press),
        8 => (1usize..4).prop_map(|words| Step::Play { words }),
        10 => (live.clone(), "([a-y]{1,4} ){1,3}").prop_map(|(live, text)| Step::Text { live, text }),
        5 => (live.clone(), 0u8..3, prop::sample::select(vec!["order", "search", "end_call", "none"]), prop::sample::select(vec!["", "{}", "{\"a\":1}", "{bad"]))
            .prop_map(|(live, id, name, arguments)| Step::ToolCall { live, id, name, arguments }),
        6 => live.prop_map(|live| Step::Finish { live }),
        1 => Just(Step::Fail),
        8 => (0usize..3, prop::bool::weighted(0.1)).prop_map(|(index, stale)| Step::Outcome { index, stale }),
        1 => Just(Step::HangUp),
    ]
}

struct World {
    conversation: Conversation,
    now: Instant,
    live: Option<GenerationId>,
    running: BTreeSet<RunId>,
    ever_started: BTreeSet<RunId>,
    ended: bool,
    /// Words that were sent and not played yet, oldest first.
    queue: Vec<String>,
    /// Letters of the dialogue that the ear has heard.
    heard: String,
    /// The caller said something since the last generation finished.
    disturbed: bool,
}

impl World {
    fn new() -> Self {
        let mut use_case = use_case();
        // What is no part of the dialogue is made of this one letter, which the model never writes.
        use_case.sentences.waiting = "Z".to_owned();
        use_case.sentences.goodbye = "Z".to_owned();
        for tool in &mut use_case.tools {
            Arc::make_mut(tool).filler = None;
        }
        use_case.keypad.insert('4', crate::use_case::KeypadHandler::Run { tool: "gone".to_owned() });
        Self {
            conversation: Conversation::new(Arc::new(use_case), None),
            now: beginning(),
            live: None,
            running: BTreeSet::new(),
            ever_started: BTreeSet::new(),
            ended: false,
            queue: Vec::new(),
            heard: String::new(),
            disturbed: false,
        }
    }

    fn apply(&mut self, step: Step) -> Result<(), TestCaseError> {
        let generation = |live: bool| if live { self.live } else { Some(GenerationId(9999)) };
        let event = match step {
            Step::Say(text) => {
                self.disturbed = true;
                Event::CallerSaid { text, language: None }
            }
            Step::Interrupt { words } => {
                self.disturbed = true;
                let fragment = self.listen(words);
                if !fragment.is_empty() {
                    self.handle(Event::Played { text: fragment.clone() })?;
                }
                self.queue.clear();
                self.handle(Event::CallerInterrupted { heard: fragment })?;
                return self.heard_is_remembered();
            }
            Step::Press(key) => Event::KeyPressed { key },
            Step::Play { words } => Event::Played { text: self.listen(words) },
            Step::Text { live, text } => match generation(live) {
                Some(generation) => Event::GenerationText { generation, text },
                None => return Ok(()),
            },
            Step::ToolCall { live, id, name, arguments } => match generation(live) {
                Some(generation) => Event::GenerationToolCall {
                    generation,
                    id: format!("call-{id}"),
                    name: name.to_owned(),
                    arguments: arguments.to_owned(),
                },
                None => return Ok(()),
            },
            Step::Finish { live } => match generation(live) {
                Some(generation) => {
                    if live {
                        self.live = None;
                        self.disturbed = false;
                    }
                    Event::GenerationFinished { generation, tokens: 0, blocked: None }
                }
                None => return Ok(()),
            },
            Step::Fail => match self.live.take() {
                Some(generation) => Event::GenerationFailed { generation },
                None => return Ok(()),
            },
            Step::Outcome { index, stale } => {
                let run =
                    if stale { self.ever_started.iter().nth(index) } else { self.running.iter().nth(index) };
                let Some(run) = run.cloned() else { return Ok(()) };
                self.running.remove(&run);
                let effect = (index == 1).then_some(Effect::EndCall { handoff_data: None });
                let outcome = ToolOutcome::success(ToolCallId(run.call.0.clone()), json!({"ok": true}));
                Event::ToolFinished { run, result: ToolResult { outcome, effect } }
            }
            Step::HangUp => Event::CallerHungUp,
        };
        self.handle(event)
    }

    /// The ear hears the next words; after the end there are none.
    fn listen(&mut self, words: usize) -> String {
        if self.ended {
            self.queue.clear();
        }
        let words: Vec<String> = self.queue.drain(..words.min(self.queue.len())).collect();
        self.heard.push_str(&dialogue_letters(words.iter().map(String::as_str)));
        words.concat()
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
        prop_assert_eq!(
            agent,
            format!("{}{said_since}", self.heard),
            "history holds what was heard and no more"
        );
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<(), TestCaseError> {
        let stale_text =
            matches!(&event, Event::GenerationText { generation, .. } if Some(*generation) != self.live);
        let mut actions = Vec::new();
        self.conversation.handle(self.now, event, &mut actions);
        prop_assert!(!self.ended || actions.is_empty(), "nothing happens after the end");
        prop_assert!(!stale_text || actions.is_empty(), "nothing is spoken from a dead generation");
        for action in actions {
            match action {
                Action::StartGeneration { generation } => {
                    prop_assert!(self.live.is_none(), "one live generation");
                    prop_assert!(self.running.is_empty(), "outcomes come before the next generation");
                    self.live = Some(generation);
                }
                Action::CancelGeneration { generation } => {
                    prop_assert_eq!(self.live.take(), Some(generation));
                }
                Action::StartTool { run, tool, .. } => {
                    prop_assert!(self.ever_started.insert(run.clone()), "a run starts once");
                    prop_assert!(
                        tool.name != "end_call" || !self.disturbed,
                        "an interrupted turn ends nothing"
                    );
                    self.running.insert(run);
                }
                Action::CancelTool { run } => prop_assert!(self.running.remove(&run)),
                Action::Say { text, .. } => {
                    self.queue
                        .extend(text.split_inclusive(' ').filter(|word| !word.is_empty()).map(str::to_owned));
                }
                Action::Record(_)
                | Action::Remember(_)
                | Action::SwitchLanguage { .. }
                | Action::SendDigits { .. }
                | Action::Play { .. }
                | Action::ChangeUseCase(_) => {}
                Action::End(_) => {
                    self.ended = true;
                    self.live = None;
                    prop_assert_eq!(self.conversation.next_deadline(), None);
                }
            }
        }
        if self.live.is_some() {
            model_rules(&self.conversation.messages())?;
        }
        Ok(())
    }

    fn pass(&mut self, milliseconds: u64) -> Result<(), TestCaseError> {
        let until = self.now + Duration::from_millis(milliseconds);
        while let Some(deadline) = self.conversation.next_deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.handle(Event::DeadlineReached)?;
            let next = self.conversation.next_deadline();
            prop_assert!(next.is_none_or(|next| next > self.now), "a deadline that has passed is dealt with");
        }
        self.now = until;
        Ok(())
    }
}

/// Letters and digits of words, without those that are no part of the dialogue.
fn dialogue_letters<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.flat_map(str::chars).filter(|letter| letter.is_ascii_alphanumeric() && *letter != 'Z').collect()
}

/// What every model API demands of a dialogue; the agent's last message may still be growing.
fn model_rules(messages: &[Arc<Message>]) -> Result<(), TestCaseError> {
    let callers_first = matches!(messages.first().map(|message| &**message), Some(Message::Caller { .. }));
    prop_assert!(callers_first, "the caller speaks first");
    for pair in messages.windows(2) {
        prop_assert!(pair[0].is_callers() != pair[1].is_callers(), "sides alternate: {:?}", pair);
        if let Message::Agent { text, tool_calls } = &*pair[0] {
            prop_assert_eq!(text.trim_end(), text.as_str());
            prop_assert!(!text.trim().is_empty() || !tool_calls.is_empty(), "no blank message");
            let calls: Vec<_> = tool_calls.iter().map(|call| &call.id).collect();
            let answered: Vec<_> = match &*pair[1] {
                Message::Outcomes { outcomes, .. } => outcomes.iter().map(|outcome| &outcome.id).collect(),
                _ => Vec::new(),
            };
            prop_assert_eq!(calls, answered, "each call has one outcome in the next message");
        }
    }
    for message in messages {
        if let Message::Caller { text } = &**message {
            prop_assert!(!text.trim().is_empty());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_for_any_order_of_events(steps in prop::collection::vec((step(), 0u64..2500), 1..80)) {
        let mut world = World::new();
        for (step, pause) in steps {
            world.pass(pause / 10)?;
            world.apply(step)?;
            world.pass(pause)?;
        }
    }
}
