//! The operator API and the command that uses it: who may ask, what is asked of the carrier, and what bad orders get.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tokio::process::Command;
use trunkline::metrics::Counter;
use voice_core::ports::{LaunchStatus, TelephonyErrorKind};
use voice_core::private::Private;
use voice_core::use_case::{CallingHours, Keep, OnMachine, OutboundRules, UseCase};

use crate::bare::{API_TOKEN, Asked, Bare, Setup, http};
use crate::support::{CALLED, CALLER, SOON};

fn order() -> Value {
    json!({ "to": CALLER, "useCase": "desk" })
}

fn order_with(changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    let Value::Object(order) = order() else { panic!("an order is an object") };
    order.into_iter().chain(changes).collect()
}

/// Status and body of an order.
async fn place(service: &Bare, order: &Value) -> (u16, Value) {
    answer(http().post(format!("{}/api/calls", service.url)).bearer_auth(API_TOKEN).json(order)).await
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    if status >= 400 {
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    (status, response.json().await.unwrap())
}

async fn refused(service: &Bare, order: &Value) -> (u16, String) {
    let (status, problem) = place(service, order).await;
    assert_eq!(problem["status"], status, "{problem}");
    assert!(problem["type"].is_string() && problem["title"].is_string() && problem["detail"].is_string());
    (status, problem["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_order_places_one_call() {
    let mut service = Bare::start(Setup::default()).await;
    let order = order_with(json!({
        "variables": { "name": "Ada", "count": 3, "vip": true }, "machine": { "say": "Please call back." },
    }));
    let (status, launch) = place(&service, &order).await;
    assert_eq!((status, &launch["callSid"], &launch["status"]), (201, &json!("CAperson1"), &json!("queued")));
    let id = launch["id"].as_str().unwrap();
    let Asked::Place(call) = service.asked().await else { panic!("nobody is called") };
    assert_eq!((call.to.expose().as_str(), call.from.as_str()), (CALLER, CALLED));
    assert_eq!(call.url, format!("{}/twiml/outbound/{id}", service.url));
    assert_eq!(call.status_callback, Some(format!("{}/twiml/status/{id}", service.url)));
    let detection = call.machine_detection.unwrap();
    assert_eq!(detection.callback, format!("{}/twiml/machine/{id}", service.url));
    assert!(detection.until_greeting_ends);
    let known = service.table.launch(id);
    assert_eq!(known.machine, OnMachine::Say("Please call back.".to_owned()));
    let variables: Vec<_> = known.variables.expose().values().map(String::as_str).collect();
    assert_eq!(variables, ["3", "Ada", "true"]);
    let read = http().get(format!("{}/api/calls/{id}", service.url)).bearer_auth(API_TOKEN);
    let expected = json!({
        "id": id, "callSid": "CAperson1", "status": "queued", "useCase": "desk", "answeredBy": null,
        "error": null,
    });
    assert_eq!(answer(read).await, (200, expected));
    assert_eq!(service.metrics.value(Counter::CallsPlaced), 1);
}

#[tokio::test]
async fn the_same_key_is_the_same_call() {
    let service = Bare::start(Setup::default()).await;
    let (first, launch) = place(&service, &order_with(json!({ "idempotencyKey": "order-7" }))).await;
    let repeat = http().post(format!("{}/api/calls", service.url)).bearer_auth(API_TOKEN);
    let (second, again) = answer(repeat.header("idempotency-key", "order-7").json(&order())).await;
    assert_eq!((first, second), (201, 200));
    assert_eq!(launch, again);
    for changes in [
        json!({ "to": "+14155550123" }),
        json!({ "from": CALLED }),
        json!({ "machine": "ignore" }),
        json!({ "variables": { "when": "at ten" } }),
    ] {
        let mut other = order_with(changes);
        other["idempotencyKey"] = json!("order-7");
        assert_eq!(refused(&service, &other).await, (409, "key_reused".to_owned()), "{other}");
    }
    assert_eq!(service.metrics.value(Counter::CallsPlaced), 1);
    assert_eq!(service.asked_besides().await.len(), 1);
}

#[tokio::test]
async fn rules_are_kept_and_named() {
    let closed = CallingHours { from_minute: 0, until_minute: 0, days: vec![0], time_zone: None };
    let mut night = UseCase::new("night", "You call.");
    night.outbound = OutboundRules { hours: Some(closed), ..OutboundRules::default() };
    let use_cases = vec![UseCase::new("desk", "You call."), night];
    let service = Bare::start(Setup { use_cases, ..Setup::default() }).await;
    let Value::Object(listed) = json!({ "pk": "+14155550166", "sk": "do-not-call" }) else { panic!() };
    let key = ("+14155550166".to_owned(), "do-not-call".to_owned());
    service.table.records.lock().unwrap().insert(key, listed);
    for (changes, code) in [
        (json!({ "to": "4155550100" }), "not_a_number"),
        (json!({ "to": "sip:a@example.com" }), "not_a_number"),
        (json!({ "from": "+14155550199" }), "caller_id_not_allowed"),
        (json!({ "useCase": "nobody" }), "use_case"),
        (json!({ "useCase": "night" }), "outside_hours"),
        (json!({ "to": "+14155550166" }), "do_not_call"),
    ] {
        assert_eq!(refused(&service, &order_with(changes)).await, (422, code.to_owned()));
    }
    assert_eq!(service.metrics.value(Counter::CallsRefusedOutbound), 6);
    assert!(service.table.launches.lock().unwrap().is_empty());
    assert!(service.asked_besides().await.is_empty(), "the carrier was asked for nothing");
}

#[tokio::test]
async fn nobody_is_called_while_that_cannot_be_right() {
    let service = Bare::start(Setup { caller_ids: vec![], ..Setup::default() }).await;
    assert_eq!(refused(&service, &order()).await, (422, "no_caller_ids".to_owned()));
    let service = Bare::start(Setup { most_calls: 0, ..Setup::default() }).await;
    assert_eq!(refused(&service, &order()).await, (503, "busy".to_owned()));
    let service = Bare::start(Setup::default()).await;
    service.table.out_of_reach.store(true, Ordering::SeqCst);
    assert_eq!(refused(&service, &order()).await, (503, "table".to_owned()));
    service.table.out_of_reach.store(false, Ordering::SeqCst);
    service.draining.cancel();
    assert_eq!(refused(&service, &order()).await, (503, "stopping".to_owned()));
    assert!(service.asked_besides().await.is_empty());
}

#[tokio::test]
async fn a_carrier_that_refuses_is_quoted_and_one_that_is_silent_leaves_it_open() {
    let service = Bare::start(Setup::default()).await;
    let keyed = order_with(json!({ "idempotencyKey": "k" }));
    service.carrier.refusals.lock().unwrap().push((TelephonyErrorKind::Refused, Some(21211)));
    let (status, problem) = place(&service, &keyed).await;
    assert_eq!((status, &problem["code"], &problem["carrierCode"]), (502, &json!("carrier"), &json!(21211)));
    let (_, again) = place(&service, &keyed).await;
    assert_eq!(again["status"], "failed");
    let url = format!("{}/api/calls/{}", service.url, again["id"].as_str().unwrap());
    let (_, read) = answer(http().get(url).bearer_auth(API_TOKEN)).await;
    assert_eq!(read["error"], "Twilio code 21211");
    let keyed = order_with(json!({ "idempotencyKey": "l" }));
    service.carrier.refusals.lock().unwrap().push((TelephonyErrorKind::Unavailable, None));
    let (status, problem) = place(&service, &keyed).await;
    assert!(status == 502 && problem["detail"].as_str().unwrap().contains("not known"), "{problem}");
    let (status, again) = place(&service, &keyed).await;
    assert_eq!((status, again["status"].as_str()), (200, Some(LaunchStatus::Requested.as_str())));
    assert_eq!(service.asked_besides().await.len(), 2, "nobody is called twice");
}

#[tokio::test]
async fn a_call_that_certainly_was_not_placed_leaves_its_key_free() {
    let service = Bare::start(Setup { most_calls: 1, ..Setup::default() }).await;
    let keyed = order_with(json!({ "idempotencyKey": "k" }));
    for kind in
        [TelephonyErrorKind::NotSent, TelephonyErrorKind::Throttled, TelephonyErrorKind::NotConfigured]
    {
        service.carrier.refusals.lock().unwrap().push((kind, None));
        let (status, problem) = place(&service, &keyed).await;
        assert_eq!((status, &problem["code"]), (502, &json!("carrier")), "{kind}");
        assert!(!problem["detail"].as_str().unwrap().contains("not known"), "{problem}");
        assert!(service.table.launches.lock().unwrap().is_empty(), "{kind}");
    }
    assert_eq!(place(&service, &keyed).await.0, 201, "its line was given back as well");
}

#[tokio::test]
async fn a_use_case_that_keeps_nothing_keeps_no_number_of_a_call_that_was_refused() {
    let mut desk = UseCase::new("desk", "You call.");
    desk.storage.keep = Keep::Nothing;
    let service = Bare::with(desk).await;
    let keyed = order_with(json!({ "idempotencyKey": "k", "variables": { "name": "Ada" } }));
    service.carrier.refusals.lock().unwrap().push((TelephonyErrorKind::Refused, Some(21211)));
    place(&service, &keyed).await;
    let launch = service.table.launches.lock().unwrap().values().next().unwrap().clone();
    assert_eq!((launch.to, launch.variables), (Private::default(), Private::default()));
    let (status, again) = place(&service, &keyed).await;
    assert_eq!((status, &again["status"]), (200, &json!("failed")), "its key is still known");
    let mut other = keyed;
    other["to"] = json!("+14155550123");
    assert_eq!(refused(&service, &other).await, (409, "key_reused".to_owned()));
}

#[tokio::test]
async fn an_order_that_is_not_understood_places_nothing() {
    let service = Bare::start(Setup::default()).await;
    for order in [
        json!({}),
        json!([]),
        json!({ "to": CALLER }),
        order_with(json!({ "tp": CALLER })),
        order_with(json!({ "variables": { "a": {} } })),
        order_with(json!({ "variables": { "": "x" } })),
        order_with(json!({ "variables": { "a b": "x" } })),
        order_with(json!({ "machine": "hangup" })),
        order_with(json!({ "machine": { "say": " " } })),
        order_with(json!({ "machine": { "say": "x".repeat(1001) } })),
        order_with(json!({ "idempotencyKey": "" })),
        order_with(json!({ "idempotencyKey": "k".repeat(256) })),
    ] {
        assert_eq!(refused(&service, &order).await, (400, "invalid_request".to_owned()), "{order}");
    }
    let large = order_with(json!({ "variables": { "a": "x".repeat(70_000) } }));
    assert_eq!(refused(&service, &large).await, (413, "invalid_request".to_owned()));
    let request = http().post(format!("{}/api/calls", service.url)).bearer_auth(API_TOKEN);
    let two_keys = order_with(json!({ "idempotencyKey": "a" }));
    let (status, _) = answer(request.header("idempotency-key", "b").json(&two_keys)).await;
    assert_eq!(status, 400);
    assert!(service.asked_besides().await.is_empty());
}

#[tokio::test]
async fn only_who_shows_a_token_is_answered() {
    let api_tokens = vec!["an-older-token-0123456789", API_TOKEN];
    let service = Bare::start(Setup { api_tokens, ..Setup::default() }).await;
    let url = format!("{}/api/calls", service.url);
    let prefix = &API_TOKEN[..API_TOKEN.len() - 1];
    for authorization in ["", "Bearer", "Bearer x", prefix, "Basic eDp5", &format!("Bearer {prefix}")] {
        for path in ["", "/L1", "/../nothing", "/a/b"] {
            let request = http().post(format!("{url}{path}")).header("authorization", authorization);
            let response = request.json(&order()).send().await.unwrap();
            assert_eq!(response.status().as_u16(), 401, "{authorization} {path}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
        }
    }
    assert_eq!(service.metrics.value(Counter::ApiUnauthorized), 24);
    for token in ["an-older-token-0123456789", API_TOKEN] {
        let request = http().post(&url).header("authorization", format!("bearer {token}"));
        assert_eq!(answer(request.json(&order())).await.0, 201);
    }
    for (request, status) in [
        (http().get(format!("{url}/L00000000000000000000000000000009")), 404),
        (http().get(format!("{url}/{CALLER}")), 404),
        (http().get(format!("{}/api/nothing", service.url)), 404),
        (http().delete(&url), 405),
    ] {
        assert_eq!(answer(request.bearer_auth(API_TOKEN)).await.0, status);
    }
}

#[tokio::test]
async fn without_a_token_there_is_no_api() {
    let service = Bare::start(Setup { api_tokens: vec![], ..Setup::default() }).await;
    for path in ["/api/calls", "/api", "/api/calls/L1"] {
        for token in ["", API_TOKEN] {
            let request = http().post(format!("{}{path}", service.url)).bearer_auth(token).json(&order());
            assert_eq!(request.send().await.unwrap().status().as_u16(), 404, "{path}");
        }
    }
}

/// Exit code, what was printed, and what was complained about.
async fn command(service: &Bare, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.arg("call").args(arguments).env_clear().kill_on_drop(true).env("PUBLIC_URL", &service.url);
    command.envs(environment.iter().copied());
    let output = tokio::time::timeout(SOON, command.output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_command_places_a_call_and_says_what_came_of_it() {
    let mut service = Bare::start(Setup::default()).await;
    let token = [("API_TOKEN", API_TOKEN)];
    let arguments =
        ["--to", CALLER, "--use-case", "desk", "--machine", "hangUp", "--variables", "a=1", "b=2"];
    let (code, printed, complaint) = command(&service, &arguments, &token).await;
    assert_eq!((code, complaint.as_str()), (0, ""));
    let launch: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(launch["callSid"], "CAperson1");
    let known = service.table.launch(launch["id"].as_str().unwrap());
    assert_eq!((known.machine, known.variables.expose().len()), (OnMachine::HangUp, 2));
    let Asked::Place(_) = service.asked().await else { panic!("nobody is called") };
    let (code, _, complaint) = command(&service, &["--to", "12", "--use-case", "desk"], &token).await;
    assert!(code == 1 && complaint.contains("not_a_number"), "{complaint}");
    let wrong = [("API_TOKEN", "another-token-0123456789")];
    let (code, _, complaint) = command(&service, &arguments, &wrong).await;
    assert!(code == 1 && complaint.contains("unauthorized"), "{complaint}");
    let nobody = [&arguments[..], &["--url", "http://127.0.0.1:9"]].concat();
    let (code, _, complaint) = command(&service, &nobody, &token).await;
    assert!(code == 1 && complaint.contains("did not answer"), "{complaint}");
}

#[tokio::test]
async fn the_command_exits_1_when_there_is_no_call_although_the_answer_is_no_error() {
    let service = Bare::start(Setup::default()).await;
    let token = [("API_TOKEN", API_TOKEN)];
    for (kind, key, words) in [
        (TelephonyErrorKind::Refused, "a", "failed before"),
        (TelephonyErrorKind::Unavailable, "b", "not known"),
    ] {
        let arguments = ["--to", CALLER, "--use-case", "desk", "--idempotency-key", key];
        service.carrier.refusals.lock().unwrap().push((kind, None));
        assert_eq!(command(&service, &arguments, &token).await.0, 1);
        let (code, printed, complaint) = command(&service, &arguments, &token).await;
        assert!(code == 1 && complaint.contains(words), "{code} {complaint}");
        assert!(printed.contains(r#""id":"L"#), "what is known of it is printed: {printed}");
    }
}

#[tokio::test]
async fn bad_usage_of_the_command_exits_64() {
    let service = Bare::start(Setup::default()).await;
    let token = [("API_TOKEN", API_TOKEN)];
    let arguments = ["--to", CALLER, "--use-case", "desk"];
    for (arguments, environment) in [
        (arguments.to_vec(), &[][..]),
        (vec!["--to", CALLER], &token[..]),
        ([&arguments[..], &["--variables", "a"]].concat(), &token[..]),
        ([&arguments[..], &["--machine", "sing"]].concat(), &token[..]),
        ([&arguments[..], &["--url", "voice.example.com"]].concat(), &token[..]),
    ] {
        let (code, _, complaint) = command(&service, &arguments, environment).await;
        assert_eq!(code, 64, "{arguments:?}: {complaint}");
    }
}
