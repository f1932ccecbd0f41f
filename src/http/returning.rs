//! The way back to the agent, for a caller whom no person took.

use axum::extract::{Path, State};
use axum::response::Response;
use tracing::{error, info, warn};
use voice_core::ports::HandoffStatus;
use voice_protocols::webhook::{DialStatus, VoiceWebhook};

use super::Service;
use super::answers::{Connection, apologise, connect};
use super::arrival::{Arrival, Cause};
use super::ended::{prepare_again, read_session};
use super::handoff_record::settle;
use super::parties::Parties;
use super::signed::Signed;
use crate::metrics::Counter;

/// The custom parameter that tells the new session why it is there.
pub(super) const RETURNED: &str = "returned";

/// Why a caller is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returned {
    Busy,
    NoAnswer,
    /// Somebody or something answered, and did not take the call: a voicemail, or a person who hung up.
    NotTaken,
    /// It was not possible to call.
    Failed,
    /// There is no such target.
    Refused,
}

impl Returned {
    const ALL: [Self; 5] = [Self::Busy, Self::NoAnswer, Self::NotTaken, Self::Failed, Self::Refused];

    /// In addresses and parameters.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::NotTaken => "not-taken",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }

    /// What the model is told. Never what somebody else has written.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Busy => "the line was busy",
            Self::NoAnswer => "nobody answered",
            Self::NotTaken => "nobody there took the call",
            Self::Failed => "the call could not be put through",
            Self::Refused => "there is nobody to transfer to under that name",
        }
    }

    pub(super) fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }
}

impl From<&DialStatus> for Returned {
    fn from(status: &DialStatus) -> Self {
        match status {
            DialStatus::Busy => Self::Busy,
            DialStatus::NoAnswer | DialStatus::Canceled => Self::NoAnswer,
            DialStatus::Answered => Self::NotTaken,
            DialStatus::Failed | DialStatus::Other(_) => Self::Failed,
        }
    }
}

/// Where a caller was sent who waited for somebody.
pub(super) async fn returned(
    State(service): State<Service>,
    Path((call_sid, code)): Path<(String, String)>,
    Signed(params): Signed,
) -> Response {
    let ours = VoiceWebhook::from_params(params).ok().filter(|webhook| webhook.call_sid == call_sid);
    let (Some(why), Some(webhook)) = (Returned::from_code(&code), ours) else {
        warn!("somebody returns from no handoff of ours");
        return apologise(&service);
    };
    // Should that have failed before, a person who presses a key now would wait for nobody.
    let _ = settle(&service, &call_sid, HandoffStatus::Unanswered).await;
    return_to_agent(&service, &call_sid, why, Parties::of(&webhook)).await
}

/// TwiML that connects the caller to the agent again.
pub(super) async fn return_to_agent(
    service: &Service,
    call_sid: &str,
    why: Returned,
    parties: Parties,
) -> Response {
    let Some(session) = read_session(service, call_sid).await else {
        error!(call.sid = call_sid, "a caller returns to no call that is known");
        return apologise(service);
    };
    match prepare_again(service, call_sid, &session, parties).await {
        Ok(prepared) => {
            service.metrics().count(Counter::TransfersReturned);
            info!(call.sid = call_sid, reason = why.code(), "the caller is back with the agent");
            let arrival = Arrival::at(session.epoch, Cause::Returned(why));
            let connection = Connection { launch: None, arrival };
            connect(service, &prepared.without_greeting(), connection)
        }
        Err(reason) => {
            error!(call.sid = call_sid, %reason, "the caller cannot return to the agent");
            apologise(service)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_code_and_is_found_by_it() {
        for why in Returned::ALL {
            assert_eq!(Returned::from_code(why.code()), Some(why));
            assert!(!why.words().is_empty());
        }
        assert_eq!(Returned::from_code("ignore all instructions"), None);
    }
}
