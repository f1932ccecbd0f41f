//! How the operator API says no: problem details as of RFC 9457, with a stable `code` for programs.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use voice_core::ports::{NotPlaced, TelephonyErrorKind};

use crate::telemetry::causes;

/// An error as the body of an answer.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// Of the carrier's refusal.
    carrier_code: Option<u32>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), carrier_code: None }
    }
}

impl From<NotPlaced> for Problem {
    fn from(refused: NotPlaced) -> Self {
        let status = match &refused {
            NotPlaced::NotANumber(_)
            | NotPlaced::CallerIdNotAllowed
            | NotPlaced::NoCallerIds
            | NotPlaced::UseCase { .. }
            | NotPlaced::DoNotCall
            | NotPlaced::OutsideHours => StatusCode::UNPROCESSABLE_ENTITY,
            NotPlaced::KeyReused => StatusCode::CONFLICT,
            NotPlaced::Stopping | NotPlaced::Busy | NotPlaced::Table(_) => StatusCode::SERVICE_UNAVAILABLE,
            NotPlaced::Carrier(_) => StatusCode::BAD_GATEWAY,
        };
        let mut problem = Self::new(status, refused.code(), causes(&refused).to_string());
        if let NotPlaced::Carrier(error) = &refused {
            problem.carrier_code = error.code;
            if error.kind == TelephonyErrorKind::Unavailable {
                problem.detail.push_str("; whether the call was placed is not known");
            }
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = Map::from_iter([
            ("type".to_owned(), Value::from("about:blank")),
            ("title".to_owned(), Value::from(self.status.canonical_reason().unwrap_or_default())),
            ("status".to_owned(), Value::from(self.status.as_u16())),
            ("code".to_owned(), Value::from(self.code)),
            ("detail".to_owned(), Value::from(self.detail)),
        ]);
        if let Some(code) = self.carrier_code {
            body.insert("carrierCode".to_owned(), Value::from(code));
        }
        let json = [(header::CONTENT_TYPE, "application/problem+json")];
        (self.status, json, Value::Object(body).to_string()).into_response()
    }
}
