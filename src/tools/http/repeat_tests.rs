//! What is asked again after it went wrong, and what the model is told when it must not be.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use voice_core::message::OutcomeStatus;
use voice_core::ports::{ToolResult, ToolRunner};
use voice_core::use_case::{Handler, HeaderSource, HttpTool, SecretRef, Tool};

use super::Settings;
use super::test_service::{Answer, TestService};
use crate::metrics::Counter;
use crate::tools::testing::{self, World, http_tool};

async fn run_in(world: &World, idempotent: bool, http: HttpTool) -> ToolResult {
    let tool = Tool { idempotent, ..Tool::new("lookup", Handler::Http(http.into())) };
    let settings = Settings { allow_private: true, ..Settings::default() };
    world.tools(settings).run(testing::request(tool, json!({}))).await
}

fn words(result: &ToolResult) -> &str {
    assert_eq!(result.outcome.status, OutcomeStatus::Error, "{result:?}");
    result.outcome.content["error"].as_str().unwrap()
}

/// A service that answers each connection with these bytes, and closes it.
async fn raw_service(tasks: &TaskTracker, answers: [&'static str; 2]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tasks.spawn(async move {
        for answer in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            // The body of these requests is an empty object.
            while !request.ends_with(b"{}") {
                connection.read_buf(&mut request).await.unwrap();
            }
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

const DONE: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{\"done\":true}";

#[tokio::test]
async fn a_connection_that_broke_costs_what_may_be_repeated_nothing() {
    for broken in ["", "HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"do"] {
        let (world, tasks) = (World::default(), TaskTracker::new());
        let url = raw_service(&tasks, [broken, DONE]).await;
        let result = run_in(&world, true, http_tool(&url)).await;
        assert_eq!(result.outcome.content, json!({ "done": true }), "{broken}");
        assert_eq!(world.metrics.value(Counter::ToolHttpRetries), 1);
    }
}

#[tokio::test]
async fn a_connection_that_broke_is_told_of_what_must_not_be_repeated() {
    for (broken, told) in [
        ("", "Whether the request had an effect is not known."),
        ("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"do", "Do not repeat the request."),
    ] {
        let (world, tasks) = (World::default(), TaskTracker::new());
        let url = raw_service(&tasks, [broken, DONE]).await;
        let result = run_in(&world, false, http_tool(&url)).await;
        assert!(words(&result).ends_with(told), "{result:?}");
        assert_eq!(world.metrics.value(Counter::ToolHttpRetries), 0);
    }
}

#[tokio::test]
async fn what_was_perhaps_done_does_not_read_as_if_it_was_not() {
    let page = || Answer::new(201, "text/html", "<h1>Thank you</h1>");
    let accepted = "The service accepted the request (status 201 Created), but its answer cannot be used: a web page \
                    instead of data. Do not repeat the request.";
    let moved = || Answer::new(307, "", "").with_header("location", "/elsewhere");
    let not_known = "Whether the request had an effect is not known.";
    for (answer, told) in [
        (page(), accepted.to_owned()),
        (
            moved(),
            format!("The service answered with a redirect, which this tool does not follow. {not_known}"),
        ),
        (
            Answer::new(500, "text/plain", "Oh no!"),
            format!("The service answered with status 500 Internal Server Error: Oh no! {not_known}"),
        ),
        (
            Answer::new(409, "text/plain", "too late"),
            "The service answered with status 409 Conflict: too late.".to_owned(),
        ),
    ] {
        let service = TestService::start([answer]).await;
        let result = run_in(&World::default(), false, http_tool(&service.url("/"))).await;
        assert_eq!(words(&result), told);
    }
    let service = TestService::start([page()]).await;
    let result = run_in(&World::default(), true, http_tool(&service.url("/"))).await;
    assert_eq!(words(&result), "The service answered with a web page instead of data.");
}

#[tokio::test]
async fn a_secret_that_is_refused_is_looked_up_again() {
    for (status, idempotent, attempts) in [(401, true, 2), (403, true, 2), (401, false, 1), (404, true, 1)] {
        let world = World::default();
        let name = "TOOL_SECRET_TOKEN".to_owned();
        world.others.secrets.lock().unwrap().insert(name.clone(), "old".to_owned());
        world.others.newer.lock().unwrap().insert(name.clone(), "new".to_owned());
        let refused = || Answer::new(status, "text/plain", "no");
        let service = TestService::start([refused(), refused(), refused()]).await;
        let secret = || SecretRef::Environment(name.clone());
        let header = HeaderSource::Secret { prefix: String::new(), secret: secret() };
        let headers = [("Authorization".to_owned(), header)].into();
        let http = HttpTool { headers, signing_secret: Some(secret()), ..http_tool(&service.url("/")) };
        let result = run_in(&world, idempotent, http.clone()).await;
        assert!(words(&result).contains(&status.to_string()), "{result:?}");
        let requests = service.requests();
        let sent: Vec<_> = requests.iter().map(|request| request.header("authorization")).collect();
        assert_eq!(sent, ["old", "new"][..attempts], "{status} {idempotent}");
        run_in(&world, idempotent, http).await;
        let third = service.requests().pop().unwrap();
        assert_eq!(third.header("authorization"), if status == 404 { "old" } else { "new" });
        assert_eq!(service.requests().len(), attempts + 1, "the same secret is not sent twice");
    }
}
