//! A service that is told to stop while callers are talking: their calls go on elsewhere, and nobody notices.

use rehearsal::bedrock::Answer;
use rehearsal::twilio::{Call, CallEvent};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;
use trunkline::metrics::Counter;

use crate::support::{
    AT_ONCE, DEFAULT, HASTY, SOON, ask, bedrock, call, dialogue, every_request_was_valid, get, item, say,
    stage_with, use_case, webhook,
};
use crate::two_services::Two;

const LONG: &str = "We open at nine every day of the week. On holidays we open at ten in the morning.";

fn greeted() -> Value {
    use_case(DEFAULT, json!({ "conversationRelayParams": { "welcomeGreeting": "Welcome!" } }))
}

/// Waits until another session of the call begins. Returns what was heard until then, and how the session before ended.
async fn moved(call: &mut Call) -> (String, String) {
    let (mut heard, mut statuses) = (String::new(), Vec::new());
    let connected = |event: &CallEvent| {
        match event {
            CallEvent::Heard(text) => heard.push_str(text),
            CallEvent::SessionEnded { status, .. } => statuses.push(status.clone()),
            _ => {}
        }
        matches!(event, CallEvent::Connected { .. }).then_some(())
    };
    call.wait_for(2 * SOON, connected).await.unwrap();
    (heard, statuses.join(" "))
}

async fn connected(call: &mut Call) {
    let connected = |event: &CallEvent| matches!(event, CallEvent::Connected { .. }).then_some(());
    call.wait_for(SOON, connected).await.unwrap();
}

/// Every message of the dialogue that the model was told last.
fn told(two: &Two) -> Vec<String> {
    dialogue(&bedrock(&two.first).requests().pop().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_hears_an_answer_hears_all_of_it_before_the_call_moves() {
    let mut two = Two::start([greeted()]).await;
    let mut call = two.call(HASTY).await;
    connected(&mut call).await;
    bedrock(&two.first).script(Answer::text(LONG));
    assert_eq!(ask(&mut call, "When do you open?").await, LONG);
    two.stop_first();
    let (heard, status) = moved(&mut call).await;
    assert!(heard.contains("ten in the morning."), "{heard}");
    assert_eq!(status, "ended", "Twilio was told, so that it asks at once");
    bedrock(&two.first).script(Answer::text("Yes."));
    assert_eq!(ask(&mut call, "On Sundays too?").await, "Yes.", "nothing is said before");
    assert_eq!(
        told(&two),
        ["user: When do you open?", &format!("assistant: {LONG}"), "user: On Sundays too?"]
    );
    let call_sid = call.sid.clone();
    call.hang_up().await.unwrap();
    two.finish().await;
    assert_eq!(two.first.metrics.value(Counter::CallsHandedOver), 1);
    assert_eq!(two.second.metrics.value(Counter::SessionsStarted), 1);
    let session = item(&two.first, &call_sid, "connection").await.unwrap();
    assert_eq!(
        (&session["epoch"], session.get("resumes")),
        (&json!(2), None),
        "it does not count as a break"
    );
    every_request_was_valid(&two.first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_runs_is_waited_for() {
    let tool = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/stock", tool.local_addr().unwrap());
    let tools = json!([{
        "name": "stock", "description": "How many are left",
        "inputSchema": { "json": { "type": "object" } }, "handler": { "type": "http", "url": url },
    }]);
    let mut two = Two::start([use_case(DEFAULT, json!({ "tools": tools }))]).await;
    let mut call = two.call(AT_ONCE).await;
    connected(&mut call).await;
    bedrock(&two.first).script(Answer::empty().then_tool("t-1", "stock", json!({})));
    bedrock(&two.first).script(Answer::text("Three are left."));
    say(&call, "How many are left?").await;
    let (mut request, _) = timeout(SOON, tool.accept()).await.unwrap().unwrap();
    two.stop_first();
    // The service is asked something, so that it certainly has noticed by now.
    let ready = get(&format!("http://{}/ready", two.first.address)).await;
    assert_eq!(ready.status, 503);
    let mut head = [0; 512];
    assert!(request.read(&mut head).await.unwrap() > 0);
    let body = r#"{"left":3}"#;
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    request.write_all(answer.as_bytes()).await.unwrap();
    assert_eq!(call.agent_turn(SOON).await.unwrap(), "Three are left.");
    let (_, status) = moved(&mut call).await;
    assert_eq!(status, "ended");
    bedrock(&two.first).script(Answer::text("Gladly."));
    assert_eq!(ask(&mut call, "I take them.").await, "Gladly.");
    assert_eq!(told(&two).join(" ").matches("[success]").count(), 1);
    call.hang_up().await.unwrap();
    two.finish().await;
    every_request_was_valid(&two.first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_left_alone_keeps_the_call_that_comes_back() {
    let stage = stage_with(&[("DRAIN_SECONDS", "0")], [greeted()]).await;
    let mut call = call(&stage, AT_ONCE).await;
    connected(&mut call).await;
    bedrock(&stage).script(Answer::text("At nine."));
    ask(&mut call, "When do you open?").await;
    stage.stop.cancel();
    assert_eq!(moved(&mut call).await.1, "ended");
    bedrock(&stage).script(Answer::text("Yes."));
    assert_eq!(ask(&mut call, "Every day?").await, "Yes.");
    call.hang_up().await.unwrap();
    stage.stop().await.unwrap();
}

#[tokio::test]
async fn a_new_call_that_reaches_a_draining_service_is_sent_elsewhere_three_times() {
    let stage = stage_with(&[], [use_case(DEFAULT, json!({}))]).await;
    let mut live = call(&stage, AT_ONCE).await;
    connected(&mut live).await;
    stage.stop.cancel();
    let mut path = format!("/twiml/{DEFAULT}");
    for count in 1..=3 {
        let answer = webhook(&stage, &path).post().await;
        path = format!("/twiml/{DEFAULT}?redirected={count}");
        let url = format!("{}{path}", stage.public_url);
        let redirect = format!(r#"<Pause length="1"/><Redirect method="POST">{url}</Redirect>"#);
        assert!(answer.body.contains(&redirect), "{}", answer.body);
    }
    assert!(webhook(&stage, &path).post().await.farewell().contains("cannot take your call"));
    assert_eq!(stage.metrics.value(Counter::CallsRedirected), 3);
    assert_eq!(webhook(&stage, &path).unsigned().post().await.status, 403);
    live.hang_up().await.unwrap();
    stage.stop().await.unwrap();
}
