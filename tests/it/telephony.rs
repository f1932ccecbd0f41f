//! The client of Twilio's REST API against a server that answers what the test tells it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use trunkline::telephony::{TwilioAccount, TwilioRest, TwilioSettings};
use voice_core::ports::{
    CallUpdate, MachineDetection, NewCall, Sms, Telephony, TelephonyError, TelephonyErrorKind, Verification,
};
use voice_core::private::Private;
use voice_core::use_case::VerifyChannel;
use voice_protocols::webhook::parse_form;

const TO: &str = "+14155550100";
const CALL: &str = "CA00000000000000000000000000000001";

/// What was asked: path, the user and password as sent, and the form.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    authorization: String,
    form: Vec<(String, String)>,
}

impl Asked {
    fn all(&self, name: &str) -> Vec<&str> {
        self.form.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }
}

#[derive(Clone, Debug, Default)]
struct Script {
    /// Status and body; when there are none left, an answer never comes.
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Script {
    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(
    State(script): State<Script>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let authorization = headers["authorization"].to_str().unwrap().to_owned();
    let asked = Asked { path: uri.path().to_owned(), authorization, form: parse_form(&body) };
    script.asked.lock().unwrap().push(asked);
    let next = script.answers.lock().unwrap().pop_front();
    match next {
        Some((status, body)) => (StatusCode::from_u16(status).unwrap(), body),
        None => std::future::pending().await,
    }
}

/// A client, and what its server was asked.
async fn twilio(answers: &[(u16, Value)]) -> (TwilioRest, Script) {
    let answers = answers.iter().map(|(status, body)| (*status, body.to_string())).collect();
    twilio_with_texts(answers).await
}

async fn twilio_with_texts(answers: VecDeque<(u16, String)>) -> (TwilioRest, Script) {
    let script = Script { answers: Arc::new(Mutex::new(answers)), ..Script::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(answer).with_state(script.clone());
    TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
    (client(settings(address)), script)
}

fn settings(address: SocketAddr) -> TwilioSettings {
    TwilioSettings {
        api_url: format!("http://{address}"),
        verify_url: format!("http://{address}"),
        account: Some(TwilioAccount {
            sid: "AC1".to_owned(),
            user: "SK1".to_owned(),
            password: Private::new("secret".to_owned()),
        }),
        verify_service_sid: Some("VA1".to_owned()),
    }
}

fn client(settings: TwilioSettings) -> TwilioRest {
    TwilioRest::new(settings).unwrap()
}

fn number() -> Private<String> {
    Private::new(TO.to_owned())
}

fn new_call() -> NewCall {
    NewCall {
        to: number(),
        from: "+18005550199".to_owned(),
        url: "https://voice.example.com/twiml/outbound/L1".to_owned(),
        status_callback: None,
        timeout: None,
        machine_detection: None,
    }
}

async fn place(twilio: &TwilioRest) -> Result<String, TelephonyError> {
    twilio.place_call(new_call()).await
}

#[tokio::test]
async fn a_call_is_placed_with_everything_that_was_asked_for() {
    let (twilio, script) = twilio(&[(201, json!({ "sid": CALL })), (201, json!({ "sid": CALL }))]).await;
    assert_eq!(place(&twilio).await.unwrap(), CALL);
    let call = NewCall {
        status_callback: Some("https://voice.example.com/twiml/status/L1".to_owned()),
        timeout: Some(25),
        machine_detection: Some(MachineDetection {
            callback: "https://voice.example.com/twiml/machine/L1".to_owned(),
            until_greeting_ends: true,
        }),
        ..new_call()
    };
    twilio.place_call(call).await.unwrap();
    let [plain, full] = script.asked().try_into().unwrap();
    assert_eq!(plain.path, "/2010-04-01/Accounts/AC1/Calls.json");
    // `SK1:secret`.
    assert_eq!(plain.authorization, "Basic U0sxOnNlY3JldA==");
    let names: Vec<&str> = plain.form.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["To", "From", "Url", "Method"]);
    assert_eq!(plain.all("To"), [TO]);
    assert_eq!(full.all("StatusCallbackEvent"), ["initiated", "ringing", "answered", "completed"]);
    assert_eq!(full.all("StatusCallback"), ["https://voice.example.com/twiml/status/L1"]);
    assert_eq!(full.all("Timeout"), ["25"]);
    assert_eq!(full.all("MachineDetection"), ["DetectMessageEnd"]);
    assert_eq!(full.all("AsyncAmd"), ["true"]);
    assert_eq!(full.all("AsyncAmdStatusCallback"), ["https://voice.example.com/twiml/machine/L1"]);
}

#[tokio::test]
async fn a_call_in_progress_is_sent_elsewhere_told_something_or_ended() {
    let (twilio, script) = twilio(&[(200, json!({})), (200, json!({})), (200, json!({}))]).await;
    let url = "https://voice.example.com/twiml/return/CA1/busy".to_owned();
    twilio.update_call(CALL, CallUpdate::Redirect(url.clone())).await.unwrap();
    twilio.update_call(CALL, CallUpdate::Twiml("<Response/>".to_owned())).await.unwrap();
    twilio.update_call(CALL, CallUpdate::End).await.unwrap();
    let [redirect, twiml, end] = script.asked().try_into().unwrap();
    assert_eq!(redirect.path, format!("/2010-04-01/Accounts/AC1/Calls/{CALL}.json"));
    assert_eq!((redirect.all("Url"), redirect.all("Method")), (vec![url.as_str()], vec!["POST"]));
    assert_eq!(twiml.all("Twiml"), ["<Response/>"]);
    assert_eq!(end.all("Status"), ["completed"]);
    let error = twilio.update_call("CA1/../Messages", CallUpdate::End).await.unwrap_err();
    assert_eq!(error.kind, TelephonyErrorKind::Refused);
    assert_eq!(script.asked().len(), 3, "no such id is asked for");
}

#[tokio::test]
async fn a_message_comes_from_a_number_or_from_a_messaging_service() {
    let (twilio, script) = twilio(&[(201, json!({ "sid": "SM1" })), (201, json!({ "sid": "SM2" }))]).await;
    for (from, sid) in [("+18005550199", "SM1"), ("MG1", "SM2")] {
        let body = Private::new("Hello & bye".to_owned());
        let sms = Sms { to: number(), from: from.to_owned(), body };
        assert_eq!(twilio.send_sms(sms).await.unwrap(), sid);
    }
    let [number, service] = script.asked().try_into().unwrap();
    assert_eq!(number.path, "/2010-04-01/Accounts/AC1/Messages.json");
    assert_eq!((number.all("From"), number.all("Body")), (vec!["+18005550199"], vec!["Hello & bye"]));
    assert_eq!((service.all("MessagingServiceSid"), service.all("From")), (vec!["MG1"], vec![]));
}

#[tokio::test]
async fn only_an_approved_code_is_right() {
    let answers = ["approved", "pending", "max_attempts_reached", "expired", "canceled", "novelty"];
    let mut answers: Vec<_> =
        answers.iter().map(|status| (201, json!({ "status": status, "valid": true }))).collect();
    answers.push((404, json!({ "code": 20404, "message": "not found" })));
    answers.push((429, json!({ "code": 60202, "message": "Max check attempts reached" })));
    let (twilio, script) = twilio(&answers).await;
    let code = Private::new("123456".to_owned());
    for wanted in [
        Verification::Approved,
        Verification::Wrong,
        Verification::NothingPending,
        Verification::NothingPending,
        Verification::NothingPending,
        Verification::Wrong,
        Verification::NothingPending,
        Verification::NothingPending,
    ] {
        assert_eq!(twilio.check_verification(&number(), &code).await.unwrap(), wanted);
    }
    let asked = script.asked();
    assert_eq!(asked.len(), answers.len(), "none is asked for twice");
    assert_eq!(asked[0].path, "/v2/Services/VA1/VerificationCheck");
    assert_eq!((asked[0].all("To"), asked[0].all("Code")), (vec![TO], vec!["123456"]));
}

#[tokio::test]
async fn a_code_is_sent_by_the_channel_asked_for() {
    let (twilio, script) = twilio(&[(201, json!({})), (403, json!({ "code": 60203 }))]).await;
    twilio.start_verification(&number(), VerifyChannel::Call).await.unwrap();
    let error = twilio.start_verification(&number(), VerifyChannel::Sms).await.unwrap_err();
    assert_eq!(error.code, Some(60203));
    let [call, sms] = script.asked().try_into().unwrap();
    assert_eq!(call.path, "/v2/Services/VA1/Verifications");
    assert_eq!((call.all("Channel"), sms.all("Channel")), (vec!["call"], vec!["sms"]));
}

#[tokio::test]
async fn too_many_requests_are_repeated_three_times_and_nothing_else_is() {
    let throttled = || (429, json!({ "code": 20429, "message": "Too Many Requests" }));
    let (twilio, script) =
        twilio(&[throttled(), throttled(), throttled(), (201, json!({ "sid": CALL }))]).await;
    assert_eq!(place(&twilio).await.unwrap(), CALL);
    assert_eq!(script.asked().len(), 4);
    let (twilio, script) = self::twilio(&[throttled(), throttled(), throttled(), throttled()]).await;
    let error = place(&twilio).await.unwrap_err();
    assert_eq!((error.kind, error.code), (TelephonyErrorKind::Throttled, Some(20429)));
    assert_eq!(script.asked().len(), 4);
    for (status, kind) in [
        (400, TelephonyErrorKind::Refused),
        (401, TelephonyErrorKind::Refused),
        (302, TelephonyErrorKind::Refused),
        (500, TelephonyErrorKind::Unavailable),
        (503, TelephonyErrorKind::Unavailable),
    ] {
        let (twilio, script) = self::twilio(&[(status, json!({}))]).await;
        assert_eq!(place(&twilio).await.unwrap_err().kind, kind, "{status}");
        assert_eq!(script.asked().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_refusal_keeps_the_code_and_no_number() {
    let message = format!("The 'To' number {TO} is not a valid phone number");
    let (twilio, _) = twilio(&[(400, json!({ "code": 21211, "message": message }))]).await;
    let error = place(&twilio).await.unwrap_err();
    assert_eq!((error.kind, error.code), (TelephonyErrorKind::Refused, Some(21211)));
    assert_eq!(error.message, ": The 'To' number [number] is not a valid phone number");
    assert!(!format!("{error} {error:?}").contains(TO));
}

#[tokio::test]
async fn what_is_no_answer_leaves_the_outcome_open() {
    for body in ["<html>", "{}", r#"{"sid":""}"#] {
        let (twilio, script) = twilio_with_texts(VecDeque::from([(201, body.to_owned())])).await;
        assert_eq!(place(&twilio).await.unwrap_err().kind, TelephonyErrorKind::Unavailable, "{body}");
        assert_eq!(script.asked().len(), 1, "{body}");
    }
    let endless = format!(r#"{{"sid":"{}"}}"#, "x".repeat(300 * 1024));
    let (twilio, _) = twilio_with_texts(VecDeque::from([(201, endless)])).await;
    assert_eq!(place(&twilio).await.unwrap_err().kind, TelephonyErrorKind::Unavailable);
}

#[tokio::test]
async fn an_api_that_is_out_of_reach_is_told_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let twilio = client(settings(address));
    let error = tokio::time::timeout(Duration::from_secs(5), place(&twilio)).await.unwrap().unwrap_err();
    assert_eq!(error.kind, TelephonyErrorKind::NotSent, "and nothing was done");
}

#[tokio::test]
async fn without_an_account_or_a_service_nothing_is_asked() {
    let (_, script) = twilio(&[]).await;
    let address = "127.0.0.1:9".parse().unwrap();
    let nobody = client(TwilioSettings { account: None, ..settings(address) });
    assert_eq!(place(&nobody).await.unwrap_err().kind, TelephonyErrorKind::NotConfigured);
    let no_service = client(TwilioSettings { verify_service_sid: None, ..settings(address) });
    let error = no_service.start_verification(&number(), VerifyChannel::Sms).await.unwrap_err();
    assert_eq!(error.kind, TelephonyErrorKind::NotConfigured);
    assert!(script.asked().is_empty());
}

#[test]
fn credentials_are_never_printed() {
    let printed = format!("{:?}", client(settings("127.0.0.1:9".parse().unwrap())));
    assert!(!printed.contains("secret"), "{printed}");
}
