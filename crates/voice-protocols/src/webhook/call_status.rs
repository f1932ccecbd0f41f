//! What Twilio posts to a status callback: how far a call is. Reports may come late, twice and out of order.

use super::{WebhookError, call_sid, first, non_empty};

/// One report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCallback {
    pub call_sid: String,
    pub call_status: CallStatus,
    /// The order in which things happened, from 0; reports need not come in it.
    pub sequence_number: Option<u32>,
    /// Of a call that has ended.
    pub call_duration_seconds: Option<u64>,
    /// What the other side's exchange answered, such as 486 for busy.
    pub sip_response_code: Option<u16>,
    pub error_code: Option<String>,
}

impl StatusCallback {
    pub fn from_params(params: &[(String, String)]) -> Result<Self, WebhookError> {
        Ok(Self {
            call_sid: call_sid(params)?,
            call_status: CallStatus::from(first(params, "CallStatus").unwrap_or_default()),
            sequence_number: first(params, "SequenceNumber").and_then(|value| value.parse().ok()),
            call_duration_seconds: first(params, "CallDuration").and_then(|value| value.parse().ok()),
            sip_response_code: first(params, "SipResponseCode").and_then(|value| value.parse().ok()),
            error_code: non_empty(params, "ErrorCode"),
        })
    }
}

/// The state of a call in webhooks and REST: lower case with hyphens, unlike on the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallStatus {
    /// It waits for its turn (`queued`), or has just left (`initiated`).
    Queued,
    Ringing,
    /// Somebody or something has answered (`in-progress`, in some places `answered`).
    InProgress,
    Completed,
    Busy,
    NoAnswer,
    Failed,
    Canceled,
    /// What did not exist when this was written; empty when Twilio sent none.
    Other(String),
}

impl CallStatus {
    /// Whether the call is over.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Completed | Self::Busy | Self::NoAnswer | Self::Failed | Self::Canceled)
    }
}

impl From<&str> for CallStatus {
    fn from(text: &str) -> Self {
        match text {
            "queued" | "initiated" => Self::Queued,
            "ringing" => Self::Ringing,
            "in-progress" | "answered" => Self::InProgress,
            "completed" => Self::Completed,
            "busy" => Self::Busy,
            "no-answer" => Self::NoAnswer,
            "failed" => Self::Failed,
            "canceled" => Self::Canceled,
            other => Self::Other(other.to_owned()),
        }
    }
}
