//! Handing a caller over: what Twilio is told, and what becomes of caller and person whatever each of them does.

mod outages;

use std::time::Duration;

use serde_json::{Value, json};
use trunkline::metrics::Counter;
use voice_core::ports::{CallUpdate, HandoffStatus};
use voice_core::private::Private;
use voice_core::use_case::{Destination, Dial, HandoffTarget, IfUnanswered, Keep, Party, UseCase};

use crate::bare::{Asked, Bare, Setup, eventually};
use crate::support::{CALLED, CALLER, DEFAULT, stage_with, use_case, webhook};

const CALL: &str = "CA00000000000000000000000000000001";
const PERSON: &str = "CAperson1";
const HUMAN: &str = "+14155550177";

fn dial() -> Dial {
    Dial { to: Party::Number(HUMAN.to_owned()), caller_id: None, timeout: Duration::from_secs(20) }
}

fn target(to: Destination) -> HandoffTarget {
    HandoffTarget {
        to,
        announcement: Some("One moment, I put you through.".to_owned()),
        if_unanswered: IfUnanswered::ReturnToAgent,
    }
}

fn warm() -> HandoffTarget {
    target(Destination::WarmTransfer { dial: dial(), music: Some("https://example.com/m.mp3".to_owned()) })
}

/// A use case with one target, in German.
fn desk(name: &str, target: HandoffTarget) -> UseCase {
    let mut use_case = UseCase::new("desk", "You answer.");
    use_case.handoff.insert(name.to_owned(), target);
    use_case.relay_attributes.insert("language".to_owned(), "de-DE".to_owned());
    use_case.relay_attributes.insert("welcomeGreeting".to_owned(), "Hello!".to_owned());
    use_case
}

async fn service(target: HandoffTarget) -> Bare {
    let service = Bare::with(desk("default", target)).await;
    service.table.answered(CALL, "desk");
    service
}

/// The agent hands the call over.
async fn hand_over(service: &Bare, target: &str) -> String {
    hand_over_in(service, "VX1", json!({ "target": target }), &[]).await
}

/// The agent hands the call over at the end of a session, with what else is said of it.
async fn hand_over_in(service: &Bare, session: &str, said: Value, form: &[(&str, &str)]) -> String {
    let mut data = json!({
        "reasonCode": "live-agent-handoff", "reason": "asked for a person",
        "conversationSummary": "Ada wants <two> refunds & a call back", "callSid": CALL,
    });
    let Value::Object(said) = said else { panic!("an object") };
    data.as_object_mut().unwrap().extend(said);
    let data = data.to_string();
    let path = format!("/twiml/ended/{CALL}");
    let fields = [
        ("CallSid", CALL),
        ("SessionId", session),
        ("SessionStatus", "ended"),
        ("CallStatus", "in-progress"),
        ("HandoffData", &data),
    ];
    service.post(&path, &[&fields, form].concat()).await
}

/// The `<Dial>` of a handoff is over.
async fn dial_ended(service: &Bare, call_status: &str, status: &str) -> String {
    let fields = [("CallSid", CALL), ("CallStatus", call_status), ("DialCallStatus", status)];
    service.post(&format!("/twiml/handoff/{CALL}"), &fields).await
}

/// What becomes of the call to the person.
async fn person_status(service: &Bare, status: &str) {
    let fields = [("CallSid", PERSON), ("CallStatus", status), ("SequenceNumber", "3")];
    service.post(&format!("/twiml/handoff-status/{CALL}"), &fields).await;
}

async fn whisper(service: &Bare, path: &str) -> String {
    let fields = [("CallSid", PERSON), ("CallStatus", "in-progress"), ("Digits", "5")];
    service.post(&format!("/twiml/whisper/{CALL}{path}"), &fields).await
}

/// The person was called, and the table knows it.
async fn called(service: &mut Bare) {
    let Asked::Place(call) = service.asked().await else { panic!("nobody is called") };
    assert_eq!((call.to.expose().as_str(), call.from.as_str()), (HUMAN, CALLED));
    assert_eq!(call.timeout, Some(20));
    assert!(call.url.ends_with(&format!("/twiml/whisper/{CALL}")), "{}", call.url);
    let callback = call.status_callback.unwrap();
    assert!(callback.ends_with(&format!("/twiml/handoff-status/{CALL}")), "{callback}");
    eventually("the person's call is noted", || service.table.handoff(CALL).person_call_sid.is_some()).await;
}

async fn updated(service: &mut Bare) -> (String, CallUpdate) {
    match service.asked().await {
        Asked::Update(call_sid, update) => (call_sid, update),
        other @ Asked::Place(_) => panic!("{other:?}"),
    }
}

