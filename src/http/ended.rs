//! The `<Connect>` action: Twilio asks what to do when a session has ended.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use tokio::time::timeout;
use tracing::{error, info, warn};
use voice_core::ports::{KnownSession, StoreError};
use voice_protocols::webhook::{ConnectEnded, SessionStatus};

use super::Service;
use super::answers::{Connection, apologise, connect, hang_up, nothing};
use super::arrival::{Arrival, Cause};
use super::handoff::{HandoffData, SessionEnd, hand_over};
use super::launched::left_to_a_machine;
use super::parties::Parties;
use super::signed::Signed;
use crate::metrics::Counter;
use crate::session::{Parting, PreparedCall, Webhook};
use crate::telemetry::causes;

pub(super) const READING_SESSION: Duration = Duration::from_secs(3);
/// A call whose sessions keep breaking is not connected for ever.
const MOST_RESUMES: u64 = 10;
/// Twilio could not use what it was told: an attribute's value (64101), or the media settings (64106). It would be told
/// the same again.
const HOPELESS: [&str; 2] = ["64101", "64106"];

#[derive(Debug, Deserialize)]
pub(super) struct EndedPath {
    call_sid: String,
    /// Of a call that the service placed.
    launch: Option<String>,
}

pub(super) async fn ended(
    State(service): State<Service>,
    Path(EndedPath { call_sid, launch }): Path<EndedPath>,
    Signed(params): Signed,
) -> Response {
    let ended = match ConnectEnded::from_params(&params) {
        Ok(ended) if ended.call_sid == call_sid => ended,
        _ => {
            warn!("an action is for no call of ours");
            return hang_up();
        }
    };
    let reason = ended.handoff_data.as_deref().and_then(reason_code);
    info!(call.sid = %call_sid, status = ?ended.session_status, error.code = ended.error_code, reason = reason.as_deref(), "Twilio ended the session");
    // The call is over; what is answered is not heard.
    if ended.session_status == SessionStatus::Completed {
        return nothing();
    }
    if let Some(launch) = &launch
        && left_to_a_machine(&service, launch).await
    {
        return hang_up();
    }
    let parties = Parties::of_form(&params);
    match ended.session_status {
        SessionStatus::Failed if hopeless(ended.error_code.as_deref()) => apologise(&service),
        SessionStatus::Failed => go_on(&service, &call_sid, launch.as_deref(), parties, Cause::Lost).await,
        SessionStatus::Completed | SessionStatus::Ended | SessionStatus::Other(_) => {
            match reason.and_then(|code| Parting::from_code(&code)) {
                Some(Parting::Handover) => {
                    return go_on(&service, &call_sid, launch.as_deref(), parties, Cause::HandedOver).await;
                }
                Some(Parting::LostTooOften) => return apologise(&service),
                None => {}
            }
            match ended.handoff_data.as_deref().and_then(HandoffData::parse) {
                Some(asked) => {
                    let end = SessionEnd { call_sid: &call_sid, session_id: &ended.session_id, parties };
                    hand_over(&service, end, asked).await
                }
                None => hang_up(),
            }
        }
    }
}

/// The caller is still there: connect the call again, without greeting.
async fn go_on(
    service: &Service,
    call_sid: &str,
    launch: Option<&str>,
    parties: Parties,
    cause: Cause,
) -> Response {
    let session = if cause == Cause::HandedOver {
        // Whoever hands calls over does so between two turns, so nothing has to be counted.
        read_session(service, call_sid).await
    } else {
        match count_resume(service, call_sid).await {
            Some(session) if broke_too_often(&session) => {
                service.metrics().count(Counter::ResumesRefused);
                error!(call.sid = call_sid, "the call's sessions keep breaking");
                return apologise(service);
            }
            session => session,
        }
    };
    let Some(session) = session else {
        warn!(call.sid = call_sid, "the call cannot go on without what the table knows of it");
        return apologise(service);
    };
    match prepare_again(service, call_sid, &session, parties).await {
        Ok(prepared) => {
            if cause != Cause::HandedOver {
                service.metrics().count(Counter::CallsResumed);
            }
            let arrival = Arrival::at(session.epoch, cause);
            connect(service, &prepared.without_greeting(), Connection { launch, arrival })
        }
        Err(reason) => {
            error!(call.sid = call_sid, %reason, "the call cannot go on");
            apologise(service)
        }
    }
}

/// Whether it makes no sense to go on with a call whose last break has been counted.
pub(super) const fn broke_too_often(session: &KnownSession) -> bool {
    session.resumes > MOST_RESUMES
}

/// Counts a session that broke; `None` when the table knows nothing of the call, or is out of reach.
pub(super) async fn count_resume(service: &Service, call_sid: &str) -> Option<KnownSession> {
    known(call_sid, service.ports.store.count_resume(call_sid)).await
}

/// Why we ended the session, in our own word.
pub(super) fn reason_code(handoff_data: &str) -> Option<String> {
    let data: serde_json::Value = serde_json::from_str(handoff_data).ok()?;
    let code = data.get("reasonCode")?.as_str()?;
    let is_a_word = code.len() <= 40 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    is_a_word.then(|| code.to_owned())
}

fn hopeless(error_code: Option<&str>) -> bool {
    error_code.is_some_and(|code| HOPELESS.contains(&code))
}

/// A call that was answered before, as it was then; `parties` are those of the request at hand, for a call of which the
/// table keeps no numbers.
pub(super) async fn prepare_again(
    service: &Service,
    call_sid: &str,
    session: &KnownSession,
    parties: Parties,
) -> Result<PreparedCall, String> {
    let Parties { from, to, direction } = parties.unless_known(session);
    let use_case = service.use_cases.find(&session.use_case).await?;
    let facts = Webhook {
        call_sid: call_sid.to_owned(),
        account_sid: session.account_sid.clone(),
        from,
        to,
        direction,
        variables: session.variables.clone(),
    };
    let caller = super::twiml::profile_of_person(service, &facts).await;
    let started: jiff::Timestamp = session.started_at.parse().unwrap_or_else(|_| jiff::Timestamp::now());
    let now = started.to_zoned(service.time_zone.clone());
    PreparedCall::new(facts, use_case, caller, service.default_model.as_deref(), &now)
        .map_err(|error| error.to_string())
}

/// What the table knows of a call, at this moment; `None` when it knows nothing, or is out of reach.
pub(super) async fn read_session(service: &Service, call_sid: &str) -> Option<KnownSession> {
    known(call_sid, service.ports.store.read_session(call_sid)).await
}

async fn known(
    call_sid: &str,
    asked: impl Future<Output = Result<Option<KnownSession>, StoreError>>,
) -> Option<KnownSession> {
    match timeout(READING_SESSION, asked).await {
        Ok(Ok(session)) => session,
        Ok(Err(error)) => {
            error!(call.sid = call_sid, error = %causes(&error), "the call's session was not read");
            None
        }
        Err(_) => {
            error!(call.sid = call_sid, "reading the call's session took too long");
            None
        }
    }
}
