//! What strangers, broken peers and confused models send, and that it harms nobody else.

use std::time::Duration;

use rehearsal::bedrock::Answer;
use rehearsal::dynamodb::{DynamoDbOptions, EmbeddedDynamoDb};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use trunkline::metrics::Counter;
use trunkline_dev::stage::Stage;
use voice_protocols::signature::sign;

use crate::socket::{answered, connected, handshake, open, relay_url};
use crate::support::{
    DEFAULT, SOON, all_items, bedrock, dialogue, every_request_was_valid, finish, new_call_sid, stage,
    use_case, webhook,
};

/// The service closes for a broken protocol with this code.
const POLICY: u16 = 1008;
const NORMAL: u16 = 1000;

async fn reception() -> Stage {
    stage([use_case(DEFAULT, json!({}))]).await
}

#[tokio::test]
async fn a_socket_without_a_valid_signature_gets_403() {
    let stage = reception().await;
    let webhook = webhook(&stage, "/twiml");
    webhook.post().await.relay();
    let call_sid = webhook.call_sid();
    let before = all_items(&stage).await;
    let url = relay_url(&stage, &call_sid);
    let of_another_call = sign(&stage.auth_token, &relay_url(&stage, &new_call_sid()), &[]);
    let of_another_token = sign("another token", &url, &[]);
    for signature in [None, Some(""), Some(of_another_call.as_str()), Some(of_another_token.as_str())] {
        assert_eq!(handshake(&stage, &call_sid, signature).await.err(), Some(403), "{signature:?}");
    }
    assert_eq!(stage.metrics.value(Counter::SignaturesRefused), 4);
    assert_eq!(all_items(&stage).await, before);
    let mut socket = open(&stage, &call_sid).await;
    socket.set_up().await;
    socket.say("Hello").await;
    socket.agent_turn().await;
}

#[tokio::test]
async fn a_signed_socket_for_a_call_that_nobody_answered_is_closed() {
    let stage = reception().await;
    let mut socket = open(&stage, &new_call_sid()).await;
    assert_eq!(socket.close_code().await, POLICY);
    let signature = sign(&stage.auth_token, &relay_url(&stage, "no-call"), &[]);
    assert_eq!(handshake(&stage, "no-call", Some(&signature)).await.err(), Some(404));
    assert_eq!(stage.metrics.value(Counter::SessionsRefused), 2);
}

#[tokio::test]
async fn nineteen_malformed_frames_are_borne_and_twenty_in_a_row_are_not() {
    let stage = reception().await;
    let mut socket = connected(&stage).await;
    for frame in ["", "{", "[]", "{}", "null", "\u{0}", r#"{"type":7}"#].iter().cycle().take(19) {
        socket.send(*frame).await;
    }
    bedrock(&stage).script(Answer::text("Still here."));
    socket.say("Are you there?").await;
    assert_eq!(socket.agent_turn().await, "Still here.");
    assert_eq!(stage.metrics.value(Counter::FramesMalformed), 19);
    for _ in 0..20 {
        socket.send("{").await;
    }
    assert_eq!(socket.close_code().await, POLICY);
    assert_eq!(stage.metrics.value(Counter::FramesMalformed), 39);
}

