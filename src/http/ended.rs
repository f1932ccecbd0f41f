//! The `<Connect>` action: Twilio asks what to do when a session has ended.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use tokio::time::timeout;
use tracing::{error, info, warn};
use voice_core::ports::KnownSession;
use voice_protocols::twiml::{Verb, VoiceResponse};
use voice_protocols::webhook::{ConnectEnded, SessionStatus};

use super::Service;
use super::signed::{Refused, webhook_params};
use super::twiml::{apologise, connect, xml};
use crate::metrics::Counter;
use crate::session::{PreparedCall, Webhook};
use crate::telemetry::causes;

const READING_SESSION: Duration = Duration::from_secs(3);
/// A call whose sessions keep breaking is not connected for ever.
const MOST_RESUMES: u64 = 10;
/// Twilio could not use what it was told: an attribute's value (64101), or the media settings (64106). It would be told
/// the same again.
const HOPELESS: [&str; 2] = ["64101", "64106"];

pub(super) async fn ended(
    State(service): State<Service>,
    Path(call_sid): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let params = webhook_params(&service, &method, &uri, &headers, &body)?;
    let ended = match ConnectEnded::from_params(&params) {
        Ok(ended) if ended.call_sid == call_sid => ended,
        _ => {
            warn!("an action is for no call of ours");
            return Ok(hang_up());
        }
    };
    info!(call.sid = %call_sid, status = ?ended.session_status, error.code = ended.error_code, "Twilio ended the session");
    Ok(match ended.session_status {
        SessionStatus::Failed if hopeless(ended.error_code.as_deref()) => apologise(&service),
        SessionStatus::Failed => go_on(&service, &call_sid).await,
        // The call is over; what is answered is not heard.
        SessionStatus::Completed => xml(&VoiceResponse::default()),
        SessionStatus::Ended | SessionStatus::Other(_) => hang_up(),
    })
}

/// The socket was lost and the caller is still there: connect the call again, without greeting.
async fn go_on(service: &Service, call_sid: &str) -> Response {
    let session = match timeout(READING_SESSION, service.ports.store.count_resume(call_sid)).await {
        Ok(Ok(Some(session))) if session.resumes <= MOST_RESUMES => session,
        Ok(Ok(Some(_))) => {
            error!(call.sid = call_sid, "the call's sessions keep breaking");
            return apologise(service);
        }
        Ok(Ok(None)) => {
            warn!(call.sid = call_sid, "the call is not known");
            return apologise(service);
        }
        Ok(Err(error)) => {
            error!(call.sid = call_sid, error = %causes(&error), "the call's session was not read");
            return apologise(service);
        }
        Err(_) => {
            error!(call.sid = call_sid, "reading the call's session took too long");
            return apologise(service);
        }
    };
    match prepare_again(service, call_sid, &session).await {
        Ok(prepared) => {
            service.metrics().count(Counter::CallsResumed);
            connect(service, &prepared.without_greeting())
        }
        Err(reason) => {
            error!(call.sid = call_sid, %reason, "the call cannot go on");
            apologise(service)
        }
    }
}

fn hopeless(error_code: Option<&str>) -> bool {
    error_code.is_some_and(|code| HOPELESS.contains(&code))
}

/// A call that was answered before, as it was then.
pub(super) async fn prepare_again(
    service: &Service,
    call_sid: &str,
    session: &KnownSession,
) -> Result<PreparedCall, String> {
    let use_case =
        service.catalog.use_case(&session.use_case).await.map_err(|error| causes(&error).to_string())?;
    let caller = service.catalog.profile(session.from.expose()).await;
    let started: jiff::Timestamp = session.started_at.parse().unwrap_or_else(|_| jiff::Timestamp::now());
    let webhook = Webhook {
        call_sid: call_sid.to_owned(),
        account_sid: session.account_sid.clone(),
        from: session.from.clone(),
        to: session.to.clone(),
        direction: session.direction,
        variables: session.variables.clone(),
    };
    let now = started.to_zoned(service.time_zone.clone());
    PreparedCall::new(webhook, use_case, caller, service.default_model.as_deref(), &now)
        .map_err(|error| error.to_string())
}

fn hang_up() -> Response {
    xml(&VoiceResponse::new(vec![Verb::Hangup]))
}
