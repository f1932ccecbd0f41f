//! The live generation of a session, and what is remembered of how generations went.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use voice_core::history::{Record, Sequence};
use voice_core::message::GenerationId;
use voice_core::ports::{GenerationReport, ModelStream};

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
    pub(super) started: Instant,
    pub(super) first_text: Option<Duration>,
}

impl LiveGeneration {
    pub(super) fn report(&self) -> GenerationReport {
        GenerationReport {
            first_text: self.first_text,
            duration: self.started.elapsed(),
            ..GenerationReport::default()
        }
    }
}
