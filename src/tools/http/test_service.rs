//! Somebody's HTTP service, for tests: answers as it is told, in order, and remembers what it was asked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[derive(Debug)]
pub(super) struct TestService {
    address: SocketAddr,
    heard: Arc<Heard>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Heard {
    answers: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<Recorded>>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) at: Instant,
    pub(super) peer: SocketAddr,
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Recorded {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    pace: Pace,
}

#[derive(Clone, Copy, Debug)]
enum Pace {
    AtOnce,
    /// Without saying how much there is.
    InChunks,
    /// The head comes, and half of the body.
    Stalling,
    Never,
}

impl Answer {
    pub(super) fn new(status: u16, content_type: &str, body: &str) -> Self {
        let answer = Self { status, headers: Vec::new(), body: body.to_owned(), pace: Pace::AtOnce };
        if content_type.is_empty() { answer } else { answer.with_header("content-type", content_type) }
    }

    pub(super) fn json(body: &Value) -> Self {
        Self::new(200, "application/json", &body.to_string())
    }

    pub(super) fn never() -> Self {
        Self { pace: Pace::Never, ..Self::new(200, "", "") }
    }

    pub(super) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn in_chunks(self) -> Self {
        Self { pace: Pace::InChunks, ..self }
    }

    pub(super) fn that_stalls(self) -> Self {
        Self { pace: Pace::Stalling, ..self }
    }

    fn body(self) -> Body {
        let chunks = |text: &str| {
            let chunks: Vec<_> = text.as_bytes().chunks(1000).map(Bytes::copy_from_slice).collect();
            stream::iter(chunks.into_iter().map(Ok::<_, std::convert::Infallible>))
        };
        match self.pace {
            Pace::AtOnce | Pace::Never => Body::from(self.body),
            Pace::InChunks => Body::from_stream(chunks(&self.body)),
            Pace::Stalling => {
                let half = chunks(&self.body[..self.body.len() / 2]);
                Body::from_stream(half.chain(stream::pending()))
            }
        }
    }
}

impl TestService {
    pub(super) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Heard::default());
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&heard));
        let service = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>());
        tasks.spawn(stop.clone().run_until_cancelled_owned(service.into_future()));
        let service = Self { address, heard, tasks, stop };
        service.answer_with(answers);
        service
    }

    pub(super) fn answer_with(&self, answers: impl IntoIterator<Item = Answer>) {
        self.heard.answers.lock().unwrap().extend(answers);
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Recorded> {
        self.heard.requests.lock().unwrap().clone()
    }

    /// Stops listening; returns where nobody is now.
    pub(super) async fn gone(self) -> String {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.url("/")
    }
}

async fn answer(
    State(heard): State<Arc<Heard>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let recorded = Recorded {
        at: Instant::now(),
        peer,
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        headers: parts.headers,
        body,
    };
    heard.requests.lock().unwrap().push(recorded);
    let answer = heard.answers.lock().unwrap().pop_front();
    let answer = answer.unwrap_or_else(|| Answer::new(500, "text/plain", "no answer is left"));
    if matches!(answer.pace, Pace::Never) {
        return std::future::pending().await;
    }
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response.body(answer.body()).unwrap()
}
