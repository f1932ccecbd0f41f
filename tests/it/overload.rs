//! More calls than lines: who is let in, who hears what, and that one call never has two lines.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use rehearsal::bedrock::Answer;
use serde_json::json;
use trunkline::metrics::Counter;
use trunkline_dev::stage::Stage;
use voice_core::use_case::{Destination, Dial, HandoffTarget, IfUnanswered, Party, UseCase};

use crate::bare::{API_TOKEN, Bare, Setup, eventually, http};
use crate::socket::{connected, open};
use crate::support::{CALLED, CALLER, DEFAULT, SOON, Webhook, bedrock, stage_with, use_case, webhook};

const CALL: &str = "CA00000000000000000000000000000001";
const BUSY: &str = "Alle Leitungen sind belegt.";

async fn reception(max_calls: &str) -> Stage {
    stage_with(&[("MAX_CALLS", max_calls)], [use_case(DEFAULT, json!({}))]).await
}

/// The calls that are connected when all of these come at once.
async fn connected_of(webhooks: &[Webhook<'_>]) -> Vec<String> {
    let client = http();
    let answers = join_all(webhooks.iter().map(|webhook| webhook.post_by(&client))).await;
    let connects = |body: &str| body.contains("<ConversationRelay");
    let all = webhooks.iter().zip(answers).inspect(|(_, answer)| assert_eq!(answer.status, 200));
    all.filter(|(_, answer)| connects(&answer.body)).map(|(webhook, _)| webhook.call_sid()).collect()
}

#[tokio::test]
async fn of_a_burst_exactly_as_many_calls_are_connected_as_there_are_lines() {
    let stage = reception("50").await;
    let webhooks: Vec<_> = (0..500).map(|_| webhook(&stage, "/twiml")).collect();
    let through = connected_of(&webhooks).await;
    assert_eq!(through.len(), 50);
    assert_eq!(stage.metrics.value(Counter::CallsAnswered), 50);
    assert_eq!(stage.metrics.value(Counter::CallsBusy), 450);
    assert_eq!(stage.metrics.value(Counter::ConnectionsRefused), 0, "who signs is never kept out");
    let mut socket = open(&stage, &through[49]).await;
    socket.set_up().await;
    bedrock(&stage).script(Answer::text("Yes."));
    socket.say("Hello").await;
    assert_eq!(socket.agent_turn().await, "Yes.");
}

#[tokio::test]
async fn a_call_whose_webhook_comes_twice_at_once_takes_one_line() {
    let stage = reception("50").await;
    let webhooks: Vec<_> = (0..100).map(|_| webhook(&stage, "/twiml")).collect();
    let twice: Vec<_> = webhooks.iter().cloned().flat_map(|webhook| [webhook.clone(), webhook]).collect();
    let through = connected_of(&twice).await;
    let calls: HashSet<_> = through.iter().collect();
    assert_eq!((calls.len(), through.len()), (50, 100), "both answers to a call are the same");
}

#[tokio::test]
async fn a_webhook_that_is_replayed_opens_neither_a_line_nor_a_session() {
    let stage = reception("2").await;
    let replayed = webhook(&stage, "/twiml");
    replayed.post().await.relay();
    let mut socket = open(&stage, &replayed.call_sid()).await;
    socket.set_up().await;
    socket.say("Hello").await;
    socket.agent_turn().await;
    for _ in 0..5 {
        replayed.post().await.relay();
    }
    webhook(&stage, "/twiml").post().await.relay();
    socket.say("Still there?").await;
    socket.agent_turn().await;
    assert_eq!(stage.metrics.value(Counter::SessionsStarted), 1);
    assert!(webhook(&stage, "/twiml").post().await.farewell().len() > 10, "the two lines are taken");
}

#[tokio::test]
async fn a_call_in_progress_is_resumed_however_many_others_there_are() {
    let stage = reception("1").await;
    let mut lost = connected(&stage).await;
    lost.say("Remember me.").await;
    lost.agent_turn().await;
    let call_sid = lost.call_sid.clone();
    drop(lost);
    // The line is free once the service has noticed.
    let others =
        async { while !webhook(&stage, "/twiml").post().await.body.contains("<ConversationRelay") {} };
    tokio::time::timeout(SOON, others).await.expect("the line becomes free");
    let mut resumed = open(&stage, &call_sid).await;
    resumed.set_up().await;
    resumed.say("Here I am.").await;
    resumed.agent_turn().await;
}

#[tokio::test]
async fn a_call_that_the_service_placed_keeps_the_one_line_that_it_has() {
    let mut service = Bare::start(Setup { most_calls: 1, ..Setup::default() }).await;
    let order = http().post(format!("{}/api/calls", service.url)).bearer_auth(API_TOKEN);
    let order = order.json(&json!({ "to": CALLER, "from": CALLED, "useCase": "desk" }));
    let placed: serde_json::Value = order.send().await.unwrap().json().await.unwrap();
    service.asked().await;
    assert!(turned_away(&service, CALLER).await.contains("<Hangup"), "the line is kept for the call");
    let path = format!("/twiml/outbound/{}", placed["id"].as_str().expect("the call is placed"));
    let fields = [("CallSid", CALL), ("From", CALLED), ("To", CALLER), ("Direction", "outbound-api")];
    for _ in 0..3 {
        let twiml = service.post(&path, &fields).await;
        assert!(twiml.contains("<ConversationRelay"), "{twiml}");
    }
    assert!(turned_away(&service, CALLER).await.contains("<Hangup"));
}

fn dial() -> Dial {
    let to = Party::Number("+14155550177".to_owned());
    Dial { to, caller_id: None, timeout: Duration::from_secs(20) }
}

/// A service without a line, and a use case in German that sends its callers elsewhere then.
async fn without_a_line(busy: &str, to: Destination) -> Bare {
    let mut use_case = UseCase::new("front desk", "You answer.");
    BUSY.clone_into(&mut use_case.sentences.busy);
    use_case.relay_attributes.insert("language".to_owned(), "de-DE".to_owned());
    let announcement = Some("Ich verbinde.".to_owned());
    let target = HandoffTarget { to, announcement, if_unanswered: IfUnanswered::ReturnToAgent };
    use_case.handoff.insert("people".to_owned(), target);
    use_case.rescue.busy = Some(busy.to_owned());
    Bare::start(Setup { use_cases: vec![use_case], most_calls: 0, ..Setup::default() }).await
}

async fn turned_away(service: &Bare, from: &str) -> String {
    service.post("/twiml", &[("CallSid", "CA2"), ("From", from), ("To", CALLED)]).await
}

async fn dial_ended(service: &Bare, call_status: &str, result: (&str, &str)) -> String {
    let fields = [("CallSid", "CA2"), ("CallStatus", call_status), result];
    service.post("/twiml/overflow/front%20desk", &fields).await
}

#[tokio::test]
async fn callers_without_a_line_go_where_their_use_case_sends_them() {
    let warm = Destination::WarmTransfer { dial: dial(), music: None };
    for (to, expected) in [
        (Destination::Dial(dial()), "+14155550177</Number></Dial>"),
        // Nobody could tell the person about the caller.
        (warm, "+14155550177</Number></Dial>"),
        (Destination::Queue { name: "people".to_owned() }, ">people</Enqueue>"),
        (Destination::Workflow { sid: "WW1".to_owned() }, "all lines of the agent are busy"),
        (Destination::Redirect { url: "https://example.com/flow".to_owned() }, "example.com/flow</Redirect>"),
    ] {
        let redirects = matches!(to, Destination::Redirect { .. });
        let service = without_a_line("people", to).await;
        let twiml = turned_away(&service, CALLER).await;
        let announced = r#"<Say language="de-DE">Ich verbinde.</Say>"#;
        assert!(twiml.contains(announced) && twiml.contains(expected), "{twiml}");
        let action = format!(r#"action="{}/twiml/overflow/front%20desk""#, service.url);
        assert_eq!(twiml.contains(&action), !redirects, "{twiml}");
        assert_eq!(service.metrics.value(Counter::CallsOverflowed), 1);
        assert_eq!(service.metrics.value(Counter::CallsBusy), 0);
    }
}

#[tokio::test]
async fn a_caller_whom_nobody_takes_hears_that_all_lines_are_busy() {
    let service = without_a_line("people", Destination::Dial(dial())).await;
    let apology = format!(r#"<Say language="de-DE">{BUSY}</Say><Hangup/>"#);
    for result in [("DialCallStatus", "no-answer"), ("DialCallStatus", "busy"), ("QueueResult", "queue-full")]
    {
        let twiml = dial_ended(&service, "in-progress", result).await;
        assert!(twiml.contains(&apology), "{twiml}");
    }
    assert_eq!(service.metrics.value(Counter::CallsBusy), 3);
    let talked = dial_ended(&service, "in-progress", ("DialCallStatus", "completed")).await;
    assert!(talked.contains("<Response><Hangup/></Response>"), "{talked}");
    let gone = dial_ended(&service, "completed", ("DialCallStatus", "no-answer")).await;
    assert!(!gone.contains("<Say"), "{gone}");
    eventually("only three were told", || service.metrics.value(Counter::CallsBusy) == 3).await;
}

#[tokio::test]
async fn a_target_that_is_not_listed_is_the_busy_line() {
    let service = without_a_line("nobody", Destination::Dial(dial())).await;
    let twiml = turned_away(&service, CALLER).await;
    assert!(twiml.contains(BUSY) && !twiml.contains("<Dial"), "{twiml}");
    assert_eq!(service.metrics.value(Counter::CallsOverflowed), 0);
}
