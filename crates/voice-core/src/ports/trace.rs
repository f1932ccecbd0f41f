//! How turns went, in parts, for people who want to know why one was slow. No words, no numbers of people.

use std::time::{Duration, SystemTime};

use super::{ModelFailureKind, Usage};
use crate::message::{GenerationId, OutcomeStatus, RunId};

/// One turn of the agent. Every offset counts from [`Self::started_at`].
#[derive(Clone, Debug, PartialEq)]
pub struct TurnTrace {
    /// The id of its first generation; it orders the turns of a call.
    pub turn: GenerationId,
    /// The use case that the conversation went on as.
    pub use_case: String,
    pub trigger: Trigger,
    /// When the caller's last words were there, or whatever else the agent reacted to.
    pub started_at: SystemTime,
    /// From the caller's falling silent to their words being there: what recognition and the detection of the turn's end
    /// took, as far as the carrier told.
    pub transcription: Option<Duration>,
    /// In the order in which they were begun; several when tools ran in between.
    pub generations: Vec<GenerationTrace>,
    pub tools: Vec<ToolTrace>,
    /// The first words went out to be spoken.
    pub first_text: Option<Duration>,
    /// The carrier began to play.
    pub first_audio: Option<Duration>,
    pub ended: Duration,
    pub end: TurnEnd,
}

/// What the agent reacted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    Words,
    Key,
    /// The caller interrupted and then said nothing.
    Silence,
    /// The session goes on with a call that another one carried.
    Resumed,
    /// The caller is back from a transfer that did not happen.
    Returned,
}

impl Trigger {
    pub const ALL: [Self; 5] = [Self::Words, Self::Key, Self::Silence, Self::Resumed, Self::Returned];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Key => "key",
            Self::Silence => "silence",
            Self::Resumed => "resumed",
            Self::Returned => "returned",
        }
    }
}

/// Why a turn was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnEnd {
    /// The caller has heard all of it, as far as is known.
    Heard,
    /// The caller spoke over it.
    Interrupted,
    /// The caller said more before a word of it was spoken.
    Superseded,
    /// The session ended meanwhile.
    Left,
}

impl TurnEnd {
    pub const ALL: [Self; 4] = [Self::Heard, Self::Interrupted, Self::Superseded, Self::Left];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Heard => "heard",
            Self::Interrupted => "interrupted",
            Self::Superseded => "superseded",
            Self::Left => "left",
        }
    }
}

/// One run of a model, with the attempts that it took.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationTrace {
    pub id: GenerationId,
    /// The request was handed over; what lies before is our own queueing.
    pub begun: Duration,
    /// The first words that could be spoken.
    pub first_text: Option<Duration>,
    pub ended: Option<Duration>,
    /// The model that answered.
    pub model: Option<String>,
    pub stop_reason: Option<String>,
    pub usage: Option<Usage>,
    /// The usage was reckoned from lengths.
    pub estimated: bool,
    /// Attempts that came to nothing, before or beside the one that did.
    pub failed_attempts: Vec<FailedAttempt>,
}

/// A model that was asked and did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    pub model: String,
    pub kind: ModelFailureKind,
    /// From being asked to having failed.
    pub after: Duration,
}

/// One run of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolTrace {
    pub run: RunId,
    pub tool: String,
    pub begun: Duration,
    /// Absent when the turn was over before.
    pub ended: Option<Duration>,
    /// Absent when it came to no outcome, because it was cancelled or given up.
    pub status: Option<OutcomeStatus>,
}
