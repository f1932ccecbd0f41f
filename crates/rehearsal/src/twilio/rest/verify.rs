//! Codes that prove who holds a telephone: sent, and compared with what comes back.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::form::{Form, is_e164};
use super::server::{Refusal, answer, respond};
use super::{Sent, Shared, lock};
use crate::twilio::sid;

/// Twilio lets a code be sent, and tried, five times.
const MOST_TRIES: u32 = 5;
const CHANNELS: [&str; 4] = ["sms", "call", "whatsapp", "auto"];

/// A code that Twilio would have sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// `VE…`
    pub sid: String,
    pub to: String,
    /// `sms`, `call`, `whatsapp` or `auto`.
    pub channel: String,
    /// Six digits.
    pub code: String,
    /// How often it was sent.
    pub sent: u32,
    /// How often another code was tried.
    pub wrong: u32,
}

/// What is pending, by the number that it was sent to. An approved one is not pending any more.
#[derive(Debug, Default)]
pub(super) struct Verifications(BTreeMap<String, Verification>);

impl Verifications {
    pub(super) fn all(&self) -> Vec<Verification> {
        self.0.values().cloned().collect()
    }

    pub(super) fn find(&self, to: &str) -> Option<&Verification> {
        self.0.get(to)
    }

    /// Sends a code; while one is pending, the same again.
    fn send(&mut self, to: &str, channel: &str, code: Option<&str>) -> Result<Verification, Refusal> {
        let pending = self.0.entry(to.to_owned()).or_insert_with(|| Verification {
            sid: sid("VE"),
            to: to.to_owned(),
            channel: channel.to_owned(),
            code: code.map_or_else(new_code, str::to_owned),
            sent: 0,
            wrong: 0,
        });
        if pending.sent == MOST_TRIES {
            return Err(Refusal::new(429, 60203, "Max send attempts reached"));
        }
        pending.sent += 1;
        channel.clone_into(&mut pending.channel);
        Ok(pending.clone())
    }

    /// Compares; true when it is the code, which can be used once.
    fn try_code(&mut self, to: &str, code: &str) -> Result<(Verification, bool), Refusal> {
        let Some(pending) = self.0.get_mut(to) else {
            return Err(Refusal::not_found("The requested resource VerificationCheck was not found"));
        };
        if pending.wrong == MOST_TRIES {
            return Err(Refusal::new(404, 60202, "Max check attempts reached"));
        }
        let is_right = pending.code == code;
        pending.wrong += u32::from(!is_right);
        let checked = pending.clone();
        if is_right {
            self.0.remove(to);
        }
        Ok((checked, is_right))
    }
}

pub(super) async fn start(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    body: Bytes,
) -> Response {
    answer(send(&shared, &service, &Form::parse(&body)))
}

pub(super) async fn check(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    body: Bytes,
) -> Response {
    answer(compare(&shared, &service, &Form::parse(&body)))
}

fn send(shared: &Shared, service: &str, form: &Form) -> Result<Response, Refusal> {
    check_service(shared, service)?;
    let to = number(form)?;
    let channel = form.text("Channel").filter(|channel| CHANNELS.contains(channel));
    let channel = channel.ok_or_else(|| invalid("Channel"))?;
    let sent = lock(&shared.verifications).send(to, channel, shared.options.code.as_deref())?;
    let reply = json(shared, &sent, "pending", false);
    shared.tell(Sent::Code(sent));
    Ok(respond(201, &reply))
}

fn compare(shared: &Shared, service: &str, form: &Form) -> Result<Response, Refusal> {
    check_service(shared, service)?;
    let to = number(form)?;
    let code = form.text("Code").ok_or_else(|| invalid("Code"))?;
    let (checked, is_right) = lock(&shared.verifications).try_code(to, code)?;
    let status = if is_right { "approved" } else { "pending" };
    Ok(respond(201, &json(shared, &checked, status, is_right)))
}

fn number(form: &Form) -> Result<&str, Refusal> {
    form.text("To").filter(|to| is_e164(to)).ok_or_else(|| invalid("To"))
}

fn invalid(parameter: &str) -> Refusal {
    Refusal::new(400, 60200, format!("Invalid parameter `{parameter}`"))
}

fn check_service(shared: &Shared, service: &str) -> Result<(), Refusal> {
    if service == shared.options.verify_service_sid {
        Ok(())
    } else {
        Err(Refusal::not_found(format!("The requested resource /Services/{service} was not found")))
    }
}

fn json(shared: &Shared, verification: &Verification, status: &str, is_valid: bool) -> Value {
    json!({
        "sid": verification.sid,
        "service_sid": shared.options.verify_service_sid,
        "account_sid": shared.options.account_sid,
        "to": verification.to,
        "channel": verification.channel,
        "status": status,
        "valid": is_valid,
        "amount": null,
        "payee": null,
    })
}

/// Six digits that do not follow from those before. The first is not zero, so that 000000 is always a wrong code.
fn new_code() -> String {
    (100_000 + uuid::Uuid::new_v4().as_u128() % 900_000).to_string()
}
