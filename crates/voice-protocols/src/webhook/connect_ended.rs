//! What Twilio posts to the action of `<Connect>` when a ConversationRelay session is over. Does not decide
//! what happens next.

use super::{WebhookError, call_sid, first, non_empty};

/// The end of one session. The call itself may go on: see `call_status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectEnded {
    pub call_sid: String,
    /// `VX…`, as in the session's `setup` message.
    pub session_id: String,
    pub session_status: SessionStatus,
    pub session_duration_seconds: Option<u64>,
    /// What our `end` message carried, unchanged.
    pub handoff_data: Option<String>,
    /// Of a failed session: `64105` when the socket was lost.
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    /// `in-progress` when the answer to this request will be performed, `completed` after hang-up.
    pub call_status: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionStatus {
    /// The caller hung up, or the call was ended through Twilio's API.
    Completed,
    /// We sent `end`.
    Ended,
    /// The socket was lost or could not be opened, or the markup was refused.
    Failed,
    /// What did not exist when this was written; empty when Twilio sent none.
    Other(String),
}

impl ConnectEnded {
    pub fn from_params(params: &[(String, String)]) -> Result<Self, WebhookError> {
        let text = |name| first(params, name).unwrap_or_default().to_owned();
        Ok(Self {
            call_sid: call_sid(params)?,
            session_id: text("SessionId"),
            session_status: SessionStatus::from(first(params, "SessionStatus").unwrap_or_default()),
            session_duration_seconds: first(params, "SessionDuration").and_then(|value| value.parse().ok()),
            handoff_data: first(params, "HandoffData").map(str::to_owned),
            error_code: non_empty(params, "ErrorCode"),
            error_message: non_empty(params, "ErrorMessage"),
            call_status: text("CallStatus"),
        })
    }
}

impl From<&str> for SessionStatus {
    fn from(text: &str) -> Self {
        match text {
            "completed" => Self::Completed,
            "ended" => Self::Ended,
            "failed" => Self::Failed,
            other => Self::Other(other.to_owned()),
        }
    }
}
