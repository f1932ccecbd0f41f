//! Requests that Twilio signed, with their parameters. Nobody else gets further than this.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tracing::warn;
use voice_protocols::webhook::parse_form;

use super::Service;
use crate::metrics::Counter;

const SIGNATURE: &str = "x-twilio-signature";

/// The parameters of a signed webhook: of the form, or of the query when it is a GET. Repeated names stay repeated.
#[derive(Debug)]
pub(super) struct Signed(pub(super) Vec<(String, String)>);

impl FromRequest<Service> for Signed {
    type Rejection = Response;

    async fn from_request(request: Request, service: &Service) -> Result<Self, Response> {
        let (method, uri, headers) =
            (request.method().clone(), request.uri().clone(), request.headers().clone());
        // What cannot be read whole cannot be checked, so it counts as not signed.
        let body = Bytes::from_request(request, service).await.map_err(|rejection| {
            refused(service, &format!("its body was not read: {}", rejection.body_text())).into_response()
        })?;
        let form = if method == Method::POST { parse_form(&body) } else { Vec::new() };
        let path_and_query = uri.path_and_query().map_or(uri.path(), |path| path.as_str());
        check(service, &headers, &service.public_url.http(path_and_query), &form)
            .map_err(IntoResponse::into_response)?;
        if method == Method::POST {
            return Ok(Self(form));
        }
        Ok(Self(parse_form(uri.query().unwrap_or_default().as_bytes())))
    }
}

/// Checks the handshake of a socket. What is signed is the address that we put in the TwiML.
pub(super) fn check_handshake(service: &Service, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
    check(service, headers, &service.public_url.socket(uri.path()), &[])
}

fn check(
    service: &Service,
    headers: &HeaderMap,
    url: &str,
    params: &[(String, String)],
) -> Result<(), Refused> {
    let Some(validator) = &service.signatures else {
        return Ok(());
    };
    let signature = headers.get(SIGNATURE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if validator.is_valid(signature, url, params) {
        return Ok(());
    }
    Err(refused(service, if signature.is_empty() { "it has none" } else { "it is another one" }))
}

fn refused(service: &Service, reason: &str) -> Refused {
    service.metrics().count(Counter::SignaturesRefused);
    warn!(
        reason,
        "a request without a valid X-Twilio-Signature was refused; is PUBLIC_URL what Twilio was told?"
    );
    Refused
}

/// 403, and nothing has changed.
#[derive(Debug)]
pub(super) struct Refused;

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::FORBIDDEN, "The request carries no valid X-Twilio-Signature.\n").into_response()
    }
}
