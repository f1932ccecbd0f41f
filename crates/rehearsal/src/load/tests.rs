//! A whole load run against a small service that answers every prompt with two tokens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::header;
use axum::routing::{any, post};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use url::form_urlencoded;
use voice_protocols::relay::Inbound;

use super::*;
use crate::bedrock::{Observation, Observer as _};
use crate::twilio::{Carrier, CarrierOptions, SpeechPace};

#[derive(Clone)]
struct Service {
    observer: Arc<LoadObserver>,
    /// How many prompts of a call the service answers before it closes the socket.
    patience: usize,
    /// What it asks before it answers.
    tool: Option<String>,
}

async fn webhook(body: String) -> ([(header::HeaderName, &'static str); 1], String) {
    let sid =
        form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "CallSid").unwrap().1.into_owned();
    let twiml = format!(
        "<Response><Connect action=\"/twiml/ended/{sid}\"><ConversationRelay url=\"wss://agent.example/relay/{sid}\" \
         events=\"tokens-played speaker-events\" welcomeGreeting=\"Hello.\"/></Connect></Response>"
    );
    ([(header::CONTENT_TYPE, "text/xml")], twiml)
}

async fn converse(mut socket: WebSocket, service: Service, call: String) {
    let mut answered = 0;
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { continue };
        if !matches!(Inbound::parse(text.as_str()), Ok(Inbound::Prompt(_))) {
            continue;
        }
        if answered == service.patience {
            return;
        }
        answered += 1;
        if let Some(url) = &service.tool {
            run_tool(&service.observer, &call, url).await;
        }
        let call = Some(call.clone());
        service.observer.observe(Observation::RequestArrived { call: call.clone(), at: Instant::now() });
        for (index, token) in ["Yes, ", "sir."].into_iter().enumerate() {
            let index = u32::try_from(index).unwrap();
            service.observer.observe(Observation::TokenSent {
                call: call.clone(),
                index,
                at: Instant::now(),
            });
            let frame = serde_json::json!({ "type": "text", "token": token, "last": index == 1 });
            socket.send(Message::text(frame.to_string())).await.unwrap();
        }
    }
}

/// A generation that calls the tool, and the request to it.
async fn run_tool(observer: &LoadObserver, call: &str, url: &str) {
    observer.observe(Observation::RequestArrived { call: Some(call.to_owned()), at: Instant::now() });
    observer.observe(Observation::Finished { call: Some(call.to_owned()), at: Instant::now() });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.post(url).json(&serde_json::json!({ "call": call })).send().await.unwrap();
}

async fn carrier(service: Service) -> (Carrier, TaskTracker) {
    let relay = |upgrade: WebSocketUpgrade, Path(call): Path<String>, State(service): State<Service>| async move {
        upgrade.on_upgrade(|socket| converse(socket, service, call))
    };
    let router = Router::new()
        .route("/twiml", post(webhook))
        .route("/twiml/ended/{call}", post(webhook))
        .route("/relay/{call}", any(relay))
        .with_state(service);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    tasks.spawn(async move { axum::serve(listener, router).await });
    let options = CarrierOptions {
        service: format!("http://{address}").parse().unwrap(),
        public_url: "https://agent.example".to_owned(),
        auth_token: None,
        connect_to: None,
        speech: SpeechPace::INSTANT,
    };
    (Carrier::new(options).unwrap(), tasks)
}

fn plan() -> LoadPlan {
    let limits = Limits {
        added_p50_ms: Some(1000.0),
        added_p99_ms: Some(5000.0),
        cpu_per_turn_ms: Some(1000.0),
        twiml_p99_ms: Some(10_000.0),
        ..Limits::default()
    };
    LoadPlan { calls: 5, turns: 3, ramp: Duration::from_millis(10), limits, ..LoadPlan::default() }
}

