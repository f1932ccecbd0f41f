//! Answers a call: chooses who answers, and tells Twilio where the conversation is.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use tokio::time::timeout;
use tracing::{error, info, warn};
use voice_core::ports::Direction;
use voice_core::private::Private;
use voice_core::use_case::CallerProfile;
use voice_protocols::webhook::{VoiceWebhook, is_e164};

use super::Service;
use super::answers::{Connection, apologise, connect, say_and_hang_up, spoken};
use super::arrival::{Arrival, Cause};
use super::elsewhere::elsewhere;
use super::overflow::no_line_is_free;
use super::signed::Signed;
use crate::metrics::Counter;
use crate::session::{CallSlot, PreparedCall, Webhook};
use crate::telemetry::causes;

/// The caller hears ringing while the session is written; a table that is out of reach must not keep it that way.
const WRITING_SESSION: Duration = Duration::from_millis(1500);
/// A count that takes longer is not worth the caller's time.
const COUNTING: Duration = Duration::from_millis(500);
/// Twilio waits fifteen seconds for an answer; ours comes from memory.
const LONGEST_ANSWER: Duration = Duration::from_secs(10);

pub(super) async fn answer(
    State(service): State<Service>,
    use_case: Option<Path<String>>,
    uri: Uri,
    Signed(params): Signed,
) -> Response {
    if let Some(redirect) = elsewhere(&service, &uri) {
        return redirect;
    }
    match VoiceWebhook::from_params(params) {
        Ok(webhook) => answer_call(&service, use_case.map(|Path(name)| name), webhook).await,
        Err(error) => {
            warn!(%error, "a webhook is no call");
            apologise(&service)
        }
    }
}

/// Anything but TwiML would have Twilio play a failure of its own, so a webhook that panics, hangs or fails apologises.
pub(super) async fn always_twiml(State(service): State<Service>, request: Request, next: Next) -> Response {
    match timeout(LONGEST_ANSWER, AssertUnwindSafe(next.run(request)).catch_unwind()).await {
        Ok(Ok(response)) if response.status().is_success() || is_refusal(response.status()) => {
            return response;
        }
        Ok(Ok(response)) => error!(status = response.status().as_u16(), "a webhook failed"),
        Ok(Err(_)) => error!("a webhook panicked"),
        Err(_) => error!("a webhook took too long"),
    }
    apologise(&service)
}

/// Of who has not signed; Twilio never hears it.
fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS)
}

async fn answer_call(service: &Service, path: Option<String>, webhook: VoiceWebhook) -> Response {
    let facts = facts(&webhook);
    let caller = profile_of_person(service, &facts).await;
    let name = chosen(service, path, caller.as_deref(), &facts).await;
    let prepared = match prepare(service, facts, &name, caller).await {
        Ok(prepared) => prepared,
        Err(reason) => {
            error!(call.sid = %webhook.call_sid, %reason, "a call could not be answered");
            return apologise(service);
        }
    };
    if calls_too_often(service, &prepared).await {
        service.metrics().count(Counter::CallsRateLimited);
        info!(call.sid = %webhook.call_sid, use_case = %prepared.use_case.name, "a call was turned away: its number calls too often");
        return say_and_hang_up(spoken(&prepared.use_case, &prepared.use_case.sentences.too_many_calls));
    }
    begin(service, prepared, webhook.params, None).await
}

