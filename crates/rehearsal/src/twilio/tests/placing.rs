//! Calls that the service places through REST, and those that it changes.

use super::*;
use crate::twilio::rest::{RestOptions, RestStandIn};

const PERSON: &str = "+14155550177";
const OWN: &str = "+18005550199";
const HELLO: &str = "<Response><Say>Hello there.</Say></Response>";

/// A service with an account.
struct Account {
    service: Service,
    rest: RestStandIn,
    http: reqwest::Client,
}

impl Account {
    async fn start(answers: &[(&'static str, &'static str)]) -> Self {
        let rest = RestStandIn::start(RestOptions::new(TOKEN)).await.unwrap();
        let mut service = service_with(answers, TOKEN).await;
        service.carrier = service.carrier.clone().with_switchboard(rest.switchboard());
        let http = reqwest::Client::builder().no_proxy().timeout(SOON).build().unwrap();
        Self { service, rest, http }
    }

    fn person(&self, answers: Answers, part: Part) {
        let callee = Callee { answers, after: Some(Duration::ZERO), part };
        self.rest.switchboard().set_callee(PERSON, callee);
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, serde_json::Value) {
        let options = self.rest.options();
        let url = format!("{}/2010-04-01/Accounts/{}/{path}", self.rest.endpoint(), options.account_sid);
        let request = self.http.post(url).basic_auth(&options.account_sid, Some(&options.auth_token));
        let response = request.form(form).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Places a call to the person; returns its sid.
    async fn place(&self, more: &[(&str, &str)]) -> String {
        let url = format!("https://{PUBLIC}/twiml/outbound");
        let mut form = vec![("To", PERSON), ("From", OWN), ("Url", url.as_str())];
        form.extend_from_slice(more);
        let (status, body) = self.post("Calls.json", &form).await;
        assert_eq!((status, body["status"].as_str()), (201, Some("queued")), "{body}");
        assert_eq!(body["direction"], "outbound-api");
        body["sid"].as_str().unwrap().to_owned()
    }

    async fn update(&self, sid: &str, form: &[(&str, &str)]) -> (u16, u64) {
        let (status, body) = self.post(&format!("Calls/{sid}.json"), form).await;
        (status, body["code"].as_u64().unwrap_or_default())
    }

    async fn show(&self, sid: &str) -> serde_json::Value {
        let options = self.rest.options();
        let account = &options.account_sid;
        let url = format!("{}/2010-04-01/Accounts/{account}/Calls/{sid}.json", self.rest.endpoint());
        let request = self.http.get(url).basic_auth(account, Some(&options.auth_token));
        request.send().await.unwrap().json().await.unwrap()
    }
}

/// A status callback: its number and status.
fn callback((path, form): &(String, BTreeMap<String, String>)) -> (String, String) {
    assert_eq!(path, "/twiml/status");
    assert_eq!(
        (form["Direction"].as_str(), form["CallbackSource"].as_str()),
        ("outbound-api", "call-progress-events")
    );
    (form["SequenceNumber"].clone(), form["CallStatus"].clone())
}

fn pair(number: &str, status: &str) -> (String, String) {
    (number.to_owned(), status.to_owned())
}

async fn last_status(call: &mut Call) -> String {
    let status = call.wait_for(SOON, |event| match event {
        CallEvent::HungUp { status, .. } => Some(status.clone()),
        _ => None,
    });
    status.await.unwrap()
}

const ALL_EVENTS: [(&str, &str); 5] = [
    ("StatusCallback", "https://agent.example/twiml/status"),
    ("StatusCallbackEvent", "initiated"),
    ("StatusCallbackEvent", "ringing"),
    ("StatusCallbackEvent", "answered"),
    ("StatusCallbackEvent", "completed"),
];

#[tokio::test]
async fn a_placed_call_is_answered_and_talked_to() {
    let mut account = Account::start(&[("/twiml/outbound", RELAY)]).await;
    account.person(Answers::Yes, Part::Live);
    let mut placed = account.service.carrier.placed_calls();
    let sid = account.place(&ALL_EVENTS).await;
    let mut call = timeout(SOON, placed.recv()).await.unwrap().unwrap();
    assert_eq!(call.sid, sid);
    assert_eq!(callback(&account.service.form().await), pair("0", "initiated"));
    assert_eq!(callback(&account.service.form().await), pair("1", "ringing"));
    let forms = BTreeMap::from([account.service.form().await, account.service.form().await]);
    assert_eq!(forms["/twiml/status"]["SequenceNumber"], "2");
    let webhook = &forms["/twiml/outbound"];
    assert_eq!((webhook["To"].as_str(), webhook["From"].as_str()), (PERSON, OWN));
    assert_eq!(
        (webhook["Direction"].as_str(), webhook["CallStatus"].as_str()),
        ("outbound-api", "in-progress")
    );

    let mut socket = account.service.socket().await;
    let setup = setup(&mut socket).await;
    assert_eq!((setup.direction.as_str(), setup.call_status.as_str()), ("outbound-api", "IN_PROGRESS"));
    assert_eq!(
        (setup.call_sid, setup.account_sid),
        (sid.clone(), account.rest.options().account_sid.clone())
    );
    call.act(CallerAct::SayIn { words: "Buenos días".to_owned(), lang: "es-US".to_owned() }).await.unwrap();
    let prompt = loop {
        if let Inbound::Prompt(prompt) = frame(&mut socket).await {
            break prompt;
        }
    };
    assert_eq!((prompt.voice_prompt.as_str(), prompt.lang.as_deref()), ("Buenos días", Some("es-US")));
    assert_eq!(account.show(&sid).await["status"], "in-progress");
    call.act(CallerAct::HangUp).await.unwrap();
    let action = account.service.form().await;
    assert_eq!(action.1["SessionStatus"], "completed");
    let last = account.service.form().await;
    assert_eq!(callback(&last), pair("3", "completed"));
    assert!(last.1["CallDuration"].parse::<u64>().is_ok() && last.1["SipResponseCode"] == "200");
    assert_eq!(hung_up(&mut call).await, Party::Caller);
    assert_eq!(account.show(&sid).await["status"], "completed");
    assert_eq!(account.update(&sid, &[("Status", "completed")]).await, (400, 21220));
}

#[tokio::test]
async fn a_placed_call_may_not_be_answered() {
    for (answers, status) in
        [(Answers::Busy, "busy"), (Answers::NoAnswer, "no-answer"), (Answers::Failed, "failed")]
    {
        let mut account = Account::start(&[]).await;
        account.person(answers, Part::Live);
        let mut placed = account.service.carrier.placed_calls();
        let sid = account.place(&ALL_EVENTS[..1]).await;
        let mut call = timeout(SOON, placed.recv()).await.unwrap().unwrap();
        assert_eq!(callback(&account.service.form().await), pair("2", status));
        assert_eq!(last_status(&mut call).await, status);
        assert_eq!(account.show(&sid).await["status"], status);
    }
}

#[tokio::test]
async fn a_call_that_rings_can_be_ended() {
    let mut account = Account::start(&[]).await;
    let patient = Callee { after: Some(Duration::from_mins(5)), part: Part::Live, ..Callee::default() };
    account.rest.switchboard().set_callee(PERSON, patient);
    let mut placed = account.service.carrier.placed_calls();
    let sid = account.place(&ALL_EVENTS[..1]).await;
    let mut call = timeout(SOON, placed.recv()).await.unwrap().unwrap();
    event(&mut call, CallEvent::Status("ringing".to_owned())).await;
    assert_eq!(account.update(&sid, &[("Twiml", HELLO)]).await, (400, 21220));
    assert_eq!(account.update(&sid, &[("Status", "completed")]).await, (200, 0));
    assert_eq!(callback(&account.service.form().await), pair("2", "canceled"));
    assert_eq!(last_status(&mut call).await, "canceled");
}

#[tokio::test]
async fn a_machine_is_told_from_a_person() {
    let detection = [("AsyncAmd", "true"), ("AsyncAmdStatusCallback", "https://agent.example/twiml/machine")];
    for (answers, mode, found) in [
        (Answers::Yes, "Enable", "human"),
        (Answers::Machine, "Enable", "machine_start"),
        (Answers::Machine, "DetectMessageEnd", "machine_end_beep"),
    ] {
        let mut account = Account::start(&[("/twiml/outbound", RELAY)]).await;
        account.person(answers, Part::Live);
        let mut placed = account.service.carrier.placed_calls();
        let sid = account.place(&[&detection[..], &[("MachineDetection", mode)]].concat()).await;
        let mut call = timeout(SOON, placed.recv()).await.unwrap().unwrap();
        let mut socket = account.service.socket().await;
        setup(&mut socket).await;
        assert_eq!(account.service.form().await.0, "/twiml/outbound");
        let (path, form) = account.service.form().await;
        assert_eq!(path, "/twiml/machine");
        assert_eq!((form["CallSid"].as_str(), form["AnsweredBy"].as_str()), (sid.as_str(), found));
        assert_eq!(account.update(&sid, &[("Twiml", HELLO)]).await, (200, 0));
        event(&mut call, CallEvent::Spoken("Hello there.".to_owned())).await;
        hung_up(&mut call).await;
        assert_eq!(account.rest.switchboard().told(PERSON), "Hello there.");
    }
}

#[tokio::test]
async fn a_service_that_waits_for_it_is_told_with_the_webhook() {
    let mut account = Account::start(&[("/twiml/outbound", HELLO)]).await;
    account.person(Answers::Machine, Part::Scripted(Script::default()));
    account.place(&[("MachineDetection", "Enable")]).await;
    let (_, form) = account.service.form().await;
    assert_eq!(form["AnsweredBy"], "machine_start");
}

#[tokio::test]
async fn a_relay_session_gives_way_to_other_twiml() {
    let elsewhere = r#"<Response><Dial action="/twiml/left"><Conference>room</Conference></Dial></Response>"#;
    let mut account =
        Account::start(&[("/twiml", RELAY), ("/twiml/hold", elsewhere), ("/twiml/back", HELLO)]).await;
    let mut call = account.service.carrier.call(CallOptions::default()).await.unwrap();
    let mut socket = account.service.socket().await;
    setup(&mut socket).await;
    let hold = format!("https://{PUBLIC}/twiml/hold");
    assert_eq!(account.update(&call.sid, &[("Url", &hold)]).await, (200, 0));
    let close = timeout(SOON, socket.recv()).await.unwrap().unwrap().unwrap();
    assert!(matches!(close, Message::Close(Some(frame)) if frame.code == 1000));
    assert_eq!(ended(&mut call).await, ("completed".to_owned(), None, Some(1000)));
    event(&mut call, CallEvent::Holding { room: "room".to_owned() }).await;
    let back = format!("https://{PUBLIC}/twiml/back");
    assert_eq!(account.update(&call.sid, &[("Url", &back)]).await, (200, 0));
    event(&mut call, CallEvent::Spoken("Hello there.".to_owned())).await;
    hung_up(&mut call).await;
    let mut asked = Vec::new();
    for _ in 0..3 {
        asked.push(account.service.form().await.0);
    }
    assert_eq!(asked, ["/twiml", "/twiml/hold", "/twiml/back"], "neither action was asked");
    assert!(account.service.forms.try_recv().is_err());
}

#[tokio::test]
async fn a_call_can_be_completed_by_the_service() {
    let mut account = Account::start(&[("/twiml", RELAY)]).await;
    let mut call = account.service.carrier.call(CallOptions::default()).await.unwrap();
    let mut socket = account.service.socket().await;
    setup(&mut socket).await;
    assert_eq!(account.update(&call.sid, &[("Status", "completed")]).await, (200, 0));
    assert_eq!(ended(&mut call).await, ("completed".to_owned(), None, Some(1000)));
    assert_eq!(account.service.form().await.0, "/twiml");
    let (path, form) = account.service.form().await;
    assert_eq!((path.as_str(), form["SessionStatus"].as_str()), ("/twiml/ended/CA1", "completed"));
    assert_eq!(hung_up(&mut call).await, Party::Service);
}

#[tokio::test]
async fn a_person_hears_the_whisper_takes_the_call_and_talks() {
    let whisper = r#"<Response><Gather numDigits="1" timeout="10" action="/twiml/accept"><Say>A caller about a late
        order.</Say></Gather><Hangup/></Response>"#;
    let join =
        r#"<Response><Dial><Conference endConferenceOnExit="true">room</Conference></Dial></Response>"#;
    let hold = r#"<Response><Dial action="/twiml/left"><Conference>room</Conference></Dial></Response>"#;
    let mut account =
        Account::start(&[("/twiml", hold), ("/twiml/outbound", whisper), ("/twiml/accept", join)]).await;
    let script =
        Script { says: vec!["How can I help?".to_owned()], talks: Some(Duration::ZERO), ..Script::default() };
    account.person(Answers::Yes, Part::Scripted(script));
    let mut caller = account.service.carrier.call(CallOptions::default()).await.unwrap();
    event(&mut caller, CallEvent::Holding { room: "room".to_owned() }).await;
    account.place(&[]).await;
    event(&mut caller, CallEvent::Joined { room: "room".to_owned() }).await;
    event(&mut caller, CallEvent::PersonSaid("How can I help?".to_owned())).await;
    hung_up(&mut caller).await;
    assert_eq!(account.rest.switchboard().told(PERSON), "A caller about a late order.");
    let mut forms = Vec::new();
    for _ in 0..4 {
        forms.push(account.service.form().await.0);
    }
    assert_eq!(forms, ["/twiml", "/twiml/outbound", "/twiml/accept", "/twiml/left"]);
}

#[tokio::test]
async fn a_live_part_that_nobody_plays_is_played_by_the_stand_in() {
    let mut account = Account::start(&[("/twiml/outbound", HELLO)]).await;
    account.person(Answers::Yes, Part::Live);
    account.place(&ALL_EVENTS[..1]).await;
    assert_eq!(account.service.form().await.0, "/twiml/outbound");
    assert_eq!(callback(&account.service.form().await), pair("3", "completed"));
}
