//! What becomes of caller and person when the table or the carrier is out of reach, reports are lost, or processes end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use trunkline::metrics::Counter;
use voice_core::ports::{CallUpdate, HandoffRecord, HandoffStatus, TelephonyErrorKind};
use voice_core::use_case::Destination;

use super::{
    CALL, HUMAN, PERSON, called, desk, dial, hand_over, hand_over_in, person_status, returns, service,
    target, updated, warm, whisper,
};
use crate::bare::{Asked, Bare, Setup, eventually};
use crate::support::{CALLED, CALLER};

/// Lets time pass for whoever waits.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

/// Somebody watches over the caller: the table was read so often before.
async fn watched(service: &Bare, reads: u32) {
    eventually("somebody watches", || service.table.reads_of_handoffs() >= reads).await;
    // The one who watches begins to do so behind that.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// What the caller hears who holds.
async fn hold(service: &Bare) -> String {
    service.post(&format!("/twiml/hold/{CALL}"), &[("CallSid", CALL)]).await
}

#[tokio::test]
async fn a_caller_is_brought_back_although_the_carrier_is_out_of_reach_at_first() {
    let mut service = service(warm()).await;
    hand_over(&service, "default").await;
    called(&mut service).await;
    service.carrier.unreachable.store(1, Ordering::SeqCst);
    person_status(&service, "busy").await;
    assert_eq!(updated(&mut service).await.0, CALL);
}

#[tokio::test]
async fn a_caller_does_not_hold_for_ever_when_nothing_is_heard_of_the_person() {
    let mut service = service(warm()).await;
    hand_over(&service, "default").await;
    called(&mut service).await;
    watched(&service, 2).await;
    pass(20 + 89).await;
    assert_eq!(service.table.handoff(CALL).status, HandoffStatus::Dialling);
    pass(2).await;
    let (call_sid, update) = updated(&mut service).await;
    let url = format!("{}/twiml/return/{CALL}/not-taken", service.url);
    assert_eq!((call_sid.as_str(), update), (CALL, CallUpdate::Redirect(url)));
    assert_eq!(updated(&mut service).await, (PERSON.to_owned(), CallUpdate::End));
}

#[tokio::test]
async fn a_table_out_of_reach_leaves_nobody_holding() {
    let use_cases = vec![desk("default", warm())];
    let setup = Setup { use_cases, sip_endpoint: Some("sip:support@example.com"), ..Setup::default() };
    let service = Bare::start(setup).await;
    service.table.answered(CALL, "desk");
    service.table.handoffs_out_of_reach.store(true, Ordering::SeqCst);
    returns(&hand_over(&service, "default").await, "failed");
    service.table.out_of_reach.store(true, Ordering::SeqCst);
    let twiml = hand_over(&service, "default").await;
    assert!(twiml.contains("<Dial><Sip>sip:support@example.com</Sip></Dial>"), "{twiml}");
    assert!(service.asked_besides().await.is_empty());
}

#[tokio::test]
async fn a_person_who_presses_a_key_meets_the_caller_although_the_table_is_out_of_reach() {
    let mut service = service(warm()).await;
    hand_over(&service, "default").await;
    called(&mut service).await;
    service.table.handoffs_out_of_reach.store(true, Ordering::SeqCst);
    assert!(whisper(&service, "").await.contains("<Gather"));
    assert!(whisper(&service, "/accept").await.contains("<Conference"));
    pass(6).await;
    assert_eq!(service.table.handoff(CALL).status, HandoffStatus::Dialling);
    service.table.handoffs_out_of_reach.store(false, Ordering::SeqCst);
    pass(6).await;
    eventually("it is written", || service.table.handoff(CALL).status == HandoffStatus::Joined).await;
    assert_eq!(service.metrics.value(Counter::TransfersJoined), 1);
}

#[tokio::test]
async fn who_was_not_reached_has_not_taken_the_call_although_the_table_is_out_of_reach() {
    let mut service = service(warm()).await;
    hand_over(&service, "default").await;
    called(&mut service).await;
    service.table.handoffs_out_of_reach.store(true, Ordering::SeqCst);
    person_status(&service, "busy").await;
    assert_eq!(updated(&mut service).await.0, CALL);
}

#[tokio::test]
async fn nobody_is_torn_apart_because_the_table_does_not_tell() {
    for joined in [true, false] {
        let mut service = service(warm()).await;
        hand_over(&service, "default").await;
        called(&mut service).await;
        watched(&service, 2).await;
        service.table.handoffs_out_of_reach.store(true, Ordering::SeqCst);
        if joined {
            assert!(whisper(&service, "/accept").await.contains("<Conference"));
        }
        pass(20 + 91).await;
        watched(&service, 3).await;
        pass(6).await;
        service.table.handoffs_out_of_reach.store(false, Ordering::SeqCst);
        pass(6).await;
        if joined {
            let status = || service.table.handoff(CALL).status;
            eventually("it is written", || status() == HandoffStatus::Joined).await;
        } else {
            assert_eq!(service.table.handoff(CALL).status, HandoffStatus::Dialling, "others write first");
        }
        pass(16).await;
        if !joined {
            assert_eq!(updated(&mut service).await.0, CALL);
            assert_eq!(updated(&mut service).await, (PERSON.to_owned(), CallUpdate::End));
        }
        assert!(service.asked_besides().await.is_empty(), "joined: {joined}");
    }
}

#[tokio::test]
async fn a_repeated_request_does_what_is_left_to_do() {
    let mut service = service(warm()).await;
    let first = hand_over(&service, "default").await;
    called(&mut service).await;
    // The process that called did not live to write down whom.
    let change = |change: &dyn Fn(&mut HandoffRecord)| {
        change(service.table.handoffs.lock().unwrap().get_mut(CALL).unwrap());
    };
    change(&|known| known.person_call_sid = None);
    watched(&service, 2).await;
    pass(50).await;
    assert_eq!(hand_over(&service, "default").await, first);
    change(&|known| known.status = HandoffStatus::Unanswered);
    returns(&hand_over(&service, "default").await, "not-taken");
    // The first to watch finds nothing to do, and the second does.
    pass(20 + 90 - 49).await;
    eventually("the first has looked", || service.table.reads_of_handoffs() >= 5).await;
    change(&|known| known.status = HandoffStatus::Dialling);
    pass(50).await;
    assert_eq!(updated(&mut service).await.0, CALL);
    assert_eq!(service.metrics.value(Counter::TransfersStarted), 1);
}

#[tokio::test]
async fn a_handoff_that_may_have_been_written_is_settled_when_the_caller_is_back() {
    let service = service(warm()).await;
    hand_over(&service, "default").await;
    service.table.handoffs_out_of_reach.store(true, Ordering::SeqCst);
    returns(&hand_over_in(&service, "VX2", json!({}), &[]).await, "failed");
    service.table.handoffs_out_of_reach.store(false, Ordering::SeqCst);
    pass(6).await;
    eventually("it is settled", || service.table.handoff(CALL).status == HandoffStatus::Unanswered).await;
}

#[tokio::test]
async fn a_caller_holds_with_music_until_that_takes_too_long() {
    let mut service = service(warm()).await;
    hand_over(&service, "default").await;
    called(&mut service).await;
    let again = format!(
        r#"<Pause length="1"/><Redirect method="POST">{}/twiml/hold/{CALL}</Redirect></Response>"#,
        service.url
    );
    let expected = format!("<Response><Play>https://example.com/m.mp3</Play>{again}");
    assert!(hold(&service).await.ends_with(&expected));
    let began = |seconds: i64| {
        let began = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
        service.table.handoffs.lock().unwrap().get_mut(CALL).unwrap().started_at = began.to_string();
    };
    began(20 + 85);
    hold(&service).await;
    service.table.handoffs_out_of_reach.store(true, Ordering::SeqCst);
    assert!(hold(&service).await.contains("com.twilio.music"), "there is music without the table");
    service.table.handoffs_out_of_reach.store(false, Ordering::SeqCst);
    assert_eq!(service.table.handoff(CALL).status, HandoffStatus::Dialling);
    began(20 + 91);
    assert!(hold(&service).await.ends_with(&expected), "until they are somewhere else");
    let (call_sid, update) = updated(&mut service).await;
    let url = format!("{}/twiml/return/{CALL}/not-taken", service.url);
    assert_eq!((call_sid.as_str(), update), (CALL, CallUpdate::Redirect(url)));
    assert_eq!(updated(&mut service).await, (PERSON.to_owned(), CallUpdate::End));
    // Whoever settled it before did not live to bring the caller back.
    hold(&service).await;
    assert_eq!(updated(&mut service).await.0, CALL);
    service.table.handoffs.lock().unwrap().get_mut(CALL).unwrap().status = HandoffStatus::Joined;
    hold(&service).await;
    assert!(service.asked_besides().await.is_empty(), "the person is on their way into the room");
}

#[tokio::test]
async fn who_is_called_and_from_where_is_known_without_the_table() {
    let service = service(target(Destination::Dial(dial()))).await;
    service.table.out_of_reach.store(true, Ordering::SeqCst);
    for (direction, from, to) in [("inbound", CALLER, CALLED), ("outbound-api", CALLED, CALLER)] {
        let form = [("From", from), ("To", to), ("Direction", direction)];
        let twiml = hand_over_in(&service, "VX1", json!({ "useCase": "desk" }), &form).await;
        assert!(twiml.contains(&format!(r#"callerId="{CALLED}""#)), "{direction}: {twiml}");
        assert!(twiml.contains(&format!("<Number>{HUMAN}</Number>")), "{twiml}");
    }
}

#[tokio::test]
async fn a_person_who_cannot_be_called_does_not_keep_the_caller() {
    for kind in [TelephonyErrorKind::Refused, TelephonyErrorKind::Unavailable] {
        let mut service = service(warm()).await;
        service.carrier.refusals.lock().unwrap().push((kind, Some(21211)));
        hand_over(&service, "default").await;
        let Asked::Place(_) = service.asked().await else { panic!("nobody is called") };
        let (call_sid, update) = updated(&mut service).await;
        let url = format!("{}/twiml/return/{CALL}/failed", service.url);
        assert_eq!((call_sid.as_str(), update), (CALL, CallUpdate::Redirect(url)));
        assert_eq!(service.table.handoff(CALL).status, HandoffStatus::Unanswered);
    }
}
