//! Nothing that is private reaches a log line: numbers, names and words of a call, also when things go wrong.

use std::io::Write;
use std::sync::{Arc, Mutex};

use rehearsal::bedrock::Answer;
use rehearsal::twilio::{Answers, CallOptions, Callee, CallerAct};
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use trunkline::metrics::Counter;

use crate::support::{AT_ONCE, DEFAULT, SOON, ask, bedrock, call_with, finish, profile, stage, use_case};

const NUMBER: &str = "+14155557391";
/// Each occurs in the call below, and nowhere in the code.
const SECRETS: [&str; 10] = [
    "4155557391",
    "5550198264",
    "Peregrina",
    "Quackenbush",
    "zebrafish",
    "marmalade",
    "Tumbleweed",
    "rutabaga",
    "kumquat",
    "persimmon",
];

/// All that was logged, one JSON object a line.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    /// Takes everything that the filter lets through, from all threads of this process.
    fn of_this_process(filter: &str) -> Self {
        let log = Self::default();
        tracing_subscriber::fmt()
            .json()
            .with_env_filter(EnvFilter::new(filter))
            .with_span_events(FmtSpan::FULL)
            .with_writer(log.clone())
            .try_init()
            .expect("each test has a process of its own");
        log
    }

    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap();
        String::from_utf8(bytes.clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

fn secrets_of(line: &str) -> Vec<&'static str> {
    SECRETS.into_iter().filter(|secret| line.contains(secret)).collect()
}

fn target(line: &str) -> String {
    let line: Value = serde_json::from_str(line).expect("a log line is JSON");
    line["target"].as_str().expect("a log line has a target").to_owned()
}

/// A call in which every private thing is said somewhere, and most of what can go wrong does.
async fn a_call_full_of_secrets() {
    let tools = json!([{ "name": "PlaceOrderFunction", "inputSchema": { "json": {
        "type": "object", "properties": { "order_total": { "type": "number" } }, "required": ["order_total"],
    } } }]);
    let attributes = json!({
        "prompt": "<<USER_CONTEXT>> {{ caller.usual }}", "tools": tools,
        "conversationRelayParams": { "welcomeGreeting": "Hello {{ caller.firstName }}", "dtmfDetection": true },
        "dtmfHandlers": { "5": { "replyWithText": true, "replyText": "You pressed a key." } },
    });
    let known = json!({ "firstName": "Peregrina", "lastName": "Quackenbush", "usual": "a Tumbleweed" });
    let mut stage = stage([use_case(DEFAULT, attributes), profile(NUMBER, known)]).await;
    let mut call = call_with(&stage, AT_ONCE, caller()).await;

    bedrock(&stage).script(Answer::refuse(429, "ThrottlingException", "Too many requests"));
    bedrock(&stage).script(Answer::text("You said marmalade."));
    ask(&mut call, "I said zebrafish.").await;

    let wrong = Answer::empty().then_tool("t-1", "PlaceOrderFunction", json!({ "order_total": "rutabaga" }));
    bedrock(&stage).script(wrong);
    let order = json!({
        "current_order": [{ "line_item": "rutabaga" }], "order_type": "delivery", "order_total": 3,
        "delivery_address": "12 kumquat lane",
    });
    bedrock(&stage).script(Answer::empty().then_tool("t-2", "PlaceOrderFunction", order));
    bedrock(&stage).script(Answer::text("A persimmon").exception("modelStreamErrorException", "It broke"));
    ask(&mut call, "One zebrafish, please.").await;

    for frame in [
        r#"{"type":"prompt","voicePrompt":"zebrafish"#,
        r#"{"type":"zebrafish","value":"marmalade"}"#,
        r#"{"type":"error","description":"Invalid message received, code: 64107, marmalade"}"#,
        r#"{"type":"prompt","voicePrompt":["zebrafish"]}"#,
    ] {
        call.act(CallerAct::SendRaw(frame.to_owned())).await.unwrap();
    }
    call.act(CallerAct::Press('5')).await.unwrap();
    call.agent_turn(SOON).await.unwrap();
    call.act(CallerAct::DropSocket).await.unwrap();
    ask(&mut call, "Are you there, zebrafish?").await;
    call.hang_up().await.unwrap();

    let mut strange =
        call_with(&stage, AT_ONCE, CallOptions { use_case: Some("none".to_owned()), ..caller() }).await;
    strange.next_event(SOON).await.unwrap();
    drop(strange);
    finish(&mut stage).await;
}

