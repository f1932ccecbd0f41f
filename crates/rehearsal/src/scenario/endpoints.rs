//! `[[http]]`: a server on loopback for the tools of a scenario, which answers each path as the file says and remembers
//! what it was asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::report::{Check, Outcome};
use super::turn::contains;
use super::words::Words;

const LONGEST_MS: u64 = 120_000;
const LARGEST_BYTES: usize = 16 * 1024 * 1024;
/// What a tool may send.
const LARGEST_REQUEST: usize = 1024 * 1024;
/// How long a request may still be on its way when the call is over.
const PATIENCE: Duration = Duration::from_secs(2);

/// One path with its answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoint {
    path: String,
    /// Any when absent.
    method: Option<String>,
    status: Option<u16>,
    json: Option<Value>,
    text: Option<String>,
    html: Option<String>,
    /// A body of so many letters.
    bytes: Option<usize>,
    /// The `Location` of a redirect.
    redirect: Option<String>,
    #[serde(default)]
    delay_ms: u64,
    /// How often it is asked until the scenario is over.
    times: Option<usize>,
    /// Words that have to be in one of the requests: its query, its headers or its body.
    #[serde(default)]
    receives: Words,
}

/// The running server. Dropping it stops it.
#[derive(Debug)]
pub struct Endpoints {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    endpoints: Vec<Endpoint>,
    /// What each endpoint was asked, as text.
    asked: watch::Sender<Vec<Vec<String>>>,
}

impl Endpoint {
    /// Whether the answer is one.
    pub(super) fn validate(&self) -> anyhow::Result<()> {
        let bodies = [
            self.json.is_some(),
            self.text.is_some(),
            self.html.is_some(),
            self.bytes.is_some(),
            self.redirect.is_some(),
        ];
        let number = bodies.into_iter().filter(|has| *has).count();
        ensure!(self.path.starts_with('/'), "`path` begins with a slash");
        ensure!(number <= 1, "an answer is one of `json`, `text`, `html`, `bytes` and `redirect`");
        ensure!(self.delay_ms <= LONGEST_MS, "`delay_ms` is at most {LONGEST_MS}");
        ensure!(self.bytes.is_none_or(|bytes| bytes <= LARGEST_BYTES), "`bytes` is at most {LARGEST_BYTES}");
        let status = self.status.unwrap_or(200);
        ensure!(StatusCode::from_u16(status).is_ok(), "{status} is no status");
        Ok(())
    }

    fn answer(&self, base: &str) -> Response {
        let (kind, body) = if let Some(json) = &self.json {
            ("application/json", json.to_string())
        } else if let Some(html) = &self.html {
            ("text/html; charset=utf-8", html.clone())
        } else {
            let letters = self.bytes.map(|bytes| "x".repeat(bytes));
            let text = letters.or_else(|| self.text.clone()).unwrap_or_default();
            ("text/plain; charset=utf-8", text)
        };
        let redirect = self.redirect.as_ref().map(|target| target.replace(super::HTTP, base));
        let usual = if redirect.is_some() { 307 } else { 200 };
        let status = StatusCode::from_u16(self.status.unwrap_or(usual)).unwrap_or(StatusCode::OK);
        match redirect {
            Some(target) => (status, [(header::LOCATION, target)]).into_response(),
            None => (status, [(header::CONTENT_TYPE, kind.to_owned())], body).into_response(),
        }
    }

    fn takes(&self, method: &str, path: &str) -> bool {
        self.path == path && self.method.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(method))
    }
}

impl Endpoints {
    pub(super) async fn start(endpoints: Vec<Endpoint>) -> anyhow::Result<Self> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = bound.context("the server for tools cannot listen")?;
        let address = listener.local_addr()?;
        let asked = watch::Sender::new(vec![Vec::new(); endpoints.len()]);
        let shared = Arc::new(Shared { endpoints, asked });
        let stopping = CancellationToken::new();
        let stop = stopping.clone().drop_guard();
        let state = (Arc::clone(&shared), format!("http://{address}"));
        let router = Router::new().fallback(take).with_state(state);
        TaskTracker::new().spawn(stopping.run_until_cancelled_owned(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the server for tools stopped");
            }
        }));
        Ok(Self { address, shared, _stop: stop })
    }

    /// What `{http}` stands for.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was expected of the requests, after the call.
    pub(super) async fn checks(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        for (index, endpoint) in self.shared.endpoints.iter().enumerate() {
            if let Some(times) = endpoint.times {
                let asked = self.wait(index, |asked| asked.len() >= times).await.len();
                let expectation = format!("{} is asked {times} times", endpoint.path);
                checks.push(verdict(expectation, times.to_string(), asked == times, asked.to_string()));
            }
            for words in endpoint.receives.list() {
                let is_there = |asked: &[String]| asked.iter().any(|request| contains(request, &words));
                let asked = self.wait(index, is_there).await;
                let expectation = format!("{} receives: \"{words}\"", endpoint.path);
                checks.push(verdict(expectation, words.clone(), is_there(&asked), asked.join(" | ")));
            }
        }
        checks
    }

    async fn wait(&self, index: usize, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let mut asked = self.shared.asked.subscribe();
        // When it does not come, the check tells what came instead.
        let _ = timeout(PATIENCE, asked.wait_for(|asked| wanted(&asked[index]))).await;
        asked.borrow()[index].clone()
    }
}

fn verdict(expectation: String, expected: String, is_met: bool, got: String) -> Check {
    let outcome =
        if is_met { Outcome::Met { after: Duration::ZERO } } else { Outcome::Missed { expected, got } };
    Check { expectation, outcome }
}

async fn take(State((shared, base)): State<(Arc<Shared>, String)>, request: Request) -> Response {
    let (method, path) = (request.method().as_str(), request.uri().path());
    let found = shared.endpoints.iter().position(|endpoint| endpoint.takes(method, path));
    let Some(index) = found else { return StatusCode::NOT_FOUND.into_response() };
    let asked = text_of(request).await;
    shared.asked.send_modify(|known| known[index].push(asked));
    let endpoint = &shared.endpoints[index];
    sleep(Duration::from_millis(endpoint.delay_ms)).await;
    endpoint.answer(&base)
}

/// Everything of a request in which words can be expected.
async fn text_of(request: Request) -> String {
    let mut text = format!("{} {}", request.method(), request.uri());
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        text.extend(["\n", name.as_str(), ": ", &*value]);
    }
    let body = axum::body::to_bytes(request.into_body(), LARGEST_REQUEST).await.unwrap_or_default();
    format!("{text}\n{}", String::from_utf8_lossy(&body))
}
