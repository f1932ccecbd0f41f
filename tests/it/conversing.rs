//! Whole conversations: who speaks when, what the caller heard, and what of it the model sees next.

use std::time::Duration;

use rehearsal::bedrock::{Answer, Outcome, Pace};
use rehearsal::twilio::{Call, CallEvent, CallerAct, Party};
use serde_json::{Value, json};
use trunkline::metrics::Counter;
use trunkline_dev::stage::Stage;

use crate::support::{
    AT_ONCE, DEFAULT, HASTY, SOON, ask, bedrock, call, dialogue, every_request_was_valid, finish, item,
    items, say, stage, use_case,
};

/// A generation that nobody listens to any more is given up within this time.
const PROMPTLY: Duration = Duration::from_secs(2);

async fn reception() -> Stage {
    stage([use_case(DEFAULT, json!({}))]).await
}

#[tokio::test]
async fn tokens_reach_the_caller_as_they_come_and_in_order() {
    let stage = reception().await;
    let mut call = call(&stage, AT_ONCE).await;
    let text = (0..200).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
    bedrock(&stage).script(Answer::text(&text));
    assert_eq!(ask(&mut call, "Count.").await, text);
    bedrock(&stage).script(Answer::text("First words").stall());
    say(&call, "Go on.").await;
    let token = |event: &CallEvent| match event {
        CallEvent::Token { text, last: false, .. } => Some(text.clone()),
        _ => None,
    };
    assert!("First words".starts_with(&call.wait_for(SOON, token).await.unwrap()));
    assert_eq!(bedrock(&stage).requests()[1].outcome, Outcome::Answering, "the answer is not complete yet");
}

const LONG_ANSWER: &str = "We open at nine in the morning. We close at ten in the evening, on all days of the week. \
                           On holidays we are closed from noon on, and nobody answers the telephone then.";

