//! The carrier against a service whose webhook answers are scripted and whose end of the socket the test holds.

mod placing;
mod transfers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, post};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use url::form_urlencoded;
use voice_protocols::relay::{Inbound, Setup};
use voice_protocols::signature::SignatureValidator;

use super::*;

const TOKEN: &str = "12345";
const PUBLIC: &str = "agent.example";
const SOON: Duration = Duration::from_secs(5);

const RELAY: &str = r#"<Response><Connect action="https://agent.example/twiml/ended/CA1"><ConversationRelay
    url="wss://agent.example/relay/CA1" events="speaker-events tokens-played"><Parameter name="a" value="b"/>
    </ConversationRelay></Connect></Response>"#;

#[derive(Clone)]
struct Shared {
    answers: Arc<Mutex<Vec<(&'static str, &'static str)>>>,
    sockets: mpsc::Sender<WebSocket>,
    forms: mpsc::Sender<(String, BTreeMap<String, String>)>,
}

/// The test's view of the service.
struct Service {
    carrier: Carrier,
    sockets: mpsc::Receiver<WebSocket>,
    forms: mpsc::Receiver<(String, BTreeMap<String, String>)>,
    _tasks: TaskTracker,
}

fn is_signed(headers: &HeaderMap, url: &str, params: &[(String, String)]) -> bool {
    let signature =
        headers.get("x-twilio-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    SignatureValidator::new(vec![TOKEN.to_owned()]).is_valid(signature, url, params)
}

async fn webhook(
    State(shared): State<Shared>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let params: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    if !is_signed(&headers, &format!("https://{PUBLIC}{uri}"), &params) {
        return StatusCode::FORBIDDEN.into_response();
    }
    shared.forms.send((uri.path().to_owned(), params.into_iter().collect())).await.unwrap();
    let answer = shared.answer(uri.path());
    ([(header::CONTENT_TYPE, "text/xml")], answer).into_response()
}

async fn relay(
    State(shared): State<Shared>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !is_signed(&headers, &format!("wss://{PUBLIC}{uri}"), &[]) {
        return StatusCode::FORBIDDEN.into_response();
    }
    upgrade.on_upgrade(async move |socket| shared.sockets.send(socket).await.unwrap())
}

impl Shared {
    /// The first answer that is left for this path or for any.
    fn answer(&self, path: &str) -> &'static str {
        let mut answers = self.answers.lock().unwrap();
        let next = answers.iter().position(|(wanted, _)| wanted.is_empty() || *wanted == path);
        next.map_or("<Response/>", |next| answers.remove(next).1)
    }
}

