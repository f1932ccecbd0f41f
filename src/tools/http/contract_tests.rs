//! The `http` handler against a service over real sockets: what it sends, and what it makes of every answer.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use voice_core::message::OutcomeStatus;
use voice_core::ports::{ToolResult, ToolRunner};
use voice_core::use_case::{Handler, HeaderSource, HttpBody, HttpTool, ResponseMapping, SecretRef, Tool};

use super::Settings;
use super::test_service::{Answer, TestService};
use crate::metrics::Counter;
use crate::tools::testing::{self, World, http_tool};

/// Enough on one machine, and short enough to wait for.
const TIMEOUT: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(200);

fn tool(http: HttpTool) -> Tool {
    Tool { timeout: TIMEOUT, ..Tool::new("lookup", Handler::Http(http.into())) }
}

async fn run_in(world: &World, tool: Tool, arguments: Value) -> ToolResult {
    let settings = Settings { allow_private: true, ..Settings::default() };
    world.tools(settings).run(testing::request(tool, arguments)).await
}

async fn run(tool: Tool, arguments: Value) -> ToolResult {
    run_in(&World::default(), tool, arguments).await
}

fn words(result: &ToolResult) -> &str {
    assert_eq!(result.outcome.status, OutcomeStatus::Error, "{result:?}");
    result.outcome.content["error"].as_str().unwrap()
}

#[tokio::test]
async fn a_request_names_its_run_and_its_call_and_the_answer_is_the_outcome() {
    let service = TestService::start([Answer::json(&json!({ "status": "confirmed" }))]).await;
    let http = HttpTool { body: HttpBody::ArgumentsAndCall, ..http_tool(&service.url("/tools/lookup")) };
    let result = run(tool(http), json!({ "number": "A-1" })).await;
    assert_eq!(result.outcome.content, json!({ "status": "confirmed" }));
    let requests = service.requests();
    let [request] = requests.as_slice() else { panic!("not one request: {requests:?}") };
    assert_eq!((request.method.as_str(), request.uri.as_str()), ("POST", "/tools/lookup"));
    assert_eq!(request.header("idempotency-key"), "CA1:3:t-1");
    assert_eq!(request.header("x-trunkline-call"), "CA1");
    assert_eq!(request.header("content-type"), "application/json");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!((&body["number"], &body["call"]["sid"]), (&json!("A-1"), &json!("CA1")));
}

