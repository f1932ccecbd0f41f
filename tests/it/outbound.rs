//! Calls that the service places: who hears what, machines, and what is known of them afterwards.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use trunkline::metrics::Counter;
use voice_core::ports::{CallUpdate, Direction, LaunchRecord, LaunchStatus};
use voice_core::private::Private;
use voice_core::use_case::{CallerLimit, Keep, OnMachine, UseCase};

use crate::bare::{API_TOKEN, Asked, Bare, Setup, eventually, http};
use crate::support::{CALLED, CALLER};

const CALL: &str = "CA00000000000000000000000000000001";
const LAUNCH: &str = "L00000000000000000000000000000001";

fn launch(machine: OnMachine) -> LaunchRecord {
    LaunchRecord {
        id: LAUNCH.to_owned(),
        status: LaunchStatus::Requested,
        request_digest: String::new(),
        to: Private::new(CALLER.to_owned()),
        from: CALLED.to_owned(),
        use_case: "reminder".to_owned(),
        variables: Private::new(BTreeMap::from([("when".to_owned(), "at nine".to_owned())])),
        machine,
        call_sid: None,
        answered_by: None,
        error: None,
    }
}

async fn launched(machine: OnMachine) -> Bare {
    launched_by(UseCase::new("reminder", "You remind."), machine).await
}

async fn launched_by(reminder: UseCase, machine: OnMachine) -> Bare {
    let use_cases = vec![UseCase::new("desk", "You answer."), reminder];
    let service = Bare::start(Setup { use_cases, ..Setup::default() }).await;
    service.table.launches.lock().unwrap().insert(LAUNCH.to_owned(), launch(machine));
    service
}

async fn answered(service: &Bare, more: &[(&str, &str)]) -> String {
    let fields = [
        ("CallSid", CALL),
        ("From", CALLED),
        ("To", CALLER),
        ("Direction", "outbound-api"),
        ("CallStatus", "in-progress"),
    ];
    service.post(&format!("/twiml/outbound/{LAUNCH}"), &[&fields, more].concat()).await
}

async fn status(service: &Bare, path: &str, status: &str, more: &[(&str, &str)]) {
    service.post(path, &[&[("CallSid", CALL), ("CallStatus", status)], more].concat()).await;
}

async fn detected(service: &Bare, answered_by: &str) {
    let fields = [("CallSid", CALL), ("AnsweredBy", answered_by)];
    service.post(&format!("/twiml/machine/{LAUNCH}"), &fields).await;
}

async fn socket_lost(service: &Bare) -> String {
    let fields = [
        ("CallSid", CALL),
        ("SessionStatus", "failed"),
        ("ErrorCode", "64105"),
        ("CallStatus", "in-progress"),
    ];
    service.post(&format!("/twiml/ended/{CALL}/{LAUNCH}"), &fields).await
}

