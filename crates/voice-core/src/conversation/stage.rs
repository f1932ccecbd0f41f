//! A conversation under test, as its driver sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Action, Background, Conversation, EndReason, Event, Opening};
use crate::history::History;
use crate::message::{GenerationId, Message, OutcomeStatus, RunId, ToolCallId, ToolOutcome};
use crate::ports::{Blocked, Effect, ToolResult};
use crate::use_case::{Handler, KeypadHandler, OnInterrupt, Tool, UseCase};

pub(super) fn tool(name: &str) -> Tool {
    let handler = if name == "end_call" { Handler::EndCall } else { Handler::CurrentTime };
    Tool::new(name, handler)
}

pub(super) fn use_case() -> UseCase {
    let mut cancellable = tool("search");
    cancellable.on_interrupt = OnInterrupt::Cancel;
    cancellable.filler = Some("Searching.".to_owned());
    UseCase {
        tools: [tool("order"), cancellable, tool("end_call")].map(Arc::new).to_vec(),
        keypad: BTreeMap::from([
            ('1', KeypadHandler::Reply { text: "We open at nine.".to_owned() }),
            ('2', KeypadHandler::Run { tool: "order".to_owned() }),
            ('3', KeypadHandler::ReplyAndRun { text: "Let me order.".to_owned(), tool: "order".to_owned() }),
            ('4', KeypadHandler::ReplyAndRun { text: "Looking.".to_owned(), tool: "gone".to_owned() }),
        ]),
        ..UseCase::new("test", "")
    }
}

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
pub(super) fn beginning() -> Instant {
    Instant::now()
}

/// A conversation under test: events in, words out.
pub(super) struct Stage {
    conversation: Conversation,
    now: Instant,
    pub(super) actions: Vec<Action>,
}

impl Stage {
    /// A call that has just been answered by the usual use case.
    pub(super) fn new() -> Self {
        Self::with(use_case())
    }

    pub(super) fn with(use_case: UseCase) -> Self {
        Self::opened(use_case, Opening::Fresh, Background::default(), &[])
    }

    /// A session that goes on with a dialogue.
    pub(super) fn opened(
        use_case: UseCase,
        opening: Opening,
        background: Background,
        dialogue: &[Message],
    ) -> Self {
        let records = (0..).zip(dialogue.iter().cloned().map(Some));
        let history = History::restore(records, &[]);
        let conversation = Conversation::resume(Arc::new(use_case), history, 0, None, background);
        let mut stage = Self { conversation, now: beginning(), actions: Vec::new() };
        stage.conversation.begin(stage.now, opening, &mut stage.actions);
        stage.actions.retain(|action| !matches!(action, Action::Record(_)));
        stage
    }

