//! The `<Connect>` action: Twilio asks what to do when a session has ended.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use tokio::time::timeout;
use tracing::{error, info, warn};
use voice_core::ports::{KnownSession, StoreError};
use voice_protocols::twiml::Verb;
use voice_protocols::webhook::{ConnectEnded, SessionStatus, parse_form};

use super::Service;
use super::answers::{Connection, apologise, connect, hang_up, nothing, verbs};
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
/// While the table is out of reach the caller waits, in such pauses (seconds), and so often: about a minute in all.
const BETWEEN_QUESTIONS: u32 = 2;
const MOST_ASKED: u32 = 20;
/// In the query of the action, how often it was asked, and what Twilio said only the first time.
const ASKED: &str = "asked";
const HANDED_OVER: &str = "handedOver";
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
    uri: Uri,
    Signed(params): Signed,
) -> Response {
    let ended = match ConnectEnded::from_params(&params) {
        Ok(ended) if ended.call_sid == call_sid => ended,
        _ => {
            warn!("an action is for no call of ours");
            return hang_up();
        }
    };
    let (call_sid, launch) = (call_sid.as_str(), launch.as_deref());
    let parties = Parties::of_form(&params);
    let broken = |cause| Break { call_sid, launch, parties: parties.clone(), cause, asked_before: 0 };
    if let Some((asked_before, cause)) = asked_before(&uri) {
        // What Twilio posts now says nothing of the session.
        return go_on(&service, Break { asked_before, ..broken(cause) }).await;
    }
    let reason = ended.handoff_data.as_deref().and_then(reason_code);
    info!(call.sid = call_sid, status = ?ended.session_status, error.code = ended.error_code, reason = reason.as_deref(), "Twilio ended the session");
    // The call is over; what is answered is not heard.
    if ended.session_status == SessionStatus::Completed {
        return nothing();
    }
    if let Some(launch) = launch
        && left_to_a_machine(&service, launch).await
    {
        return hang_up();
    }
    match ended.session_status {
        SessionStatus::Failed if hopeless(ended.error_code.as_deref()) => apologise(&service),
        SessionStatus::Failed => go_on(&service, broken(Cause::Lost)).await,
        SessionStatus::Completed | SessionStatus::Ended | SessionStatus::Other(_) => {
            match reason.and_then(|code| Parting::from_code(&code)) {
                Some(Parting::Handover) => {
                    return go_on(&service, broken(Cause::HandedOver)).await;
                }
                Some(Parting::LostTooOften) => return apologise(&service),
                None => {}
            }
            match ended.handoff_data.as_deref().and_then(HandoffData::parse) {
                Some(asked) => {
                    let end = SessionEnd { call_sid, session_id: &ended.session_id, parties };
                    hand_over(&service, end, asked).await
                }
                None => hang_up(),
            }
        }
    }
}

/// A session has ended that its call outlives.
struct Break<'a> {
    call_sid: &'a str,
    launch: Option<&'a str>,
    parties: Parties,
    cause: Cause,
    /// How often the table was asked already and did not answer.
    asked_before: u32,
}

/// The caller is still there: connect the call again, without greeting.
async fn go_on(service: &Service, broken: Break<'_>) -> Response {
    let call_sid = broken.call_sid;
    // The next session needs what this process has not written yet.
    let is_unwritten = service.ports.journals.urge(call_sid);
    let session = match ask_table(service, &broken).await {
        Ok(Some(session)) if broken.cause != Cause::HandedOver && broke_too_often(&session) => {
            service.metrics().count(Counter::ResumesRefused);
            error!(call.sid = call_sid, "the call's sessions keep breaking");
            return apologise(service);
        }
        Ok(None) if is_unwritten => return ask_again(service, &broken),
        Ok(session) => session,
        Err(OutOfReach) => return ask_again(service, &broken),
    };
    let Break { launch, parties, cause, .. } = broken;
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

/// What the table knows of the call, with its break counted.
async fn ask_table(service: &Service, broken: &Break<'_>) -> Result<Option<KnownSession>, OutOfReach> {
    let (store, call_sid) = (&service.ports.store, broken.call_sid);
    // Whoever hands calls over does so between two turns, so nothing has to be counted.
    if broken.cause == Cause::HandedOver {
        return known(call_sid, store.read_session(call_sid)).await;
    }
    if broken.asked_before > 0 {
        let session = known(call_sid, store.read_session(call_sid)).await?;
        // An answer may have been lost whose request was not. A break that counts twice would bring the last one nearer.
        if session.as_ref().is_none_or(|session| session.resumes > 0) {
            return Ok(session);
        }
    }
    known(call_sid, store.count_resume(call_sid)).await
}

/// Has Twilio ask the same again in a moment, which may be another process.
fn ask_again(service: &Service, broken: &Break<'_>) -> Response {
    let Break { call_sid, launch, cause, asked_before, .. } = broken;
    if *asked_before >= MOST_ASKED {
        error!(call.sid = call_sid, "the table is out of reach for too long; the call cannot go on");
        return apologise(service);
    }
    warn!(call.sid = call_sid, asked_before, "the call waits for the table");
    let launch = launch.map(|launch| format!("/{launch}")).unwrap_or_default();
    let cause = if *cause == Cause::HandedOver { format!("&{HANDED_OVER}=true") } else { String::new() };
    let query = format!("{ASKED}={}{cause}", asked_before + 1);
    let target = service.public_url.http(&format!("/twiml/ended/{call_sid}{launch}?{query}"));
    verbs(vec![Verb::Pause { seconds: BETWEEN_QUESTIONS }, Verb::Redirect(target)])
}

/// How often this was asked before, and why the session had ended then.
fn asked_before(uri: &Uri) -> Option<(u32, Cause)> {
    let query = parse_form(uri.query().unwrap_or_default().as_bytes());
    let value = |wanted: &str| query.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let asked = value(ASKED)?.parse().ok()?;
    Some((asked, if value(HANDED_OVER).is_some() { Cause::HandedOver } else { Cause::Lost }))
}

/// Whether it makes no sense to go on with a call whose last break has been counted.
pub(super) const fn broke_too_often(session: &KnownSession) -> bool {
    session.resumes > MOST_RESUMES
}

/// Counts a session that broke; `None` when the table knows nothing of the call, or is out of reach.
pub(super) async fn count_resume(service: &Service, call_sid: &str) -> Option<KnownSession> {
    known(call_sid, service.ports.store.count_resume(call_sid)).await.ok().flatten()
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
    known(call_sid, service.ports.store.read_session(call_sid)).await.ok().flatten()
}

/// The table did not answer, or not in time.
#[derive(Debug)]
struct OutOfReach;

async fn known(
    call_sid: &str,
    asked: impl Future<Output = Result<Option<KnownSession>, StoreError>>,
) -> Result<Option<KnownSession>, OutOfReach> {
    match timeout(READING_SESSION, asked).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(error)) => {
            error!(call.sid = call_sid, error = %causes(&error), "the call's session was not read");
            Err(OutOfReach)
        }
        Err(_) => {
            error!(call.sid = call_sid, "reading the call's session took too long");
            Err(OutOfReach)
        }
    }
}
