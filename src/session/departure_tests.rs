//! How sessions leave their calls to others: by handover, and when the line is lost.

use std::time::Duration;

use serde_json::{Value, json};
use voice_core::message::Message;
use voice_core::ports::{SessionChange, StoreErrorKind};

use super::tests::{SETUP, Stage, Store, finished, said, text};
use super::{CloseCode, Frame};
use crate::metrics::Counter;

const ANSWER: &str = "We open at nine. Every day.";

async fn asked() -> Stage {
    let mut stage = Stage::set_up(vec![vec![text(ANSWER), finished()]], Store::default()).await;
    stage.say("When do you open?").await;
    assert_eq!(stage.next_json().await, said(ANSWER, true));
    stage
}

async fn played(stage: &Stage, words: &str) {
    stage.send(&json!({ "type": "info", "name": "tokensPlayed", "value": words }).to_string()).await;
}

/// The reason in the next message, which ends the session.
async fn parting(stage: &mut Stage) -> Value {
    let message = stage.next_json().await;
    assert_eq!(message["type"], "end", "{message}");
    let data: Value = serde_json::from_str(message["handoffData"].as_str().unwrap()).unwrap();
    data["reasonCode"].clone()
}

/// What the agent said last, as the journal has it at this moment.
fn last_heard(store: &Store) -> Option<String> {
    let written = store.written.lock().unwrap();
    written.iter().rev().find_map(|(_, _, message)| match message {
        Some(Message::Agent { text, .. }) => Some(text.clone()),
        _ => None,
    })
}

fn rested(store: &Store) -> bool {
    store.changes.lock().unwrap().contains(&SessionChange::Rested)
}

/// Nothing is sent but pings for so long.
async fn stays(stage: &mut Stage, so_long: Duration) {
    let message = async {
        loop {
            match stage.next().await {
                Frame::Ping => {}
                other => return other,
            }
        }
    };
    let message = tokio::time::timeout(so_long, message).await;
    assert!(message.is_err(), "{message:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_is_handed_over_once_the_answer_was_heard_and_written() {
    let mut stage = asked().await;
    stage.hand_over();
    played(&stage, "We open at nine.").await;
    stays(&mut stage, Duration::from_secs(3)).await;
    played(&stage, "Every day.").await;
    assert_eq!(parting(&mut stage).await, "handover");
    assert_eq!(last_heard(stage.store()).as_deref(), Some(ANSWER), "before the carrier asks anybody");
    let (store, metrics) = stage.end().await;
    assert_eq!(metrics.value(Counter::CallsHandedOver), 1);
    assert!(rested(&store));
}

#[tokio::test(start_paused = true)]
async fn who_goes_on_speaking_is_not_handed_over() {
    let mut stage = asked().await;
    played(&stage, ANSWER).await;
    stage.send(r#"{"type":"info","name":"clientSpeaking","value":"on"}"#).await;
    stage.hand_over();
    stays(&mut stage, Duration::from_secs(10)).await;
    stage.send(r#"{"type":"info","name":"clientSpeaking","value":"off"}"#).await;
    stays(&mut stage, Duration::from_secs(2)).await;
    assert_eq!(parting(&mut stage).await, "handover");
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_being_entered_are_answered_first() {
    let mut stage = Stage::set_up(vec![vec![text(ANSWER), finished()]], Store::default()).await;
    for key in ["4", "1"] {
        stage.send(&json!({ "type": "dtmf", "digit": key }).to_string()).await;
    }
    stage.hand_over();
    assert_eq!(stage.next_json().await, said(ANSWER, true));
    let asked = stage.model.histories.lock().unwrap().concat();
    assert_eq!(asked, [Message::Caller { text: "(The caller pressed 4 1 on the keypad.)".to_owned() }]);
    played(&stage, ANSWER).await;
    assert_eq!(parting(&mut stage).await, "handover");
}

#[tokio::test(start_paused = true)]
async fn a_call_stays_while_its_journal_cannot_be_written() {
    let store = Store::failing(vec![StoreErrorKind::Unavailable; 4]);
    let mut stage = Stage::set_up(vec![vec![text("Hello."), finished()]], store).await;
    stage.hand_over();
    stays(&mut stage, Duration::from_secs(1)).await;
    stage.say("Hello?").await;
    assert_eq!(stage.next_json().await, said("Hello.", true), "meanwhile it goes on");
    played(&stage, "Hello.").await;
    assert_eq!(parting(&mut stage).await, "handover");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_lost_between_two_turns_loses_nothing() {
    for (heard, code, is_rest) in [
        (ANSWER, Some(CloseCode::Other(1006)), true),
        (ANSWER, None, true),
        (ANSWER, Some(CloseCode::Normal), false),
        ("We open at nine.", None, false),
    ] {
        let stage = asked().await;
        played(&stage, heard).await;
        if let Some(code) = code {
            stage.close(code).await;
        }
        let (store, _) = stage.end().await;
        assert_eq!(rested(&store), is_rest, "{heard} {code:?}");
        assert_eq!(last_heard(&store).as_deref(), Some(heard), "what was heard, and no more");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_setup_means_that_what_was_not_heard_is_gone() {
    let mut stage = asked().await;
    played(&stage, "We open at nine.").await;
    stage.send(SETUP).await;
    let back = stage.next_json().await;
    assert!(back["token"].as_str().unwrap().starts_with("I'm back."), "{back}");
    let (store, metrics) = stage.end().await;
    assert_eq!(last_heard(&store).as_deref(), Some("We open at nine."));
    assert_eq!(metrics.value(Counter::CallsResumed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_lost_too_often_is_given_up() {
    let mut stage = asked().await;
    played(&stage, ANSWER).await;
    for _ in 0..11 {
        stage.send(SETUP).await;
    }
    assert_eq!(parting(&mut stage).await, "lost-too-often");
    let (_, metrics) = stage.end().await;
    assert_eq!(metrics.value(Counter::ResumesRefused), 1);
}

#[tokio::test(start_paused = true)]
async fn who_could_not_write_and_was_overtaken_meanwhile_falls_silent_and_writes_nothing() {
    // Claimed, then out of reach, and then somebody else's.
    let (away, overtaken) = (StoreErrorKind::Unavailable, StoreErrorKind::Conflict);
    let mut stage =
        Stage::set_up(vec![vec![text(ANSWER), finished()]], Store::failing(vec![away, away])).await;
    stays(&mut stage, Duration::from_secs(1)).await;
    stage.store().fail_with(vec![away, away, away, overtaken]);
    stage.say("When do you open?").await;
    assert_eq!(stage.next_json().await, said(ANSWER, true), "it cannot know better");
    assert_eq!(stage.close_code().await, CloseCode::Normal);
    let (store, metrics) = stage.end().await;
    assert_eq!(metrics.value(Counter::JournalFenced), 1);
    assert!(store.written.lock().unwrap().is_empty() && !rested(&store));
}
