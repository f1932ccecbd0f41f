//! What the service tells a collector and its log, and that neither can hold it up.

mod dashboards;
mod receiver;
mod samples;

use std::process::Stdio;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use futures_util::future::join_all;
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;
use trunkline::metrics::{Counter, Metrics};
use voice_protocols::signature::sign;

use crate::support::{AT_ONCE, DEFAULT, SOON, ask, call_with, finish, profile, stage_with, use_case};
use receiver::Receiver;
use rehearsal::twilio::CallOptions;
use samples::{MODEL, SECRETS, call, session, telemetry_to, told, turn};

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_call_is_told_whole_when_the_service_stops() {
    let receiver = told().await;
    let names: Vec<_> = receiver.spans().into_iter().map(|span| span.name).collect();
    for expected in ["turn", &format!("chat {MODEL}"), "execute_tool get_order", "session", "call"] {
        assert!(names.iter().any(|name| name == expected), "{expected} is not among {names:?}");
    }
    let spans = receiver.spans();
    assert!(spans.iter().all(|span| span.trace_id == spans[0].trace_id && span.span_id.len() == 8));
    let measured: Vec<_> = receiver.metrics().into_iter().map(|metric| metric.name).collect();
    for expected in [
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
        "trunkline.turn.first_text",
        "trunkline.model.cost_usd",
        "trunkline.calls.answered",
    ] {
        assert!(measured.iter().any(|name| name == expected), "{expected} is not among {measured:?}");
    }
    let resource = format!("{:?}", receiver.resource());
    assert!(resource.contains("voice") && resource.contains("service.instance.id"), "{resource}");
    assert!(resource.contains("deployment.environment.name"), "{resource}");
}

#[tokio::test]
async fn nothing_private_is_exported() {
    let receiver = told().await;
    let exported = receiver.bytes();
    assert!(contains(&exported, "execute_tool"), "nothing was exported");
    for secret in SECRETS {
        assert!(!contains(&exported, secret), "{secret} was exported");
    }
}

#[tokio::test]
async fn a_call_to_the_service_reaches_the_collector_without_its_words() {
    let receiver = Receiver::start().await;
    let endpoint = receiver.endpoint();
    let known = json!({ "firstName": "Peregrina" });
    let items = [use_case(DEFAULT, json!({})), profile("+14155557391", known)];
    let mut stage = stage_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)], items).await;
    let options = CallOptions {
        from: "+14155557391".to_owned(),
        to: "+15550198264".to_owned(),
        ..CallOptions::default()
    };
    let mut call = call_with(&stage, AT_ONCE, options).await;
    ask(&mut call, "I would like some marmalade.").await;
    call.hang_up().await.unwrap();
    finish(&mut stage).await;
    assert_eq!(receiver.value("trunkline.calls.answered"), Some(1));
    assert_eq!(receiver.value("trunkline.calls.active"), Some(0));
    for secret in SECRETS {
        assert!(!contains(&receiver.bytes(), secret), "{secret} was exported");
    }
}

#[tokio::test]
async fn a_collector_that_is_down_costs_spans_and_no_time() {
    // Nothing listens there.
    let endpoint = "http://127.0.0.1:9";
    let metrics = Metrics::default();
    let telemetry = telemetry_to(endpoint, metrics.clone());
    let (observer, call, turn) = (telemetry.observer(), call(), turn());
    let started = Instant::now();
    for _ in 0..3000 {
        observer.turn_ended(&call, &turn);
    }
    let dropped = metrics.value(Counter::SpansDropped);
    assert!(dropped > 10_000, "the queue has a bound: {dropped}");
    assert!(started.elapsed() < SOON);
    timeout(Duration::from_secs(5), telemetry.shut_down()).await.expect("nobody waits for a collector");
    assert!(metrics.value(Counter::SpansDropped) > dropped);
    assert!(metrics.value(Counter::ExportsFailed) > 0);
}

#[tokio::test]
async fn a_collector_that_is_busy_is_asked_again() {
    let receiver = Receiver::start().await;
    receiver.refuse("traces", StatusCode::SERVICE_UNAVAILABLE);
    let metrics = Metrics::default();
    let telemetry = telemetry_to(&receiver.endpoint(), metrics.clone());
    telemetry.observer().session_ended(&call(), &session());
    receiver.until(SOON, |receiver| receiver.spans().len() == 2).await;
    telemetry.shut_down().await;
    assert_eq!(metrics.value(Counter::SpansDropped), 0);
    assert_eq!(metrics.value(Counter::ExportsFailed), 1);
}

#[tokio::test]
async fn what_a_collector_does_not_want_is_not_sent_again() {
    let receiver = Receiver::start().await;
    receiver.refuse("traces", StatusCode::BAD_REQUEST);
    let metrics = Metrics::default();
    let telemetry = telemetry_to(&receiver.endpoint(), metrics.clone());
    telemetry.observer().session_ended(&call(), &session());
    telemetry.shut_down().await;
    assert_eq!(receiver.spans(), []);
    assert_eq!(metrics.value(Counter::SpansDropped), 2);
}

/// A service whose log nobody reads.
fn unread_service(collector: &str) -> (tokio::process::Child, String) {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.arg("serve").env_clear().kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped());
    command.env("AWS_REGION", "us-east-1").env("AWS_ACCESS_KEY_ID", "local");
    command.env("AWS_SECRET_ACCESS_KEY", "local").env("TABLE_NAME", "calls").env("STACK_USE_CASE", "any");
    command.env("PUBLIC_URL", &url).env("TWILIO_AUTH_TOKEN", "token-of-this-test");
    command.env("PORT", port.to_string()).env("LISTEN_ADDRESS", "127.0.0.1");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector).env("OTEL_METRIC_EXPORT_INTERVAL", "100");
    command.env("RUST_LOG", "trace");
    (command.spawn().unwrap(), url)
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_nothing() {
    let receiver = Receiver::start().await;
    let (mut child, url) = unread_service(&receiver.endpoint());
    // Measurements come from a service that is up.
    receiver.until(SOON, |receiver| !receiver.metrics().is_empty()).await;
    let client = reqwest::Client::builder().timeout(SOON).build().unwrap();
    let began = Instant::now();
    // Each is worth a log line: a session of a call has ended.
    let ended = format!("{url}/twiml/ended/CA0");
    let form = [("CallSid", "CA0"), ("SessionId", "VX0"), ("SessionStatus", "completed")];
    let params = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let signature = sign("token-of-this-test", &ended, &params);
    let body = "CallSid=CA0&SessionId=VX0&SessionStatus=completed";
    while receiver.value("trunkline.log.lines_dropped").unwrap_or_default() == 0 {
        let requests = (0..32).map(|_| {
            let request = client.post(&ended).header("x-twilio-signature", &signature);
            request.header("content-type", "application/x-www-form-urlencoded").body(body).send()
        });
        for answer in join_all(requests).await {
            assert_eq!(answer.expect("it is answered").status(), StatusCode::OK);
        }
        assert!(began.elapsed() < 6 * SOON, "the log took all of it");
    }
    let stopped = Command::new("kill").args(["-TERM", &child.id().unwrap().to_string()]).status().await;
    assert!(stopped.unwrap().success());
    let status = timeout(SOON, child.wait()).await.expect("it ends all the same").unwrap();
    assert!(status.success(), "{status}");
}
