//! The service as a task of ECS: what its agent is asked, and when.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::put;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use trunkline::metrics::Counter;
use trunkline_dev::stage::Stage;

use crate::bare::eventually;
use crate::socket::connected;
use crate::support::{DEFAULT, SOON, finish, stage_with, use_case, webhook};

const TASK: &str = "arn:aws:ecs:us-east-1:123456789012:task/calls/0123";

/// Stands in for the agent beside a task, and answers as ECS documents it.
struct AgentStandIn {
    uri: String,
    asked: mpsc::Receiver<Value>,
    state: Arc<Agent>,
    _server: AbortOnDropHandle<()>,
}

struct Agent {
    asked: mpsc::Sender<Value>,
    /// What is answered before it does anything.
    refusals: Mutex<Vec<Value>>,
    is_protected: Mutex<bool>,
}

async fn update(State(agent): State<Arc<Agent>>, Json(body): Json<Value>) -> Json<Value> {
    agent.asked.send(body.clone()).await.unwrap();
    if let Some(refusal) = agent.refusals.lock().unwrap().pop() {
        return Json(refusal);
    }
    let enabled = body["ProtectionEnabled"].as_bool().expect("a boolean");
    *agent.is_protected.lock().unwrap() = enabled;
    let expires = enabled.then_some("2027-01-01T00:00:00Z");
    let protection = json!({ "ExpirationDate": expires, "ProtectionEnabled": enabled, "TaskArn": TASK });
    Json(json!({ "protection": protection }))
}

impl AgentStandIn {
    async fn start(refusals: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/api/0123", listener.local_addr().unwrap());
        let (to_asked, asked) = mpsc::channel(100);
        let state = Arc::new(Agent {
            asked: to_asked,
            refusals: Mutex::new(refusals),
            is_protected: Mutex::default(),
        });
        let routes = Router::new().route("/api/0123/task-protection/v1/state", put(update));
        let routes = routes.with_state(Arc::clone(&state));
        let server = TaskTracker::new().spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { uri, asked, state, _server: AbortOnDropHandle::new(server) }
    }

    async fn next(&mut self) -> Value {
        timeout(SOON, self.asked.recv()).await.expect("the agent is asked").unwrap()
    }

    fn is_protected(&self) -> bool {
        *self.state.is_protected.lock().unwrap()
    }
}

async fn task(agent: &AgentStandIn) -> Stage {
    stage_with(&[("ECS_AGENT_URI", &agent.uri)], [use_case(DEFAULT, json!({}))]).await
}

#[tokio::test]
async fn a_task_that_stops_is_protected_until_its_last_call_is_over() {
    let mut agent = AgentStandIn::start(Vec::new()).await;
    let mut stage = task(&agent).await;
    let mut socket = connected(&stage).await;
    assert_eq!(agent.next().await, json!({ "ProtectionEnabled": true, "ExpiresInMinutes": 60 }));
    stage.stop.cancel();
    eventually("no calls are taken", || stage.metrics.value(Counter::SessionsStarted) == 1).await;
    socket.say("Are you still there?").await;
    socket.agent_turn().await;
    assert!(agent.asked.try_recv().is_err() && agent.is_protected(), "the call goes on");
    drop(socket);
    assert_eq!(agent.next().await, json!({ "ProtectionEnabled": false }));
    finish(&mut stage).await;
    assert!(agent.asked.try_recv().is_err() && !agent.is_protected());
    assert_eq!(stage.metrics.value(Counter::ProtectionFailures), 0);
}

#[tokio::test]
async fn an_agent_that_refuses_is_asked_again_and_no_call_notices() {
    let denied = json!({
        "requestID": "r-1",
        "error": { "Arn": TASK, "Code": "AccessDeniedException", "Message": "not authorized" },
    });
    let mut agent = AgentStandIn::start(vec![denied]).await;
    let mut stage = task(&agent).await;
    let mut socket = connected(&stage).await;
    let protect = agent.next().await;
    socket.say("Hello").await;
    socket.agent_turn().await;
    assert_eq!(agent.next().await, protect, "a little later");
    eventually("it is protected", || agent.is_protected()).await;
    assert_eq!(stage.metrics.value(Counter::ProtectionFailures), 1);
    drop(socket);
    finish(&mut stage).await;
    assert!(!agent.is_protected());
}

#[tokio::test]
async fn a_task_without_calls_asks_for_nothing_and_one_without_an_agent_answers_calls() {
    let mut agent = AgentStandIn::start(Vec::new()).await;
    let mut idle = task(&agent).await;
    finish(&mut idle).await;
    assert!(agent.asked.try_recv().is_err());
    let uri = [("ECS_AGENT_URI", "http://127.0.0.1:1")];
    let alone = stage_with(&uri, [use_case(DEFAULT, json!({}))]).await;
    webhook(&alone, "/twiml").post().await.relay();
    let metrics = alone.metrics.clone();
    eventually("it is counted", || metrics.value(Counter::ProtectionFailures) > 0).await;
    alone.stop.cancel();
}
