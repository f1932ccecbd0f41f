//! The operator API: calls that somebody asks for, and what becomes of them. It is there only when there is a token.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::timeout;
use tracing::{error, warn};
use voice_core::ports::{LaunchRecord, OutboundRequest};
use voice_core::private::Private;
use voice_core::use_case::OnMachine;

use super::Service;
use super::problem::Problem;
use super::server::Visitor;
use crate::metrics::Counter;
use crate::outbound::is_launch_id;
use crate::telemetry::causes;

const READING: Duration = Duration::from_secs(3);
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const LONGEST_KEY: usize = 255;
const LONGEST_MESSAGE: usize = 1000;
const LONGEST_NAME: usize = 64;

/// Without a token nothing is there, and nobody learns that it could be.
pub(super) fn routes(service: &Service) -> Router<Service> {
    if service.api_tokens.is_empty() {
        return Router::new();
    }
    let api = Router::new()
        .route("/calls", post(place).fallback(no_such_method))
        .route("/calls/{id}", get(read).fallback(no_such_method))
        .fallback(nothing_there)
        .layer(from_fn_with_state(service.clone(), authorized));
    Router::new().nest("/api", api)
}

/// A call that is asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Order {
    to: String,
    from: Option<String>,
    use_case: String,
    #[serde(default)]
    variables: BTreeMap<String, Scalar>,
    machine: Option<Machine>,
    idempotency_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a string, a number or a boolean")]
enum Scalar {
    Text(String),
    Number(serde_json::Number),
    Truth(bool),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Machine {
    Ignore,
    HangUp,
    Say(String),
}

async fn place(
    State(service): State<Service>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body =
        body.map_err(|rejection| Problem::new(rejection.status(), "invalid_request", rejection.body_text()))?;
    let launch = service.placer.place(order(&body, &headers)?).await?;
    let status = if launch.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let body = json!({ "id": launch.id, "callSid": launch.call_sid, "status": launch.status.as_str() });
    Ok((status, Json(body)).into_response())
}

/// The call that a body asks for.
pub(super) fn order(body: &[u8], headers: &HeaderMap) -> Result<OutboundRequest, Problem> {
    let order: Order = serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))?;
    order.into_request(headers)
}

impl Order {
    fn into_request(self, headers: &HeaderMap) -> Result<OutboundRequest, Problem> {
        let idempotency_key = key(self.idempotency_key, headers)?;
        let named = |name: &str| {
            (1..=LONGEST_NAME).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if let Some(name) = self.variables.keys().find(|name| !named(name)) {
            return Err(invalid(format!(
                "variables: {name:?} is not a name of at most {LONGEST_NAME} letters, digits and underscores"
            )));
        }
        let machine = match self.machine {
            Some(Machine::Say(message)) if message.trim().is_empty() || message.len() > LONGEST_MESSAGE => {
                return Err(invalid(format!(
                    "machine: a message has at most {LONGEST_MESSAGE} bytes, and some words"
                )));
            }
            Some(Machine::Say(message)) => Some(OnMachine::Say(message)),
            Some(Machine::Ignore) => Some(OnMachine::Ignore),
            Some(Machine::HangUp) => Some(OnMachine::HangUp),
            None => None,
        };
        Ok(OutboundRequest {
            to: Private::new(self.to),
            from: self.from,
            use_case: self.use_case,
            variables: Private::new(
                self.variables.into_iter().map(|(name, value)| (name, value.into_text())).collect(),
            ),
            idempotency_key,
            machine,
        })
    }
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
        }
    }
}

/// The key of the body, or that of the header.
fn key(field: Option<String>, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let header = match headers.get(IDEMPOTENCY_KEY).map(HeaderValue::to_str) {
        Some(Ok(key)) => Some(key.to_owned()),
        Some(Err(_)) => return Err(invalid("the header Idempotency-Key is not ASCII")),
        None => None,
    };
    if let (Some(field), Some(header)) = (&field, &header)
        && field != header
    {
        return Err(invalid("idempotencyKey and the header Idempotency-Key differ"));
    }
    match field.or(header) {
        Some(key) if !(1..=LONGEST_KEY).contains(&key.len()) => {
            Err(invalid(format!("an idempotency key has 1 to {LONGEST_KEY} bytes")))
        }
        key => Ok(key),
    }
}

async fn read(State(service): State<Service>, Path(id): Path<String>) -> Result<Response, Problem> {
    if !is_launch_id(&id) {
        return Err(no_such_call());
    }
    let reason = match timeout(READING, service.launches.read_launch(&id)).await {
        Ok(Ok(Some(launch))) => return Ok(Json(shown(&launch)).into_response()),
        Ok(Ok(None)) => return Err(no_such_call()),
        Ok(Err(error)) => causes(&error).to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    error!(launch.id = %id, error = reason, "a launch was not read");
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "table", "the table is out of reach"))
}

fn shown(launch: &LaunchRecord) -> serde_json::Value {
    json!({
        "id": launch.id,
        "callSid": launch.call_sid,
        "status": launch.status.as_str(),
        "useCase": launch.use_case,
        "answeredBy": launch.answered_by,
        "error": launch.error,
    })
}

/// Lets nobody through who does not show one of the tokens.
async fn authorized(State(service): State<Service>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = shown.and_then(|shown| {
        let (scheme, token) = shown.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let visitor: Option<&Visitor> = request.extensions().get();
    if token.is_some_and(|token| is_one_of(token, &service.api_tokens)) {
        if let Some(visitor) = visitor {
            visitor.is_known();
        }
        return next.run(request).await;
    }
    service.metrics().count(Counter::ApiUnauthorized);
    if visitor.is_some_and(|visitor| !visitor.is_refused()) {
        let problem =
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "throttled", "there were too many requests");
        return problem.into_response();
    }
    warn!(shown = token.is_some(), "a request to the operator API without a valid token was refused");
    let challenge = HeaderValue::from_static("Bearer");
    let problem =
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "the request carries no valid bearer token");
    ([(header::WWW_AUTHENTICATE, challenge)], problem).into_response()
}

/// Takes as long for a token that is nearly right as for any other.
fn is_one_of(token: &str, tokens: &[Private<String>]) -> bool {
    let shown = Sha256::digest(token.as_bytes());
    let mut found = subtle::Choice::from(0);
    for known in tokens {
        found |= Sha256::digest(known.expose().as_bytes()).ct_eq(&shown);
    }
    found.into()
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
}

fn no_such_call() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such call")
}

async fn nothing_there() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here")
}

async fn no_such_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this is not done here")
}
