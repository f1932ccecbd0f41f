//! The live generation of a session, and what is remembered of how generations went.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;
use voice_core::history::{Record, Sequence};
use voice_core::message::{GenerationId, Message};
use voice_core::ports::{GenerationReport, GenerationRequest, LanguageModel, ModelEvent, ModelStream, Usage};

/// What is remembered of the last messages, for the case that they are cut and written again.
#[derive(Default)]
pub(super) struct Notes {
    messages: VecDeque<Note>,
    /// How the generation went that ended last, until its message is recorded.
    unclaimed: Option<GenerationReport>,
}

struct Note {
    sequence: Sequence,
    at: String,
    report: Option<GenerationReport>,
}

/// More messages than ever wait to be played.
const REMEMBERED: usize = 16;

impl Notes {
    pub(super) fn generation_ended(&mut self, report: GenerationReport) {
        self.unclaimed = Some(report);
    }

    /// A generation that led to no message has nothing to report on.
    pub(super) fn forget_unclaimed(&mut self) {
        self.unclaimed = None;
    }

    /// What goes into the journal with a message: when it was recorded first, and how its generation went.
    pub(super) fn of(&mut self, record: &Record) -> (String, Option<GenerationReport>) {
        if let Some(note) = self.messages.iter().find(|note| note.sequence == record.sequence) {
            return (note.at.clone(), note.report.clone());
        }
        let is_agents = record.said.is_some();
        let note = Note {
            sequence: record.sequence,
            at: Timestamp::now().to_string(),
            report: if is_agents { self.unclaimed.take() } else { None },
        };
        let noted = (note.at.clone(), note.report.clone());
        if self.messages.len() == REMEMBERED {
            self.messages.pop_front();
        }
        self.messages.push_back(note);
        noted
    }
}

pub(super) struct LiveGeneration {
    pub(super) id: GenerationId,
    pub(super) stream: ModelStream,
    started: Instant,
    first_text: Option<Duration>,
    /// Characters of the request: prompt and dialogue.
    asked: usize,
    /// Characters that came back so far.
    received: usize,
}

/// Bedrock tells what a generation has cost only at its end. Until then, four characters count as a token.
const CHARACTERS_PER_TOKEN: usize = 4;

impl LiveGeneration {
    pub(super) fn start(model: &dyn LanguageModel, request: GenerationRequest) -> Self {
        let (id, asked) = (request.generation, characters(&request));
        let (stream, started) = (model.generate(request), Instant::now());
        Self { id, stream, started, first_text: None, asked, received: 0 }
    }

    /// Notes what the model has sent.
    pub(super) fn receive(&mut self, event: &ModelEvent) {
        match event {
            ModelEvent::Text(text) => {
                self.received += text.len();
                self.first_text.get_or_insert_with(|| self.started.elapsed());
            }
            ModelEvent::ToolCall { name, arguments, .. } => self.received += name.len() + arguments.len(),
            ModelEvent::AttemptFailed(_) | ModelEvent::Finished(_) | ModelEvent::Failed(_) => {}
        }
    }

    /// How it went when it comes to no end, with an estimate of what it has cost.
    pub(super) fn broken_off(&self, stop_reason: &str) -> GenerationReport {
        let tokens = |characters: usize| (characters / CHARACTERS_PER_TOKEN) as u64;
        let usage = Usage { input: tokens(self.asked), output: tokens(self.received), ..Usage::default() };
        GenerationReport {
            stop_reason: Some(stop_reason.to_owned()),
            usage: Some(usage),
            estimated: true,
            ..self.report()
        }
    }

    /// How it went when no model took it on.
    pub(super) fn refused(&self) -> GenerationReport {
        GenerationReport { stop_reason: Some("failed".to_owned()), ..self.report() }
    }

    /// Whether anything came back.
    pub(super) const fn has_received(&self) -> bool {
        self.received > 0
    }

    pub(super) fn report(&self) -> GenerationReport {
        GenerationReport {
            first_text: self.first_text,
            duration: self.started.elapsed(),
            ..GenerationReport::default()
        }
    }
}

/// The length of what a model is asked, in bytes.
fn characters(request: &GenerationRequest) -> usize {
    let in_message = |message: &Arc<Message>| match &**message {
        Message::Caller { text } => text.len(),
        Message::Agent { text, tool_calls } => {
            text.len() + tool_calls.iter().map(|call| in_json(&call.input)).sum::<usize>()
        }
        Message::Outcomes { outcomes, text } => {
            text.len() + outcomes.iter().map(|outcome| in_json(&outcome.content)).sum::<usize>()
        }
    };
    request.system.len() + request.history.iter().map(in_message).sum::<usize>()
}

/// About as long as the value would be in writing, which is not worth writing it.
fn in_json(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
        Value::String(text) => text.len() + 2,
        Value::Array(values) => values.iter().map(|value| in_json(value) + 1).sum::<usize>() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| key.len() + in_json(value) + 4).sum::<usize>() + 2
        }
    }
}