/// Lets the caller say "Stop." after the second clause has begun; returns what was heard of the answer.
async fn interrupt(call: &mut Call) -> String {
    let act = Box::new(CallerAct::Say("Stop.".to_owned()));
    call.act(CallerAct::OnceHeard { cue: "close at".to_owned(), act }).await.unwrap();
    let mut heard = String::new();
    let interrupted = |event: &CallEvent| match event {
        CallEvent::Heard(clause) => {
            heard.push_str(clause);
            None
        }
        CallEvent::Interrupted { heard: fragment } => Some(format!("{heard}{fragment}")),
        _ => None,
    };
    call.wait_for(SOON, interrupted).await.unwrap()
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[tokio::test]
async fn an_interruption_stops_the_model_and_leaves_what_was_heard() {
    let stage = reception().await;
    let mut call = call(&stage, HASTY).await;
    bedrock(&stage).script(Answer::text(LONG_ANSWER).stall());
    say(&call, "When do you open?").await;
    let heard = interrupt(&mut call).await;
    assert_eq!(bedrock(&stage).wait_for_outcome(1, PROMPTLY).await.unwrap(), Outcome::Cancelled);
    let request = bedrock(&stage).wait_for_request(2, SOON).await.unwrap();
    let [question, answer, stop] = dialogue(&request).try_into().unwrap();
    assert_eq!((question.as_str(), stop.as_str()), ("user: When do you open?", "user: Stop."));
    assert_eq!(words(&answer)[1..], words(&heard));
    assert!(heard.len() < LONG_ANSWER.len() && heard.contains("close at"), "{heard}");
    assert_eq!(stage.metrics.value(Counter::Interruptions), 1);
}

#[tokio::test]
async fn an_interruption_after_the_model_finished_leaves_what_was_heard_too() {
    let mut stage = reception().await;
    let mut call = call(&stage, HASTY).await;
    bedrock(&stage).script(Answer::text(LONG_ANSWER));
    say(&call, "When do you open?").await;
    assert_eq!(bedrock(&stage).wait_for_outcome(1, SOON).await.unwrap(), Outcome::Completed);
    let heard = interrupt(&mut call).await;
    let request = bedrock(&stage).wait_for_request(2, SOON).await.unwrap();
    assert_eq!(words(&dialogue(&request)[1])[1..], words(&heard));
    let call_sid = call.sid.clone();
    call.hang_up().await.unwrap();
    finish(&mut stage).await;
    let turn = item(&stage, &call_sid, "chat::00000001").await.unwrap();
    assert_eq!(turn["said"], LONG_ANSWER);
    assert_eq!(words(turn["heard"].as_str().unwrap()), words(&heard));
    assert_eq!(turn["chat"]["content"][0]["text"], turn["heard"]);
}

#[tokio::test]
async fn one_sentence_in_several_pieces_is_one_message() {
    let stage = reception().await;
    bedrock(&stage).set_pace(Pace { first_token: Duration::from_millis(300), ..Pace::default() });
    let mut call = call(&stage, AT_ONCE).await;
    let pieces = ["I would like", "a large pizza", "with olives."].map(str::to_owned).to_vec();
    call.act(CallerAct::SayInPieces(pieces)).await.unwrap();
    call.agent_turn(SOON).await.unwrap();
    let requests = bedrock(&stage).requests();
    assert_eq!(dialogue(requests.last().unwrap()), ["user: I would like a large pizza with olives."]);
    for (number, _) in requests.iter().enumerate().rev().skip(1) {
        assert_eq!(bedrock(&stage).wait_for_outcome(number + 1, SOON).await.unwrap(), Outcome::Cancelled);
    }
}

#[tokio::test]
async fn neither_thoughts_nor_marks_are_spoken() {
    let stage = reception().await;
    let mut call = call(&stage, AT_ONCE).await;
    let answer = "<thinking>The caller is rude.</thinking>**Welcome** to *our* shop.\n\n# Today\n- `Soup`";
    bedrock(&stage).script(Answer::text(answer));
    let said = ask(&mut call, "Hey!").await;
    assert!(said.starts_with("Welcome to our shop.") && said.ends_with("Soup"), "{said}");
    assert!(!said.contains(['*', '#', '`', '<']) && !said.contains("rude"), "{said}");
    ask(&mut call, "And?").await;
    assert!(!dialogue(&bedrock(&stage).requests()[1]).join(" ").contains("rude"));
    every_request_was_valid(&stage);
}

#[tokio::test]
async fn usage_is_written_with_the_turn() {
    let mut stage = reception().await;
    let mut call = call(&stage, AT_ONCE).await;
    bedrock(&stage).script(Answer::text("One two three."));
    ask(&mut call, "Count.").await;
    let call_sid = call.sid.clone();
    call.hang_up().await.unwrap();
    finish(&mut stage).await;
    let turn = item(&stage, &call_sid, "chat::00000001").await.unwrap();
    let generation = &turn["generation"];
    assert_eq!(generation["usage"]["outputTokens"], 3, "{generation}");
    assert!(generation["usage"]["inputTokens"].as_u64().unwrap() > 0);
    assert_eq!(
        (&generation["model"], &generation["stopReason"]),
        (&json!("stand-in.waiter"), &json!("end_turn"))
    );
    let session = item(&stage, &call_sid, "connection").await.unwrap();
    assert_eq!((&session["status"], &session["epoch"]), (&json!("ended"), &json!(1)));
    assert_eq!(items(&stage, &call_sid).await.len(), 4, "a session, two turns and a trace");
}

#[tokio::test]
async fn a_lost_socket_is_replaced_and_the_conversation_goes_on_without_a_greeting() {
    let greeting = json!({ "conversationRelayParams": { "welcomeGreeting": "Welcome!" } });
    let mut stage = stage([use_case(DEFAULT, greeting)]).await;
    let mut call = call(&stage, AT_ONCE).await;
    let greeted = |event: &CallEvent| matches!(event, CallEvent::Greeting(_)).then_some(());
    call.wait_for(SOON, greeted).await.unwrap();
    bedrock(&stage).script(Answer::text("I have one table left."));
    ask(&mut call, "A table for two.").await;
    call.act(CallerAct::DropSocket).await.unwrap();
    say(&call, "I take it.").await;
    let mut statuses = Vec::new();
    let mut greetings = 0;
    let token = |event: &CallEvent| {
        match event {
            CallEvent::SessionEnded { status, .. } => statuses.push(status.clone()),
            CallEvent::Greeting(_) => greetings += 1,
            _ => {}
        }
        matches!(event, CallEvent::Token { last: true, .. }).then_some(())
    };
    call.wait_for(SOON, token).await.unwrap();
    assert_eq!((statuses, greetings), (vec!["failed".to_owned()], 0));
    let request = bedrock(&stage).requests().pop().unwrap();
    let expected = ["user: A table for two.", "assistant: I have one table left.", "user: I take it."];
    assert_eq!(dialogue(&request), expected);
    assert_eq!(stage.metrics.value(Counter::CallsResumed), 1);
    let call_sid = call.sid.clone();
    call.hang_up().await.unwrap();
    finish(&mut stage).await;
    let session = item(&stage, &call_sid, "connection").await.unwrap();
    assert_eq!((&session["epoch"], &session["status"]), (&json!(2), &json!("ended")));
    every_request_was_valid(&stage);
}

fn with_end_call() -> Value {
    let tool =
        json!({ "name": "end_call", "inputSchema": { "json": { "type": "object" } }, "terminal": true });
    use_case(DEFAULT, json!({ "tools": [tool] }))
}

const FAREWELL: &str = "Thank you for calling, and have a very good night.";

fn farewell() -> Answer {
    Answer::text(FAREWELL).then_tool("t-1", "end_call", json!({ "reason": "done" }))
}

#[tokio::test]
async fn the_agent_hangs_up_only_after_its_farewell_was_heard() {
    let stage = stage([with_end_call()]).await;
    let mut call = call(&stage, HASTY).await;
    bedrock(&stage).script(farewell());
    say(&call, "Goodbye.").await;
    let mut heard = String::new();
    let ended = |event: &CallEvent| match event {
        CallEvent::Heard(clause) => {
            heard.push_str(clause);
            None
        }
        CallEvent::SessionEnded { status, handoff_data, .. } => Some((status.clone(), handoff_data.clone())),
        _ => None,
    };
    let (status, handoff_data) = call.wait_for(SOON, ended).await.unwrap();
    assert_eq!(heard, FAREWELL);
    assert_eq!(
        (status.as_str(), handoff_data.as_deref()),
        ("ended", Some(r#"{"reason":"done","reasonCode":"end-call"}"#))
    );
    let hung_up = |event: &CallEvent| match event {
        CallEvent::HungUp { by, .. } => Some(*by),
        _ => None,
    };
    assert_eq!(call.wait_for(SOON, hung_up).await.unwrap(), Party::Service);
}

#[tokio::test]
async fn a_farewell_that_is_interrupted_ends_nothing() {
    let stage = stage([with_end_call()]).await;
    let mut call = call(&stage, HASTY).await;
    bedrock(&stage).script(farewell());
    bedrock(&stage).script(Answer::text("Of course."));
    say(&call, "Goodbye.").await;
    let act = Box::new(CallerAct::Say("Wait!".to_owned()));
    call.act(CallerAct::OnceHeard { cue: "Thank you".to_owned(), act }).await.unwrap();
    let request = bedrock(&stage).wait_for_request(2, SOON).await.unwrap();
    let spoken = dialogue(&request);
    assert!(spoken[1].starts_with("assistant: Thank you") && spoken[1].ends_with("[call]"), "{spoken:?}");
    assert!(!spoken[1].contains("night"), "{spoken:?}");
    assert_eq!(spoken[2], "user: [error] Wait!");
    let answered = |event: &CallEvent| match event {
        CallEvent::Token { text, .. } if text.contains("course") => Some(true),
        CallEvent::SessionEnded { .. } | CallEvent::HungUp { .. } => Some(false),
        _ => None,
    };
    assert!(call.wait_for(SOON, answered).await.unwrap(), "the call goes on");
    every_request_was_valid(&stage);
}
