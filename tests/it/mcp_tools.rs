//! Tools of MCP servers: what is listed, what a call comes to, and what a server can do wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;
use trunkline::metrics::{Counter, Metrics};
use trunkline::tools::McpCaller;
use trunkline::tools::mcp::McpServers;
use url::Url;
use voice_core::message::{GenerationId, RunId, ToolCallId};
use voice_core::ports::{
    BoxFuture, CallContext, Direction, RemoteTools, SecretError, SecretSource, ToolRequest,
};
use voice_core::private::Private;
use voice_core::use_case::{Handler, HeaderSource, McpServer, McpTool, SecretRef, Tool, UseCase};

use crate::mcp_server::Server;
use crate::support::SOON;

/// Gives every secret the same value, and another one each time that it was refused.
#[derive(Debug, Default)]
struct Secrets {
    refusals: AtomicUsize,
}

impl SecretSource for Secrets {
    fn secret<'a>(&'a self, _: &'a SecretRef) -> BoxFuture<'a, Result<Private<String>, SecretError>> {
        let value = format!("sesame-{}", self.refusals.load(Ordering::SeqCst));
        Box::pin(async { Ok(Private::new(value)) })
    }

    fn refused(&self, _: &SecretRef) {
        self.refusals.fetch_add(1, Ordering::SeqCst);
    }
}

/// A client with its metrics and what it does behind calls.
struct Client {
    servers: McpServers,
    metrics: Metrics,
    tasks: TaskTracker,
}

/// A guard that lets nobody look at metadata.
fn check(url: &Url) -> Result<(), String> {
    if url.path() == "/metadata" { Err("it must not be reached".to_owned()) } else { Ok(()) }
}

fn client() -> Client {
    let http =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let (metrics, tasks) = (Metrics::default(), TaskTracker::new());
    tasks.close();
    let servers =
        McpServers::new(http, Arc::new(check), Arc::<Secrets>::default(), metrics.clone(), tasks.clone());
    Client { servers, metrics, tasks }
}

impl Client {
    async fn call(&self, server: &McpServer, name: &str) -> Result<Value, String> {
        self.call_as(server, name, false).await
    }

    async fn call_as(&self, server: &McpServer, name: &str, idempotent: bool) -> Result<Value, String> {
        let tool = McpTool { server: Arc::new(server.clone()), name: name.to_owned() };
        let mut described = Tool::new(format!("crm_{name}"), Handler::Mcp(tool.clone()));
        described.idempotent = idempotent;
        let request = request(described);
        let answer = tokio::time::timeout(SOON, self.servers.call(&tool, &request));
        answer.await.expect("a call ends")
    }

    fn failures(&self) -> u64 {
        self.metrics.value(Counter::McpFailures)
    }
}

fn request(tool: Tool) -> ToolRequest {
    let call = CallContext {
        call_sid: "CA1".to_owned(),
        account_sid: "AC1".to_owned(),
        from: "+14155550100".to_owned().into(),
        to: "+18005550199".to_owned().into(),
        direction: Direction::Inbound,
        use_case: "reception".to_owned(),
        caller: None,
        variables: Private::default(),
    };
    ToolRequest {
        run: RunId { generation: GenerationId(7), call: ToolCallId("t-1".to_owned()) },
        tool: Arc::new(tool),
        input: json!({ "seats": 2 }),
        call: Arc::new(call),
        use_case: Arc::new(UseCase::new("reception", "You answer the telephone.")),
        owner: "owner".into(),
    }
}

fn record(server: &Server) -> McpServer {
    McpServer {
        name: "bookings".to_owned(),
        url: format!("http://{}/mcp", server.address),
        headers: BTreeMap::new(),
        allow: ["echo", "hang", "gone"].map(str::to_owned).to_vec(),
        prefix: "crm_".to_owned(),
        timeout: Duration::from_secs(5),
        idempotent: vec!["echo".to_owned()],
    }
}

