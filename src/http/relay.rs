//! The socket of a call: checked, matched with its call, and handed to a session.

use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tracing::{Instrument, error, info_span, warn};
use voice_core::conversation::Background;
use voice_core::history::History;
use voice_core::ports::{Claim, Ownership, Spent, StoreErrorKind};
use voice_protocols::webhook::is_call_sid;

use super::Service;
use super::arrival::Arrival;
use super::ended::{broke_too_often, count_resume, prepare_again};
use super::parties::Parties;
use super::signed::{Handshake, Refused, check_handshake};
use super::socket::CallSocket;
use crate::metrics::Counter;
use crate::session::{CloseCode, Leave, Parting, Ports, PreparedCall, SessionStart, part, run, setup_fits};
use crate::telemetry::causes;

/// Messages beyond this end the connection; those beyond the protocol's limit are only refused.
const LARGEST_FRAME: usize = 1024 * 1024;
/// The library's default of 128 KiB would be most of what a quiet call costs.
const BUFFER: usize = 4 * 1024;
const READING_CALL: Duration = Duration::from_secs(5);
/// No session has as many.
const MESSAGES_PER_SESSION: u32 = 1_000_000;

pub(super) async fn connect(
    State(service): State<Service>,
    Path(call_sid): Path<String>,
    handshake: Handshake,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refused> {
    check_handshake(&service, &handshake)?;
    if !is_call_sid(&call_sid) {
        service.metrics().count(Counter::SessionsRefused);
        return Ok((StatusCode::NOT_FOUND, "There is no such call.\n").into_response());
    }
    let span = info_span!("call");
    let task = service.ports.tasks.token();
    let upgrade = upgrade
        .max_message_size(LARGEST_FRAME)
        .max_frame_size(LARGEST_FRAME)
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(LARGEST_FRAME);
    Ok(upgrade.on_upgrade(move |socket| {
        Box::pin(
            async move {
                let _task = task;
                carry(service, call_sid, CallSocket::new(socket)).await;
            }
            .instrument(span),
        )
    }))
}

async fn carry(service: Service, call_sid: String, mut socket: CallSocket) {
    // Only a socket that shows that it is the call's may take the call over.
    let Some(setup) = setup_fits(&mut socket, &call_sid, &service.ports).await else {
        return refuse(&service, socket).await;
    };
    let parties = Parties::of_setup(&setup);
    let arrival = Arrival::read_from(&setup.custom_parameters);
    let ports = service.ports.for_a_session();
    let (answered, slot) = match service.calls.take_answered(&call_sid) {
        Some((call, slot)) => (Some(call), slot),
        None => (None, service.calls.readmit(&call_sid)),
    };
    let leave = Leave {
        now: service.shutting_down.child_token(),
        handing_over: service.calls.handing_over().clone(),
        shutting_down: service.shutting_down.clone(),
    };
    let (mut live, took_over) = Box::pin(service.calls.go_live(&call_sid, slot, leave.now.clone())).await;
    if took_over {
        service.metrics().count(Counter::SessionsTakenOver);
    }
    let (call, start) = match answered {
        Some(call) if !took_over && arrival.is_new_call() => {
            let start = SessionStart::Fresh(call.session(Vec::new()));
            (call, start)
        }
        _ => match timeout(READING_CALL, claim(&service, &ports, &call_sid, arrival, parties)).await {
            Ok(Ok(claimed)) => claimed,
            Ok(Err(Refusal::Unknown)) => return refuse(&service, socket).await,
            Ok(Err(Refusal::OutOfReach)) => return refuse_for_now(&service, socket).await,
            Ok(Err(Refusal::LostTooOften)) => {
                service.metrics().count(Counter::ResumesRefused);
                error!(call.sid = %call_sid, "the call's sessions keep breaking");
                return part(&mut socket, Parting::LostTooOften).await;
            }
            Err(_) => {
                error!(call.sid = %call_sid, "reading the call took too long");
                return refuse_for_now(&service, socket).await;
            }
        },
    };
    let journal = run(socket, call, start, ports, leave).await;
    live.give_back_slot();
    // A session that takes over reads the journal once this one has written it.
    journal.written().await;
}

/// Why a socket gets no session.
enum Refusal {
    /// The call is not known, or cannot be made ours.
    Unknown,
    /// The table does not answer, and may do so in a moment.
    OutOfReach,
    LostTooOften,
}

/// A call that another session, perhaps of another process, has answered or carried.
async fn claim(
    service: &Service,
    ports: &Ports,
    call_sid: &str,
    arrival: Arrival,
    parties: Parties,
) -> Result<(PreparedCall, SessionStart), Refusal> {
    let store = &ports.store;
    let claimed = match store.claim_session(call_sid, &ports.owner, Claim::Next).await {
        Ok(Ownership::Ours(claimed)) => claimed,
        Ok(Ownership::Overtaken | Ownership::NoSuchCall) => {
            warn!(call.sid = call_sid, "a socket came for a call that is not known");
            return Err(Refusal::Unknown);
        }
        Err(error) => {
            error!(call.sid = call_sid, error = %causes(&error), "the call could not be claimed");
            let out_of_reach = error.kind == StoreErrorKind::Unavailable;
            return Err(if out_of_reach { Refusal::OutOfReach } else { Refusal::Unknown });
        }
    };
    // Twilio has reconnected by itself, so that nobody else has counted.
    if !arrival.is_first(&claimed) {
        service.metrics().count(Counter::CallsResumed);
        if count_resume(service, call_sid).await.as_ref().is_some_and(broke_too_often) {
            return Err(Refusal::LostTooOften);
        }
    }
    let call = match prepare_again(service, call_sid, &claimed, parties).await {
        Ok(call) => call,
        Err(reason) => {
            error!(call.sid = call_sid, %reason, "the call cannot go on");
            return Err(Refusal::Unknown);
        }
    };
    let epoch = claimed.epoch;
    let (history, spent) = match store.read_journal(call_sid).await {
        Ok(journaled) => (History::restore(journaled.turns, &journaled.outcomes), journaled.spent),
        Err(error) => {
            error!(call.sid = call_sid, error = %causes(&error), "the journal was not read; the call goes on without memory");
            // What is there must not be written over.
            let sessions_before = u32::try_from(epoch).unwrap_or(u32::MAX);
            (History::starting_at(sessions_before.saturating_mul(MESSAGES_PER_SESSION)), Spent::default())
        }
    };
    let opening = arrival.opening(&claimed);
    let background = Background {
        elapsed: since(&claimed.started_at),
        language: claimed.language,
        verified: claimed.verified,
        spent,
    };
    Ok((call, SessionStart::Claimed { epoch, history, background, opening }))
}

/// How long ago that was; no time at all when it cannot be read.
fn since(started_at: &str) -> Duration {
    let started: Option<jiff::Timestamp> = started_at.parse().ok();
    let elapsed = started.map(|started| jiff::Timestamp::now().duration_since(started));
    elapsed.and_then(|elapsed| Duration::try_from(elapsed).ok()).unwrap_or_default()
}

async fn refuse(service: &Service, socket: CallSocket) {
    service.metrics().count(Counter::SessionsRefused);
    socket.close(CloseCode::Policy).await;
}

/// Twilio asks what comes next, and may come again.
async fn refuse_for_now(service: &Service, socket: CallSocket) {
    service.metrics().count(Counter::SessionsRefused);
    socket.close(CloseCode::Internal).await;
}
