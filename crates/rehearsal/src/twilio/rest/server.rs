//! The HTTP face of the stand-in: routes, credentials, faults, and errors in Twilio's form.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Fault, Shared, account, calls, lock, messages, verify};
use crate::bedrock::STAND_IN_HEADER;

/// An error as Twilio words it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: u32,
    pub(super) message: String,
}

pub(super) fn routes(shared: Arc<Shared>) -> Router {
    let of_account = Router::new()
        .route("/IncomingPhoneNumbers.json", get(account::numbers))
        .route("/Calls.json", post(calls::create))
        .route("/Calls/{call}", post(calls::update).get(calls::show))
        .route("/Messages.json", post(messages::create));
    let service = Router::new()
        .route("/Verifications", post(verify::start))
        .route("/VerificationCheck", post(verify::check));
    Router::new()
        .route("/2010-04-01/Accounts/{account}", get(account::show))
        .nest("/2010-04-01/Accounts/{account}", of_account)
        .route("/v2/Services/{service}", get(account::verify_service))
        .nest("/v2/Services/{service}", service)
        .fallback(async || Refusal::not_found("The requested resource was not found").into_response())
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), admit))
        .route("/", get(async || "This is a stand-in for Twilio's REST API.\n"))
        .layer(middleware::map_response(say_that_it_is_a_stand_in))
        .with_state(shared)
}

/// Lets requests in that have the credentials and are not to go wrong.
async fn admit(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if !is_authentic(&shared, request.headers()) {
        let mut refused = Refusal::new(401, 20003, "Authenticate").into_response();
        let realm = HeaderValue::from_static("Basic realm=\"Twilio API\"");
        refused.headers_mut().insert(WWW_AUTHENTICATE, realm);
        return refused;
    }
    let fault = lock(&shared.faults).take(request.uri().path());
    match fault {
        None => next.run(request).await,
        Some(Fault::Throttled) => Refusal::new(429, 20429, "Too Many Requests").into_response(),
        Some(Fault::Status(status)) => Refusal::new(status, 20500, "An error has occurred").into_response(),
        Some(Fault::Hang) => {
            shared.closing.cancelled().await;
            Refusal::new(503, 20503, "Service unavailable").into_response()
        }
    }
}

fn is_authentic(shared: &Shared, headers: &HeaderMap) -> bool {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let encoded = value.and_then(|value| value.strip_prefix("Basic "));
    let decoded = encoded.and_then(|encoded| STANDARD.decode(encoded.trim()).ok());
    let Some(given) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) else { return false };
    let known = &shared.options;
    given == format!("{}:{}", known.account_sid, known.auth_token)
        || given == format!("{}:{}", known.api_key_sid, known.api_key_secret)
}

impl Refusal {
    pub(super) fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, 20404, message)
    }

    pub(super) fn into_response(self) -> Response {
        let body = json!({
            "code": self.code,
            "message": self.message,
            "more_info": format!("https://www.twilio.com/docs/errors/{}", self.code),
            "status": self.status,
        });
        respond(self.status, &body)
    }
}

/// An answer in JSON.
pub(super) fn respond(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

pub(super) fn answer(result: Result<Response, Refusal>) -> Response {
    result.unwrap_or_else(Refusal::into_response)
}

/// The account of a request must be the one that its credentials are for.
pub(super) fn check_account(shared: &Shared, account: &str) -> Result<(), Refusal> {
    if account == shared.options.account_sid {
        Ok(())
    } else {
        Err(Refusal::not_found(format!(
            "The requested resource /2010-04-01/Accounts/{account} was not found"
        )))
    }
}

/// Now, as Twilio writes dates in this API.
pub(super) fn date() -> String {
    jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

async fn say_that_it_is_a_stand_in(mut response: Response) -> Response {
    response.headers_mut().insert(STAND_IN_HEADER, HeaderValue::from_static("twilio"));
    response
}
