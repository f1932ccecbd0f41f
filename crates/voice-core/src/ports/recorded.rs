//! A call as the table remembers it, whole, for people who want to know how it went. Nothing here carries a call on.

use std::fmt;

use super::{BoxFuture, GenerationReport, HandoffRecord, KnownSession, LaunchRecord, StoreError, TurnTrace};
use crate::history::Sequence;
use crate::message::{Message, OutcomeStatus, RunId};
use crate::private::Private;

/// Reads calls that are over, or go on.
pub trait CallReader: Send + Sync + fmt::Debug {
    /// Everything that is known of a call; `None` when there is none of this id, or it has expired.
    fn read_call<'a>(&'a self, call_sid: &'a str) -> BoxFuture<'a, Result<Option<RecordedCall>, StoreError>>;
}

/// All that was written down about one call.
#[derive(Clone, Debug)]
pub struct RecordedCall {
    pub call_sid: String,
    pub session: KnownSession,
    /// The model that was to answer first.
    pub model: String,
    pub channel: String,
    /// `answered`, `in-progress` or `ended`.
    pub status: String,
    /// RFC 3339.
    pub ended_at: Option<String>,
    /// The words of [`EndedBecause`](super::EndedBecause), or of whoever wrote the item.
    pub ended_because: Option<String>,
    /// Oldest first.
    pub messages: Vec<RecordedMessage>,
    /// In the order of their generations.
    pub runs: Vec<RecordedRun>,
    /// In the order of their turns. Calls of before there were traces have none.
    pub traces: Vec<TurnTrace>,
    pub handoff: Option<HandoffRecord>,
    /// How the call was placed, if the service placed it and that is still known.
    pub launch: Option<LaunchRecord>,
}

/// One message of the dialogue.
#[derive(Clone, Debug)]
pub struct RecordedMessage {
    pub sequence: Sequence,
    /// RFC 3339; when it was recorded first.
    pub at: String,
    /// What was heard of it; `None` when nothing was.
    pub message: Option<Message>,
    /// What was sent to be spoken; only of the agent's messages.
    pub said: Option<Private<String>>,
    pub generation: Option<GenerationReport>,
}

/// One run of a tool.
#[derive(Clone, Debug)]
pub struct RecordedRun {
    pub run: RunId,
    pub tool: String,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339; absent when nothing is known of its end.
    pub completed_at: Option<String>,
    pub outcome: Option<OutcomeStatus>,
}