#[tokio::test]
async fn messages_and_fields_that_we_do_not_know_are_counted_and_passed_over() {
    let stage = reception().await;
    let mut socket = connected(&stage).await;
    socket.send(r#"{"type":"novelty","value":{"deep":[1,2]}}"#).await;
    socket.send(r#"{"type":"info","name":"moonPhase","value":"full"}"#).await;
    bedrock(&stage).script(Answer::text("Yes."));
    socket
        .send(r#"{"type":"prompt","voicePrompt":"Hello","last":true,"mood":"new","confidence":[0.9]}"#)
        .await;
    assert_eq!(socket.agent_turn().await, "Yes.");
    assert_eq!(stage.metrics.value(Counter::FramesUnknown), 1);
    assert_eq!(stage.metrics.value(Counter::FramesMalformed), 0);
}

#[tokio::test]
async fn a_frame_of_more_than_64_kib_is_counted_and_passed_over() {
    let stage = reception().await;
    let mut socket = connected(&stage).await;
    socket.say(&"x".repeat(64 * 1024)).await;
    bedrock(&stage).script(Answer::text("Yes."));
    socket.say("Hello").await;
    assert_eq!(socket.agent_turn().await, "Yes.");
    assert_eq!(stage.metrics.value(Counter::FramesMalformed), 1);
    assert_eq!(bedrock(&stage).requests().len(), 1);
}

#[tokio::test]
async fn a_setup_of_another_call_closes_the_socket_at_any_time() {
    let stage = reception().await;
    let (mut first, mut later) = (answered(&stage).await, connected(&stage).await);
    let other = later.call_sid.clone();
    first.set_up_for(&other).await;
    assert_eq!(first.close_code().await, POLICY);
    later.say("Hello").await;
    later.agent_turn().await;
    later.set_up_for(&new_call_sid()).await;
    assert_eq!(later.close_code().await, POLICY);
    assert_eq!(stage.metrics.value(Counter::SessionsRefused), 2);
}

#[tokio::test]
async fn a_second_socket_takes_over_with_the_memory_of_the_first() {
    let stage = reception().await;
    let mut older = connected(&stage).await;
    bedrock(&stage).script(Answer::text("I am listening."));
    older.say("Remember me.").await;
    older.agent_turn().await;
    older.send(r#"{"type":"info","name":"tokensPlayed","value":"I am listening."}"#).await;
    bedrock(&stage).script(Answer::stall_before_first_token());
    older.say("Who am I?").await;
    bedrock(&stage).wait_for_request(2, SOON).await.unwrap();
    let mut newer = open(&stage, &older.call_sid).await;
    newer.set_up().await;
    assert_eq!(older.close_code().await, NORMAL);
    newer.agent_turn().await;
    let request = bedrock(&stage).requests().pop().unwrap();
    let remembered = ["user: Remember me.", "assistant: I am listening.", "user: Who am I?"];
    assert_eq!(dialogue(&request), remembered, "and what was not answered is");
    assert_eq!(stage.metrics.value(Counter::SessionsTakenOver), 1);
}

#[tokio::test]
async fn a_broken_peer_harms_no_other_call() {
    let stage = reception().await;
    let (mut broken, mut sound) = (connected(&stage).await, connected(&stage).await);
    bedrock(&stage).script(Answer::text("One moment,").pause(Duration::from_millis(200)).then_text(" yes."));
    sound.say("Hello").await;
    bedrock(&stage).wait_for_request(1, SOON).await.unwrap();
    for _ in 0..20 {
        broken.send("}").await;
    }
    assert_eq!(broken.close_code().await, POLICY);
    assert_eq!(sound.agent_turn().await, "One moment, yes.");
}

/// A use case with a tool that takes one number, and answers at once unless the table does not.
fn with_a_tool(timeout_ms: u32) -> Value {
    let schema = json!({
        "type": "object", "properties": { "guests": { "type": "integer" } }, "required": ["guests"],
    });
    let tool = json!({
        "toolSpec": { "name": "WaitingTime", "inputSchema": { "json": schema } },
        "handler": "CheckRestaurantPickUpTime", "timeoutMs": timeout_ms,
    });
    use_case(DEFAULT, json!({ "tools": [tool] }))
}

/// Lets the model make a call that goes wrong; returns what it is told.
async fn told_of(answer: Answer) -> String {
    let stage = stage([with_a_tool(5000)]).await;
    let mut socket = connected(&stage).await;
    bedrock(&stage).script(answer);
    bedrock(&stage).script(Answer::text("Sorry about that."));
    socket.say("How long?").await;
    assert_eq!(socket.agent_turn().await, "Sorry about that.");
    let mut stage = stage;
    let told = outcome_told(&stage).await;
    drop(socket);
    finish(&mut stage).await;
    every_request_was_valid(&stage);
    told
}

/// The error outcome in the second request.
async fn outcome_told(stage: &Stage) -> String {
    let request = bedrock(stage).wait_for_request(2, SOON).await.unwrap();
    let result = &request.body["messages"][2]["content"][0]["toolResult"];
    assert_eq!(result["status"], "error", "{}", request.body);
    result["content"].to_string()
}

#[tokio::test]
async fn wrong_arguments_are_told_to_the_model_with_their_place() {
    let told = told_of(Answer::empty().then_tool("t-1", "WaitingTime", json!({ "guests": "five" }))).await;
    assert!(told.contains("/guests") && told.contains("integer"), "{told}");
}

#[tokio::test]
async fn arguments_that_are_no_json_are_told_to_the_model() {
    let told = told_of(Answer::empty().then_raw_tool("t-1", "WaitingTime", r#"{"guests": 5"#)).await;
    assert!(told.contains("not a JSON object"), "{told}");
}

#[tokio::test]
async fn a_tool_that_does_not_exist_is_told_to_the_model() {
    let told = told_of(Answer::empty().then_tool("t-1", "BookFlight", json!({}))).await;
    assert!(told.contains("no tool of this name") && told.contains("WaitingTime"), "{told}");
}

#[tokio::test]
async fn a_tool_that_takes_too_long_is_told_to_the_model() {
    let mut stage = stage([with_a_tool(300)]).await;
    let mut socket = connected(&stage).await;
    socket.say("Hello").await;
    socket.agent_turn().await;
    let _silent_table = replace_table_by_silence(&mut stage).await;
    bedrock(&stage).script(Answer::empty().then_tool("t-1", "WaitingTime", json!({ "guests": 5 })));
    bedrock(&stage).script(Answer::text("It takes a while."));
    socket.say("How long?").await;
    assert_eq!(socket.agent_turn().await, "It takes a while.");
    let request = bedrock(&stage).wait_for_request(3, SOON).await.unwrap();
    let result = &request.body["messages"][4]["content"][0]["toolResult"];
    assert_eq!(result["status"], "error", "{}", request.body);
    assert!(result["content"].to_string().contains("too long"), "{result}");
}

/// From here on requests to the table are taken and never answered.
async fn replace_table_by_silence(stage: &mut Stage) -> AbortOnDropHandle<()> {
    let another = EmbeddedDynamoDb::start(DynamoDbOptions::default()).await.unwrap();
    let table = std::mem::replace(&mut stage.dynamodb, another);
    let address = table.endpoint().trim_start_matches("http://").to_owned();
    table.shutdown().await.unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let silence = async move {
        let connections = TaskTracker::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut unread = [0; 1024];
                while connection.read(&mut unread).await.is_ok_and(|read| read > 0) {}
            });
        }
    };
    AbortOnDropHandle::new(TaskTracker::new().spawn(silence))
}
