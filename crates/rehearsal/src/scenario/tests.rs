//! Scenarios against a small service, and the mistakes that a file can hold.

mod acting;

use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::header;
use axum::routing::{any, post};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use voice_protocols::relay::Inbound;

use super::*;
use crate::twilio::{Carrier, CarrierOptions, SpeechPace};

const TWIML: &str = r#"<Response><Connect action="/twiml/ended/CA1"><ConversationRelay
    url="wss://agent.example/relay/CA1" welcomeGreeting="Thanks for  calling."/></Connect></Response>"#;

/// Answers a question about the list with a long one and everything else with thanks; "bye" ends the session.
async fn converse(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { continue };
        let Ok(Inbound::Prompt(prompt)) = Inbound::parse(text.as_str()) else {
            continue;
        };
        let token = match prompt.voice_prompt.as_str() {
            "bye" => {
                socket.send(Message::text(r#"{"type":"end"}"#)).await.unwrap();
                continue;
            }
            "list" => "I will read a very long list of things now, one by one.",
            _ => "Thank you.",
        };
        let frame = serde_json::json!({ "type": "text", "token": token, "last": true });
        socket.send(Message::text(frame.to_string())).await.unwrap();
    }
}

async fn stage() -> (Stage, TaskTracker) {
    let twiml = || async { ([(header::CONTENT_TYPE, "text/xml")], TWIML) };
    let goodbye = || async {
        ([(header::CONTENT_TYPE, "text/xml")], "<Response><Say>Goodbye then.</Say><Hangup/></Response>")
    };
    let relay = |upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(converse) };
    let router = Router::new()
        .route("/twiml/pizza", post(twiml))
        .route("/twiml/ended/{call}", post(goodbye))
        .route("/relay/{call}", any(relay));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    tasks.spawn(async move { axum::serve(listener, router).await });
    let carrier = Carrier::new(CarrierOptions {
        service: format!("http://{address}").parse().unwrap(),
        public_url: "https://agent.example".to_owned(),
        auth_token: None,
        connect_to: None,
        speech: SpeechPace { chars_per_second: 40.0, tts_delay: Duration::from_millis(10) },
    })
    .unwrap();
    (Stage::new(carrier), tasks)
}

#[tokio::test]
async fn a_call_with_an_interruption_is_played() {
    let scenario = Scenario::parse(
        r#"
        title = "An interruption in mid-sentence"
        use_case = "pizza"
        [[step]]
        expect = "thanks for calling"
        [[step]]
        say = "list"
        expect = ["very long", "one by one"]
        [[step]]
        barge_in_after = "very long"
        say = "Stop."
        expect = "thank you"
        absent = ["one by one"]
        heard = "thank you"
        [[step]]
        say = "bye"
        expect = "goodbye"
        ended = true
        "#,
    )
    .unwrap();
    let (stage, _tasks) = stage().await;
    let report = run(&scenario, &stage).await;
    assert!(report.passed(), "{report}");
    let shown = report.to_string();
    assert!(shown.contains("(interrupted after \"I will read a very long\")"), "{shown}");
}

#[tokio::test]
async fn a_caller_may_hang_up_in_mid_sentence() {
    let scenario = Scenario::parse(
        r#"
        title = "Gone"
        use_case = "pizza"
        [[step]]
        expect = "thanks for calling"
        [[step]]
        say = "list"
        expect = "very long"
        [[step]]
        barge_in_after = "very long"
        hang_up = true
        ended = true
        "#,
    )
    .unwrap();
    let (stage, _tasks) = stage().await;
    let report = run(&scenario, &stage).await;
    assert!(report.passed(), "{report}");
    let shown = report.to_string();
    assert!(shown.contains("(hangs up)\n          (the session completed)"), "{shown}");
}

#[tokio::test]
async fn a_cue_that_is_never_heard_is_a_problem() {
    let scenario = Scenario::parse(
        r#"
        title = "Too late"
        use_case = "pizza"
        [[step]]
        say = "Hello"
        expect = "thank you"
        [[step]]
        barge_in_after = "never"
        drop_socket = true
        "#,
    )
    .unwrap();
    let (stage, _tasks) = stage().await;
    let report = run(&scenario, &stage).await;
    assert!(report.problems[0].contains("after \"never\""), "{report}");
}

#[test]
fn settings_and_numbers_are_read() {
    let scenario =
        Scenario::parse("title = \"x\"\n[settings]\nMAX_CALLS = \"1\"\n[[step]]\npress = \"45#\"").unwrap();
    assert_eq!(scenario.settings.get("MAX_CALLS").map(String::as_str), Some("1"));
}

