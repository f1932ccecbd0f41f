//! Where redirects lead, and where they must not.

use serde_json::{Value, json};
use voice_core::message::OutcomeStatus;
use voice_core::ports::{ToolResult, ToolRunner};
use voice_core::use_case::{Handler, HeaderSource, HttpBody, HttpTool, SecretRef, Tool};

use super::Settings;
use super::test_service::{Answer, TestService};
use crate::metrics::Counter;
use crate::tools::testing::{self, World, http_tool};

fn tool(http: HttpTool) -> Tool {
    Tool { idempotent: true, ..Tool::new("lookup", Handler::Http(http.into())) }
}

async fn run_in(world: &World, settings: Settings, tool: Tool) -> ToolResult {
    world.tools(settings).run(testing::request(tool, json!({ "a": 1 }))).await
}

fn private() -> Settings {
    Settings { allow_private: true, ..Settings::default() }
}

async fn run(tool: Tool) -> ToolResult {
    run_in(&World::default(), private(), tool).await
}

fn words(result: &ToolResult) -> &str {
    assert_eq!(result.outcome.status, OutcomeStatus::Error, "{result:?}");
    result.outcome.content["error"].as_str().unwrap()
}

fn to(status: u16, location: &str) -> Answer {
    Answer::new(status, "", "").with_header("location", location)
}

fn done() -> Answer {
    Answer::json(&json!({ "done": true }))
}

#[tokio::test]
async fn a_redirect_changes_the_method_as_browsers_do() {
    for (status, method, has_body) in [
        (301, "GET", false),
        (302, "GET", false),
        (303, "GET", false),
        (307, "POST", true),
        (308, "POST", true),
    ] {
        let service = TestService::start([to(status, "/moved?x=1"), done()]).await;
        let result = run(tool(http_tool(&service.url("/start")))).await;
        assert_eq!(result.outcome.content, json!({ "done": true }));
        let second = service.requests().remove(1);
        assert_eq!((second.method.as_str(), second.uri.as_str()), (method, "/moved?x=1"), "{status}");
        assert_eq!(!second.body.is_empty(), has_body, "{status}");
        assert_eq!(second.headers.contains_key("content-type"), has_body, "{status}");
    }
}

#[tokio::test]
async fn secrets_and_signatures_stay_with_their_host() {
    let world = World::default();
    world.others.secrets.lock().unwrap().insert("TOOL_SECRET_KEY".to_owned(), "s3cret".to_owned());
    let secret = || SecretRef::Environment("TOOL_SECRET_KEY".to_owned());
    let (other, first) = (TestService::start([to(307, "/on"), done()]).await, TestService::start([]).await);
    first.answer_with([to(307, "/here"), to(307, &other.url("/there"))]);
    let headers = [
        ("Authorization", HeaderSource::Secret { prefix: String::new(), secret: secret() }),
        ("X-Api-Key", HeaderSource::Template("literal".to_owned())),
    ];
    let headers = headers.map(|(name, source)| (name.to_owned(), source)).into();
    let http = HttpTool { headers, signing_secret: Some(secret()), ..http_tool(&first.url("/")) };
    let result = run_in(&world, private(), tool(http)).await;
    assert_eq!(result.outcome.content, json!({ "done": true }));
    let here = first.requests();
    assert_eq!(here.len(), 2);
    assert!(here.iter().all(|request| request.header("authorization") == "s3cret"));
    assert_ne!(
        here[0].header("x-trunkline-signature"),
        here[1].header("x-trunkline-signature"),
        "the path is signed"
    );
    let there = other.requests();
    assert_eq!(there.len(), 2);
    for request in there {
        for name in ["authorization", "x-api-key", "x-trunkline-signature", "referer"] {
            assert!(!request.headers.contains_key(name), "{name} left its host");
        }
    }
}

#[tokio::test]
async fn a_redirect_to_what_is_out_of_reach_is_refused() {
    for location in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://0xa9fea9fe/",
        "http://user:secret@127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
    ] {
        let service = TestService::start([to(302, location)]).await;
        let result = run(tool(http_tool(&service.url("/")))).await;
        assert_eq!(
            words(&result),
            "The service must not be asked: its address is not allowed.",
            "{location}"
        );
    }
}

#[tokio::test]
async fn a_redirect_to_a_host_that_is_not_listed_is_refused() {
    let other = TestService::start([done()]).await;
    let service = TestService::start([to(307, &other.url("/").replace("127.0.0.1", "localhost"))]).await;
    let settings = Settings { allowed_hosts: vec!["127.0.0.1".parse().unwrap()], allow_private: true };
    let result = run_in(&World::default(), settings, tool(http_tool(&service.url("/")))).await;
    assert!(words(&result).contains("not allowed"), "{result:?}");
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn a_name_of_this_machine_is_found_out_when_it_is_resolved() {
    let service = TestService::start([done()]).await;
    let url = service.url("/").replace("http://127.0.0.1", "https://localhost");
    let result = run_in(&World::default(), Settings::default(), tool(http_tool(&url))).await;
    assert!(words(&result).contains("not allowed"), "{result:?}");
    let literal = run_in(&World::default(), Settings::default(), tool(http_tool(&service.url("/")))).await;
    assert!(words(&literal).contains("not allowed"), "{literal:?}");
    assert!(service.requests().is_empty());
}

#[tokio::test]
async fn redirects_end() {
    let world = World::default();
    let service = TestService::start((0..9).map(|_| to(302, "/again"))).await;
    let result = run_in(&world, private(), tool(http_tool(&service.url("/")))).await;
    assert!(words(&result).contains("one redirect after the other"), "{result:?}");
    assert_eq!(service.requests().len(), 4);
    let service = TestService::start([Answer::new(302, "", "")]).await;
    let result = run_in(&world, private(), tool(http_tool(&service.url("/")))).await;
    assert!(words(&result).contains("redirect to nowhere"), "{result:?}");
    assert_eq!(world.metrics.value(Counter::ToolResponsesRefused), 2);
}

#[tokio::test]
async fn what_must_not_happen_twice_follows_no_redirect() {
    let service = TestService::start([to(307, "/again"), done()]).await;
    let http = HttpTool { body: HttpBody::Template(Value::from("x")), ..http_tool(&service.url("/")) };
    let result = run(Tool { idempotent: false, ..tool(http) }).await;
    assert!(words(&result).contains("does not follow"), "{result:?}");
    assert_eq!(service.requests().len(), 1);
}