#[tokio::test]
async fn the_person_hears_the_use_case_of_the_launch() {
    let service = launched(OnMachine::Ignore).await;
    let twiml = answered(&service, &[("AnsweredBy", "machine_start")]).await;
    assert!(twiml.contains(&format!(r#"action="{}/twiml/ended/{CALL}/{LAUNCH}""#, service.url)), "{twiml}");
    assert!(twiml.contains(r#"<Parameter name="useCase" value="reminder"/>"#), "{twiml}");
    let session = service.table.sessions.lock().unwrap()[CALL].clone();
    assert_eq!(session.direction, Direction::Outbound);
    assert_eq!((session.from.expose().as_str(), session.to.expose().as_str()), (CALLED, CALLER));
    assert_eq!(session.variables.expose()["when"], "at nine");
    // A session that breaks goes on, with the same rules.
    let twiml = socket_lost(&service).await;
    assert!(twiml.contains(&format!("/twiml/ended/{CALL}/{LAUNCH}")), "{twiml}");
}

#[tokio::test]
async fn a_launch_that_is_not_known_is_an_apology() {
    let service = Bare::start(Setup::default()).await;
    for path in [format!("/twiml/outbound/{LAUNCH}"), "/twiml/outbound/x".to_owned()] {
        let twiml = service.post(&path, &[("CallSid", CALL), ("From", CALLED), ("To", CALLER)]).await;
        assert!(twiml.contains("sorry"), "{twiml}");
    }
}

#[tokio::test]
async fn a_machine_ends_the_call_which_is_not_taken_up_again() {
    let mut service = launched(OnMachine::HangUp).await;
    answered(&service, &[]).await;
    detected(&service, "machine_start").await;
    let Asked::Update(call_sid, update) = service.asked().await else { panic!("the call goes on") };
    assert_eq!((call_sid.as_str(), update), (CALL, CallUpdate::End));
    assert_eq!(service.table.launch(LAUNCH).answered_by.as_deref(), Some("machine_start"));
    let twiml = socket_lost(&service).await;
    assert!(twiml.contains("<Response><Hangup/>"), "{twiml}");
}

#[tokio::test]
async fn a_machine_is_left_a_message_when_its_greeting_is_over() {
    let mut reminder = UseCase::new("reminder", "You remind.");
    reminder.relay_attributes.insert("language".to_owned(), "de-DE".to_owned());
    let say = OnMachine::Say("Please call <us> back.".to_owned());
    let mut service = launched_by(reminder.clone(), say.clone()).await;
    answered(&service, &[]).await;
    detected(&service, "machine_end_beep").await;
    let Asked::Update(_, CallUpdate::Twiml(twiml)) = service.asked().await else { panic!("no message") };
    let message = r#"<Say language="de-DE">Please call &lt;us&gt; back.</Say><Hangup/>"#;
    assert!(twiml.contains(message), "{twiml}");
    assert!(socket_lost(&service).await.contains("<Hangup/>"));
    let service = launched_by(reminder, say).await;
    assert!(answered(&service, &[("AnsweredBy", "machine_end_beep")]).await.contains(message));
}

#[tokio::test]
async fn what_is_found_out_before_the_answer_counts_as_well() {
    let service = launched(OnMachine::HangUp).await;
    assert!(answered(&service, &[("AnsweredBy", "fax")]).await.contains("<Response><Hangup/>"));
    assert_eq!(service.table.launch(LAUNCH).answered_by.as_deref(), Some("fax"));
    let service = launched(OnMachine::Say("Bye".to_owned())).await;
    let twiml = answered(&service, &[("AnsweredBy", "machine_end_other")]).await;
    assert!(twiml.contains("<Say>Bye</Say><Hangup/>"), "{twiml}");
    let service = launched(OnMachine::HangUp).await;
    assert!(answered(&service, &[("AnsweredBy", "human")]).await.contains("<ConversationRelay"));
}

#[tokio::test]
async fn a_human_or_a_doubt_is_only_written_down() {
    for who in ["human", "unknown"] {
        let service = launched(OnMachine::HangUp).await;
        answered(&service, &[]).await;
        detected(&service, who).await;
        assert_eq!(service.table.launch(LAUNCH).answered_by.as_deref(), Some(who));
        assert!(socket_lost(&service).await.contains("<ConversationRelay"), "{who}");
        assert!(service.asked_besides().await.is_empty(), "{who}");
    }
}

#[tokio::test]
async fn reports_are_taken_in_any_order() {
    let service = launched(OnMachine::Ignore).await;
    let path = format!("/twiml/status/{LAUNCH}");
    answered(&service, &[]).await;
    status(&service, &path, "initiated", &[]).await;
    assert_eq!(service.table.launch(LAUNCH).status, LaunchStatus::Queued);
    assert_eq!(service.table.launch(LAUNCH).call_sid.as_deref(), Some(CALL));
    for (report, known) in [
        ("in-progress", LaunchStatus::Answered),
        ("ringing", LaunchStatus::Answered),
        ("novelty", LaunchStatus::Answered),
        ("completed", LaunchStatus::Completed),
        ("in-progress", LaunchStatus::Completed),
        ("completed", LaunchStatus::Completed),
    ] {
        status(&service, &path, report, &[]).await;
        assert_eq!(service.table.launch(LAUNCH).status, known, "{report}");
    }
    eventually("the session is closed", || service.table.closed.lock().unwrap().contains(CALL)).await;
    assert_eq!(service.table.launch(LAUNCH).error, None);
    assert_eq!(service.table.launch(LAUNCH).to.expose(), CALLER, "this use case keeps what it wants");
}

#[tokio::test]
async fn who_was_called_is_forgotten_with_the_end_when_nothing_is_kept() {
    let mut reminder = UseCase::new("reminder", "You remind.");
    reminder.storage.keep = Keep::Nothing;
    for last in ["completed", "busy", "no-answer", "canceled", "failed"] {
        let service = launched_by(reminder.clone(), OnMachine::HangUp).await;
        let path = format!("/twiml/status/{LAUNCH}");
        status(&service, &path, "ringing", &[]).await;
        assert_eq!(service.table.launch(LAUNCH).to.expose(), CALLER, "the agent is to know who it is");
        status(&service, &path, last, &[]).await;
        eventually(last, || {
            let launch = service.table.launch(LAUNCH);
            launch.to.expose().is_empty() && launch.variables.expose().is_empty()
        })
        .await;
    }
}

/// A service with one line, which a call that it has placed keeps while it rings.
async fn ringing() -> (Bare, String) {
    let use_cases = vec![UseCase::new("reminder", "You remind.")];
    let service = Bare::start(Setup { use_cases, most_calls: 1, ..Setup::default() }).await;
    let order = http().post(format!("{}/api/calls", service.url)).bearer_auth(API_TOKEN);
    let order = order.json(&json!({ "to": CALLER, "useCase": "reminder" }));
    let launch: Value = order.send().await.unwrap().json().await.unwrap();
    (service, launch["id"].as_str().unwrap().to_owned())
}

async fn somebody_calls(service: &Bare) -> String {
    let fields = [("CallSid", "CA9"), ("From", "+14155550122"), ("To", CALLED), ("Direction", "inbound")];
    service.post("/twiml", &fields).await
}

#[tokio::test]
async fn a_line_is_kept_for_a_call_that_rings() {
    let (service, launch) = ringing().await;
    assert!(somebody_calls(&service).await.contains("All our lines are busy"));
    let fields = [("CallSid", "CAperson1"), ("From", CALLED), ("To", CALLER), ("Direction", "outbound-api")];
    let path = format!("/twiml/outbound/{launch}");
    for _ in 0..2 {
        let twiml = service.post(&path, &fields).await;
        assert!(twiml.contains("<ConversationRelay"), "{twiml}");
    }
    let (service, launch) = ringing().await;
    let fields = [("CallSid", "CAperson1"), ("CallStatus", "busy")];
    service.post(&format!("/twiml/status/{launch}"), &fields).await;
    assert!(somebody_calls(&service).await.contains("<ConversationRelay"), "nobody will answer any more");
}

#[tokio::test]
async fn a_call_that_failed_says_why_and_has_no_session_to_end() {
    for (more, reason) in [
        (&[("ErrorCode", "13224"), ("SipResponseCode", "404")][..], "Twilio code 13224"),
        (&[("SipResponseCode", "404")][..], "SIP response 404"),
    ] {
        let service = launched(OnMachine::Ignore).await;
        status(&service, &format!("/twiml/status/{LAUNCH}"), "failed", more).await;
        assert_eq!(service.table.launch(LAUNCH).status, LaunchStatus::Failed);
        assert_eq!(service.table.launch(LAUNCH).error.as_deref(), Some(reason));
        assert!(service.table.closed.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_report_ends_the_session_of_its_own_call_only() {
    let service = Bare::start(Setup::default()).await;
    service.table.answered(CALL, "desk");
    status(&service, "/twiml/status/CA00000000000000000000000000000002", "completed", &[]).await;
    status(&service, "/twiml/status/Lx", "completed", &[]).await;
    status(&service, &format!("/twiml/status/{CALL}"), "ringing", &[]).await;
    assert!(service.table.closed.lock().unwrap().is_empty());
    status(&service, "/twiml/status", "completed", &[]).await;
    eventually("the session is closed", || service.table.closed.lock().unwrap().contains(CALL)).await;
}

#[tokio::test]
async fn a_number_that_calls_too_often_hears_so_and_others_do_not() {
    let mut use_case = UseCase::new("desk", "You answer.");
    use_case.caller_limit = Some(CallerLimit { calls: 2, window: Duration::from_hours(1) });
    let service = Bare::with(use_case).await;
    let call = async |call_sid: &str, from: &str| {
        let fields = [("CallSid", call_sid), ("From", from), ("To", CALLED), ("Direction", "inbound")];
        service.post("/twiml", &fields).await
    };
    for call_sid in ["CA1", "CA2", "CA2", "CA1"] {
        assert!(call(call_sid, CALLER).await.contains("<ConversationRelay"), "repeats count once");
    }
    assert!(call("CA3", CALLER).await.contains("You have called us very often"));
    assert!(call("CA4", "+14155550122").await.contains("<ConversationRelay"));
    for call_sid in ["CA5", "CA6", "CA7"] {
        assert!(call(call_sid, "anonymous").await.contains("<ConversationRelay"), "nobody knows who that is");
    }
    assert_eq!(service.metrics.value(Counter::CallsRateLimited), 1);
    service.table.out_of_reach.store(true, Ordering::SeqCst);
    assert!(call("CA8", CALLER).await.contains("<ConversationRelay"), "a call is worth more than a count");
}

#[tokio::test]
async fn a_profile_is_that_of_the_person_who_is_called() {
    let mut greeting = UseCase::new("reminder", "You remind.");
    greeting.relay_attributes.insert("welcomeGreeting".to_owned(), "Hi {{ caller.firstName }}".to_owned());
    let service = Bare::with(greeting).await;
    service.table.launches.lock().unwrap().insert(LAUNCH.to_owned(), launch(OnMachine::Ignore));
    let Value::Object(profile) = json!({ "pk": CALLER, "sk": "profile", "firstName": "Ada" }) else {
        panic!()
    };
    service.table.records.lock().unwrap().insert((CALLER.to_owned(), "profile".to_owned()), profile);
    let twiml = answered(&service, &[]).await;
    assert!(twiml.contains(r#"welcomeGreeting="Hi Ada""#), "{twiml}");
}
