//! The HTTP face of the stand-in: routes, reading requests, and errors in Bedrock's form.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{Answer, Opening};
use super::exchange::Exchange;
use super::plan::{Cue, plan};
use super::request::ConverseRequest;
use super::stand_in::Shared;
use super::usage::usage;
use super::{STAND_IN_HEADER, converse, performance, rules};

/// Larger than any conversation by telephone, small enough for a laptop.
const BODY_LIMIT_BYTES: usize = 16 * 1024 * 1024;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// The two Converse operations, and the counting of tokens.
pub(super) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/model/{model}/converse-stream", post(converse_stream))
        .route("/model/{model}/converse", post(converse))
        .route("/model/{model}/count-tokens", post(count_tokens))
        .fallback(unknown_operation)
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(map_response(say_that_it_is_a_stand_in))
        .with_state(shared)
}

/// A request that passed the rules, with the answer that it is to get.
pub(super) struct Accepted {
    pub(super) exchange: Exchange,
    pub(super) answer: Answer,
    pub(super) cues: Vec<Cue>,
}

async fn converse_stream(
    State(shared): State<Arc<Shared>>,
    Path(model): Path<String>,
    body: Bytes,
) -> Response {
    let Accepted { exchange, cues, .. } = match accept(&shared, model, &body).await {
        Ok(accepted) => accepted,
        Err(refused) => return refused,
    };
    let content_type = HeaderValue::from_static("application/vnd.amazon.eventstream");
    ([(CONTENT_TYPE, content_type)], performance::body(cues, exchange)).into_response()
}

async fn converse(State(shared): State<Arc<Shared>>, Path(model): Path<String>, body: Bytes) -> Response {
    match accept(&shared, model, &body).await {
        Ok(accepted) => converse::perform(accepted).await,
        Err(refused) => refused,
    }
}

/// Counts the tokens of a conversation, which asks no model.
async fn count_tokens(State(shared): State<Arc<Shared>>, Path(model): Path<String>, body: Bytes) -> Response {
    let body = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let request = ConverseRequest::new(model, body["input"]["converse"].clone());
    let tokens = usage(&request, 0)["inputTokens"].clone();
    shared.counts.send_modify(|counts| *counts += 1);
    Json(json!({ "inputTokens": tokens })).into_response()
}

/// Reads and checks a request and decides on the answer. The error is the response to send instead.
async fn accept(shared: &Arc<Shared>, model: String, body: &[u8]) -> Result<Accepted, Response> {
    let parsed = serde_json::from_slice::<Value>(body);
    let recorded = match &parsed {
        Ok(body) => body.clone(),
        Err(_) => Value::String(String::from_utf8_lossy(body).into_owned()),
    };
    let request = ConverseRequest::new(model, recorded.clone());
    let call = request.metadata("callSid").map(str::to_owned);
    let mut exchange = Exchange::arrived(shared, &request.model, recorded, call);
    if let Err(error) = parsed {
        return Err(refuse(&mut exchange, 400, "SerializationException", &error.to_string()));
    }
    if let Err(refusal) = rules::check(&request.body) {
        return Err(refuse(&mut exchange, 400, "ValidationException", &refusal.to_string()));
    }
    let answer = shared.answer(&request);
    match &answer.opening {
        Opening::Stream => {}
        Opening::Refuse { status, error, message } => {
            return Err(refuse(&mut exchange, *status, error, message));
        }
        Opening::Silence => {
            performance::stall(&exchange).await;
            return Err(cut_response());
        }
    }
    let cues = plan(&answer, shared.pace(), &request);
    Ok(Accepted { exchange, answer, cues })
}

/// Settles the exchange as refused, and says so to the client.
pub(super) fn refuse(exchange: &mut Exchange, status: u16, error: &str, message: &str) -> Response {
    exchange.refuse(error, message);
    error_response(status, error, message)
}

/// A response whose body is aborted at once.
pub(super) fn cut_response() -> Response {
    performance::cut_body().into_response()
}

/// An error as Bedrock words it: its name in a header, its message in a JSON body.
fn error_response(status: u16, error: &str, message: &str) -> Response {
    let mut response = Response::new(Body::from(json!({ "message": message }).to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(error) = HeaderValue::from_str(error) {
        response.headers_mut().insert(ERROR_TYPE, error);
    }
    response
}

async fn unknown_operation() -> Response {
    error_response(
        404,
        "UnknownOperationException",
        "The stand-in serves Converse, ConverseStream and CountTokens only.",
    )
}

async fn say_that_it_is_a_stand_in(mut response: Response) -> Response {
    response.headers_mut().insert(STAND_IN_HEADER, HeaderValue::from_static("bedrock"));
    response
}