    pub(super) const fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.conversation.next_deadline()
    }

    pub(super) fn handle(&mut self, event: Event) -> &mut Self {
        self.actions.clear();
        self.conversation.handle(self.now, event, &mut self.actions);
        self.actions.retain(|action| !matches!(action, Action::Record(_)));
        self
    }

    pub(super) fn wait(&mut self, milliseconds: u64) -> &mut Self {
        self.now += Duration::from_millis(milliseconds);
        self.handle(Event::DeadlineReached)
    }

    pub(super) fn say(&mut self, text: &str) -> &mut Self {
        self.handle(Event::CallerSaid { text: text.to_owned(), language: None })
    }

    pub(super) fn interrupt(&mut self, heard: &str) -> &mut Self {
        self.handle(Event::CallerInterrupted { heard: heard.to_owned() })
    }

    pub(super) fn key(&mut self, key: char) -> &mut Self {
        self.handle(Event::KeyPressed { key })
    }

    pub(super) fn played(&mut self, text: &str) -> &mut Self {
        self.handle(Event::Played { text: text.to_owned() })
    }

    pub(super) fn text(&mut self, generation: u32, text: &str) -> &mut Self {
        self.handle(Event::GenerationText { generation: GenerationId(generation), text: text.to_owned() })
    }

    pub(super) fn call(&mut self, generation: u32, id: &str, name: &str, arguments: &str) -> &mut Self {
        self.handle(Event::GenerationToolCall {
            generation: GenerationId(generation),
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        })
    }

    pub(super) fn finish(&mut self, generation: u32) -> &mut Self {
        self.finish_for(generation, 0)
    }

    pub(super) fn finish_for(&mut self, generation: u32, tokens: u64) -> &mut Self {
        self.handle(Event::GenerationFinished { generation: GenerationId(generation), tokens, blocked: None })
    }

    pub(super) fn blocked(&mut self, generation: u32, blocked: Blocked) -> &mut Self {
        self.handle(Event::GenerationFinished {
            generation: GenerationId(generation),
            tokens: 0,
            blocked: Some(blocked),
        })
    }

    pub(super) fn outcome(&mut self, generation: u32, id: &str) -> &mut Self {
        self.settle(generation, id, None)
    }

    pub(super) fn effect(&mut self, generation: u32, id: &str, effect: Effect) -> &mut Self {
        self.settle(generation, id, Some(effect))
    }

    fn settle(&mut self, generation: u32, id: &str, effect: Option<Effect>) -> &mut Self {
        let outcome = ToolOutcome::success(ToolCallId(id.to_owned()), json!({"done": id}));
        let result = ToolResult { outcome, effect };
        self.handle(Event::ToolFinished { run: run(generation, id), result })
    }

    /// One turn: the caller asks, the agent answers, and the caller hears all of it.
    pub(super) fn turn(&mut self, generation: u32, question: &str, answer: &str) -> &mut Self {
        self.say(question).text(generation, answer).finish(generation).played(answer)
    }

    pub(super) fn ended(&self) -> Option<&EndReason> {
        self.actions.iter().find_map(|action| match action {
            Action::End(reason) => Some(reason),
            _ => None,
        })
    }

    pub(super) fn spoken(&self) -> String {
        let spoken = self.actions.iter().filter_map(|action| match action {
            Action::Say { text, .. } => Some(text.as_str()),
            _ => None,
        });
        spoken.collect()
    }

    pub(super) fn started(&self) -> Option<u32> {
        self.actions.iter().rev().find_map(|action| match action {
            Action::StartGeneration { generation } => Some(generation.0),
            _ => None,
        })
    }

    pub(super) fn tools_started(&self) -> Vec<RunId> {
        let started = self.actions.iter().filter_map(|action| match action {
            Action::StartTool { run, .. } => Some(run.clone()),
            _ => None,
        });
        started.collect()
    }

    /// How many outcomes may still be replaced by what is learnt later.
    pub(super) fn unknown_outcomes(&self) -> usize {
        let messages = self.conversation.messages();
        let outcomes = messages.iter().flat_map(|message| match &**message {
            Message::Outcomes { outcomes, .. } => outcomes.as_slice(),
            Message::Caller { .. } | Message::Agent { .. } => &[],
        });
        outcomes.filter(|outcome| outcome.is_unknown()).count()
    }

    /// The dialogue, one line a message.
    pub(super) fn dialogue(&self) -> Vec<String> {
        let line = |message: &Arc<Message>| match &**message {
            Message::Caller { text } => format!("caller: {text}"),
            Message::Agent { text, tool_calls } => {
                let calls: Vec<_> = tool_calls.iter().map(|call| format!(" [{}]", call.name)).collect();
                format!("agent: {text}{}", calls.concat())
            }
            Message::Outcomes { outcomes, text } => {
                let outcomes = outcomes.iter().map(|outcome| match outcome.status {
                    OutcomeStatus::Success => " ok".to_owned(),
                    OutcomeStatus::Error => format!(" error {}", outcome.content["error"]),
                });
                format!("outcomes:{} {text}", outcomes.collect::<String>())
            }
        };
        self.conversation.messages().iter().map(line).collect()
    }
}

pub(super) fn run(generation: u32, id: &str) -> RunId {
    RunId { generation: GenerationId(generation), call: ToolCallId(id.to_owned()) }
}
