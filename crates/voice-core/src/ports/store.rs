//! The durable record: calls and their dialogue, tool runs, and what operators keep.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{BoxFuture, CallContext, Direction, LaunchStatus, TurnTrace, Usage};
use crate::history::{Record, Sequence};
use crate::message::{Message, RunId, ToolOutcome};
use crate::private::Private;
use crate::use_case::OnMachine;

/// The durable record of calls.
pub trait CallStore: Send + Sync + fmt::Debug {
    /// Writes the session item of a call that is about to be answered. An item that exists stays as it is.
    fn open_session(&self, session: Session) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Makes `owner` the owner of a call under the next epoch.
    fn claim_session<'a>(
        &'a self,
        call_sid: &'a str,
        owner: &'a str,
        claim: Claim,
    ) -> BoxFuture<'a, Result<Ownership, StoreError>>;
    /// Counts an attempt to go on with a call whose session broke; `None` when the call is not known.
    fn count_resume<'a>(
        &'a self,
        call_sid: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownSession>, StoreError>>;
    /// What is known of a call, as it is at this moment.
    fn read_session<'a>(
        &'a self,
        call_sid: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownSession>, StoreError>>;
    /// Marks a call as ended, unless somebody else owns it by now. [`EndedBecause::Lost`] never replaces a reason that is
    /// written down already.
    fn close_session<'a>(
        &'a self,
        call_sid: &'a str,
        epoch: u64,
        because: EndedBecause,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Writes one message, unless somebody else owns the call by now: then [`StoreErrorKind::Conflict`].
    fn write_turn<'a>(
        &'a self,
        call_sid: &'a str,
        epoch: u64,
        turn: JournaledTurn,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Notes a change that outlives the session, unless somebody else owns the call by now: then
    /// [`StoreErrorKind::Conflict`].
    fn change_session<'a>(
        &'a self,
        call_sid: &'a str,
        epoch: u64,
        change: SessionChange,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Writes how turns went, whoever owns the call by now: what was observed stays true. No more than
    /// [`TRACES_AT_ONCE`]; when it fails, some of them may be there, and all may be written again.
    fn write_traces<'a>(
        &'a self,
        call_sid: &'a str,
        traces: &'a [TurnTrace],
    ) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Reads what is known of a call's dialogue.
    fn read_journal<'a>(&'a self, call_sid: &'a str) -> BoxFuture<'a, Result<Journaled, StoreError>>;
}

/// What outlives a session besides the dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionChange {
    /// The conversation goes on as another use case.
    UseCase(String),
    /// It goes on in another language.
    Language(SpokenLanguage),
    /// The caller has proved who they are.
    Verified,
}

/// The language that a conversation goes on in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpokenLanguage {
    /// As the use case writes it.
    pub code: String,
    /// Whether the caller is understood in this language only; or else as the carrier was told when it connected, which
    /// may be in any.
    pub heard: bool,
}

/// How many traces fit into one request.
pub const TRACES_AT_ONCE: usize = 25;

/// Why a session ended, in the words of the table and of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndedBecause {
    CallerHungUp,
    AgentEnded,
    /// The call went to a person.
    HandedOver,
    CallerSilent,
    TimeLimit,
    Budget,
    /// The connection broke, or the process that carried the call is gone, and nobody knows more.
    Lost,
    /// The carrier did not keep to the protocol, or was not heard of any more.
    CarrierFailed,
    /// A newer session has the call.
    TakenOver,
    ShutDown,
}

impl EndedBecause {
    pub const ALL: [Self; 10] = [
        Self::CallerHungUp,
        Self::AgentEnded,
        Self::HandedOver,
        Self::CallerSilent,
        Self::TimeLimit,
        Self::Budget,
        Self::Lost,
        Self::CarrierFailed,
        Self::TakenOver,
        Self::ShutDown,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallerHungUp => "caller-hung-up",
            Self::AgentEnded => "agent-ended",
            Self::HandedOver => "handed-over",
            Self::CallerSilent => "caller-silent",
            Self::TimeLimit => "time-limit",
            Self::Budget => "budget",
            Self::Lost => "lost",
            Self::CarrierFailed => "carrier-failed",
            Self::TakenOver => "taken-over",
            Self::ShutDown => "shut-down",
        }
    }

    /// Whether the call is over, or out of our hands, as far as the session that ends can tell.
    pub const fn is_final(self) -> bool {
        match self {
            Self::CallerHungUp
            | Self::AgentEnded
            | Self::HandedOver
            | Self::CallerSilent
            | Self::TimeLimit
            | Self::Budget => true,
            Self::Lost | Self::CarrierFailed | Self::TakenOver | Self::ShutDown => false,
        }
    }
}