async fn service(answers: &[&'static str], token: &str) -> Service {
    let answers: Vec<_> = answers.iter().map(|twiml| ("", *twiml)).collect();
    service_with(&answers, token).await
}

/// A service that answers each path with what is given for it, one after the other.
async fn service_with(answers: &[(&'static str, &'static str)], token: &str) -> Service {
    let (sockets_in, sockets) = mpsc::channel(4);
    let (forms_in, forms) = mpsc::channel(16);
    let answers = Arc::new(Mutex::new(answers.to_vec()));
    let router = Router::new()
        .route("/relay/{call}", any(relay))
        .route("/twiml", post(webhook))
        .route("/twiml/{*rest}", post(webhook))
        .with_state(Shared { answers, sockets: sockets_in, forms: forms_in });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    tasks.spawn(async move { axum::serve(listener, router).await });
    let carrier = Carrier::new(CarrierOptions {
        service: format!("http://{address}").parse().unwrap(),
        public_url: format!("https://{PUBLIC}"),
        auth_token: Some(token.to_owned()),
        connect_to: None,
        speech: SpeechPace::INSTANT,
    })
    .unwrap();
    Service { carrier, sockets, forms, _tasks: tasks }
}

impl Service {
    async fn socket(&mut self) -> WebSocket {
        timeout(SOON, self.sockets.recv()).await.unwrap().unwrap()
    }

    async fn form(&mut self) -> (String, BTreeMap<String, String>) {
        timeout(SOON, self.forms.recv()).await.unwrap().unwrap()
    }
}

/// Waits until the call comes to an event.
async fn event(call: &mut Call, wanted: CallEvent) {
    call.wait_for(SOON, |event| (*event == wanted).then_some(())).await.unwrap();
}

async fn frame(socket: &mut WebSocket) -> Inbound {
    match timeout(SOON, socket.recv()).await.unwrap().unwrap().unwrap() {
        Message::Text(text) => Inbound::parse(text.as_str()).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn setup(socket: &mut WebSocket) -> Setup {
    match frame(socket).await {
        Inbound::Setup(setup) => *setup,
        other => panic!("{other:?}"),
    }
}

async fn say(socket: &mut WebSocket, token: &str, last: bool) {
    let frame = serde_json::json!({ "type": "text", "token": token, "last": last });
    socket.send(Message::text(frame.to_string())).await.unwrap();
}

async fn ended(call: &mut Call) -> (String, Option<String>, Option<u16>) {
    call.wait_for(SOON, |event| match event {
        CallEvent::SessionEnded { status, handoff_data, close_code } => {
            Some((status.clone(), handoff_data.clone(), *close_code))
        }
        _ => None,
    })
    .await
    .unwrap()
}

async fn hung_up(call: &mut Call) -> Party {
    let by = call.wait_for(SOON, |event| match event {
        CallEvent::HungUp { by, .. } => Some(*by),
        _ => None,
    });
    by.await.unwrap()
}

#[tokio::test]
async fn a_call_is_placed_spoken_and_hung_up() {
    let mut service = service(&[RELAY], TOKEN).await;
    let options = CallOptions { use_case: Some("pizza place".to_owned()), ..CallOptions::default() };
    let mut call = service.carrier.call(options).await.unwrap();
    let (path, form) = service.form().await;
    assert_eq!(path, "/twiml/pizza%20place");
    assert_eq!(form["CallSid"], call.sid);
    assert_eq!((form["From"].as_str(), form["CallStatus"].as_str()), ("+14155550100", "ringing"));
    assert!(matches!(call.next_event(SOON).await.unwrap(), CallEvent::Answered { .. }));

    let mut socket = service.socket().await;
    let setup = setup(&mut socket).await;
    assert_eq!(setup.call_sid, call.sid);
    assert_eq!(setup.call_status, "RINGING");
    assert_eq!(setup.custom_parameters["a"], "b");

    say(&mut socket, "Hello ", false).await;
    say(&mut socket, "there.", true).await;
    assert_eq!(call.agent_turn(SOON).await.unwrap(), "Hello there.");
    call.wait_for(SOON, |event| (*event == CallEvent::Heard("Hello there.".to_owned())).then_some(()))
        .await
        .unwrap();

    call.act(CallerAct::HangUp).await.unwrap();
    assert_eq!(ended(&mut call).await, ("completed".to_owned(), None, Some(1000)));
    let (path, form) = service.form().await;
    assert_eq!(path, "/twiml/ended/CA1");
    assert_eq!(form["SessionId"], setup.session_id);
    assert_eq!((form["SessionStatus"].as_str(), form["CallStatus"].as_str()), ("completed", "completed"));
    assert_eq!(hung_up(&mut call).await, Party::Caller);
}

#[tokio::test]
async fn a_lost_socket_leads_through_the_action_to_a_new_session() {
    let mut service = service(&[RELAY, RELAY, "<Response><Say>Goodbye</Say></Response>"], TOKEN).await;
    let mut call = service.carrier.call(CallOptions::default()).await.unwrap();
    service.form().await;
    let mut first_socket = service.socket().await;
    let first = setup(&mut first_socket).await;
    call.act(CallerAct::DropSocket).await.unwrap();
    assert_eq!(ended(&mut call).await, ("failed".to_owned(), None, None));
    let (_, form) = service.form().await;
    assert_eq!((form["SessionStatus"].as_str(), form["ErrorCode"].as_str()), ("failed", "64105"));
    assert_eq!(form["CallStatus"], "in-progress");

    let mut second_socket = service.socket().await;
    let second = setup(&mut second_socket).await;
    assert_eq!((&second.call_sid, second.call_status.as_str()), (&first.call_sid, "IN_PROGRESS"));
    assert_ne!(second.session_id, first.session_id);
    let close = CloseFrame { code: 1001, reason: "".into() };
    second_socket.send(Message::Close(Some(close))).await.unwrap();
    assert_eq!(ended(&mut call).await, ("failed".to_owned(), None, Some(1001)));
    call.wait_for(SOON, |event| (*event == CallEvent::Spoken("Goodbye".to_owned())).then_some(()))
        .await
        .unwrap();
    assert_eq!(hung_up(&mut call).await, Party::Service);
}

/// Like the usual one, with a socket that is opened again when it is lost.
const RECONNECTING: &str = r#"<Response><Connect action="https://agent.example/twiml/ended/CA1"><ConversationRelay
    url="wss://agent.example/relay/CA1" applicationReconnect="true"/></Connect></Response>"#;

#[tokio::test]
async fn a_session_that_is_to_reconnect_goes_on_over_another_socket_with_what_was_said_meanwhile() {
    let mut service = service(&[RECONNECTING], TOKEN).await;
    let carrier = service.carrier.clone().with_failure_delay(Duration::from_millis(200));
    let mut call = carrier.call(CallOptions::default()).await.unwrap();
    service.form().await;
    let mut first_socket = service.socket().await;
    let first = setup(&mut first_socket).await;
    call.act(CallerAct::DropSocket).await.unwrap();
    call.act(CallerAct::Say("Hello?".to_owned())).await.unwrap();
    let mut second_socket = service.socket().await;
    assert_eq!(setup(&mut second_socket).await.session_id, first.session_id);
    let words = frame(&mut second_socket).await;
    assert!(matches!(&words, Inbound::Prompt(prompt) if prompt.voice_prompt == "Hello?"), "{words:?}");
    second_socket.send(Message::text(r#"{"type":"end"}"#)).await.unwrap();
    assert_eq!(ended(&mut call).await.0, "ended", "no action was asked before");
}

#[tokio::test]
async fn the_end_of_the_service_carries_its_handoff_data() {
    let mut service = service(&[RELAY, "<Response><Dial>+15550123</Dial></Response>"], TOKEN).await;
    let mut call = service.carrier.call(CallOptions::default()).await.unwrap();
    service.form().await;
    let mut socket = service.socket().await;
    setup(&mut socket).await;
    socket.send(Message::text(r#"{"type":"end","handoffData":"{\"a\":1}"}"#)).await.unwrap();
    let close = timeout(SOON, socket.recv()).await.unwrap().unwrap().unwrap();
    assert!(matches!(close, Message::Close(Some(frame)) if frame.code == 1000));
    assert_eq!(ended(&mut call).await, ("ended".to_owned(), Some("{\"a\":1}".to_owned()), Some(1000)));
    let (_, form) = service.form().await;
    assert_eq!((form["SessionStatus"].as_str(), form["HandoffData"].as_str()), ("ended", "{\"a\":1}"));
    let dialled = CallEvent::Dialled("+15550123".to_owned());
    call.wait_for(SOON, |event| (*event == dialled).then_some(())).await.unwrap();
}

#[tokio::test]
async fn a_wrong_signature_is_refused() {
    let service = service(&[RELAY], "another token").await;
    let mut call = service.carrier.call(CallOptions::default()).await.unwrap();
    assert_eq!(call.next_event(SOON).await.unwrap(), CallEvent::Refused { status: 403 });
    assert_eq!(hung_up(&mut call).await, Party::Service);
    assert!(call.next_event(SOON).await.is_err());
}

#[tokio::test]
async fn ten_malformed_frames_close_the_socket_with_1007() {
    let mut service = service(&[RELAY], TOKEN).await;
    let mut call = service.carrier.call(CallOptions::default()).await.unwrap();
    let mut socket = service.socket().await;
    setup(&mut socket).await;
    for _ in 0..10 {
        socket.send(Message::text("{}")).await.unwrap();
    }
    for _ in 0..10 {
        assert!(matches!(frame(&mut socket).await, Inbound::Error(report) if report.code() == Some(64107)));
    }
    assert_eq!(ended(&mut call).await, ("failed".to_owned(), None, Some(1007)));
}

#[tokio::test]
async fn dropping_the_call_hangs_up() {
    let mut service = service(&[RELAY], TOKEN).await;
    let call = service.carrier.call(CallOptions::default()).await.unwrap();
    let mut socket = service.socket().await;
    setup(&mut socket).await;
    drop(call);
    let close = timeout(SOON, socket.recv()).await.unwrap().unwrap().unwrap();
    assert!(matches!(close, Message::Close(Some(frame)) if frame.code == 1000));
    service.carrier.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_socket_that_cannot_be_opened_fails_the_session() {
    let elsewhere = r#"<Response><Connect action="/twiml/ended/CA1"><ConversationRelay url="wss://agent.example/no"/>
        </Connect></Response>"#;
    let mut service = service(&[elsewhere], TOKEN).await;
    let mut call = service.carrier.call(CallOptions::default()).await.unwrap();
    service.form().await;
    assert_eq!(ended(&mut call).await, ("failed".to_owned(), None, None));
    let (path, form) = service.form().await;
    assert_eq!((path.as_str(), form["ErrorCode"].as_str()), ("/twiml/ended/CA1", "64102"));
}
