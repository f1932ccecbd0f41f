//! Scenarios in which more happens than speech: transfers, messages, codes, placed calls and tools.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Form, Json};
use serde_json::{Value, json};

use super::*;
use crate::twilio::rest::{RestOptions, RestStandIn};

const AGENT: &str = "+15550123";
const API_TOKEN: &str = "token-of-the-operator";

/// A small service that acts on certain words.
struct Service {
    rest: RestStandIn,
    http: reqwest::Client,
}

impl Service {
    async fn ask_twilio(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let options = self.rest.options();
        let request = self.http.post(format!("{}{path}", self.rest.endpoint())).form(form);
        let request = request.basic_auth(&options.account_sid, Some(&options.auth_token));
        request.send().await.unwrap().json().await.unwrap()
    }

    fn account(&self, rest: &str) -> String {
        format!("/2010-04-01/Accounts/{}/{rest}", self.rest.options().account_sid)
    }

    fn verify(&self, rest: &str) -> String {
        format!("/v2/Services/{}/{rest}", self.rest.options().verify_service_sid)
    }

    /// The frames that follow certain words.
    async fn act(&self, words: &str, lang: &str) -> Vec<Value> {
        let caller = "+14155550100";
        let mut frames = Vec::new();
        let token = match words {
            "song" => {
                frames.push(json!({ "type": "play", "source": "https://a.example/song.mp3" }));
                "That was it."
            }
            "menu" => {
                frames.push(json!({ "type": "sendDigits", "digits": "1234#" }));
                "I pressed."
            }
            "spanish" => {
                frames.push(json!({ "type": "language", "ttsLanguage": "es-US" }));
                "Claro."
            }
            "text me" => {
                let form = [("To", caller), ("From", "+18005550199"), ("Body", "Kiln Street 48")];
                self.ask_twilio(&self.account("Messages.json"), &form).await;
                "Sent."
            }
            "verify me" => {
                let form = [("To", caller), ("Channel", "sms")];
                self.ask_twilio(&self.verify("Verifications"), &form).await;
                "What is the code?"
            }
            "human" => return vec![json!({ "type": "end", "handoffData": "{}" })],
            code if code.starts_with("it is ") => {
                let form = [("To", caller), ("Code", code.trim_start_matches("it is "))];
                let checked = self.ask_twilio(&self.verify("VerificationCheck"), &form).await;
                if checked["status"] == "approved" { "You are verified." } else { "That is wrong." }
            }
            _ if lang == "es-US" => "Habla usted bien.",
            _ => "Hm.",
        };
        frames.push(json!({ "type": "text", "token": token, "last": true }));
        frames
    }
}

async fn listen(service: Arc<Service>, mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { continue };
        let Ok(Inbound::Prompt(prompt)) = Inbound::parse(text.as_str()) else { continue };
        let lang = prompt.lang.unwrap_or_default();
        for frame in service.act(&prompt.voice_prompt, &lang).await {
            socket.send(Message::text(frame.to_string())).await.unwrap();
        }
    }
}

fn twiml(text: &str) -> Response {
    ([(header::CONTENT_TYPE, "text/xml")], text.to_owned()).into_response()
}

async fn transferred() -> Response {
    twiml(
        r#"<Response><Dial action="/twiml/dialled" timeout="20"><Number>+15550123</Number></Dial></Response>"#,
    )
}

/// Brings the caller back when nobody talked to them.
async fn dialled(Form(form): Form<Vec<(String, String)>>) -> Response {
    let status = form.iter().find(|(name, _)| name == "DialCallStatus").map(|(_, status)| status.as_str());
    twiml(match status {
        Some("completed") => "<Response><Say>Goodbye then.</Say></Response>",
        _ => "<Response><Say>Nobody is there.</Say><Hangup/></Response>",
    })
}

async fn place(
    State(service): State<Arc<Service>>,
    headers: axum::http::HeaderMap,
    body: Json<Value>,
) -> Response {
    assert_eq!(headers["authorization"], format!("Bearer {API_TOKEN}"));
    let to = body["to"].as_str().unwrap();
    if to == "+15550000" {
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "code": "do_not_call" }))).into_response();
    }
    assert_eq!(body["variables"]["name"], "Ada");
    let form = [("To", to), ("From", "+18005550199"), ("Url", "https://agent.example/twiml/pizza")];
    let call = service.ask_twilio(&service.account("Calls.json"), &form).await;
    (StatusCode::CREATED, Json(json!({ "id": "L1", "callSid": call["sid"] }))).into_response()
}

