//! Refusals in the form in which DynamoDB gives them: a status, and a JSON body with the type of the error.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::Throttling;

const DYNAMODB: &str = "com.amazonaws.dynamodb.v20120810";
const ALL_SERVICES: &str = "com.amazon.coral.availability";

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Throttled(Throttling),
    Failed,
}

/// The answer to a request with these headers and this body.
///
/// Of a transaction, DynamoDB says for each of its parts why it was cancelled, and a throttled table is such a reason.
pub(super) fn answer(refusal: Refusal, headers: &HeaderMap, body: &[u8]) -> Response {
    let (status, error) = match refusal {
        Refusal::Throttled(Throttling::Table) if is_transaction(headers) => {
            (StatusCode::BAD_REQUEST, cancelled(body))
        }
        Refusal::Throttled(Throttling::Table) => (
            StatusCode::BAD_REQUEST,
            error(DYNAMODB, "ProvisionedThroughputExceededException", "The table takes no more for now."),
        ),
        Refusal::Throttled(Throttling::Account) => (
            StatusCode::BAD_REQUEST,
            error(ALL_SERVICES, "ThrottlingException", "The account takes no more for now."),
        ),
        Refusal::Failed => {
            (StatusCode::INTERNAL_SERVER_ERROR, error(DYNAMODB, "InternalServerError", "It broke inside."))
        }
    };
    (status, [(CONTENT_TYPE, "application/x-amz-json-1.0")], error.to_string()).into_response()
}

fn error(shape: &str, name: &str, message: &str) -> Value {
    json!({ "__type": format!("{shape}#{name}"), "message": message })
}

fn is_transaction(headers: &HeaderMap) -> bool {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    target.is_some_and(|target| target.ends_with(".TransactWriteItems"))
}

/// One reason for each part of the transaction.
fn cancelled(body: &[u8]) -> Value {
    let parts = serde_json::from_slice::<Value>(body).ok();
    let parts = parts.as_ref().and_then(|body| body.get("TransactItems")?.as_array()).map_or(1, Vec::len);
    let reason = json!({ "Code": "ThrottlingError", "Message": "The table takes no more for now." });
    let mut error = error(DYNAMODB, "TransactionCanceledException", "The transaction was cancelled.");
    error["CancellationReasons"] = vec![reason; parts].into();
    error
}
