//! Requests to the collector, as OTLP over HTTP wants them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use super::causes;
use crate::config::ExportSettings;
use crate::metrics::{Counter, Metrics};

const CONNECTING: Duration = Duration::from_secs(1);
const ANSWERING: Duration = Duration::from_secs(5);
/// A collector that is down for hours is no news every second.
const BETWEEN_COMPLAINTS: Duration = Duration::from_mins(1);
/// An answer says what was rejected, if anything; there is no reason for it to be long.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Collector {
    client: Client,
    endpoint: Arc<str>,
    metrics: Metrics,
    complained: Arc<Mutex<Option<Instant>>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }
}

/// The collector did not take something. It was logged and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendError {
    /// It was busy or away.
    Later,
    /// It does not want it.
    Never,
}

impl Collector {
    /// Fails when no secure connection can be made from this machine.
    pub(super) fn new(settings: &ExportSettings, metrics: Metrics) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .default_headers(settings.headers.clone())
            .connect_timeout(CONNECTING)
            .timeout(ANSWERING)
            // Credentials go where the settings say, and nowhere else.
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        let endpoint = settings.endpoint.as_str().into();
        Ok(Self { client, endpoint, metrics, complained: Arc::default() })
    }

    /// Sends one request, and returns what the collector answered when it took it.
    pub(super) async fn send(&self, signal: Signal, body: Vec<u8>) -> Result<Vec<u8>, SendError> {
        let url = format!("{}/v1/{}", self.endpoint, signal.as_str());
        let request = self.client.post(url).header(CONTENT_TYPE, "application/x-protobuf");
        let answer = request.body(body).send().await;
        let (problem, error) = match answer {
            Ok(answer) if answer.status().is_success() => return Ok(short_body(answer).await),
            Ok(answer) => (format!("the collector answered {}", answer.status()), kind(answer.status())),
            Err(error) => (causes(&error.without_url()).to_string(), SendError::Later),
        };
        self.metrics.count(Counter::ExportsFailed);
        self.complain(signal, &problem);
        Err(error)
    }

    fn complain(&self, signal: Signal, problem: &str) {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|at| at.elapsed() >= BETWEEN_COMPLAINTS) {
            *complained = Some(Instant::now());
            let failed = self.metrics.value(Counter::ExportsFailed);
            tracing::warn!(signal = signal.as_str(), problem, failed, "telemetry could not be exported");
        }
    }
}

/// The statuses after which OTLP lets a client ask again.
fn kind(status: StatusCode) -> SendError {
    match status.as_u16() {
        429 | 502 | 503 | 504 => SendError::Later,
        _ => SendError::Never,
    }
}

/// An answer too long, or broken off, is none.
async fn short_body(mut answer: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Vec::new();
        }
        body.extend_from_slice(&chunk);
    }
    body
}
