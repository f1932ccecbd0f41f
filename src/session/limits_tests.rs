//! Peers that are silent, deaf, or too loud: how long a session bears them. In paused time, over sockets in memory.

use std::sync::atomic::Ordering;
use std::time::Duration;

use voice_core::history::Sequence;

use super::tests::{Stage, Store, finished, said, text};
use super::{CloseCode, Frame};
use crate::metrics::Counter;

#[tokio::test(start_paused = true)]
async fn a_socket_without_setup_is_closed_in_time() {
    let mut stage = Stage::start(Vec::new(), Store::default());
    assert_eq!(stage.close_code().await, CloseCode::Policy);
    assert_eq!(stage.started.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn setup_must_be_for_this_call() {
    let mut stage = Stage::start(Vec::new(), Store::default());
    stage.send(r#"{"type":"setup","callSid":"CA2"}"#).await;
    assert_eq!(stage.close_code().await, CloseCode::Policy);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_even_answer_pings_is_given_up() {
    let mut stage = Stage::set_up(Vec::new(), Store::default()).await;
    assert_eq!(stage.next().await, Frame::Ping);
    assert_eq!(stage.started.elapsed(), Duration::from_secs(25));
    stage.to_session.send(Frame::Other).await.unwrap();
    assert_eq!(stage.close_code().await, CloseCode::Policy);
    assert!(stage.started.elapsed() > Duration::from_secs(100));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_given_up() {
    let mut stage = Stage::set_up(vec![vec![text("Hi."), finished()]], Store::default()).await;
    stage.deaf.store(true, Ordering::Relaxed);
    stage.say("Hello").await;
    assert_eq!(stage.close_code().await, CloseCode::Policy);
    assert_eq!(stage.started.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_large_to_be_read_closes_the_socket_and_keeps_what_was_said() {
    let mut stage = Stage::set_up(vec![vec![text("Hi."), finished()]], Store::default()).await;
    stage.say("Hello").await;
    assert_eq!(stage.next_json().await, said("Hi.", true));
    stage.to_session.send(Frame::Oversize).await.unwrap();
    assert_eq!(stage.close_code().await, CloseCode::TooLarge);
    assert_eq!(stage.metrics.value(Counter::FramesMalformed), 1);
    let (store, _) = stage.end().await;
    let written: Vec<Sequence> = store.written.lock().unwrap().iter().map(|turn| turn.1).collect();
    assert!(written.starts_with(&[0, 1]), "{written:?}");
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_too_fast_are_dropped_and_a_flood_closes_the_socket() {
    let mut stage = Stage::set_up(vec![vec![text("Hi."), finished()]], Store::default()).await;
    for _ in 0..1500 {
        stage.send(r#"{"type":"novelty"}"#).await;
    }
    // A second makes room for two hundred.
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.say("Hello").await;
    assert_eq!(stage.next_json().await, said("Hi.", true), "the call goes on");
    assert_eq!(stage.metrics.value(Counter::FramesDropped), 500);
    assert_eq!(stage.metrics.value(Counter::FramesUnknown), 1000);
    for _ in 0..5000 {
        // Who floods does not notice at once that nobody listens any more.
        if stage.to_session.send(Frame::Other).await.is_err() {
            break;
        }
    }
    assert_eq!(stage.close_code().await, CloseCode::Policy);
}