fn returns(twiml: &str, reason: &str) {
    assert!(twiml.contains("<ConversationRelay"), "{twiml}");
    assert!(twiml.contains(&format!(r#"<Parameter name="returned" value="{reason}"/>"#)), "{twiml}");
    assert!(!twiml.contains("welcomeGreeting"), "nobody is greeted twice: {twiml}");
}

#[tokio::test]
async fn a_number_is_dialled_from_our_own_after_the_announcement() {
    let service = service(target(Destination::Dial(dial()))).await;
    let twiml = hand_over(&service, "default").await;
    let expected = format!(
        r#"<Say language="de-DE">One moment, I put you through.</Say><Dial action="{}/twiml/handoff/{CALL}" method="POST" timeout="20" callerId="{CALLED}" answerOnBridge="true"><Number>{HUMAN}</Number></Dial>"#,
        service.url
    );
    assert!(twiml.contains(&expected), "{twiml}");
    assert_eq!(service.metrics.value(Counter::TransfersStarted), 1);
    assert!(service.asked_besides().await.is_empty(), "Twilio dials by itself");
}

#[tokio::test]
async fn other_destinations_are_told_what_they_need() {
    let sip = Dial {
        to: Party::Sip("help@example.com".to_owned()),
        caller_id: Some("+18005550111".to_owned()),
        ..dial()
    };
    for (to, expected) in [
        (
            Destination::Dial(sip),
            r#"callerId="+18005550111" answerOnBridge="true"><Sip>sip:help@example.com</Sip>"#,
        ),
        (Destination::Queue { name: "support".to_owned() }, r#"method="POST">support</Enqueue>"#),
        (
            Destination::Workflow { sid: "WW1".to_owned() },
            r#"workflowSid="WW1"><Task>{&quot;callSid&quot;:&quot;CA00000000000000000000000000000001&quot;,&quot;reason&quot;:&quot;asked for a person&quot;,&quot;summary&quot;:&quot;Ada wants &lt;two&gt; refunds &amp; a call back&quot;}</Task>"#,
        ),
        (
            Destination::Redirect { url: "https://studio.example.com/flow?a=1&b".to_owned() },
            r#"<Redirect method="POST">https://studio.example.com/flow?a=1&amp;b</Redirect>"#,
        ),
    ] {
        let service = service(target(to)).await;
        let twiml = hand_over(&service, "default").await;
        assert!(twiml.contains(expected), "{twiml}");
    }
}

#[tokio::test]
async fn a_target_that_is_not_listed_is_refused_and_the_caller_is_back() {
    let service = service(target(Destination::Dial(dial()))).await;
    for name in ["+14155559999", "billing", "sip:x@example.com"] {
        let twiml = hand_over(&service, name).await;
        returns(&twiml, "refused");
        assert!(!twiml.contains(name), "{twiml}");
    }
    assert_eq!(service.metrics.value(Counter::TransfersRefused), 3);
    assert_eq!(service.metrics.value(Counter::TransfersStarted), 0);
}

#[tokio::test]
async fn what_is_no_handoff_ends_the_call() {
    let service = service(target(Destination::Dial(dial()))).await;
    for data in [r#"{"reasonCode":"end-call","target":"default"}"#, "default", ""] {
        let fields = [
            ("CallSid", CALL),
            ("SessionStatus", "ended"),
            ("CallStatus", "in-progress"),
            ("HandoffData", data),
        ];
        let twiml = service.post(&format!("/twiml/ended/{CALL}"), &fields).await;
        assert!(twiml.ends_with("<Response><Hangup/></Response>"), "{twiml}");
    }
}

#[tokio::test]
async fn a_dial_that_was_answered_ends_the_call_and_any_other_leads_back() {
    for (status, reason) in [
        ("completed", None),
        ("answered", None),
        ("busy", Some("busy")),
        ("no-answer", Some("no-answer")),
        ("failed", Some("failed")),
        ("canceled", Some("no-answer")),
        ("novelty", Some("failed")),
    ] {
        let service = service(target(Destination::Dial(dial()))).await;
        hand_over(&service, "default").await;
        for _ in 0..2 {
            let twiml = dial_ended(&service, "in-progress", status).await;
            match reason {
                Some(reason) => returns(&twiml, reason),
                None => assert!(twiml.contains("<Response><Hangup/>"), "{twiml}"),
            }
        }
        let joined = u64::from(reason.is_none());
        assert_eq!(service.metrics.value(Counter::TransfersJoined), joined, "{status}: repeats count once");
    }
}

#[tokio::test]
async fn who_is_not_to_return_is_hung_up_on() {
    let service =
        service(HandoffTarget { if_unanswered: IfUnanswered::HangUp, ..target(Destination::Dial(dial())) })
            .await;
    hand_over(&service, "default").await;
    let twiml = dial_ended(&service, "in-progress", "busy").await;
    assert!(twiml.contains("<Response><Hangup/>"), "{twiml}");
}

#[tokio::test]
async fn a_person_who_takes_the_call_meets_the_caller() {
    let mut service = service(warm()).await;
    let twiml = hand_over(&service, "default").await;
    let room = format!(
        r#"<Conference startConferenceOnEnter="true" endConferenceOnExit="true" beep="false" waitUrl="{}/twiml/hold/{CALL}" waitMethod="POST">handoff-{CALL}</Conference>"#,
        service.url
    );
    assert!(twiml.contains(&room), "{twiml}");
    called(&mut service).await;
    let question = whisper(&service, "").await;
    let expected = format!(
        r#"<Gather action="{}/twiml/whisper/{CALL}/accept" method="POST" numDigits="1" finishOnKey="" timeout="10"><Say language="de-DE">Ada wants &lt;two&gt; refunds &amp; a call back</Say><Say language="de-DE">Press any key to take the call.</Say></Gather><Hangup/>"#,
        service.url
    );
    assert!(question.contains(&expected), "{question}");
    let joined = whisper(&service, "/accept").await;
    assert!(
        joined.contains(&format!(r#"endConferenceOnExit="true" beep="false">handoff-{CALL}</Conference>"#)),
        "{joined}"
    );
    assert_eq!(whisper(&service, "/accept").await, joined, "Twilio may ask twice");
    assert_eq!(service.table.handoff(CALL).status, HandoffStatus::Joined);
    assert_eq!(service.metrics.value(Counter::TransfersJoined), 1);
    // They have talked, and the person hangs up.
    let twiml = dial_ended(&service, "in-progress", "completed").await;
    assert!(twiml.contains("<Response><Hangup/>"), "{twiml}");
    // Or the person was gone before they came into the room: nobody else would end the call.
    person_status(&service, "completed").await;
    assert_eq!(updated(&mut service).await, (CALL.to_owned(), CallUpdate::End));
    assert!(service.asked_besides().await.is_empty());
}

#[tokio::test]
async fn the_late_report_of_an_earlier_person_ends_no_conversation() {
    let mut service = service(warm()).await;
    hand_over(&service, "default").await;
    called(&mut service).await;
    person_status(&service, "busy").await;
    updated(&mut service).await;
    hand_over_in(&service, "VX2", json!({}), &[]).await;
    called(&mut service).await;
    let fields = [("CallSid", "CAperson2"), ("Digits", "1")];
    service.post(&format!("/twiml/whisper/{CALL}/accept"), &fields).await;
    person_status(&service, "completed").await;
    assert!(service.asked_besides().await.is_empty());
}

#[tokio::test]
async fn a_caller_whom_nobody_takes_is_back_with_the_agent() {
    for (status, reason) in [
        ("busy", "busy"),
        ("no-answer", "no-answer"),
        ("failed", "failed"),
        ("canceled", "no-answer"),
        ("completed", "not-taken"),
    ] {
        let mut service = service(warm()).await;
        hand_over(&service, "default").await;
        called(&mut service).await;
        for early in ["initiated", "ringing", "in-progress"] {
            person_status(&service, early).await;
        }
        person_status(&service, status).await;
        person_status(&service, status).await;
        let (call_sid, update) = updated(&mut service).await;
        let path = format!("/twiml/return/{CALL}/{reason}");
        assert_eq!(
            (call_sid.as_str(), update),
            (CALL, CallUpdate::Redirect(format!("{}{path}", service.url)))
        );
        let twiml = service.post(&path, &[("CallSid", CALL), ("CallStatus", "in-progress")]).await;
        returns(&twiml, reason);
        let late = whisper(&service, "/accept").await;
        assert!(late.contains("no longer on the line") && late.contains("<Hangup/>"), "{late}");
        let late = whisper(&service, "").await;
        assert!(late.contains("no longer on the line"), "{late}");
        assert_eq!(service.metrics.value(Counter::TransfersJoined), 0);
        assert!(service.asked_besides().await.is_empty(), "{status}: the caller is moved once");
    }
}

#[tokio::test]
async fn a_second_person_can_be_called_after_the_first_and_late_reports_change_nothing() {
    let mut service = service(warm()).await;
    hand_over(&service, "default").await;
    called(&mut service).await;
    person_status(&service, "busy").await;
    updated(&mut service).await;
    // In the same words, but at the end of another session.
    hand_over_in(&service, "VX2", json!({ "target": "default" }), &[]).await;
    called(&mut service).await;
    assert_eq!(service.table.handoff(CALL).person_call_sid.as_deref(), Some("CAperson2"));
    person_status(&service, "busy").await;
    assert_eq!(service.table.handoff(CALL).status, HandoffStatus::Dialling);
    assert_eq!(service.metrics.value(Counter::TransfersStarted), 2);
}

#[tokio::test]
async fn when_nobody_takes_the_call_it_can_also_end() {
    let mut service = service(HandoffTarget { if_unanswered: IfUnanswered::HangUp, ..warm() }).await;
    hand_over(&service, "default").await;
    called(&mut service).await;
    person_status(&service, "no-answer").await;
    assert_eq!(updated(&mut service).await, (CALL.to_owned(), CallUpdate::End));
}

#[tokio::test]
async fn a_caller_who_hangs_up_ends_the_ringing() {
    let mut service = service(warm()).await;
    hand_over(&service, "default").await;
    called(&mut service).await;
    dial_ended(&service, "completed", "completed").await;
    assert_eq!(updated(&mut service).await, (PERSON.to_owned(), CallUpdate::End));
    assert_eq!(service.table.handoff(CALL).status, HandoffStatus::Abandoned);
    // The person has answered at the same moment.
    assert!(whisper(&service, "").await.contains("no longer on the line"));
    assert!(whisper(&service, "/accept").await.contains("no longer on the line"));
    person_status(&service, "completed").await;
    assert!(service.asked_besides().await.is_empty(), "nobody is brought back");
}

#[tokio::test]
async fn a_caller_who_hangs_up_before_twilio_has_said_whom_it_calls_ends_the_ringing() {
    let mut service = service(warm()).await;
    service.carrier.answers.forget_permits(usize::MAX);
    hand_over(&service, "default").await;
    let Asked::Place(_) = service.asked().await else { panic!("nobody is called") };
    let fields = [("CallSid", CALL), ("CallStatus", "completed"), ("SequenceNumber", "3")];
    service.post(&format!("/twiml/status/{CALL}"), &fields).await;
    eventually("the caller is gone", || service.table.handoff(CALL).status == HandoffStatus::Abandoned).await;
    service.carrier.answers.add_permits(1);
    assert_eq!(updated(&mut service).await, (PERSON.to_owned(), CallUpdate::End));
}

#[tokio::test]
async fn a_repeated_request_calls_nobody_twice() {
    let mut service = service(warm()).await;
    let first = hand_over(&service, "default").await;
    called(&mut service).await;
    assert_eq!(hand_over(&service, "default").await, first);
    assert_eq!(service.metrics.value(Counter::TransfersStarted), 1);
    assert!(service.asked_besides().await.is_empty());
}

#[tokio::test]
async fn without_rest_the_caller_is_put_through_directly() {
    let use_cases = vec![desk("default", warm())];
    let service = Bare::start(Setup { use_cases, has_rest: false, ..Setup::default() }).await;
    service.table.answered(CALL, "desk");
    let twiml = hand_over(&service, "default").await;
    assert!(twiml.contains(&format!("<Number>{HUMAN}</Number>")) && !twiml.contains("Conference"), "{twiml}");
    assert!(dial_ended(&service, "in-progress", "completed").await.contains("<Response><Hangup/>"));
}

#[tokio::test]
async fn the_targets_are_those_of_the_use_case_that_the_call_went_on_as() {
    let use_cases =
        vec![UseCase::new("greeter", "You greet."), desk("default", target(Destination::Dial(dial())))];
    let service = Bare::start(Setup { use_cases, ..Setup::default() }).await;
    service.table.answered(CALL, "greeter");
    let twiml = hand_over_in(&service, "VX1", json!({ "useCase": "desk" }), &[]).await;
    assert!(twiml.contains(&format!(r#"callerId="{CALLED}""#)), "the table knows the numbers: {twiml}");
}

#[tokio::test]
async fn a_use_case_that_keeps_nothing_hands_over_without_words_or_numbers_in_the_table() {
    let mut quiet = desk("default", warm());
    quiet.storage.keep = Keep::Nothing;
    quiet.sentences.whisper_caller = "Da ist ein Anruf.".to_owned();
    quiet.sentences.whisper_gone = "Niemand mehr da.".to_owned();
    let mut service = Bare::with(quiet).await;
    let form = [("From", CALLER), ("To", CALLED), ("Direction", "inbound")];
    service.post("/twiml", &[&form[..], &[("CallSid", CALL)]].concat()).await;
    hand_over_in(&service, "VX1", json!({ "useCase": "desk" }), &form).await;
    called(&mut service).await;
    let (known, session) =
        (service.table.handoff(CALL), service.table.sessions.lock().unwrap()[CALL].clone());
    assert_eq!((known.reason, known.summary), (Private::default(), Private::default()));
    assert_eq!((session.from, session.to), (Private::default(), Private::default()));
    let question = whisper(&service, "").await;
    assert!(question.contains(r#"<Say language="de-DE">Da ist ein Anruf.</Say>"#), "{question}");
    person_status(&service, "busy").await;
    updated(&mut service).await;
    let late = whisper(&service, "").await;
    assert!(late.contains(r#"<Say language="de-DE">Niemand mehr da.</Say><Hangup/>"#), "{late}");
}

#[tokio::test]
async fn a_use_case_that_names_nobody_hands_over_to_the_sip_endpoint() {
    let settings = [("SIP_ENDPOINT", "support@example.com")];
    let stage = stage_with(&settings, [use_case(DEFAULT, json!({}))]).await;
    let incoming = webhook(&stage, "/twiml");
    incoming.post().await.relay();
    let call_sid = incoming.call_sid();
    let ended = webhook(&stage, &format!("/twiml/ended/{call_sid}"))
        .with("CallSid", &call_sid)
        .with("SessionStatus", "ended")
        .with("HandoffData", r#"{"reasonCode":"live-agent-handoff","reason":"billing"}"#);
    let twiml = ended.post().await.body;
    assert!(twiml.contains(&format!(r#"callerId="{CALLED}""#)), "{twiml}");
    assert!(twiml.contains("<Sip>sip:support@example.com</Sip>"), "{twiml}");
}

#[tokio::test]
async fn failover_goes_to_the_sip_endpoint_or_apologises() {
    let endpoint = "sip:support@example.com;a=1?b=2&c=3";
    let service = Bare::start(Setup { sip_endpoint: Some(endpoint), ..Setup::default() }).await;
    let twiml = service.post("/failover", &[("CallSid", CALL)]).await;
    let expected = r#"<Pause length="1"/><Dial><Sip>sip:support@example.com;a=1?b=2&amp;c=3</Sip></Dial>"#;
    assert!(twiml.contains("Hang on for a moment") && twiml.contains(expected), "{twiml}");
    let service = Bare::start(Setup::default()).await;
    let twiml = service.post("/failover", &[("CallSid", CALL)]).await;
    assert!(twiml.contains("sorry") && !twiml.contains("<Dial"), "{twiml}");
}

#[tokio::test]
async fn nobody_but_twilio_moves_callers() {
    let mut service = service(warm()).await;
    hand_over(&service, "default").await;
    called(&mut service).await;
    for path in [
        format!("/twiml/handoff/{CALL}"),
        format!("/twiml/handoff-status/{CALL}"),
        format!("/twiml/whisper/{CALL}"),
        format!("/twiml/whisper/{CALL}/accept"),
        format!("/twiml/return/{CALL}/busy"),
        format!("/twiml/hold/{CALL}"),
        format!("/twiml/status/{CALL}"),
        "/twiml/outbound/L1".to_owned(),
        "/twiml/machine/L1".to_owned(),
        "/failover".to_owned(),
    ] {
        let fields = [("CallSid", PERSON), ("CallStatus", "completed")];
        let (status, _) = service.post_signed_by("another-token", &path, &fields).await;
        assert_eq!(status, 403, "{path}");
    }
    assert_eq!(service.table.handoff(CALL).status, HandoffStatus::Dialling);
    let refused = service.metrics.value(Counter::SignaturesRefused);
    // Too long to be read whole, so nobody can say who has signed it.
    let padding = "x".repeat(70_000);
    let fields = [("CallSid", PERSON), ("CallStatus", "completed"), ("Padding", &padding)];
    let (status, _) = service.post_signed(&format!("/twiml/handoff-status/{CALL}"), &fields).await;
    assert_eq!((status, service.metrics.value(Counter::SignaturesRefused)), (403, refused + 1));
    assert_eq!(service.metrics.value(Counter::CallsApologised), 0);
    let twiml = service.post(&format!("/twiml/return/{CALL}/novelty"), &[("CallSid", CALL)]).await;
    assert!(twiml.contains("sorry"), "{twiml}");
    assert!(service.asked_besides().await.is_empty());
}
