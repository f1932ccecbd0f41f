//! Tools that are requests to somebody's HTTP service: asks it within the tool's time, and makes an outcome of what it
//! answers.
//!
//! What a request looks like is in `endpoint`, sending it in `send`, reading the answer in `response`, what may be
//! reached in `guard`, and how a service verifies who asks in `signature`.

mod addresses;
mod endpoint;
mod failure;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod guard;
mod response;
mod send;
pub mod signature;
mod url_template;

use std::sync::Arc;

use reqwest::StatusCode;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use tracing::warn;
use voice_core::ports::{SecretSource, ToolRequest};
use voice_core::private::Private;
use voice_core::use_case::SecretRef;

pub(super) use self::endpoint::Endpoint;
use self::failure::Failure;
pub use self::guard::{Guard, HostPattern, NoClient, Refusal, Settings, client};
use self::send::{Outgoing, Sender, Within};
use super::run_key;
use super::template::Values;
use crate::metrics::{Counter, Metrics};
use crate::telemetry::causes;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const CALL: HeaderName = HeaderName::from_static("x-trunkline-call");

/// Runs the `http` handler.
#[derive(Debug)]
pub(super) struct HttpTools {
    sender: Sender,
    secrets: Arc<dyn SecretSource>,
    metrics: Metrics,
}

impl HttpTools {
    pub(super) fn new(
        settings: &Settings,
        secrets: Arc<dyn SecretSource>,
        metrics: Metrics,
    ) -> Result<Self, NoClient> {
        let sender = Sender::new(client(settings)?, Guard::new(settings.clone()), metrics.clone());
        Ok(Self { sender, secrets, metrics })
    }

    /// Asks the service. What goes wrong is logged here, without what was sent or answered.
    pub(super) async fn call(&self, endpoint: &Endpoint, request: &ToolRequest) -> Result<Value, String> {
        let deadline = Instant::now() + request.tool.timeout;
        let may_repeat = request.tool.idempotent;
        let within = Within { deadline, may_repeat, largest_response: endpoint.largest_response() };
        let asked = timeout_at(deadline, self.ask(endpoint, request, within)).await;
        asked.unwrap_or(Err(Failure::TimedOut)).map_err(|failure| {
            if failure.is_about_the_answer() {
                self.metrics.count(Counter::ToolResponsesRefused);
            }
            warn!(
                call.sid = %request.call.call_sid,
                generation = %request.run.generation,
                tool = %request.tool.name,
                http.host = endpoint.host(),
                error = %failure.for_log(),
                "a tool's service did not help"
            );
            failure.for_model(may_repeat)
        })
    }

    async fn ask(
        &self,
        endpoint: &Endpoint,
        request: &ToolRequest,
        within: Within,
    ) -> Result<Value, Failure> {
        let outgoing = self.outgoing(endpoint, request).await?;
        let mut received = self.sender.send(outgoing.clone(), within).await?;
        if matches!(received.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            && let Some(again) = self.with_newer_secrets(endpoint, request, &outgoing).await
        {
            self.metrics.count(Counter::ToolHttpRetries);
            received = self.sender.send(again, within).await?;
        }
        received.content(endpoint.mapping())
    }

    /// After the service would not accept who we are: the request anew, if it may be repeated and if a secret was changed
    /// since it was fetched.
    async fn with_newer_secrets(
        &self,
        endpoint: &Endpoint,
        request: &ToolRequest,
        refused: &Outgoing,
    ) -> Option<Outgoing> {
        for secret in endpoint.secrets() {
            self.secrets.refused(secret);
        }
        if endpoint.secrets().next().is_none() || !request.tool.idempotent {
            return None;
        }
        let again = self.outgoing(endpoint, request).await.ok()?;
        (!again.has_the_secrets_of(refused)).then_some(again)
    }

    async fn outgoing(&self, endpoint: &Endpoint, request: &ToolRequest) -> Result<Outgoing, Failure> {
        let filled = endpoint.fill(&Values::of(request), request).map_err(Failure::Arguments)?;
        let mut headers = filled.headers;
        for (name, value) in [(IDEMPOTENCY_KEY, run_key(request)), (CALL, request.call.call_sid.clone())] {
            let value = HeaderValue::from_str(&value)
                .map_err(|_| Failure::Arguments("The tool cannot be called in this call.".to_owned()))?;
            headers.insert(name, value);
        }
        let mut record_headers = filled.record_headers;
        for secret in endpoint.secret_headers() {
            let value = self.secret(&secret.secret).await?;
            let value = HeaderValue::from_str(&format!("{}{}", secret.prefix, value.expose()));
            let mut value =
                value.map_err(|_| Failure::Secret("a secret does not fit into a header".to_owned()))?;
            value.set_sensitive(true);
            record_headers.insert(secret.name.clone(), value);
        }
        let signing_secret = match endpoint.signing_secret() {
            Some(reference) => Some(self.secret(reference).await?),
            None => None,
        };
        Ok(Outgoing {
            method: endpoint.method().clone(),
            url: filled.url,
            headers,
            record_headers,
            signing_secret,
            body: filled.body,
        })
    }

    async fn secret(&self, reference: &SecretRef) -> Result<Private<String>, Failure> {
        self.secrets.secret(reference).await.map_err(|error| Failure::Secret(causes(&error).to_string()))
    }
}

#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod redirect_tests;
#[cfg(test)]
mod repeat_tests;
#[cfg(test)]
mod test_service;
