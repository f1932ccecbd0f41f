//! Calls through REST: placing one, changing one in progress, and looking at one.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::Shared;
use super::form::{Form, is_callable, is_e164};
use super::server::{Refusal, answer, check_account, date, respond};
use crate::twilio::live_calls::{CallRecord, CallStatus, NotChanged, Update};
use crate::twilio::placed::{Detection, Request};

/// Twilio's limit for TwiML in a form, in characters.
const LONGEST_TWIML: usize = 4000;
/// How long a call rings unless told otherwise, and at most, in seconds.
const TIMEOUT: u64 = 60;
const LONGEST_TIMEOUT: u64 = 600;
const EVENTS: [&str; 4] = ["initiated", "ringing", "answered", "completed"];

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<String>,
    body: Bytes,
) -> Response {
    answer(place(&shared, &account, &Form::parse(&body)))
}

pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    Path((account, call)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    answer(change(&shared, &account, &call, &Form::parse(&body)))
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path((account, call)): Path<(String, String)>,
) -> Response {
    answer(look(&shared, &account, &call))
}

fn place(shared: &Shared, account: &str, form: &Form) -> Result<Response, Refusal> {
    check_account(shared, account)?;
    let request = request(form)?;
    let placed = shared.board.order(request);
    let call = placed.ok_or_else(|| Refusal::new(500, 20500, "No carrier of the stand-in places calls"))?;
    Ok(respond(201, &json(account, &call)))
}

fn request(form: &Form) -> Result<Request, Refusal> {
    let to = form.text("To").ok_or_else(|| Refusal::new(400, 21201, "No 'To' number is specified"))?;
    let from = form.text("From").ok_or_else(|| Refusal::new(400, 21213, "'From' number is required"))?;
    if !is_callable(to) {
        return Err(Refusal::new(400, 21211, format!("Invalid 'To' Phone Number: {to}")));
    }
    if !is_e164(from) {
        return Err(Refusal::new(400, 21212, format!("Invalid 'From' Phone Number: {from}")));
    }
    let first = twiml(form)?.ok_or_else(|| Refusal::new(400, 21205, "Url parameter is required."))?;
    let mut status_events = form.list("StatusCallbackEvent");
    if let Some(unknown) = status_events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
        return Err(Refusal::new(400, 21626, format!("Invalid StatusCallbackEvent: {unknown}")));
    }
    if status_events.is_empty() {
        status_events.push("completed".to_owned());
    }
    Ok(Request {
        to: to.to_owned(),
        from: from.to_owned(),
        first,
        status_callback: form.text("StatusCallback").map(str::to_owned),
        status_events,
        timeout: timeout(form)?,
        detection: detection(form)?,
    })
}

fn timeout(form: &Form) -> Result<Duration, Refusal> {
    let seconds = form.text("Timeout").map_or(Ok(TIMEOUT), str::parse);
    let seconds = seconds.map_err(|_| Refusal::new(400, 20001, "Invalid Timeout"))?;
    Ok(Duration::from_secs(seconds.min(LONGEST_TIMEOUT)))
}

fn detection(form: &Form) -> Result<Option<Detection>, Refusal> {
    let until_greeting_ends = match form.text("MachineDetection") {
        None => return Ok(None),
        Some("Enable") => false,
        Some("DetectMessageEnd") => true,
        Some(other) => return Err(Refusal::new(400, 20001, format!("Invalid MachineDetection: {other}"))),
    };
    let callback = form.text("AsyncAmdStatusCallback").filter(|_| form.is_true("AsyncAmd"));
    Ok(Some(Detection { callback: callback.map(str::to_owned), until_greeting_ends }))
}

/// The instructions of a form; a `Url` goes before `Twiml`.
fn twiml(form: &Form) -> Result<Option<Update>, Refusal> {
    if let Some(address) = form.text("Url") {
        let is_web = url::Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        let update = || Update::Fetch(address.to_owned());
        return is_web
            .then(|| Some(update()))
            .ok_or_else(|| Refusal::new(400, 21205, "Url is not a valid URL"));
    }
    match form.text("Twiml") {
        Some(twiml) if twiml.chars().count() > LONGEST_TWIML => {
            Err(Refusal::new(400, 20001, "Twiml is longer than 4000 characters"))
        }
        twiml => Ok(twiml.map(|twiml| Update::Twiml(twiml.to_owned()))),
    }
}

fn change(shared: &Shared, account: &str, call: &str, form: &Form) -> Result<Response, Refusal> {
    check_account(shared, account)?;
    let live = shared.board.call(sid_of(call)).map_err(|not| refusal(not, account, call))?;
    let changed = match (form.text("Status"), twiml(form)?) {
        // A call that was answered cannot be canceled any more.
        (Some("canceled"), _) if live.status() == CallStatus::InProgress => Err(NotChanged::NotInProgress),
        (Some("completed" | "canceled"), _) => live.complete(),
        (Some(other), _) => return Err(Refusal::new(400, 20001, format!("Invalid Status: {other}"))),
        (None, Some(update)) => live.update(update),
        (None, None) => Ok(()),
    };
    changed.map_err(|not| refusal(not, account, call))?;
    Ok(respond(200, &json(account, &live.record())))
}

fn look(shared: &Shared, account: &str, call: &str) -> Result<Response, Refusal> {
    check_account(shared, account)?;
    let live = shared.board.call(sid_of(call)).map_err(|not| refusal(not, account, call))?;
    Ok(respond(200, &json(account, &live.record())))
}

fn sid_of(call: &str) -> &str {
    call.strip_suffix(".json").unwrap_or(call)
}

fn refusal(not: NotChanged, account: &str, call: &str) -> Refusal {
    match not {
        NotChanged::Unknown => {
            let resource = format!("/2010-04-01/Accounts/{account}/Calls/{call}");
            Refusal::not_found(format!("The requested resource {resource} was not found"))
        }
        NotChanged::NotInProgress => Refusal::new(400, 21220, "Call is not in-progress. Cannot redirect."),
    }
}

fn json(account: &str, call: &CallRecord) -> Value {
    let uri = format!("/2010-04-01/Accounts/{account}/Calls/{}", call.sid);
    json!({
        "sid": call.sid,
        "account_sid": account,
        "api_version": "2010-04-01",
        "parent_call_sid": null,
        "status": call.status.as_str(),
        "direction": call.direction,
        "from": call.from,
        "to": call.to,
        "answered_by": null,
        "queue_time": "0",
        "duration": call.duration.map(|seconds| seconds.to_string()),
        "date_created": date(),
        "uri": format!("{uri}.json"),
        "subresource_uris": {
            "recordings": format!("{uri}/Recordings.json"),
            "streams": format!("{uri}/Streams.json"),
        },
    })
}