#[tokio::test]
async fn the_allowed_tools_of_all_pages_are_listed_once() {
    let (server, client) = (Server::start().await, client());
    let record = Arc::new(record(&server));
    let lists = join_all((0..10).map(|_| client.servers.list(Arc::clone(&record)))).await;
    for listed in lists {
        let tools = listed.unwrap();
        let names: Vec<_> = tools.iter().map(|tool| (tool.name.as_str(), tool.idempotent)).collect();
        assert_eq!(names, [("crm_echo", true), ("crm_hang", false)]);
        assert_eq!(tools[0].description.as_deref(), Some("Does echo"));
    }
    assert_eq!(server.memory.lists.load(Ordering::SeqCst), 2, "a request for each page");
    assert_eq!(client.failures(), 0);
}

#[tokio::test]
async fn calls_share_one_session_and_carry_their_key() {
    let (server, client) = (Server::start().await, client());
    let record = record(&server);
    let answers = join_all((0..20).map(|_| client.call(&record, "echo"))).await;
    assert!(answers.iter().all(|answer| *answer == Ok(json!({ "seats": 2 }))), "{answers:?}");
    assert_eq!(server.memory.sessions.load(Ordering::SeqCst), 1);
    let calls = server.calls();
    assert_eq!(calls.len(), 20);
    assert_eq!(calls[0]["_meta"]["trunkline/idempotencyKey"], "CA1:7:t-1");
    assert_eq!(calls[0]["name"], "echo", "as the server has it");
}

#[tokio::test]
async fn network_connections_serve_again_also_when_answers_are_streamed() {
    let (server, client) = (Server::start().await, client());
    let record = record(&server);
    for tool in ["echo", "streamed"] {
        for _ in 0..20 {
            client.call(&record, tool).await.unwrap();
            client.tasks.wait().await;
        }
    }
    let connections = server.memory.connections.load(Ordering::SeqCst);
    assert!(connections <= 6, "{connections} connections for 40 calls");
}

#[tokio::test]
async fn secrets_are_sent_as_headers_and_a_refusal_is_told() {
    let (server, client) = (Server::start().await, client());
    *server.memory.token.lock().unwrap() = Some("Bearer sesame-0");
    let mut record = record(&server);
    let refused = client.call(&record, "echo").await.unwrap_err();
    assert!(refused.contains("refused"), "{refused}");
    let secret = SecretRef::Environment("CRM_TOKEN".to_owned());
    let source = HeaderSource::Secret { prefix: "Bearer ".to_owned(), secret };
    record.headers.insert("authorization".to_owned(), source);
    assert!(client.call(&record, "echo").await.is_ok());
    assert_eq!(client.failures(), 1);
}

#[tokio::test]
async fn a_secret_that_was_changed_is_looked_up_once_more() {
    let (server, client) = (Server::start().await, client());
    let mut record = record(&server);
    let secret = SecretRef::Environment("CRM_TOKEN".to_owned());
    let source = HeaderSource::Secret { prefix: String::new(), secret };
    record.headers.insert("authorization".to_owned(), source);
    for (token, when) in [("sesame-1", "the session begins"), ("sesame-2", "it goes on")] {
        *server.memory.token.lock().unwrap() = Some(token);
        assert!(client.call(&record, "echo").await.is_ok(), "{when}");
    }
    assert_eq!((server.calls().len(), client.failures()), (2, 0));
    *server.memory.token.lock().unwrap() = Some("sesame-99");
    let refused = client.call(&record, "echo").await.unwrap_err();
    assert!(refused.contains("refused"), "{refused}");
    assert_eq!(client.failures(), 1);
}