async fn acting_stage() -> (Stage, TaskTracker) {
    let rest = RestStandIn::start(RestOptions::new("token")).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    let service = Arc::new(Service { rest: rest.clone(), http });
    let connect = async || twiml(TWIML);
    let relay = async |State(service): State<Arc<Service>>, upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(move |socket| listen(service, socket))
    };
    let router = Router::new()
        .route("/twiml/pizza", post(connect))
        .route("/twiml/ended/{call}", post(transferred))
        .route("/twiml/dialled", post(dialled))
        .route("/relay/{call}", any(relay))
        .route("/api/calls", post(place))
        .with_state(service);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    tasks.spawn(async move { axum::serve(listener, router).await });
    let address: url::Url = format!("http://{address}").parse().unwrap();
    let carrier = Carrier::new(CarrierOptions {
        service: address.clone(),
        public_url: "https://agent.example".to_owned(),
        auth_token: None,
        connect_to: None,
        speech: SpeechPace { chars_per_second: 400.0, tts_delay: Duration::from_millis(1) },
    })
    .unwrap()
    .with_switchboard(rest.switchboard());
    let api = Some(OperatorApi { service: address, token: API_TOKEN.to_owned() });
    (Stage { rest: Some(rest), api, ..Stage::new(carrier) }, tasks)
}

async fn played(text: &str) -> Report {
    let scenario = Scenario::parse(text).unwrap();
    let (stage, _tasks) = acting_stage().await;
    run(&scenario, &stage).await
}

#[tokio::test]
async fn what_an_agent_does_besides_speaking_is_seen() {
    let report = played(
        r#"
        title = "Everything"
        use_case = "pizza"
        [[step]]
        expect = "thanks for calling"
        [[step]]
        say = "spanish"
        expect = "Claro."
        [[step]]
        language = "es-US"
        [[step]]
        say = "¿Qué tal?"
        lang = "es-US"
        expect = "Habla usted bien."
        [[step]]
        say = "text me"
        sms = { to = "+14155550100", body = "kiln street" }
        expect = "Sent."
        [[step]]
        say = "verify me"
        expect = "What is the code?"
        [[step]]
        say = "it is 000000"
        expect = "That is wrong."
        [[step]]
        say = "it is {verify_code}"
        expect = "You are verified."
        [[step]]
        say = "menu"
        digits_sent = "1234#"
        within_ms = 9000
        [[step]]
        say = "song"
        played = "song.mp3"
        within_ms = 9000
        "#,
    )
    .await;
    assert!(report.passed(), "{report}");
}

#[tokio::test]
async fn a_transfer_is_played_to_its_end() {
    let report = played(
        r#"
        title = "A person"
        use_case = "pizza"
        [[party]]
        number = "+15550123"
        says = "Ada speaking."
        talks_ms = 20000
        hears = "my pizza"
        [[step]]
        expect = "thanks for calling"
        [[step]]
        say = "human"
        dialled = "+15550123"
        bridged = "+15550123"
        [[step]]
        person = "Ada speaking."
        [[step]]
        say = "Where is my pizza?"
        within_ms = 100
        [[step]]
        hang_up_party = true
        expect = "Goodbye then."
        [[step]]
        status = "completed"
        ended_by = "service"
        ended = true
        "#,
    )
    .await;
    assert!(report.passed(), "{report}");
    let shown = report.to_string();
    assert!(shown.contains("person: Ada speaking."), "{shown}");
}

#[tokio::test]
async fn what_does_not_happen_in_a_transfer_is_missed() {
    let report = played(
        r#"
        title = "Nobody"
        use_case = "pizza"
        [[party]]
        number = "+15550123"
        answers = "busy"
        [[party]]
        number = "+15550999"
        hears = "anything"
        [[step]]
        say = "human"
        expect = "Nobody is there."
        bridged = "+15550123"
        joined = true
        holding = true
        sms = "x"
        ended_by = "caller"
        "#,
    )
    .await;
    let missed = |step: &StepReport| {
        let missed = step.checks.iter().filter(|check| matches!(check.outcome, Outcome::Missed { .. }));
        missed.map(|check| check.expectation.clone()).collect::<Vec<_>>()
    };
    assert_eq!(report.steps[0].checks.len() - missed(&report.steps[0]).len(), 1, "{report}");
    assert_eq!(missed(&report.steps[1]), ["+15550999 hears: \"anything\""], "{report}");
}

