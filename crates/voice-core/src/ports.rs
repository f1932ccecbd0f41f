//! The outside world as the cores and their drivers need it: a model, tools, a store.
//!
//! Traits only. Adapters implement them, `app` puts them together, tests implement them by hand.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use serde_json::{Map, Value};

use crate::history::{Record, Sequence};
use crate::message::{GenerationId, Message, RunId, ToolOutcome};
use crate::private::Private;
use crate::use_case::{CallerProfile, Tool, UseCase};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// Dropping it cancels the generation.
pub type ModelStream = Pin<Box<dyn Stream<Item = ModelEvent> + Send>>;

/// A model that answers in text, token by token.
pub trait LanguageModel: Send + Sync + fmt::Debug {
    /// Starts a generation. The stream ends with exactly one [`ModelEvent::Finished`] or [`ModelEvent::Failed`], within
    /// deadlines that the adapter keeps.
    fn generate(&self, request: GenerationRequest) -> ModelStream;
}

#[derive(Clone)]
pub struct GenerationRequest {
    pub call: Arc<CallContext>,
    pub generation: GenerationId,
    pub use_case: Arc<UseCase>,
    /// The rendered system prompt.
    pub system: Arc<str>,
    /// Asked in order.
    pub models: Arc<[String]>,
    pub history: Vec<Arc<Message>>,
}

impl fmt::Debug for GenerationRequest {
    /// Leaves out the prompt and the dialogue.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("GenerationRequest");
        shown
            .field("call_sid", &self.call.call_sid)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Who is talking to whom.
#[derive(Clone, Debug)]
pub struct CallContext {
    pub call_sid: String,
    pub account_sid: String,
    pub from: Private<String>,
    pub to: Private<String>,
    pub use_case: String,
    pub caller: Option<Arc<CallerProfile>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ModelEvent {
    Text(String),
    /// A complete tool call; `arguments` is JSON text as the model wrote it, possibly empty or broken.
    ToolCall {
        id: String,
        name: String,
        arguments: String,
    },
    Finished(Completion),
    Failed(ModelFailure),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Why the model stopped, in the vendor's word.
    pub stop_reason: String,
    pub usage: Option<Usage>,
    /// The model that answered; not always the one asked first.
    pub model: String,
}

/// Tokens of one generation. `input` does not contain the cached ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
}

/// No model answered. Details were logged where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelFailure {
    pub kind: ModelFailureKind,
}

/// A closed set, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelFailureKind {
    Throttled,
    TimedOut,
    Refused,
    Unavailable,
    Broken,
}

impl ModelFailureKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::TimedOut => "timed_out",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Broken => "broken",
        }
    }
}

/// Runs tools.
pub trait ToolRunner: Send + Sync + fmt::Debug {
    /// Runs one tool call to its outcome. Never fails: what goes wrong is an outcome that the model sees.
    fn run(&self, request: ToolRequest) -> BoxFuture<'static, ToolResult>;
}

#[derive(Clone, Debug)]
pub struct ToolRequest {
    pub run: RunId,
    pub tool: Arc<Tool>,
    /// A JSON object.
    pub input: Value,
    pub call: Arc<CallContext>,
    /// Names the session in the table.
    pub owner: Arc<str>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    pub outcome: ToolOutcome,
    pub effect: Option<Effect>,
}

/// What a tool does to the call itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    EndCall { handoff_data: Option<String> },
}

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
    /// Marks a call as ended, unless somebody else owns it by now.
    fn close_session<'a>(&'a self, call_sid: &'a str, epoch: u64) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Writes one message, unless somebody else owns the call by now: then [`StoreErrorKind::Conflict`].
    fn write_turn<'a>(
        &'a self,
        call_sid: &'a str,
        epoch: u64,
        turn: JournaledTurn,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Reads what is known of a call's dialogue.
    fn read_journal<'a>(&'a self, call_sid: &'a str) -> BoxFuture<'a, Result<Journaled, StoreError>>;
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
    /// All items of one `pk1` in the index, in the order of `sk1`.
    fn list_records<'a>(&'a self, pk1: &'a str)
    -> BoxFuture<'a, Result<Vec<Map<String, Value>>, StoreError>>;
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
