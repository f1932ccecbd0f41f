//! Answers a call: chooses who answers, and tells Twilio where the conversation is.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::time::timeout;
use tracing::{error, info, warn};
use voice_core::ports::Session;
use voice_core::private::Private;
use voice_core::use_case::{Channel, UseCase};
use voice_protocols::twiml::{ConversationRelay, Say, Verb, VoiceResponse};
use voice_protocols::webhook::VoiceWebhook;

use super::Service;
use super::signed::{Refused, webhook_params};
use crate::metrics::Counter;
use crate::session::{PreparedCall, Webhook};
use crate::telemetry::causes;

/// Spoken when there is nobody to answer.
const APOLOGY: &str = "We are sorry, we cannot take your call right now. Please try again later.";
/// The caller hears ringing while the session is written; a table that is out of reach must not keep it that way.
const WRITING_SESSION: Duration = Duration::from_millis(1500);
/// Twilio waits fifteen seconds for an answer; ours comes from memory.
const LONGEST_ANSWER: Duration = Duration::from_secs(10);
/// What the core must be told in order to know what the caller heard.
const EVENTS: [&str; 2] = ["speaker-events", "tokens-played"];

pub(super) async fn answer(
    State(service): State<Service>,
    use_case: Option<Path<String>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let params = webhook_params(&service, &method, &uri, &headers, &body)?;
    let webhook = match VoiceWebhook::from_params(params) {
        Ok(webhook) => webhook,
        Err(error) => {
            warn!(%error, "a webhook is no call");
            return Ok(apologise(&service));
        }
    };
    Ok(answer_call(&service, use_case.map(|Path(name)| name), webhook).await)
}

/// Anything but TwiML would have Twilio play a failure of its own, so a webhook that panics, hangs or fails apologises.
pub(super) async fn always_twiml(State(service): State<Service>, request: Request, next: Next) -> Response {
    match timeout(LONGEST_ANSWER, AssertUnwindSafe(next.run(request)).catch_unwind()).await {
        Ok(Ok(response)) if response.status().is_success() || response.status() == StatusCode::FORBIDDEN => {
            return response;
        }
        Ok(Ok(response)) => error!(status = response.status().as_u16(), "a webhook failed"),
        Ok(Err(_)) => error!("a webhook panicked"),
        Err(_) => error!("a webhook took too long"),
    }
    apologise(&service)
}

async fn answer_call(service: &Service, path: Option<String>, webhook: VoiceWebhook) -> Response {
    let call_sid = webhook.call_sid.clone();
    if service.draining.is_cancelled() {
        // A load balancer that asks /ready sends nobody here any more.
        return apologise(service);
    }
    let prepared = match prepare(service, path, &webhook).await {
        Ok(prepared) => prepared,
        Err(reason) => {
            error!(call.sid = %call_sid, %reason, "a call could not be answered");
            return apologise(service);
        }
    };
    // Twilio repeats a webhook whose answer it did not get.
    let slot =
        if service.calls.is_known(&call_sid) { Some(service.calls.readmit()) } else { service.calls.admit() };
    let Some(slot) = slot else {
        service.metrics().count(Counter::CallsBusy);
        info!(call.sid = %call_sid, "a call was turned away: all lines are busy");
        return say_and_hang_up(&prepared.use_case.sentences.busy);
    };
    let session = session(&prepared, webhook.params);
    match timeout(WRITING_SESSION, service.ports.store.open_session(session)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            warn!(call.sid = %call_sid, error = %causes(&error), "the session was not written; the call goes on");
        }
        Err(_) => warn!(call.sid = %call_sid, "writing the session takes too long; the call goes on"),
    }
    service.metrics().count(Counter::CallsAnswered);
    info!(call.sid = %call_sid, use_case = %prepared.use_case.name, model = %prepared.models[0], "a call was answered");
    let twiml = connect(service, &prepared);
    service.calls.answered(prepared, slot);
    twiml
}

/// The item that is written for a call.
pub(super) fn session(prepared: &PreparedCall, params: Vec<(String, String)>) -> Session {
    Session {
        call: Arc::clone(&prepared.context),
        channel: Channel::ConversationRelay.as_str(),
        model: prepared.models[0].clone(),
        twilio: Private::new(params),
    }
}

async fn prepare(
    service: &Service,
    path: Option<String>,
    webhook: &VoiceWebhook,
) -> Result<PreparedCall, String> {
    let caller = service.catalog.profile(&webhook.from).await;
    let chosen = path.or_else(|| caller.as_ref().and_then(|caller| caller.use_case.clone()));
    let name = match chosen {
        Some(name) => name,
        None => match service.catalog.use_case_of_number(&webhook.to).await {
            Some(name) => name.as_ref().clone(),
            None => service.default_use_case.clone(),
        },
    };
    let use_case = service.catalog.use_case(&name).await.map_err(|error| causes(&error).to_string())?;
    let webhook = Webhook {
        call_sid: webhook.call_sid.clone(),
        account_sid: webhook.account_sid.clone(),
        from: Private::new(webhook.from.clone()),
        to: Private::new(webhook.to.clone()),
    };
    let now = jiff::Timestamp::now().to_zoned(service.time_zone.clone());
    PreparedCall::new(webhook, use_case, caller, service.default_model.as_deref(), &now)
        .map_err(|error| error.to_string())
}

/// TwiML that connects the call to its conversation.
pub(super) fn connect(service: &Service, prepared: &PreparedCall) -> Response {
    let call_sid = &prepared.context.call_sid;
    let mut attributes = prepared.relay_attributes.clone();
    let events = attributes.entry("events".to_owned()).or_default();
    for event in EVENTS {
        if !events.split_whitespace().any(|wanted| wanted == event) {
            if !events.is_empty() {
                events.push(' ');
            }
            events.push_str(event);
        }
    }
    // Without it no key reaches anybody.
    attributes.entry("dtmfDetection".to_owned()).or_insert_with(|| "true".to_owned());
    let relay = ConversationRelay {
        url: service.public_url.socket(&format!("/relay/{call_sid}")),
        attributes,
        languages: languages(&prepared.use_case),
        parameters: BTreeMap::from([
            ("callSid".to_owned(), call_sid.clone()),
            ("useCase".to_owned(), prepared.use_case.name.clone()),
        ]),
    };
    let action = service.public_url.http(&format!("/twiml/ended/{call_sid}"));
    xml(&VoiceResponse::new(vec![Verb::Connect { action, relay }]))
}

fn languages(use_case: &UseCase) -> Vec<BTreeMap<String, String>> {
    use_case.languages.iter().map(|language| language.attributes.clone()).collect()
}

/// Says that there is nobody to answer, and hangs up.
pub(super) fn apologise(service: &Service) -> Response {
    service.metrics().count(Counter::CallsApologised);
    say_and_hang_up(APOLOGY)
}

pub(super) fn say_and_hang_up(sentence: &str) -> Response {
    xml(&VoiceResponse::new(vec![Verb::Say(Say::new(sentence)), Verb::Hangup]))
}

pub(super) fn xml(response: &VoiceResponse) -> Response {
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], response.to_xml()).into_response()
}
