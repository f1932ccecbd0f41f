//! The account itself through REST: its state, the telephone numbers that it owns, and its Verify service. Read only.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::server::{Refusal, answer, check_account, respond};
use super::{Shared, lock};

/// A telephone number of the account, and the address that is asked what to do when somebody calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnNumber {
    /// In E.164 form.
    pub number: String,
    pub voice_url: String,
}

pub(super) async fn show(State(shared): State<Arc<Shared>>, Path(account): Path<String>) -> Response {
    let sid = account.strip_suffix(".json").unwrap_or(&account);
    answer(check_account(&shared, sid).map(|()| {
        let state = json!({ "sid": sid, "friendly_name": "A stand-in", "status": "active", "type": "Full" });
        respond(200, &state)
    }))
}

pub(super) async fn numbers(State(shared): State<Arc<Shared>>, Path(account): Path<String>) -> Response {
    answer(check_account(&shared, &account).map(|()| {
        let numbers: Vec<_> = lock(&shared.numbers).iter().map(number).collect();
        respond(200, &json!({ "page": 0, "next_page_uri": null, "incoming_phone_numbers": numbers }))
    }))
}

pub(super) async fn verify_service(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
) -> Response {
    let is_ours = service == shared.options.verify_service_sid;
    let found = || respond(200, &json!({ "sid": service, "friendly_name": "A stand-in" }));
    answer(is_ours.then(found).ok_or_else(|| {
        Refusal::not_found(format!("The requested resource /Services/{service} was not found"))
    }))
}

fn number(number: &OwnNumber) -> Value {
    json!({
        "phone_number": number.number,
        "voice_url": number.voice_url,
        "voice_method": "POST",
        "voice_application_sid": "",
        "trunk_sid": null,
    })
}