/// The durable record of tool runs.
pub trait RunStore: Send + Sync + fmt::Debug {
    /// Claims a run before it starts, so that it never happens twice, nor for an owner that was overtaken.
    fn claim_run<'a>(
        &'a self,
        call_sid: &'a str,
        owner: &'a str,
        run: &'a RunId,
        tool: &'a str,
    ) -> BoxFuture<'a, Result<RunClaim, StoreError>>;
    fn complete_run<'a>(
        &'a self,
        call_sid: &'a str,
        run: &'a RunId,
        outcome: &'a ToolOutcome,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}

#[derive(Clone, Debug, PartialEq)]
pub enum RunClaim {
    /// It is ours to run.
    Granted,
    /// It ran before, with this outcome.
    Completed(ToolOutcome),
    /// Somebody began it and nothing is known of its end.
    Unknown,
    /// Somebody else owns the call.
    Overtaken,
}

/// Items that operators and sample tools keep in the table.
pub trait RecordStore: Send + Sync + fmt::Debug {
    /// An item as plain JSON; expired ones are not there.
    fn get_record<'a>(
        &'a self,
        pk: &'a str,
        sk: &'a str,
    ) -> BoxFuture<'a, Result<Option<Map<String, Value>>, StoreError>>;
    /// Writes an item whole; it expires after `keep_for`, if given.
    fn put_record(
        &self,
        item: Map<String, Value>,
        keep_for: Option<Duration>,
    ) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Writes an item that is not there yet; `false`, and nothing is written, when there is one under its keys.
    fn put_new_record(&self, item: Map<String, Value>) -> BoxFuture<'_, Result<bool, StoreError>>;
    /// Sets these fields of an item, leaves its others as they are at this moment, and returns it as it is then; `None`,
    /// and nothing is written, when there is no such item. Keys cannot be set.
    fn update_record<'a>(
        &'a self,
        pk: &'a str,
        sk: &'a str,
        set: Map<String, Value>,
    ) -> BoxFuture<'a, Result<Option<Map<String, Value>>, StoreError>>;
    /// Items of one `pk1` in the index, those with the last `sk1` first, and no more than `most` of them.
    fn list_records<'a>(
        &'a self,
        pk1: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<Map<String, Value>>, StoreError>>;
}