/// A call whose tools text, verify, call and hand over, and tell private things wherever they can.
async fn errands_full_of_secrets() {
    let schema = json!({ "json": { "type": "object" } });
    let tool =
        |name: &str, handler: Value| json!({ "name": name, "inputSchema": schema, "handler": handler });
    let attributes = json!({
        "tools": [
            tool("send_sms", json!("send_sms")),
            tool("verify_send", json!("verify_send")),
            tool("verify_code", json!("verify_code")),
            tool("get_customer", json!("get_customer")),
            tool("place_call", json!({ "type": "place_call", "numbers": { "Quackenbush": NUMBER } })),
            tool("transfer_to_human", json!("transfer_to_human")),
        ],
        "handoff": { "phone": NUMBER, "warm": true, "announcement": "A marmalade, please." },
    });
    let known = json!({ "firstName": "Peregrina", "lastName": "Quackenbush" });
    let mut stage = stage([use_case(DEFAULT, attributes), profile(NUMBER, known)]).await;
    // Nobody who answered would leave the model's answers to this call.
    stage.rest.switchboard().set_callee(NUMBER, Callee { answers: Answers::Busy, ..Callee::default() });
    let mut call = call_with(&stage, AT_ONCE, caller()).await;
    let errands = [
        ("send_sms", json!({ "message": "The zebrafish is here." })),
        ("send_sms", json!({ "message": "marmalade", "to": "Peregrina" })),
        ("verify_send", json!({})),
        ("verify_code", json!({ "code": "000000" })),
        ("get_customer", json!({})),
        ("place_call", json!({ "to": "Quackenbush", "reason": "A rutabaga." })),
        ("transfer_to_human", json!({ "reason": "kumquat", "summary": "x", "target": "Tumbleweed" })),
    ];
    for (number, (name, input)) in errands.into_iter().enumerate() {
        bedrock(&stage).script(Answer::empty().then_tool(format!("t-{number}"), name, input));
        bedrock(&stage).script(Answer::text("Done."));
        call.act(CallerAct::Say("zebrafish".to_owned())).await.unwrap();
        // A transfer is announced before it is tried.
        while !call.agent_turn(SOON).await.unwrap().contains("Done.") {}
    }
    let persimmon = json!({ "reason": "kumquat", "summary": "Peregrina wants a persimmon." });
    bedrock(&stage).script(Answer::text("One moment.").then_tool("t-x", "transfer_to_human", persimmon));
    call.act(CallerAct::Say("Quackenbush, please.".to_owned())).await.unwrap();
    bedrock(&stage).script(Answer::text("Nobody is there for your persimmon."));
    while !call.agent_turn(SOON).await.unwrap().contains("Nobody is there") {}
    call.hang_up().await.unwrap();
    finish(&mut stage).await;
    let happened = [
        Counter::SmsSent,
        Counter::VerificationsFailed,
        Counter::CallsPlaced,
        Counter::TransfersRefused,
        Counter::TransfersStarted,
        Counter::TransfersReturned,
    ];
    assert_eq!(happened.map(|counter| stage.metrics.value(counter)), [1; 6]);
}

fn caller() -> CallOptions {
    CallOptions {
        from: NUMBER.to_owned(),
        to: "+15550198264".to_owned(),
        extra_params: vec![("CallerName".to_owned(), "QUACKENBUSH Peregrina".to_owned())],
        ..CallOptions::default()
    }
}

#[tokio::test]
async fn at_the_finest_level_our_own_lines_tell_nothing() {
    let log = Log::of_this_process("trace");
    a_call_full_of_secrets().await;
    errands_full_of_secrets().await;
    let lines = log.lines();
    let ours: Vec<_> = lines
        .iter()
        .filter(|line| ["trunkline", "voice"].iter().any(|name| target(line).starts_with(name)))
        .collect();
    assert!(ours.iter().any(|line| line.contains("a call was answered")), "nothing of ours was logged");
    for line in ours {
        assert_eq!(secrets_of(line), Vec::<&str>::new(), "{line}");
    }
}

#[tokio::test]
async fn at_the_usual_level_nobody_tells_anything() {
    let log = Log::of_this_process("info");
    a_call_full_of_secrets().await;
    errands_full_of_secrets().await;
    let lines = log.lines();
    assert!(lines.iter().any(|line| line.contains("a call was answered")), "nothing was logged");
    for line in lines {
        assert_eq!(secrets_of(&line), Vec::<&str>::new(), "{line}");
    }
}

#[test]
fn a_secret_in_a_line_or_its_span_is_found() {
    let log = Log::of_this_process("trace");
    tracing::trace!(target: "trunkline::sample", caller = NUMBER, "a line");
    tracing::info_span!(target: "trunkline::sample", "call", name = "Peregrina")
        .in_scope(|| tracing::info!("a line"));
    let found: Vec<_> = log.lines().iter().flat_map(|line| secrets_of(line)).collect();
    assert!(found.contains(&"4155557391") && found.contains(&"Peregrina"), "{found:?}");
    assert_eq!(target(&log.lines()[0]), "trunkline::sample");
}

#[tokio::test]
async fn what_the_model_service_repeats_of_a_call_is_not_repeated_in_the_log() {
    let log = Log::of_this_process("info");
    let mut stage = stage([use_case(DEFAULT, json!({}))]).await;
    let mut call = call_with(&stage, AT_ONCE, caller()).await;
    let complaint = "1 validation error detected: Value 'zebrafish' at 'messages.1.content.1.text' failed to satisfy constraint";
    bedrock(&stage).script(Answer::refuse(400, "ValidationException", complaint));
    ask(&mut call, "I said zebrafish.").await;
    call.hang_up().await.unwrap();
    finish(&mut stage).await;
    let lines = log.lines();
    assert!(lines.iter().any(|line| line.contains("the model did not answer")), "{lines:#?}");
    for line in lines {
        assert_eq!(secrets_of(&line), Vec::<&str>::new(), "{line}");
    }
}
