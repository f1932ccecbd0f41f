//! Text messages: checked as Twilio checks them, and kept.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;

use super::form::{Form, is_e164};
use super::server::{Refusal, answer, check_account, date, respond};
use super::{Sent, Shared, lock};
use crate::twilio::sid;

const REMEMBERED: usize = 1000;
/// In characters.
const LONGEST_BODY: usize = 1600;

/// A message that Twilio would have sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// `SM…`
    pub sid: String,
    pub to: String,
    /// A number, or the sid of a messaging service.
    pub from: String,
    pub body: String,
}

#[derive(Debug, Default)]
pub(super) struct Messages(VecDeque<SentMessage>);

impl Messages {
    pub(super) fn all(&self) -> Vec<SentMessage> {
        self.0.iter().cloned().collect()
    }

    fn add(&mut self, message: SentMessage) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(message);
    }
}

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<String>,
    body: Bytes,
) -> Response {
    answer(send(&shared, &account, &Form::parse(&body)))
}

fn send(shared: &Shared, account: &str, form: &Form) -> Result<Response, Refusal> {
    check_account(shared, account)?;
    let to = form.text("To").ok_or_else(|| Refusal::new(400, 21604, "A 'To' phone number is required."))?;
    if !is_e164(to) {
        return Err(Refusal::new(400, 21211, format!("Invalid 'To' Phone Number: {to}")));
    }
    let from = form.text("MessagingServiceSid").or_else(|| form.text("From"));
    let from = from.ok_or_else(|| Refusal::new(400, 21603, "A 'From' phone number is required."))?;
    if !is_e164(from) && !from.starts_with("MG") {
        return Err(Refusal::new(
            400,
            21212,
            format!("The 'From' number {from} is not a valid phone number."),
        ));
    }
    let body = form.text("Body").ok_or_else(|| Refusal::new(400, 21602, "Message body is required."))?;
    if body.chars().count() > LONGEST_BODY {
        let message = "The concatenated message body exceeds the 1600 character limit.";
        return Err(Refusal::new(400, 21617, message));
    }
    let [to, from, body] = [to, from, body].map(str::to_owned);
    let message = SentMessage { sid: sid("SM"), to, from, body };
    let reply = json!({
        "sid": message.sid,
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": message.body,
        "date_created": date(),
        "direction": "outbound-api",
        "error_code": null,
        "error_message": null,
        "from": message.from,
        "num_media": "0",
        "num_segments": "1",
        "status": "queued",
        "to": message.to,
        "uri": format!("/2010-04-01/Accounts/{account}/Messages/{}.json", message.sid),
    });
    lock(&shared.messages).add(message.clone());
    shared.tell(Sent::Message(message));
    Ok(respond(201, &reply))
}
