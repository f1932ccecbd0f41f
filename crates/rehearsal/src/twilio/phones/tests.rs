//! A telephone, its exchange and a service that says one sentence.

use axum::Router;
use axum::http::header;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::*;
use crate::twilio::rest::{RestOptions, RestStandIn};
use crate::twilio::{CallerAct, Carrier, CarrierOptions, Party};

const SOON: Duration = Duration::from_secs(5);
const PERSON: &str = "+14155550100";

struct Stage {
    exchange: PhoneExchange,
    rest: RestStandIn,
    _tasks: TaskTracker,
}

async fn stage() -> Stage {
    let twiml = "<Response><Say>Hello.</Say><Dial><Conference>room</Conference></Dial></Response>";
    let answer = move || async move { ([(header::CONTENT_TYPE, "text/xml")], twiml) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    let router = Router::new().route("/twiml", post(answer));
    tasks.spawn(async move { axum::serve(listener, router).await });
    let rest = RestStandIn::start(RestOptions::new("token")).await.unwrap();
    let carrier = Carrier::new(CarrierOptions {
        service: format!("http://{address}").parse().unwrap(),
        public_url: format!("http://{address}"),
        auth_token: None,
        connect_to: None,
        speech: SpeechPace { chars_per_second: 1.0, tts_delay: Duration::ZERO },
    });
    let carrier = carrier.unwrap().with_switchboard(rest.switchboard());
    let exchange = PhoneExchange::start(carrier, rest.clone(), "secret".to_owned()).await.unwrap();
    Stage { exchange, rest, _tasks: tasks }
}

impl Stage {
    fn line(&self) -> PhoneLine {
        PhoneLine::new(self.exchange.url(), "secret", SpeechPace::INSTANT)
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) {
        let options = self.rest.options();
        let url = format!("{}/2010-04-01/Accounts/{}/{path}", self.rest.endpoint(), options.account_sid);
        let http = reqwest::Client::builder().no_proxy().timeout(SOON).build().unwrap();
        let request = http.post(url).basic_auth(&options.account_sid, Some(&options.auth_token)).form(form);
        assert_eq!(request.send().await.unwrap().status(), 201);
    }
}

#[tokio::test]
async fn a_call_is_held_from_another_process() {
    let stage = stage().await;
    let options = CallOptions { from: PERSON.to_owned(), ..CallOptions::default() };
    let mut call = stage.line().call(options).await.unwrap();
    let waits = CallEvent::Holding { room: "room".to_owned() };
    call.wait_for(SOON, |event| (*event == CallEvent::Spoken("Hello.".to_owned())).then_some(()))
        .await
        .unwrap();
    call.wait_for(SOON, |event| (*event == waits).then_some(())).await.unwrap();
    assert_eq!(stage.rest.switchboard().calls()[0].sid, call.sid, "REST knows it");
    for to in ["+14155550111", PERSON] {
        stage.post("Messages.json", &[("To", to), ("From", "+18005550199"), ("Body", to)]).await;
    }
    let received = |event: &CallEvent| match event {
        CallEvent::Received { text, .. } => Some(text.clone()),
        _ => None,
    };
    assert_eq!(call.wait_for(SOON, received).await.unwrap(), PERSON, "not what was sent to others");
    call.act(CallerAct::HangUp).await.unwrap();
    let by = |event: &CallEvent| if let CallEvent::HungUp { by, .. } = event { Some(*by) } else { None };
    assert_eq!(call.wait_for(SOON, by).await.unwrap(), Party::Caller);
    assert!(call.next_event(SOON).await.is_err());
}

#[tokio::test]
async fn a_telephone_can_be_called() {
    let stage = stage().await;
    let hook = stage.line().answer(PERSON).await.unwrap();
    let twiml = "<Response><Say>It is time.</Say></Response>";
    stage.post("Calls.json", &[("To", PERSON), ("From", "+18005550199"), ("Twiml", twiml)]).await;
    let mut call = hook.call(SOON).await.unwrap();
    let told = CallEvent::Spoken("It is time.".to_owned());
    call.wait_for(SOON, |event| (*event == told).then_some(())).await.unwrap();
}

#[tokio::test]
async fn who_does_not_know_the_token_is_not_let_in() {
    let stage = stage().await;
    let line = PhoneLine::new(stage.exchange.url(), "guess", SpeechPace::INSTANT);
    assert!(format!("{:#}", line.call(CallOptions::default()).await.unwrap_err()).contains("401"));
}

#[tokio::test]
async fn a_call_that_cannot_be_made_is_told() {
    let stage = stage().await;
    let options = CallOptions { use_case: Some("x".to_owned()), ..CallOptions::default() };
    let mut call = stage.line().call(options).await.unwrap();
    let refused = |event: &CallEvent| (*event == CallEvent::Refused { status: 404 }).then_some(());
    call.wait_for(SOON, refused).await.unwrap();
}