/// Gives the call its place and connects it to its conversation.
pub(super) async fn begin(
    service: &Service,
    prepared: PreparedCall,
    params: Vec<(String, String)>,
    launch: Option<&str>,
) -> Response {
    let call_sid = prepared.context.call_sid.clone();
    let Some(slot) = line(service, &call_sid, launch) else {
        return no_line_is_free(service, &prepared);
    };
    let session = prepared.session(params);
    match timeout(WRITING_SESSION, service.ports.store.open_session(session)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            warn!(call.sid = %call_sid, error = %causes(&error), "the session was not written; the call goes on");
        }
        Err(_) => warn!(call.sid = %call_sid, "writing the session takes too long; the call goes on"),
    }
    service.metrics().count(Counter::CallsAnswered);
    let direction = prepared.context.direction.as_str();
    info!(call.sid = %call_sid, use_case = %prepared.use_case.name, model = %prepared.models[0], direction, "a call was answered");
    let twiml = connect(service, &prepared, Connection { launch, arrival: Arrival::at(0, Cause::Usual) });
    service.calls.answered(prepared, slot);
    twiml
}

/// The place of a call that is answered; `None` when there is none.
fn line(service: &Service, call_sid: &str, launch: Option<&str>) -> Option<CallSlot> {
    // It was kept for a call that we placed.
    if let Some(kept) = launch.and_then(|launch| service.lines.take(launch)) {
        return Some(service.calls.name(kept, call_sid));
    }
    service.calls.admit_call(call_sid)
}

/// The call as its agent will carry it.
pub(super) async fn prepare(
    service: &Service,
    facts: Webhook,
    use_case: &str,
    caller: Option<Arc<CallerProfile>>,
) -> Result<PreparedCall, String> {
    let use_case = service.use_cases.find(use_case).await?;
    let now = jiff::Timestamp::now().to_zoned(service.time_zone.clone());
    PreparedCall::new(facts, use_case, caller, service.default_model.as_deref(), &now)
        .map_err(|error| error.to_string())
}

/// What the service believes of a webhook.
pub(super) fn facts(webhook: &VoiceWebhook) -> Webhook {
    Webhook {
        call_sid: webhook.call_sid.clone(),
        account_sid: webhook.account_sid.clone(),
        from: Private::new(webhook.from.clone()),
        to: Private::new(webhook.to.clone()),
        direction: if webhook.is_outbound() { Direction::Outbound } else { Direction::Inbound },
        variables: Private::default(),
    }
}

pub(super) async fn profile_of_person(service: &Service, facts: &Webhook) -> Option<Arc<CallerProfile>> {
    let (person, _) = ends(facts);
    service.catalog.profile(person.expose()).await
}

/// The number of the person, and ours.
fn ends(facts: &Webhook) -> (&Private<String>, &Private<String>) {
    match facts.direction {
        Direction::Inbound => (&facts.from, &facts.to),
        Direction::Outbound => (&facts.to, &facts.from),
    }
}

/// The name of the use case that answers.
async fn chosen(
    service: &Service,
    path: Option<String>,
    caller: Option<&CallerProfile>,
    facts: &Webhook,
) -> String {
    if let Some(name) = path.or_else(|| caller.and_then(|caller| caller.use_case.clone())) {
        return name;
    }
    let (_, own_number) = ends(facts);
    match service.catalog.use_case_of_number(own_number.expose()).await {
        Some(name) => name.as_ref().clone(),
        None => service.default_use_case.clone(),
    }
}

/// Whether the number has used up its calls. Callers who withhold theirs cannot be told apart, and are not counted; when
/// the table is out of reach, nobody is.
async fn calls_too_often(service: &Service, prepared: &PreparedCall) -> bool {
    let (call, Some(limit)) = (&prepared.context, &prepared.use_case.caller_limit) else { return false };
    if call.direction == Direction::Outbound || !is_e164(call.from.expose()) {
        return false;
    }
    let counted = service.callers.count_call(&call.from, &call.call_sid, limit.window);
    match timeout(COUNTING, counted).await {
        Ok(Ok(calls)) => calls > u64::from(limit.calls),
        Ok(Err(error)) => {
            warn!(call.sid = %call.call_sid, error = %causes(&error), "a caller's calls were not counted");
            false
        }
        Err(_) => {
            warn!(call.sid = %call.call_sid, "counting a caller's calls takes too long");
            false
        }
    }
}
