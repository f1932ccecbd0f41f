//! Requests that Twilio signed, with their parameters. Nobody else gets further than this.

use std::convert::Infallible;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tracing::warn;
use voice_protocols::webhook::parse_form;

use super::Service;
use super::server::Visitor;
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
        let visitor = request.extensions().get().cloned();
        let sender = Sender { service, visitor: visitor.as_ref() };
        // Of who shows no signature nothing more is read.
        if service.signatures.is_some() && signature(&headers).is_empty() {
            return Err(sender.refused("it has none").into_response());
        }
        // What cannot be read whole cannot be checked, so it counts as not signed.
        let body = Bytes::from_request(request, service).await.map_err(|rejection| {
            sender.refused(&format!("its body was not read: {}", rejection.body_text())).into_response()
        })?;
        let form = if method == Method::POST { parse_form(&body) } else { Vec::new() };
        let path_and_query = uri.path_and_query().map_or(uri.path(), |path| path.as_str());
        let url = service.public_url.http(path_and_query);
        sender.check(signature(&headers), &url, &form).map_err(IntoResponse::into_response)?;
        if method == Method::POST {
            return Ok(Self(form));
        }
        Ok(Self(parse_form(uri.query().unwrap_or_default().as_bytes())))
    }
}

/// Checks the handshake of a socket. What is signed is the address that we put in the TwiML.
pub(super) fn check_handshake(service: &Service, handshake: &Handshake) -> Result<(), Refused> {
    let Handshake { visitor, uri, headers } = handshake;
    let sender = Sender { service, visitor: visitor.as_ref() };
    sender.check(signature(headers), &service.public_url.socket(uri.path()), &[])
}

/// What a handshake shows.
#[derive(Debug)]
pub(super) struct Handshake {
    visitor: Option<Visitor>,
    uri: Uri,
    headers: HeaderMap,
}

impl FromRequestParts<Service> for Handshake {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Service) -> Result<Self, Infallible> {
        let visitor = parts.extensions.get().cloned();
        Ok(Self { visitor, uri: parts.uri.clone(), headers: parts.headers.clone() })
    }
}

fn signature(headers: &HeaderMap) -> &str {
    headers.get(SIGNATURE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

struct Sender<'a> {
    service: &'a Service,
    /// Of a request that came over a connection.
    visitor: Option<&'a Visitor>,
}

impl Sender<'_> {
    fn check(&self, signature: &str, url: &str, params: &[(String, String)]) -> Result<(), Refused> {
        if let Some(validator) = &self.service.signatures
            && !validator.is_valid(signature, url, params)
        {
            return Err(self.refused(if signature.is_empty() { "it has none" } else { "it is another one" }));
        }
        if let Some(visitor) = self.visitor {
            visitor.is_known();
        }
        Ok(())
    }

    /// What is signed is always checked, however much else its source has sent: anybody can have Twilio call us.
    fn refused(&self, reason: &str) -> Refused {
        self.service.metrics().count(Counter::SignaturesRefused);
        if self.visitor.is_some_and(|visitor| !visitor.is_refused()) {
            return Refused::Throttled;
        }
        warn!(
            reason,
            "a request without a valid X-Twilio-Signature was refused; is PUBLIC_URL what Twilio was told?"
        );
        Refused::Unsigned
    }
}

/// 403 or 429, and nothing has changed.
#[derive(Debug)]
pub(super) enum Refused {
    Unsigned,
    Throttled,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Unsigned => {
                (StatusCode::FORBIDDEN, "The request carries no valid X-Twilio-Signature.\n").into_response()
            }
            Self::Throttled => (StatusCode::TOO_MANY_REQUESTS, "Too many requests.\n").into_response(),
        }
    }
}
