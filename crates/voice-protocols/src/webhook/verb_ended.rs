//! What Twilio posts to the actions of `<Dial>`, `<Enqueue>` and `<Gather>`. Does not decide what happens next.

use super::call_status::CallStatus;
use super::{WebhookError, call_sid, first};

/// The end of a `<Dial>` or of an `<Enqueue>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialEnded {
    pub call_sid: String,
    pub status: DialStatus,
    /// Of the call that dialled: it goes on when it is in progress, and is over otherwise.
    pub call_status: CallStatus,
    /// How long the two were connected.
    pub duration_seconds: Option<u64>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialStatus {
    /// Both talked, and one of them hung up (`completed`, `answered`); or a queue found somebody (`bridged`).
    Answered,
    Busy,
    NoAnswer,
    /// It was not possible: a number that does not exist, a queue that is full.
    Failed,
    /// Who called gave up.
    Canceled,
    /// What did not exist when this was written; empty when Twilio sent none.
    Other(String),
}

impl DialEnded {
    pub fn from_params(params: &[(String, String)]) -> Result<Self, WebhookError> {
        let status = match first(params, "DialCallStatus") {
            Some(status) => DialStatus::of_dial(status),
            None => DialStatus::of_queue(first(params, "QueueResult").unwrap_or_default()),
        };
        Ok(Self {
            call_sid: call_sid(params)?,
            status,
            call_status: CallStatus::from(first(params, "CallStatus").unwrap_or_default()),
            duration_seconds: first(params, "DialCallDuration").and_then(|value| value.parse().ok()),
        })
    }
}

impl DialStatus {
    fn of_dial(text: &str) -> Self {
        match text {
            "completed" | "answered" => Self::Answered,
            "busy" => Self::Busy,
            "no-answer" => Self::NoAnswer,
            "failed" => Self::Failed,
            "canceled" => Self::Canceled,
            other => Self::Other(other.to_owned()),
        }
    }

    fn of_queue(text: &str) -> Self {
        match text {
            "bridged" | "bridging-in-process" | "redirected-from-bridged" => Self::Answered,
            "leave" => Self::NoAnswer,
            "queue-full" | "error" | "system-error" => Self::Failed,
            "hangup" => Self::Canceled,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// The keys that were pressed during a `<Gather>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered {
    pub call_sid: String,
    /// Without the key that ended it.
    pub digits: String,
}

impl Gathered {
    pub fn from_params(params: &[(String, String)]) -> Result<Self, WebhookError> {
        let digits = first(params, "Digits").unwrap_or_default().to_owned();
        Ok(Self { call_sid: call_sid(params)?, digits })
    }
}
