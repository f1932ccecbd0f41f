//! A small MCP server over streamable HTTP that misbehaves on request. It shares no code with the SDK of our client.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What it saw and what it is to do; it survives the server.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Counts the sessions begun; only the last one is known, and none after [`Memory::forget_sessions`].
    pub(crate) sessions: AtomicUsize,
    forgotten: AtomicBool,
    pub(crate) lists: AtomicUsize,
    /// Of the network.
    pub(crate) connections: AtomicUsize,
    /// `params` of the calls that reached a tool, in order.
    pub(crate) calls: Mutex<Vec<Value>>,
    /// Without this token in `authorization`, everything is refused.
    pub(crate) token: Mutex<Option<&'static str>>,
    pub(crate) hangs_in_lists: AtomicBool,
}

impl Memory {
    pub(crate) fn forget_sessions(&self) {
        self.forgotten.store(true, Ordering::SeqCst);
    }

    fn session(&self) -> String {
        format!("session-{}", self.sessions.load(Ordering::SeqCst))
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) memory: Arc<Memory>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::default()).await
    }

    pub(crate) async fn start_at(address: SocketAddr, memory: Arc<Memory>) -> Self {
        let listener = TcpListener::bind(address).await.expect("the address is free");
        let address = listener.local_addr().expect("it is bound");
        let counting = Arc::clone(&memory);
        let listener = listener.tap_io(move |stream| {
            stream.set_nodelay(true).expect("the connection is open");
            counting.connections.fetch_add(1, Ordering::SeqCst);
        });
        let routes = Router::new().route("/mcp", post(answer)).with_state(Arc::clone(&memory));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let stopped = stop.clone();
        tasks.spawn(async move {
            let served = axum::serve(listener, routes);
            let served = served.with_graceful_shutdown(async move { stopped.cancelled().await });
            served.await.expect("it serves");
        });
        tasks.close();
        Self { address, memory, stop, tasks }
    }

    /// Stops and closes every connection; sessions are lost.
    pub(crate) async fn vanish(self) -> (SocketAddr, Arc<Memory>) {
        self.stop.cancel();
        self.tasks.wait().await;
        self.memory.forget_sessions();
        (self.address, self.memory)
    }

    pub(crate) fn calls(&self) -> Vec<Value> {
        self.memory.calls.lock().unwrap().clone()
    }
}

async fn answer(State(memory): State<Arc<Memory>>, headers: HeaderMap, body: String) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if header("authorization") != *memory.token.lock().unwrap() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let message: Value = serde_json::from_str(&body).expect("the client sends JSON");
    let method = message["method"].as_str().unwrap_or_default();
    if method == "initialize" {
        return initialize(&memory, &message);
    }
    if memory.forgotten.load(Ordering::SeqCst) || header("mcp-session-id") != Some(&memory.session()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match method {
        "tools/list" => list(&memory, &message).await,
        "tools/call" => {
            memory.calls.lock().unwrap().push(message["params"].clone());
            call(&message).await
        }
        // Notifications have no id and get no answer.
        _ => StatusCode::ACCEPTED.into_response(),
    }
}

fn initialize(memory: &Memory, message: &Value) -> Response {
    memory.sessions.fetch_add(1, Ordering::SeqCst);
    memory.forgotten.store(false, Ordering::SeqCst);
    let result = json!({
        "protocolVersion": "2025-06-18",
        "capabilities": { "tools": {} },
        "serverInfo": { "name": "test", "version": "1" },
    });
    ([("mcp-session-id", memory.session())], respond(message, &result)).into_response()
}

/// Two pages.
async fn list(memory: &Memory, message: &Value) -> Response {
    memory.lists.fetch_add(1, Ordering::SeqCst);
    if memory.hangs_in_lists.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    let tool = |name: &str| json!({ "name": name, "description": format!("Does {name}"), "inputSchema": { "type": "object" } });
    let result = match message["params"]["cursor"].as_str() {
        None => json!({ "tools": [tool("echo"), tool("fail")], "nextCursor": "more" }),
        Some("more") => json!({ "tools": [tool("secret"), tool("hang")] }),
        Some(other) => panic!("no page is called {other:?}"),
    };
    respond(message, &result).into_response()
}

async fn call(message: &Value) -> Response {
    let text = |text: &str| json!({ "content": [{ "type": "text", "text": text }] });
    let result = match message["params"]["name"].as_str() {
        Some("echo") => json!({ "content": [], "structuredContent": message["params"]["arguments"] }),
        Some("fail") => {
            json!({ "content": [{ "type": "text", "text": "No such booking" }], "isError": true })
        }
        Some("large") => text(&"x".repeat(20_000)),
        Some("hang") => std::future::pending().await,
        Some("streamed") => return streamed(message),
        Some("html") => return axum::response::Html("<p>4111</p>").into_response(),
        Some("crash") => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some("moved") => return axum::response::Redirect::temporary("http://10.0.0.1/").into_response(),
        _ => {
            let error = json!({ "code": -32602, "message": "Unknown tool" });
            return axum::Json(json!({ "jsonrpc": "2.0", "id": message["id"], "error": error }))
                .into_response();
        }
    };
    respond(message, &result).into_response()
}

/// A stream of events that ends a moment after the response.
fn streamed(message: &Value) -> Response {
    let response = respond(message, &json!({ "content": [] })).0;
    let event = Ok::<_, std::io::Error>(format!("event: message\ndata: {response}\n\n"));
    let end = async {
        tokio::task::yield_now().await;
        Ok(String::new())
    };
    let body = futures_util::stream::iter([event]).chain(futures_util::stream::once(end));
    let body = axum::body::Body::from_stream(body);
    ([("content-type", "text/event-stream")], body).into_response()
}

fn respond(message: &Value, result: &Value) -> axum::Json<Value> {
    axum::Json(json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }))
}
