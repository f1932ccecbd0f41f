//! The live generation of a session, and what is remembered of how it went.

use std::time::Duration;

use tokio::time::Instant;
use voice_core::history::Sequence;
use voice_core::message::GenerationId;
use voice_core::ports::{GenerationReport, ModelStream};

pub(super) struct Report {
    pub(super) generation: GenerationReport,
    /// Known once the message is recorded.
    pub(super) message: Option<Sequence>,
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
