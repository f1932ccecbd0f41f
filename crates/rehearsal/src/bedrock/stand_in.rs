//! The handle of the Bedrock stand-in: starting, scripting, watching and stopping it. Not what it serves.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::Answer;
use super::brain::Brain;
use super::observer::Observer;
use super::record::{Outcome, RecordedRequest, Records};
use super::request::ConverseRequest;
use super::script::Script;
use super::{BedrockOptions, Pace, guardrail, server};

/// How long a shutdown waits for open connections, all of which have been told to end.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// A running stand-in. Clones are handles to the same one; it runs until [`shutdown`](Self::shutdown).
#[derive(Clone, Debug)]
pub struct BedrockStandIn {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

/// What the handle and the connections share.
#[derive(Debug)]
pub(super) struct Shared {
    script: Mutex<Script>,
    pace: Mutex<Pace>,
    brain: Arc<dyn Brain>,
    refused_words: Vec<String>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    pub(super) records: Records,
    pub(super) closing: CancellationToken,
    /// Connections that were ever opened.
    connections: AtomicU64,
    /// Requests to count tokens.
    pub(super) counts: watch::Sender<u64>,
}

impl BedrockStandIn {
    /// Binds and serves.
    ///
    /// # Errors
    /// When the address cannot be bound; the error names it.
    pub async fn start(options: BedrockOptions) -> anyhow::Result<Self> {
        let BedrockOptions { address, pace, brain, observer, refused_words } = options;
        let bound = TcpListener::bind(address).await;
        let listener = bound.with_context(|| format!("the Bedrock stand-in cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            script: Mutex::default(),
            pace: Mutex::new(pace),
            brain,
            refused_words,
            observer,
            records: Records::default(),
            closing: CancellationToken::new(),
            connections: AtomicU64::default(),
            counts: watch::Sender::new(0),
        });
        let tasks = TaskTracker::new();
        tasks.spawn(serve(listener, Arc::clone(&shared)));
        tasks.close();
        Ok(Self { address, shared, tasks })
    }

    /// The base URL for an SDK's `endpoint_url`, for example `http://127.0.0.1:49152`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Queues an answer for the next request that has no answer of its own. At most 10,000 can wait.
    pub fn script(&self, answer: Answer) {
        lock(&self.shared.script).push(None, answer);
    }

    /// Queues an answer for the next request to this model id; it goes before those queued for any model.
    pub fn script_for(&self, model: &str, answer: Answer) {
        lock(&self.shared.script).push(Some(model.to_owned()), answer);
    }

    /// Changes the pace of the answers to requests that have not arrived yet.
    pub fn set_pace(&self, pace: Pace) {
        *lock(&self.shared.pace) = pace;
    }

    /// The last 1,000 requests, oldest first, refused ones included.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.records.all()
    }

    /// Waits until request `number`, counted from 1, has arrived.
    ///
    /// # Errors
    /// When it has not arrived in time, or so long ago that it is forgotten.
    pub async fn wait_for_request(&self, number: usize, within: Duration) -> anyhow::Result<RecordedRequest> {
        self.shared.records.wait_for(number as u64, within, |_| true).await
    }

    /// Waits until request `number`, counted from 1, is no longer being answered.
    ///
    /// # Errors
    /// When that takes longer than `within`, or was so long ago that it is forgotten.
    pub async fn wait_for_outcome(&self, number: usize, within: Duration) -> anyhow::Result<Outcome> {
        let settled = |request: &RecordedRequest| request.outcome != Outcome::Answering;
        Ok(self.shared.records.wait_for(number as u64, within, settled).await?.outcome)
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Waits until tokens were counted so many times. These requests are not among [`requests`](Self::requests): no model
    /// is asked.
    ///
    /// # Errors
    /// When that takes longer than `within`.
    pub async fn wait_for_counts(&self, number: u64, within: Duration) -> anyhow::Result<()> {
        let mut counts = self.shared.counts.subscribe();
        let counted = tokio::time::timeout(within, counts.wait_for(|counts| *counts >= number)).await;
        counted.with_context(|| format!("tokens were not counted {number} times within {within:?}"))??;
        Ok(())
    }

    /// Stops listening, cuts the answers that are on their way, and waits for the connections to end.
    pub async fn shutdown(&self) {
        self.shared.closing.cancel();
        if tokio::time::timeout(SHUTDOWN_LIMIT, self.tasks.wait()).await.is_err() {
            tracing::warn!(limit = ?SHUTDOWN_LIMIT, "connections to the Bedrock stand-in did not end in time");
        }
    }
}

impl Shared {
    /// The guardrail's answer to this request, or else the scripted one, or else the brain's. A refused request does not
    /// reach the model, so what is scripted waits for the next one.
    pub(super) fn answer(&self, request: &ConverseRequest) -> Answer {
        if let Some(refusal) = guardrail::refuse(&self.refused_words, request) {
            return refusal;
        }
        let scripted = lock(&self.script).take(&request.model);
        scripted.unwrap_or_else(|| self.brain.answer(request))
    }

    pub(super) fn pace(&self) -> Pace {
        *lock(&self.pace)
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let (closing, accepted) = (shared.closing.clone(), Arc::clone(&shared));
    // Nagle's algorithm would hold small frames back for tens of milliseconds.
    let listener = listener.tap_io(move |stream| {
        accepted.connections.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
    });
    let served = axum::serve(listener, server::routes(shared))
        .with_graceful_shutdown(async move { closing.cancelled().await })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the Bedrock stand-in stopped serving");
    }
}

/// Locks even after a panic elsewhere: what these locks guard is replaced or queued whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
