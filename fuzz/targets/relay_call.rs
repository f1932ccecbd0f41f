//! A whole call, a line each: frames of ConversationRelay that begin with `{`, and commands to a scripted model, its
//! tools and the clock. Whatever comes in whatever order, the rules of a conversation hold.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use trunkline::fuzzing::session::event;
use voice_core::conversation::{Action, Conversation, Event, Opening};
use voice_core::message::{GenerationId, Message, RunId, ToolCallId, ToolOutcome};
use voice_core::ports::{Effect, ToolResult};
use voice_core::use_case::{
    Handler, KeypadHandler, Language, MaxDuration, OnInterrupt, Silence, Tool, UseCase,
};
use voice_protocols::relay::Inbound;

/// A longer call is none that tells more.
const MOST_LINES: usize = 300;

fuzz_target!(|text: &str| {
    let mut call = Call::answered();
    for line in text.lines().take(MOST_LINES) {
        call.line(line);
    }
});

struct Call {
    conversation: Conversation,
    now: Instant,
    live: Option<GenerationId>,
    running: Vec<RunId>,
    started: BTreeSet<String>,
    ended: bool,
}

impl Call {
    fn answered() -> Self {
        let conversation = Conversation::new(Arc::new(use_case()), Some("Hello."));
        let (live, running, started) = (None, Vec::new(), BTreeSet::new());
        let mut call = Self { conversation, now: Instant::now(), live, running, started, ended: false };
        let mut actions = Vec::new();
        call.conversation.begin(call.now, Opening::Fresh, &mut actions);
        call.perform(actions);
        call
    }

    fn line(&mut self, line: &str) {
        if line.starts_with('{') {
            if let Some(event) = Inbound::parse(line).ok().and_then(event) {
                self.handle(event);
            }
            return;
        }
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "wait" => self.wait(rest.parse().unwrap_or(100)),
            "outcome" => self.outcome(rest),
            "hang-up" => self.handle(Event::CallerHungUp),
            _ => self.model(command, rest),
        }
    }

    /// What the scripted model does; without a generation it is what a dead one does.
    fn model(&mut self, command: &str, rest: &str) {
        let generation = self.live.unwrap_or(GenerationId(9999));
        match command {
            "text" => self.handle(Event::GenerationText { generation, text: rest.to_owned() }),
            "call" => {
                let mut words = rest.splitn(3, ' ');
                let mut word = || words.next().unwrap_or_default().to_owned();
                let (id, name, arguments) = (word(), word(), word());
                self.handle(Event::GenerationToolCall { generation, id, name, arguments });
            }
            "finish" => {
                self.live = None;
                self.handle(Event::GenerationFinished { generation, tokens: 10, blocked: None });
            }
            "fail" => {
                self.live = None;
                self.handle(Event::GenerationFailed { generation });
            }
            _ => {}
        }
    }

    /// The oldest run comes to its end.
    fn outcome(&mut self, effect: &str) {
        if self.running.is_empty() {
            return;
        }
        let run = self.running.remove(0);
        let effect = match effect {
            "end" => Some(Effect::EndCall { handoff_data: None }),
            "hand-off" => Some(Effect::HandOff { handoff_data: "{}".to_owned() }),
            "spanish" => Some(Effect::SwitchLanguage { code: "es-ES".to_owned() }),
            "play" => Some(Effect::Play { source: "https://example.com/a.mp3".to_owned() }),
            "verified" => Some(Effect::Verified),
            _ => None,
        };
        let outcome = ToolOutcome::success(ToolCallId(run.call.0.clone()), json!({ "ok": true }));
        self.handle(Event::ToolFinished { run, result: ToolResult { outcome, effect } });
    }

    /// Lets time pass, with the deadlines in it.
    fn wait(&mut self, milliseconds: u64) {
        let until = self.now + Duration::from_millis(milliseconds.min(100_000));
        while let Some(deadline) = self.conversation.next_deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.handle(Event::DeadlineReached);
            let next = self.conversation.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "a deadline that has passed is dealt with");
        }
        self.now = until;
    }

    fn handle(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.conversation.handle(self.now, event, &mut actions);
        assert!(!self.ended || actions.is_empty(), "nothing happens after the end");
        self.perform(actions);
        assert_eq!(self.ended, self.conversation.is_ended());
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            assert!(!self.ended, "nothing comes behind the end");
            match action {
                Action::StartGeneration { generation } => {
                    assert!(self.live.is_none(), "one live generation");
                    assert!(self.running.is_empty(), "outcomes come before the next generation");
                    self.live = Some(generation);
                }
                Action::CancelGeneration { generation } => assert_eq!(self.live.take(), Some(generation)),
                Action::StartTool { run, .. } => {
                    assert!(self.started.insert(format!("{run:?}")), "a run starts once");
                    self.running.push(run);
                }
                Action::CancelTool { run } => {
                    let before = self.running.len();
                    self.running.retain(|running| *running != run);
                    assert!(self.running.len() < before, "only what runs is cancelled");
                }
                Action::End(_) => {
                    self.ended = true;
                    self.live = None;
                    assert_eq!(self.conversation.next_deadline(), None);
                }
                _ => {}
            }
        }
        if self.live.is_some() {
            model_rules(&self.conversation.messages());
        }
    }
}

/// What every model API demands of a dialogue.
fn model_rules(messages: &[Arc<Message>]) {
    assert!(messages.first().is_some_and(|first| matches!(&**first, Message::Caller { .. })));
    for pair in messages.windows(2) {
        assert_ne!(pair[0].is_callers(), pair[1].is_callers(), "sides alternate");
        if let Message::Agent { text, tool_calls } = &*pair[0] {
            assert!(!text.trim().is_empty() || !tool_calls.is_empty(), "no blank message");
            let calls: Vec<_> = tool_calls.iter().map(|call| &call.id).collect();
            let answered: Vec<_> = match &*pair[1] {
                Message::Outcomes { outcomes, .. } => outcomes.iter().map(|outcome| &outcome.id).collect(),
                _ => Vec::new(),
            };
            assert_eq!(calls, answered, "each call has one outcome in the next message");
        }
    }
}

fn use_case() -> UseCase {
    let mut search = Tool::new("search", Handler::CurrentTime);
    search.on_interrupt = OnInterrupt::Cancel;
    let mut account = Tool::new("account", Handler::CurrentTime);
    account.requires_verified = true;
    let tools = [
        Tool::new("order", Handler::CurrentTime),
        search,
        account,
        Tool::new("end_call", Handler::EndCall),
        Tool::new("transfer", Handler::TransferToHuman),
    ];
    let code = |code: &str| BTreeMap::from([("code".to_owned(), code.to_owned())]);
    UseCase {
        tools: tools.map(Arc::new).to_vec(),
        keypad: BTreeMap::from([
            ('1', KeypadHandler::Reply { text: "We open at nine.".to_owned() }),
            ('2', KeypadHandler::ReplyAndRun { text: "Let me order.".to_owned(), tool: "order".to_owned() }),
        ]),
        languages: vec![Language { attributes: code("es-ES"), sentences: None }],
        silence: Some(Silence { after: Duration::from_secs(6), prompts: vec!["Still there?".to_owned()] }),
        max_duration: Some(MaxDuration {
            limit: Duration::from_mins(10),
            warn_before: Duration::from_secs(30),
        }),
        ..UseCase::new("fuzzed", "")
    }
}