/// The durable record of calls that are handed over and may come back.
pub trait HandoffStore: Send + Sync + fmt::Debug {
    /// Begins a handoff. One that the call had before is forgotten.
    fn open_handoff<'a>(
        &'a self,
        call_sid: &'a str,
        handoff: HandoffRecord,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
    fn read_handoff<'a>(
        &'a self,
        call_sid: &'a str,
    ) -> BoxFuture<'a, Result<Option<HandoffRecord>, StoreError>>;
    /// Notes the call to the person.
    fn note_handoff_call<'a>(
        &'a self,
        call_sid: &'a str,
        person_call_sid: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Moves a handoff from [`HandoffStatus::Dialling`] to `to`, once: `false` when it has left that state before.
    fn settle_handoff<'a>(
        &'a self,
        call_sid: &'a str,
        to: HandoffStatus,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandoffRecord {
    /// The carrier's id of the session that ended with it, by which a repeated request is known.
    pub session_id: String,
    /// Whose target it is.
    pub use_case: String,
    pub target: String,
    pub status: HandoffStatus,
    /// RFC 3339.
    pub started_at: String,
    /// What the person is told; empty when nothing of the call is kept.
    pub reason: Private<String>,
    pub summary: Private<String>,
    /// The call to the person, once there is one.
    pub person_call_sid: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandoffStatus {
    /// The person is being called.
    Dialling,
    /// The person has taken the call.
    Joined,
    /// Nobody took the call.
    Unanswered,
    /// The caller hung up meanwhile.
    Abandoned,
}

impl HandoffStatus {
    pub const ALL: [Self; 4] = [Self::Dialling, Self::Joined, Self::Unanswered, Self::Abandoned];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dialling => "dialling",
            Self::Joined => "joined",
            Self::Unanswered => "unanswered",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The durable record of calls that the service places.
pub trait LaunchStore: Send + Sync + fmt::Debug {
    /// Writes a launch that is not there yet; returns the one that is there otherwise.
    fn open_launch(&self, launch: LaunchRecord) -> BoxFuture<'_, Result<Option<LaunchRecord>, StoreError>>;
    fn read_launch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<LaunchRecord>, StoreError>>;
    /// Applies a change; a status that lies behind the one written is dropped.
    fn change_launch<'a>(
        &'a self,
        id: &'a str,
        change: LaunchChange,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Removes a launch of which certainly nothing came, so that its key may be used again. One that has a call stays.
    fn withdraw_launch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;
}

#[derive(Clone, Debug, PartialEq)]
pub struct LaunchRecord {
    pub id: String,
    pub status: LaunchStatus,
    /// Tells whether a request is the one that was made before, also when nothing of it is kept.
    pub request_digest: String,
    /// Blank once the call is over when nothing of it is kept; so are the variables.
    pub to: Private<String>,
    pub from: String,
    pub use_case: String,
    pub variables: Private<BTreeMap<String, String>>,
    pub machine: OnMachine,
    pub call_sid: Option<String>,
    /// `human`, `machine_start` and the like, in the carrier's words.
    pub answered_by: Option<String>,
    /// Why it failed, in words without numbers of people.
    pub error: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaunchChange {
    pub status: Option<LaunchStatus>,
    pub call_sid: Option<String>,
    pub answered_by: Option<String>,
    /// Why it failed, in words without numbers of people.
    pub error: Option<String>,
    /// Whom it was to, and the variables, are removed.
    pub forget_person: bool,
}

/// Counts calls of a number.
pub trait CallerCounter: Send + Sync + fmt::Debug {
    /// Counts a call of `number` in the window that is running, and returns how many there were in it with this one.
    /// The same call counts once. The number itself is not written down.
    fn count_call<'a>(
        &'a self,
        number: &'a Private<String>,
        call_sid: &'a str,
        window: Duration,
    ) -> BoxFuture<'a, Result<u64, StoreError>>;
}

/// What is written when a call is answered.
#[derive(Clone, Debug)]
pub struct Session {
    pub call: Arc<CallContext>,
    pub channel: &'static str,
    pub model: String,
    /// The webhook's fields, as they came.
    pub twilio: Private<Vec<(String, String)>>,
}

/// Which claim on a call is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// By the process that answered the call. It fails when somebody has claimed the call since.
    First,
    /// By whoever the carrier has connected the call to now.
    Next,
}

/// What came of a claim on a call.
#[derive(Clone, Debug)]
pub enum Ownership {
    Ours(KnownSession),
    /// Somebody else has claimed it since.
    Overtaken,
    /// The call is not known.
    NoSuchCall,
}

/// A call's journal, as far as the dialogue goes.
#[derive(Clone, Debug, Default)]
pub struct Journaled {
    /// Oldest first; without a message where nothing was heard of it.
    pub turns: Vec<(Sequence, Option<Message>)>,
    /// Of tool runs that are completed, also of those whose session did not live to see it.
    pub outcomes: Vec<ToolOutcome>,
    pub spent: Spent,
}

/// What a call has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Of all generations, read and written.
    pub tokens: u64,
    pub tool_runs: u32,
}

#[derive(Clone, Debug)]
pub struct KnownSession {
    /// How many sessions have owned the call.
    pub epoch: u64,
    /// How often it was tried to go on after a session broke.
    pub resumes: u64,
    /// RFC 3339; when the call was answered first.
    pub started_at: String,
    pub use_case: String,
    pub account_sid: String,
    pub from: Private<String>,
    pub to: Private<String>,
    pub direction: Direction,
    pub variables: Private<BTreeMap<String, String>>,
    /// The language that the conversation went on in, if it was changed.
    pub language: Option<SpokenLanguage>,
    /// The caller has proved who they are.
    pub verified: bool,
}

/// A message with what is known of how it came about.
#[derive(Clone, Debug)]
pub struct JournaledTurn {
    /// RFC 3339; when the message was recorded first.
    pub at: String,
    pub record: Record,
    pub generation: Option<GenerationReport>,
}

/// How the generation behind a message of the agent went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationReport {
    pub model: Option<String>,
    pub stop_reason: Option<String>,
    pub usage: Option<Usage>,
    /// The usage was reckoned from lengths, because the generation came to no end.
    pub estimated: bool,
    /// From the request to the first text that can be spoken.
    pub first_text: Option<Duration>,
    /// From the request to the end of the stream, or to its cancellation.
    pub duration: Duration,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
#[error("the table: {kind}")]
pub struct StoreError {
    pub kind: StoreErrorKind,
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// Another owner was there first.
    Conflict,
    /// Worth trying again: throttled, timed out, out of reach.
    Unavailable,
    /// Not worth trying again: refused, or not understood.
    Refused,
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Conflict => "another owner was there first",
            Self::Unavailable => "out of reach",
            Self::Refused => "refused",
        })
    }
}
