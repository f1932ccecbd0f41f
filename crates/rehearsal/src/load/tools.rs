//! Load with a tool in every turn: a model that calls it, and an endpoint over HTTP that it may be.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::observer::{LoadObserver, Visit};
use crate::bedrock::{Answer, Brain, ConverseRequest, Fixed};

/// What runs when the model calls the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolKind {
    /// Something inside the service that takes no time of its own.
    Builtin,
    /// A request to a [`ToolEndpoint`].
    Http,
}

/// How long the endpoint works on a request, unless it is told otherwise. It is no part of what is measured.
const HANDLING: Duration = Duration::from_millis(20);
const STOPPING: Duration = Duration::from_secs(5);

/// Calls a tool in every turn, and answers with a number of tokens when it has run.
///
/// The tool's only argument is `call`, the call's SID, by which the endpoint tells calls apart.
#[derive(Clone, Debug)]
pub struct ToolEveryTurn {
    pub tool: String,
    /// Of the answer.
    pub tokens: u32,
    /// Learns of runs that failed.
    pub observer: Arc<LoadObserver>,
}

impl Brain for ToolEveryTurn {
    fn answer(&self, request: &ConverseRequest) -> Answer {
        let results = request.tool_results_of_last_message();
        if results.is_empty() {
            let id = format!("load-{}", request.messages().len());
            let call = request.metadata("callSid").unwrap_or_default();
            return Answer::empty().then_tool(id, &self.tool, json!({ "call": call }));
        }
        if results.iter().any(|result| result["status"] == "error") {
            self.observer.tool_failed();
        }
        Fixed { tokens: self.tokens }.answer(request)
    }
}

/// A stand-in for somebody's service: it answers every request after a fixed time, and tells the observer.
#[derive(Debug)]
pub struct ToolEndpoint {
    address: SocketAddr,
    arrived: watch::Receiver<u64>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl ToolEndpoint {
    /// Serves on a free port of loopback.
    pub async fn start(observer: Arc<LoadObserver>) -> anyhow::Result<Self> {
        Self::start_working(observer, HANDLING).await
    }

    /// The same, which works on every request for so long.
    pub async fn start_working(observer: Arc<LoadObserver>, handling: Duration) -> anyhow::Result<Self> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = bound.context("the tool's endpoint cannot listen")?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY was not set");
            }
        });
        let (count, arrived) = watch::channel(0);
        let work_on = Arc::new(Work { observer, handling, arrived: count });
        let routes = Router::new().route("/", post(work)).with_state(work_on);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let stopped = stop.clone();
        tasks.spawn(async move {
            let served = axum::serve(listener, routes);
            if let Err(error) = served.with_graceful_shutdown(async move { stopped.cancelled().await }).await
            {
                tracing::error!(%error, "the tool's endpoint stopped serving");
            }
        });
        tasks.close();
        Ok(Self { address, arrived, stop, tasks })
    }

    /// How many requests have arrived, those included that are being worked on.
    pub fn arrived(&self) -> watch::Receiver<u64> {
        self.arrived.clone()
    }

    /// Where a tool posts its arguments, as JSON.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub async fn shutdown(&self) {
        self.stop.cancel();
        if tokio::time::timeout(STOPPING, self.tasks.wait()).await.is_err() {
            tracing::warn!(limit = ?STOPPING, "connections to the tool's endpoint did not end in time");
        }
    }
}

/// What the endpoint does with requests.
#[derive(Debug)]
struct Work {
    observer: Arc<LoadObserver>,
    handling: Duration,
    arrived: watch::Sender<u64>,
}

async fn work(State(work): State<Arc<Work>>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let arrived = Instant::now();
    work.arrived.send_modify(|requests| *requests += 1);
    let Some(call) = body["call"].as_str() else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "the argument `call` is missing" })));
    };
    tokio::time::sleep(work.handling).await;
    let answer = Json(json!({ "status": "done" }));
    work.observer.visited(call, Visit { arrived, answered: Instant::now() });
    (StatusCode::OK, answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_turn_calls_the_tool_and_then_answers() {
        let observer = Arc::new(LoadObserver::new());
        let brain = ToolEveryTurn { tool: "work".to_owned(), tokens: 2, observer: Arc::clone(&observer) };
        let asked = |content: Value| {
            let messages = json!([{ "role": "user", "content": [content] }]);
            brain.answer(&ConverseRequest::new(
                "m",
                json!({ "messages": messages, "requestMetadata": { "callSid": "CA1" } }),
            ))
        };
        assert_eq!(asked(json!({ "text": "Hello" })).tool_calls(), [("load-1", "work", r#"{"call":"CA1"}"#)]);
        let result = |status: &str| json!({ "toolResult": { "toolUseId": "load-1", "status": status } });
        assert_eq!(asked(result("success")).full_text(), "this answer");
        assert_eq!(observer.tool_failures(), 0);
        assert_eq!(asked(result("error")).full_text(), "this answer");
        assert_eq!(observer.tool_failures(), 1);
    }

    #[tokio::test]
    async fn the_endpoint_tells_when_a_request_came_and_when_it_was_answered() {
        let observer = Arc::new(LoadObserver::new());
        let endpoint = ToolEndpoint::start(Arc::clone(&observer)).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.post(endpoint.url()).json(&json!({ "call": "CA1" })).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let visits = observer.visits("CA1");
        let [visit] = visits.as_slice() else { panic!("{visits:?}") };
        assert!(visit.answered - visit.arrived >= HANDLING);
        assert_eq!(client.post(endpoint.url()).json(&json!({})).send().await.unwrap().status(), 400);
        drop(client);
        endpoint.shutdown().await;
    }
}