#[tokio::test]
async fn a_placed_call_is_played_by_the_steps() {
    let report = played(
        r#"
        title = "Called"
        place = { to = "+15550177", use_case = "pizza", variables = { name = "Ada" } }
        [[party]]
        number = "+15550177"
        after_ms = 10
        [[step]]
        status = "in-progress"
        expect = "thanks for calling"
        [[step]]
        say = "Who is this?"
        expect = "Hm."
        [[step]]
        hang_up = true
        status = "completed"
        ended_by = "caller"
        "#,
    )
    .await;
    assert!(report.passed(), "{report}");
    let report = played(
        r#"
        title = "Not at home"
        place = { to = "+15550177", use_case = "pizza", variables = { name = "Ada" } }
        [[party]]
        number = "+15550177"
        answers = "no_answer"
        after_ms = 10
        [[step]]
        status = "no-answer"
        ended = true
        "#,
    )
    .await;
    assert!(report.passed(), "{report}");
}

#[tokio::test]
async fn a_call_that_must_not_be_placed_is_refused() {
    let refused = |to: &str, code: &str| {
        format!(
            "title = \"x\"\nstep = []\n[place]\nto = \"{to}\"\nuse_case = \"x\"\nrefused = \"{code}\"\n\
             variables = {{ name = \"Ada\" }}"
        )
    };
    let report = played(&refused("+15550000", "do_not_call")).await;
    assert!(report.passed(), "{report}");
    assert!(!played(&refused("+15550000", "calling_hours")).await.passed());
    assert!(!played(&refused(AGENT, "do_not_call")).await.passed());
}

#[tokio::test]
async fn a_code_that_was_not_sent_is_a_problem() {
    let report = played(
        "title = \"x\"\nuse_case = \"pizza\"\n[[step]]\nexpect = \"thanks\"\n[[step]]\npress = \"{verify_code}#\"\n\
         within_ms = 100",
    )
    .await;
    assert!(report.problems[0].contains("none was sent"), "{report}");
}

#[tokio::test]
async fn tools_find_what_the_file_says() {
    let scenario = Scenario::parse(
        r#"
        title = "Tools"
        use_case = "pizza"
        configuration = { prompt = "x", tools = [{ url = "{http}/orders" }] }
        step = []
        [[http]]
        path = "/orders"
        method = "POST"
        status = 201
        json = { id = 7 }
        times = 1
        receives = ["large", "idempotency-key: r1"]
        [[http]]
        path = "/elsewhere"
        redirect = "{http}/page"
        times = 2
        [[http]]
        path = "/page"
        html = "<p>Hello</p>"
        [[http]]
        path = "/big"
        bytes = 100000
        "#,
    )
    .unwrap();
    let endpoints = scenario.start_endpoints().await.unwrap().unwrap();
    let base = endpoints.base();
    let configuration = scenario.configuration(Some(&endpoints)).unwrap();
    assert_eq!(configuration.use_case, "pizza");
    assert_eq!(configuration.attributes["tools"][0]["url"], format!("{base}/orders"));

    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    let order = http.post(format!("{base}/orders")).header("Idempotency-Key", "r1").body("a large pizza");
    let answer = order.send().await.unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "id": 7 }));
    let page = http.get(format!("{base}/elsewhere")).send().await.unwrap();
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert_eq!(page.text().await.unwrap(), "<p>Hello</p>");
    assert_eq!(http.get(format!("{base}/big")).send().await.unwrap().text().await.unwrap().len(), 100_000);
    assert_eq!(http.get(format!("{base}/orders")).send().await.unwrap().status(), 404);

    let checks = endpoints.checks().await;
    let met: Vec<_> = checks.iter().map(|check| matches!(check.outcome, Outcome::Met { .. })).collect();
    assert_eq!(met, [true, true, true, false], "{checks:?}");
}
