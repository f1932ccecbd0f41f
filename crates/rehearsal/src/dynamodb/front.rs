//! A way to a DynamoDB that can go bad while it is used: an HTTP front on loopback that passes requests on, holds them
//! back, refuses them or leaves them without an answer. It reads nothing of what it passes but the words of a [`Delay`].

mod refusal;
mod socket;

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
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::refusal::Refusal;
use self::socket::{Gate, GatedListener};
use super::PATIENCE;

/// A running front. It stops when it is dropped; [`shutdown`](Self::shutdown) also waits for it.
pub struct DynamoDbFront {
    address: SocketAddr,
    gate: Arc<Gate>,
    unanswered: watch::Sender<u64>,
    tasks: TaskTracker,
    stop: DropGuard,
}

/// How a front treats the requests that arrive from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// They are passed on.
    #[default]
    Pass,
    /// Some of them are held back first.
    Delay(Delay),
    /// They are refused because there are too many, though nothing is wrong with them (HTTP 400).
    Throttle(Throttling),
    /// They are refused because something is wrong inside (HTTP 500).
    Fail,
    /// There is no connection: those that stand are reset at once, and new ones as soon as they are made.
    Refuse,
    /// They are taken and never answered, not even when the behaviour changes.
    Hang,
}

/// Whose limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttling {
    /// The table's: `ProvisionedThroughputExceededException`.
    Table,
    /// The account's: `ThrottlingException`.
    Account,
}

/// Which requests are held back, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    /// A request is held back when its body contains one of these, for example the beginning of a sort key.
    pub containing: Vec<String>,
    pub by: Duration,
}

impl DynamoDbFront {
    /// Listens on a free port in front of `endpoint`, the base URL of a DynamoDB.
    ///
    /// A client that gives up while its request is held back has asked for nothing: the request is not passed on.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(endpoint: String, behaviour: Behaviour) -> anyhow::Result<Self> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = bound.context("the front of DynamoDB cannot listen")?;
        let address = listener.local_addr()?;
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        let http = http.context("no HTTP client")?;
        let gate = Arc::new(Gate::new(behaviour));
        let stopping = CancellationToken::new();
        let stop = stopping.clone().drop_guard();
        let unanswered = watch::Sender::new(0);
        let passage = Passage {
            endpoint,
            gate: Arc::clone(&gate),
            http,
            unanswered: unanswered.clone(),
            stopping: stopping.clone(),
        };
        let tasks = TaskTracker::new();
        tasks.spawn(serve(GatedListener::new(listener, Arc::clone(&gate)), passage, stopping));
        tasks.close();
        Ok(Self { address, gate, unanswered, tasks, stop })
    }

    /// The base URL for an SDK's `endpoint_url`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what becomes of the requests that arrive from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.gate.set(behaviour);
    }

    /// How many requests were taken and left without an answer so far.
    pub fn unanswered(&self) -> watch::Receiver<u64> {
        self.unanswered.subscribe()
    }

    /// How many requests and new connections did not get through as if there were no front: held back, refused, reset or
    /// left without an answer.
    pub fn held_back(&self) -> u64 {
        self.gate.held_back()
    }

    /// Lets the requests that are running finish; those that hang are cut.
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

impl fmt::Debug for DynamoDbFront {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let behaviour = self.gate.behaviour();
        let mut debug = formatter.debug_struct("DynamoDbFront");
        debug.field("address", &self.address).field("behaviour", &behaviour).finish_non_exhaustive()
    }
}

impl Delay {
    fn holds_back(&self, body: &[u8]) -> bool {
        let body = String::from_utf8_lossy(body);
        self.containing.iter().any(|words| body.contains(words))
    }
}

/// What every request needs to get through.
struct Passage {
    endpoint: String,
    gate: Arc<Gate>,
    http: reqwest::Client,
    unanswered: watch::Sender<u64>,
    stopping: CancellationToken,
}

impl Passage {
    async fn pass_on(&self, method: Method, headers: HeaderMap, body: Bytes) -> Response {
        let passed = self.attempt(method, end_to_end(headers), body).await;
        passed.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())
    }

    async fn attempt(&self, method: Method, headers: HeaderMap, body: Bytes) -> reqwest::Result<Response> {
        let request = self.http.request(method, &self.endpoint).headers(headers).body(body);
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = Body::from(answer.bytes().await?);
        Ok((status, end_to_end(headers), body).into_response())
    }

    /// Leaves a request without an answer until its client leaves, which drops this, or the front stops.
    async fn leave_unanswered(&self) -> Response {
        self.unanswered.send_modify(|unanswered| *unanswered += 1);
        self.stopping.cancelled().await;
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }
}

async fn serve(listener: GatedListener, passage: Passage, stopping: CancellationToken) {
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
    let behaviour = passage.gate.behaviour();
    let gets_through = match &behaviour {
        Behaviour::Pass => true,
        Behaviour::Delay(delay) => !delay.holds_back(&body),
        _ => false,
    };
    if !gets_through {
        passage.gate.note_held_back();
    }
    match behaviour {
        Behaviour::Pass => passage.pass_on(method, headers, body).await,
        Behaviour::Delay(delay) => {
            if !gets_through {
                tokio::time::sleep(delay.by).await;
            }
            passage.pass_on(method, headers, body).await
        }
        Behaviour::Throttle(throttling) => refusal::answer(Refusal::Throttled(throttling), &headers, &body),
        Behaviour::Fail => refusal::answer(Refusal::Failed, &headers, &body),
        // Of a connection that is refused nothing is read, unless it was read a moment before.
        Behaviour::Refuse | Behaviour::Hang => passage.leave_unanswered().await,
    }
}

/// Without the headers that belong to one connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests;
