//! Calls that the service places.

use std::collections::BTreeMap;
use std::fmt;

use super::{BoxFuture, StoreError, TelephonyError};
use crate::private::Private;
use crate::use_case::OnMachine;

/// Places calls, within the rules: allowed caller ids, calling hours, the do-not-call list.
pub trait CallPlacer: Send + Sync + fmt::Debug {
    fn place(&self, request: OutboundRequest) -> BoxFuture<'_, Result<Launch, NotPlaced>>;
}

#[derive(Clone, Debug)]
pub struct OutboundRequest {
    pub to: Private<String>,
    /// One of the allowed caller ids; the first of them when absent.
    pub from: Option<String>,
    pub use_case: String,
    pub variables: Private<BTreeMap<String, String>>,
    /// Two requests with the same key are one call.
    pub idempotency_key: Option<String>,
    /// Instead of what the use case says.
    pub machine: Option<OnMachine>,
}

/// A call that was placed, or was before by the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    pub id: String,
    pub call_sid: Option<String>,
    pub status: LaunchStatus,
    /// Whether this request placed it.
    pub is_new: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchStatus {
    /// Written down; the carrier was not asked yet, or its answer is not known.
    Requested,
    Queued,
    Ringing,
    Answered,
    Completed,
    Busy,
    NoAnswer,
    Failed,
    Canceled,
}

impl LaunchStatus {
    pub const ALL: [Self; 9] = [
        Self::Requested,
        Self::Queued,
        Self::Ringing,
        Self::Answered,
        Self::Completed,
        Self::Busy,
        Self::NoAnswer,
        Self::Failed,
        Self::Canceled,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Queued => "queued",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// How far along it is. Status reports arrive out of order, and none leads back.
    pub const fn progress(self) -> u8 {
        match self {
            Self::Requested => 0,
            Self::Queued => 1,
            Self::Ringing => 2,
            Self::Answered => 3,
            Self::Completed | Self::Busy | Self::NoAnswer | Self::Failed | Self::Canceled => 4,
        }
    }
}

/// Why no call was placed.
#[derive(Debug, thiserror::Error)]
pub enum NotPlaced {
    #[error("{0}: not a number in E.164 form, such as +14155550100")]
    NotANumber(&'static str),
    #[error("the caller id is not one of those allowed")]
    CallerIdNotAllowed,
    #[error("no caller ids are allowed: OUTBOUND_CALLER_IDS is not set")]
    NoCallerIds,
    #[error("the use case {name:?} cannot be used: {problem}")]
    UseCase { name: String, problem: String },
    #[error("the number is on the do-not-call list")]
    DoNotCall,
    #[error("it is outside the calling hours of the use case")]
    OutsideHours,
    #[error("the idempotency key was used for another call")]
    KeyReused,
    #[error("no new calls are placed: the service is stopping")]
    Stopping,
    #[error("too many calls: MAX_CALLS are in progress")]
    Busy,
    #[error(transparent)]
    Table(StoreError),
    #[error(transparent)]
    Carrier(TelephonyError),
}

impl NotPlaced {
    /// Stable, for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotANumber(_) => "not_a_number",
            Self::CallerIdNotAllowed => "caller_id_not_allowed",
            Self::NoCallerIds => "no_caller_ids",
            Self::UseCase { .. } => "use_case",
            Self::DoNotCall => "do_not_call",
            Self::OutsideHours => "outside_hours",
            Self::KeyReused => "key_reused",
            Self::Stopping => "stopping",
            Self::Busy => "busy",
            Self::Table(_) => "table",
            Self::Carrier(_) => "carrier",
        }
    }
}
