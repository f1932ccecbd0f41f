//! A slow way to a DynamoDB: an HTTP front on loopback that holds some requests back before it passes them on. It reads
//! nothing of what it passes.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::PATIENCE;

/// Which requests are held back, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    /// A request is held back when its body contains one of these, for example the beginning of a sort key.
    pub containing: Vec<String>,
    pub by: Duration,
}

/// A running front. It stops when it is dropped; [`shutdown`](Self::shutdown) also waits for it.
pub struct SlowFront {
    address: SocketAddr,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl SlowFront {
    /// Listens on a free port and passes everything on to `endpoint`, the base URL of a DynamoDB.
    ///
    /// A client that gives up while its request is held back has asked for nothing: the request is not passed on.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(endpoint: String, delay: Delay) -> anyhow::Result<Self> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = bound.context("the front of DynamoDB cannot listen")?;
        let address = listener.local_addr()?;
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        let passage = Passage { endpoint, delay, http: http.context("no HTTP client")? };
        let stopping = CancellationToken::new();
        let stop = stopping.clone().drop_guard();
        let tasks = TaskTracker::new();
        tasks.spawn(serve(listener, passage, stopping));
        tasks.close();
        Ok(Self { address, tasks, stop })
    }

    /// The base URL for an SDK's `endpoint_url`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets the requests that are running finish.
    ///
    /// # Errors
    /// When they do not finish in time.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        let Self { tasks, stop, .. } = self;
        drop(stop);
        let ended = tokio::time::timeout(PATIENCE, tasks.wait()).await;
        ended.context("the front of DynamoDB did not stop in time")
    }
}

impl fmt::Debug for SlowFront {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SlowFront").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What every request needs to get through.
struct Passage {
    endpoint: String,
    delay: Delay,
    http: reqwest::Client,
}

impl Passage {
    fn holds_back(&self, body: &[u8]) -> bool {
        let body = String::from_utf8_lossy(body);
        self.delay.containing.iter().any(|words| body.contains(words))
    }

    async fn pass_on(&self, method: Method, headers: HeaderMap, body: Bytes) -> reqwest::Result<Response> {
        let request = self.http.request(method, &self.endpoint).headers(headers).body(body);
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = Body::from(answer.bytes().await?);
        Ok((status, end_to_end(headers), body).into_response())
    }
}

async fn serve(listener: TcpListener, passage: Passage, stopping: CancellationToken) {
    // Nagle's algorithm would add a delay that nobody asked for.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
    });
    let router = Router::new().fallback(pass).with_state(Arc::new(passage));
    let served = axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the front of DynamoDB stopped serving");
    }
}

async fn pass(
    State(passage): State<Arc<Passage>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if passage.holds_back(&body) {
        tokio::time::sleep(passage.delay.by).await;
    }
    let passed = passage.pass_on(method, end_to_end(headers), body).await;
    passed.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())
}

/// Without the headers that belong to one connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers
}