#[tokio::test]
async fn what_is_in_the_table_after_the_call_is_counted() {
    use crate::dynamodb::{Delay, DynamoDbOptions, EmbeddedDynamoDb};
    use aws_sdk_dynamodb::types::AttributeValue::S;

    let scenario = Scenario::parse(
        r#"
        title = "A slow table"
        use_case = "pizza"
        [table]
        slow = ["order::"]
        delay_ms = 850
        items = { order = 1, receipt = 1 }
        present = ["order::1", "nowhere"]
        absent = ["CA1", "nothing of the kind"]
        [[step]]
        expect = "thanks for calling"
        "#,
    )
    .unwrap();
    let delay = Delay { containing: vec!["order::".to_owned()], by: Duration::from_millis(850) };
    assert_eq!(scenario.table_delay, Some(delay));
    let db = EmbeddedDynamoDb::start(DynamoDbOptions::default()).await.unwrap();
    db.create_table("trunkline").await.unwrap();
    let client = db.client().await;
    let mut order = client.put_item().table_name("trunkline");
    for (name, value) in [("pk", "CA1"), ("sk", "order::1"), ("pk1", "order"), ("sk1", "1")] {
        order = order.item(name, S(value.to_owned()));
    }
    order.send().await.unwrap();

    let (stage, _tasks) = stage().await;
    let report = run(&scenario, &stage).await;
    let missed = |report: &Report| {
        let outcomes = report.steps[1].checks.iter().map(|check| &check.outcome);
        outcomes.map(|outcome| matches!(outcome, Outcome::Missed { .. })).collect::<Vec<_>>()
    };
    assert_eq!(missed(&report), [true; 6], "{report}");
    let table = Some(Table { client, name: "trunkline".to_owned() });
    let report = run(&scenario, &Stage { table, ..stage }).await;
    assert_eq!(missed(&report), [false, true, false, true, true, false], "{report}");
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_missed_is_told() {
    let scenario = Scenario::parse(
        r#"
        title = "Too much to ask"
        use_case = "pizza"
        [[step]]
        expect = "calling"
        [[step]]
        say = "Hello"
        expect = "a miracle"
        absent = "thank"
        model_last_user = "Hello"
        within_ms = 300
        "#,
    )
    .unwrap();
    let (stage, _tasks) = stage().await;
    let report = run(&scenario, &stage).await;
    assert!(!report.passed());
    let got = "Thank you.".to_owned();
    let [said, model, absent] = report.steps[1].checks.as_slice() else { panic!("{report}") };
    assert_eq!(said.outcome, Outcome::Missed { expected: "a miracle".to_owned(), got: got.clone() });
    assert!(matches!(model.outcome, Outcome::Missed { .. }));
    assert_eq!(absent.outcome, Outcome::Missed { expected: "its absence".to_owned(), got });
}

#[tokio::test]
async fn a_call_that_is_refused_is_a_problem() {
    let scenario = Scenario::parse("title = \"x\"\nuse_case = \"unknown\"\n[[step]]\nended = true").unwrap();
    let (stage, _tasks) = stage().await;
    let report = run(&scenario, &stage).await;
    assert!(!report.passed());
    assert!(report.problems[0].contains("404"), "{report}");
}

#[test]
fn every_kind_of_model_entry_is_read() {
    Scenario::parse(
        r#"
        title = "All answers"
        step = []
        [[model]]
        text = "Let me see."
        tool = { name = "PlaceOrder", input = { order_total = 12.5 } }
        first_token_ms = 100
        token_ms = 20
        [[model]]
        tools = [{ name = "A" }, { name = "B", id = "b1" }]
        [[model]]
        refuse = { status = 429, error = "ThrottlingException", message = "Slow down" }
        [[model]]
        stall = "before_first_token"
        [[model]]
        text = "I"
        stall = "mid"
        [[model]]
        exception = { kind = "modelStreamErrorException" }
        "#,
    )
    .unwrap();
}

#[test]
fn mistakes_are_named() {
    for (text, named) in [
        ("step = []", "title"),
        ("title = \"x\"\nstep = []\ncalller = \"+1\"", "calller"),
        ("title = \"x\"\n[[step]]\nsays = \"x\"", "says"),
        ("title = \"x\"\n[[step]]\nsay = \"x\"\npress = \"1\"", "[[step]] number 1"),
        ("title = \"x\"\n[[step]]\npress = \"x\"", "`press`"),
        ("title = \"x\"\n[[step]]\nbarge_in_after = \"x\"", "`barge_in_after`"),
        ("title = \"x\"\n[[step]]\nexpect = \" \"", "without words"),
        ("title = \"x\"\n[[step]]\nwithin_ms = 999999", "`within_ms`"),
        ("title = \"x\"\n[[step]]\npress = \"\"", "`press`"),
        ("title = \"x\"\n[[step]]\npress = \"{code}\"", "`press`"),
        ("title = \"x\"\n[[step]]\npress = \"1\"\nlang = \"es-US\"", "`lang`"),
        ("title = \"x\"\n[[step]]\nsms = { too = \"x\" }", "`sms`"),
        ("title = \"x\"\n[[step]]\nended_by = \"nobody\"", "nobody"),
        ("title = \"x\"\n[[step]]\nbridged = \" \"", "without words"),
        ("title = \"x\"\nstep = []\n[[party]]\nnumber = \"+1\"\nsip = \"sip:a\"", "[[party]] number 1"),
        ("title = \"x\"\nstep = []\n[[party]]\nnumber = \"1\"", "one address"),
        ("title = \"x\"\nstep = []\n[[party]]\nnumber = \"+1\"\nanswers = \"maybe\"", "maybe"),
        ("title = \"x\"\nstep = []\n[[party]]\nnumber = \"+1\"\nanswers = \"busy\"\nsays = \"x\"", "`says`"),
        (
            "title = \"x\"\nstep = []\n[[party]]\nnumber = \"+1\"\nanswers = \"busy\"\nhears = \"x\"",
            "nobody hears",
        ),
        ("title = \"x\"\nstep = []\n[[party]]\nnumber = \"+1\"\nhears = \"\"", "`hears`"),
        ("title = \"x\"\nuse_case = \"x\"\nstep = []\nplace = { to = \"+1\", use_case = \"x\" }", "`place`"),
        (
            "title = \"x\"\nplace = { to = \"+1\", use_case = \"x\", refused = \"y\" }\n[[step]]\nended = true",
            "no steps",
        ),
        (
            "title = \"x\"\nplace = { to = \"+1\", use_case = \"x\" }\nstep = []\n[[party]]\nnumber = \"+1\"\nsays = \"y\"",
            "the steps say",
        ),
        ("title = \"x\"\nstep = []\nconfiguration = { prompt = \"x\" }", "not named"),
        (
            "title = \"x\"\nuse_case = \"x\"\nstep = []\nconfiguration = { prompt = \"{http}\" }",
            "no [[http]]",
        ),
        ("title = \"x\"\nstep = []\n[[http]]\npath = \"x\"", "[[http]] number 1"),
        ("title = \"x\"\nstep = []\n[[http]]\npath = \"/x\"\ntext = \"a\"\nhtml = \"b\"", "one of `json`"),
        ("title = \"x\"\nstep = []\n[table]\nslow = [\"x\"]", "`delay_ms`"),
        ("title = \"x\"\nstep = []\n[table]\nslow = [\"\"]\ndelay_ms = 1", "`slow`"),
        ("title = \"x\"\nstep = []\n[table]\nslow = [\"x\"]\ndelay_ms = 99999", "`delay_ms`"),
        ("title = \"x\"\nstep = []\n[[model]]\nfirst_token_ms = 1", "[[model]] number 1"),
        ("title = \"x\"\nstep = []\n[[model]]\nstall = \"mid\"\ntoken_ms = 1", "`token_ms`"),
        ("title = \"x\"\nstep = []\n[[model]]\ntxt = \"x\"", "txt"),
        ("title = \"x\"\nstep = []\n[[model]]\nstall = \"never\"", "never"),
    ] {
        let error = format!("{:#}", Scenario::parse(text).unwrap_err());
        assert!(error.contains(named), "{error} does not name {named}");
    }
}

#[test]
fn a_mistake_in_a_file_names_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wrong.toml");
    std::fs::write(&path, "title = 1").unwrap();
    let error = format!("{:#}", Scenario::load(&path).unwrap_err());
    assert!(error.contains("wrong.toml") && error.contains("title"), "{error}");
    assert!(format!("{:#}", Scenario::load("missing.toml").unwrap_err()).contains("missing.toml"));
}

#[test]
fn the_examples_of_the_readme_are_scenarios() {
    let readme = include_str!("../../../../scenarios/README.md");
    let examples: Vec<_> =
        readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), 4);
    for example in examples {
        let is_whole = example.starts_with("title");
        let text = if is_whole { example.to_owned() } else { format!("title = \"x\"\nstep = []\n{example}") };
        Scenario::parse(&text).unwrap_or_else(|error| panic!("{error:#} in {text}"));
    }
}