#[tokio::test]
async fn what_a_tool_does_wrong_is_a_sentence_for_the_model() {
    let (server, client) = (Server::start().await, client());
    let record = record(&server);
    for (tool, sentence, is_of_the_server) in [
        ("fail", "No such booking", false),
        ("large", "more than 16 KiB", false),
        ("nonsense", "Unknown tool", true),
        ("html", "no usable answer", true),
        ("crash", "no usable answer", true),
        ("moved", "refused", true),
    ] {
        let before = client.failures();
        let error = client.call(&record, tool).await.unwrap_err();
        assert!(error.contains(sentence) && !error.contains("4111"), "{tool}: {error}");
        assert_eq!(client.failures() - before, u64::from(is_of_the_server), "{tool}");
        assert!(client.call(&record, "echo").await.is_ok(), "after {tool}");
    }
}

#[tokio::test]
async fn an_address_that_the_guard_refuses_is_never_asked() {
    let (server, client) = (Server::start().await, client());
    let mut record = record(&server);
    record.url = record.url.replace("/mcp", "/metadata");
    let error = client.call(&record, "echo").await.unwrap_err();
    assert!(error.contains("not reachable"), "{error}");
    assert_eq!(client.failures(), 1);
    let listed = client.servers.list(Arc::new(record)).await.unwrap_err();
    assert!(listed.reason.contains("must not be reached"), "{listed}");
    assert_eq!(server.memory.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_may_have_run_is_asked_again_only_when_that_does_no_harm() {
    let (server, client) = (Server::start().await, client());
    let record = record(&server);
    client.call(&record, "crash").await.unwrap_err();
    assert_eq!(server.calls().len(), 1);
    client.call_as(&record, "crash", true).await.unwrap_err();
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test]
async fn a_tool_that_hangs_ends_at_its_deadline_and_holds_up_no_other() {
    let (server, client) = (Server::start().await, client());
    let mut record = record(&server);
    record.timeout = Duration::from_millis(300);
    let (hung, answered) = tokio::join!(client.call(&record, "hang"), client.call(&record, "echo"));
    assert!(hung.unwrap_err().contains("too long"));
    assert!(answered.is_ok());
    assert_eq!(client.failures(), 1);
    assert!(client.call(&record, "echo").await.is_ok());
}

#[tokio::test]
async fn a_forgotten_session_is_begun_again_within_the_call() {
    let (server, client) = (Server::start().await, client());
    let record = record(&server);
    client.call(&record, "echo").await.unwrap();
    server.memory.forget_sessions();
    assert!(client.call(&record, "echo").await.is_ok());
    assert_eq!(server.memory.sessions.load(Ordering::SeqCst), 2);
    assert_eq!((server.calls().len(), client.failures()), (2, 0));
}

#[tokio::test]
async fn a_server_that_vanished_is_told_at_once_and_used_again_when_it_is_back() {
    let (server, client) = (Server::start().await, client());
    let record = record(&server);
    client.call(&record, "echo").await.unwrap();
    let (address, memory) = server.vanish().await;
    let begun = Instant::now();
    let error = client.call(&record, "echo").await.unwrap_err();
    assert!(error.contains("not reachable"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(client.failures(), 1);
    let listed = client.servers.list(Arc::new(record.clone())).await.unwrap_err();
    assert_eq!(listed.server, "bookings");
    let _back = Server::start_at(address, memory).await;
    assert!(client.call(&record, "echo").await.is_ok());
}

#[tokio::test]
async fn a_list_that_hangs_is_given_up_by_all_who_wait() {
    let (server, client) = (Server::start().await, client());
    server.memory.hangs_in_lists.store(true, Ordering::SeqCst);
    let record = Arc::new(record(&server));
    let begun = Instant::now();
    let lists = join_all((0..5).map(|_| client.servers.list(Arc::clone(&record)))).await;
    assert!(lists.iter().all(|listed| listed.as_ref().is_err_and(|error| error.reason.contains("in time"))));
    assert!(begun.elapsed() < Duration::from_secs(4), "they wait together: {:?}", begun.elapsed());
    assert_eq!(server.memory.lists.load(Ordering::SeqCst), 1);
    assert_eq!(client.failures(), 0, "who wanted the list reports it");
}
