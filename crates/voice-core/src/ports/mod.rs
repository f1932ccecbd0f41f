//! The outside world as the cores and their drivers need it: a model, tools, a store, the carrier.
//!
//! Traits and what passes through them. Adapters implement them, `app` puts them together, tests implement them by hand.

mod model;
mod outbound;
mod recorded;
mod store;
mod telephony;
mod tools;
mod trace;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

pub use model::{
    Blocked, Completion, GenerationRequest, LanguageModel, ModelEvent, ModelFailure, ModelFailureKind,
    ModelStream, Usage,
};
pub use outbound::{CallPlacer, Launch, LaunchStatus, NotPlaced, OutboundRequest};
pub use recorded::{CallReader, RecordedCall, RecordedMessage, RecordedRun};
pub use store::{
    CallStore, CallerCounter, Claim, EndedBecause, GenerationReport, HandoffRecord, HandoffStatus,
    HandoffStore, Journaled, JournaledTurn, KnownSession, LaunchChange, LaunchRecord, LaunchStore, Ownership,
    RecordStore, RunClaim, RunStore, Session, SessionChange, Spent, SpokenLanguage, StoreError,
    StoreErrorKind, TRACES_AT_ONCE,
};
pub use telephony::{
    CallUpdate, MachineDetection, NewCall, Sms, Telephony, TelephonyError, TelephonyErrorKind, Verification,
};
pub use tools::{
    Effect, RemoteTools, RemoteToolsError, SecretError, SecretSource, ToolRequest, ToolResult, ToolRunner,
    UseCaseSource,
};
pub use trace::{FailedAttempt, GenerationTrace, ToolTrace, Trigger, TurnEnd, TurnTrace};

use crate::private::Private;
use crate::use_case::CallerProfile;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who is talking to whom.
#[derive(Clone, Debug)]
pub struct CallContext {
    pub call_sid: String,
    pub account_sid: String,
    pub from: Private<String>,
    pub to: Private<String>,
    pub direction: Direction,
    /// The one that answered first; a conversation may go on as another.
    pub use_case: String,
    pub caller: Option<Arc<CallerProfile>>,
    /// What whoever had the call placed wants prompts and tools to know.
    pub variables: Private<BTreeMap<String, String>>,
}

/// Who began the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    #[default]
    Inbound,
    /// The service did.
    Outbound,
}

impl Direction {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

impl CallContext {
    /// The number of the person on the line.
    pub const fn person(&self) -> &Private<String> {
        match self.direction {
            Direction::Inbound => &self.from,
            Direction::Outbound => &self.to,
        }
    }

    /// The number of the agent.
    pub const fn own_number(&self) -> &Private<String> {
        match self.direction {
            Direction::Inbound => &self.to,
            Direction::Outbound => &self.from,
        }
    }
}