#[tokio::test]
async fn every_kind_of_answer_has_its_outcome() {
    let page = "<html><h1>Sign in</h1></html>";
    for (answer, outcome) in [
        (Answer::json(&json!([1, 2])), Ok(json!({ "result": [1, 2] }))),
        (Answer::new(200, "text/plain", "Yes"), Ok(json!({ "result": "Yes" }))),
        (Answer::new(204, "", ""), Ok(json!({ "ok": true }))),
        (Answer::new(200, "text/html", page), Err("a web page instead of data")),
        (Answer::new(200, "application/json", "{"), Err("JSON that cannot be read")),
        (Answer::new(200, "text/plain", &"x".repeat(5000)), Err("more data than this tool may read")),
        (
            Answer::new(200, "text/plain", &"x".repeat(5000)).in_chunks(),
            Err("more data than this tool may read"),
        ),
        (
            Answer::new(404, "application/json", r#"{"message":"No such order"}"#),
            Err("404 Not Found: No such order"),
        ),
        (Answer::new(500, "text/html", page), Err("500 Internal Server Error.")),
    ] {
        let world = World::default();
        let service = TestService::start([answer]).await;
        let http = HttpTool { largest_response: 4096, ..http_tool(&service.url("/")) };
        let result = run_in(&world, tool(http), json!({})).await;
        match outcome {
            Ok(content) => assert_eq!(result.outcome.content, content),
            Err(told) => {
                assert!(words(&result).contains(told), "{result:?}");
                let refused = u64::from(!told.starts_with(char::is_numeric));
                assert_eq!(world.metrics.value(Counter::ToolResponsesRefused), refused, "{told}");
            }
        }
    }
}

#[tokio::test]
async fn a_mapping_takes_parts_and_what_is_missing_among_them_is_null() {
    let service = TestService::start((0..2).map(|_| Answer::json(&json!({ "data": { "a": 1 } })))).await;
    let fields = [("a", "/data/a"), ("b", "/data/b")].map(|(name, at)| (name.to_owned(), at.to_owned()));
    let http = |response| HttpTool { response, ..http_tool(&service.url("/")) };
    let result = run(tool(http(ResponseMapping::Fields(fields.into()))), json!({})).await;
    assert_eq!(result.outcome.content, json!({ "a": 1, "b": null }));
    let result = run(tool(http(ResponseMapping::At("/data/b".to_owned()))), json!({})).await;
    assert!(
        words(&result).contains("accepted") && words(&result).contains("nothing at /data/b"),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_service_that_hangs_costs_the_tools_time_and_no_more() {
    for answer in [Answer::never(), Answer::json(&json!({})).that_stalls()] {
        let service = TestService::start([answer]).await;
        let tool = Tool { timeout: SHORT, ..tool(http_tool(&service.url("/"))) };
        let result = tokio::time::timeout(TIMEOUT, run(tool, json!({}))).await.unwrap();
        assert!(words(&result).contains("took too long"), "{result:?}");
    }
}

#[tokio::test]
async fn only_what_may_be_repeated_is() {
    for (is_idempotent, status, attempts) in [
        (true, 503, 3),
        (true, 429, 3),
        (true, 502, 3),
        (true, 504, 3),
        (true, 500, 1),
        (true, 400, 1),
        (false, 503, 1),
    ] {
        let world = World::default();
        let busy = || Answer::new(status, "text/plain", "busy");
        let service = TestService::start([busy(), busy(), Answer::json(&json!({ "at": "last" }))]).await;
        let tool = Tool { idempotent: is_idempotent, ..tool(http_tool(&service.url("/"))) };
        let result = run_in(&world, tool, json!({})).await;
        assert_eq!(service.requests().len(), attempts, "{is_idempotent} {status}");
        if attempts == 3 {
            assert_eq!(result.outcome.content, json!({ "at": "last" }));
        } else {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(words(&result).contains(&format!("{status}: busy")), "{result:?}");
        }
        let retries = u64::try_from(attempts - 1).unwrap();
        assert_eq!(world.metrics.value(Counter::ToolHttpRetries), retries);
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_tried_again_only_when_that_is_harmless() {
    for (idempotent, retries) in [(true, 2), (false, 0)] {
        let world = World::default();
        let url = TestService::start([]).await.gone().await;
        let result = run_in(&world, Tool { idempotent, ..tool(http_tool(&url)) }, json!({})).await;
        assert!(words(&result).contains("cannot be reached"), "{result:?}");
        assert_eq!(world.metrics.value(Counter::ToolHttpRetries), retries);
    }
}

#[tokio::test]
async fn a_service_is_not_asked_again_sooner_than_it_wants() {
    for (seconds, timeout, attempts) in
        [("1", TIMEOUT, 2), ("3", TIMEOUT, 1), ("1", Duration::from_millis(900), 1)]
    {
        let busy = Answer::new(503, "text/plain", "busy").with_header("retry-after", seconds);
        let service = TestService::start([busy, Answer::json(&json!({}))]).await;
        let tool = Tool { idempotent: true, timeout, ..tool(http_tool(&service.url("/"))) };
        run(tool, json!({})).await;
        let requests = service.requests();
        assert_eq!(requests.len(), attempts, "{seconds}");
        if let [first, second] = requests.as_slice() {
            assert!(second.at - first.at >= Duration::from_secs(1));
            assert_eq!(first.header("idempotency-key"), second.header("idempotency-key"));
        }
    }
}

#[tokio::test]
async fn a_signature_can_be_verified_by_somebody_else() {
    let world = World::default();
    world.others.secrets.lock().unwrap().insert("TOOL_SECRET_KEY".to_owned(), "s3cret".to_owned());
    let service = TestService::start([Answer::json(&json!({}))]).await;
    let http = HttpTool {
        signing_secret: Some(SecretRef::Environment("TOOL_SECRET_KEY".to_owned())),
        ..http_tool(&service.url("/tools/{{ args.name }}?v=1"))
    };
    run_in(&world, tool(http), json!({ "name": "look up" })).await;
    let request = service.requests().remove(0);
    let (at, signature) = request.header("x-trunkline-signature").split_once(",v1=").unwrap();
    let at = at.strip_prefix("t=").unwrap();
    assert!((jiff::Timestamp::now().as_second() - at.parse::<i64>().unwrap()).abs() < 60);
    let mut signed = format!("{at}.POST./tools/look%20up?v=1.").into_bytes();
    signed.extend_from_slice(&request.body);
    assert_eq!(signature, hmac_sha256(b"s3cret", &signed));
}

/// RFC 2104, for keys of at most one block.
fn hmac_sha256(key: &[u8], text: &[u8]) -> String {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        block.iter_mut().zip(key).for_each(|(padded, key)| *padded ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    outer.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).map(char::from).collect()
}

#[tokio::test]
async fn secrets_are_sent_and_a_missing_one_is_spoken_about() {
    let world = World::default();
    let service = TestService::start([Answer::json(&json!({}))]).await;
    let secret = SecretRef::Environment("TOOL_SECRET_TOKEN".to_owned());
    let source = HeaderSource::Secret { prefix: "Bearer ".to_owned(), secret };
    let http =
        HttpTool { headers: [("Authorization".to_owned(), source)].into(), ..http_tool(&service.url("/")) };
    let missing = run_in(&world, tool(http.clone()), json!({})).await;
    assert_eq!(words(&missing), "The service cannot be asked at the moment.");
    world.others.secrets.lock().unwrap().insert("TOOL_SECRET_TOKEN".to_owned(), "t0ken".to_owned());
    run_in(&world, tool(http), json!({})).await;
    assert_eq!(service.requests()[0].header("authorization"), "Bearer t0ken");
}

#[tokio::test]
async fn arguments_stay_where_they_belong() {
    let service = TestService::start([Answer::json(&json!({}))]).await;
    let header = HeaderSource::Template("{{ args.note }}".to_owned());
    let http = HttpTool {
        headers: [("X-Note".to_owned(), header)].into(),
        ..http_tool(&service.url("/orders/{{ args.id }}"))
    };
    let injected = json!({ "id": "1", "note": "x\r\nX-Admin: yes" });
    assert!(words(&run(tool(http.clone()), injected).await).contains("characters"));
    let climbing = json!({ "id": "..", "note": "x" });
    assert!(words(&run(tool(http.clone()), climbing).await).contains("address"));
    assert!(service.requests().is_empty(), "nothing was sent");
    run(tool(http), json!({ "id": "../admin?all=1#@evil.example", "note": "x" })).await;
    assert_eq!(service.requests()[0].uri, "/orders/..%2Fadmin%3Fall%3D1%23%40evil.example");
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let service = TestService::start((0..5).map(|_| Answer::json(&json!({})))).await;
    let tools = World::default().tools(Settings { allow_private: true, ..Settings::default() });
    for _ in 0..5 {
        tools.run(testing::request(tool(http_tool(&service.url("/"))), json!({}))).await;
    }
    let mut peers: Vec<_> = service.requests().iter().map(|request| request.peer).collect();
    peers.dedup();
    assert_eq!(peers.len(), 1);
}