#[tokio::test]
async fn a_service_that_keeps_up_passes() {
    let observer = Arc::new(LoadObserver::new());
    let (carrier, _tasks) =
        carrier(Service { observer: Arc::clone(&observer), patience: usize::MAX, tool: None }).await;
    let twiml_requests = Some(TwimlRequests { count: 20, rate: 1000.0 });
    let plan = LoadPlan { twiml_requests, ..plan() };
    let report = run(plan, carrier, observer, Some(std::process::id())).await.unwrap();
    assert_eq!((report.turns, report.error_count()), (15, 0), "{report}");
    assert_eq!((report.added_delay.len(), report.token_delay.len(), report.twiml.len()), (15, 30, 20));
    assert!(report.passed(), "{report}");
    assert!(report.to_string().contains("PASS  added delay p99"), "{report}");
}

#[tokio::test]
async fn the_dispatch_of_tools_is_measured_without_the_tools_own_time() {
    let observer = Arc::new(LoadObserver::new());
    let endpoint = ToolEndpoint::start(Arc::clone(&observer)).await.unwrap();
    let tool = Some(endpoint.url());
    let (carrier, _tasks) =
        carrier(Service { observer: Arc::clone(&observer), patience: usize::MAX, tool }).await;
    let limits = Limits { dispatch_p99_ms: Some(5000.0), ..Limits::default() };
    let plan = LoadPlan { tools: Some(ToolKind::Http), limits, ..plan() };
    let report = run(plan, carrier, observer, None).await.unwrap();
    assert_eq!((report.turns, report.dispatch_delay.len(), report.added_delay.len()), (15, 15, 15));
    let shown = report.to_string();
    assert!(report.passed() && shown.contains("PASS  tool dispatch p99"), "{shown}");
    endpoint.shutdown().await;
}

#[tokio::test]
async fn a_turn_in_which_no_tool_ran_is_an_error() {
    let observer = Arc::new(LoadObserver::new());
    let (carrier, _tasks) =
        carrier(Service { observer: Arc::clone(&observer), patience: usize::MAX, tool: None }).await;
    let plan = LoadPlan { tools: Some(ToolKind::Builtin), ..plan() };
    let report = run(plan, carrier, observer, None).await.unwrap();
    assert_eq!((report.error_count(), report.passed()), (15, false), "{report}");
}

#[tokio::test]
async fn a_missed_limit_fails() {
    let observer = Arc::new(LoadObserver::new());
    let (carrier, _tasks) =
        carrier(Service { observer: Arc::clone(&observer), patience: usize::MAX, tool: None }).await;
    let limits = Limits { added_p50_ms: Some(0.0), cpu_per_turn_ms: Some(1000.0), ..Limits::default() };
    let report = run(LoadPlan { limits, ..plan() }, carrier, observer, None).await.unwrap();
    assert!(!report.passed());
    let shown = report.to_string();
    assert!(
        shown.contains("FAIL  added delay p50") && shown.contains("CPU per turn         not measured"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_lost_socket_is_an_error() {
    let observer = Arc::new(LoadObserver::new());
    let (carrier, _tasks) =
        carrier(Service { observer: Arc::clone(&observer), patience: 1, tool: None }).await;
    let report = run(plan(), carrier, observer, None).await.unwrap();
    assert_eq!((report.turns, report.error_count()), (5, 5), "{report}");
    assert!(!report.passed());
}

#[tokio::test]
async fn a_plan_without_sense_is_refused() {
    let observer = Arc::new(LoadObserver::new());
    let (carrier, _tasks) =
        carrier(Service { observer: Arc::clone(&observer), patience: 1, tool: None }).await;
    for plan in [
        LoadPlan { calls: 0, ..plan() },
        LoadPlan { turns: 0, ..plan() },
        LoadPlan { calls: 20_000, turns: 20_000, ..plan() },
        LoadPlan { idle: Duration::MAX, ..plan() },
        LoadPlan { twiml_requests: Some(TwimlRequests { count: 1, rate: 0.0 }), ..plan() },
    ] {
        assert!(run(plan, carrier.clone(), Arc::clone(&observer), None).await.is_err());
    }
}
