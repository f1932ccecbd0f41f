//! Builtins that need the rest of the service.

use std::sync::Arc;

use serde_json::{Value, json};
use voice_core::ports::{Effect, NotPlaced, TelephonyError, TelephonyErrorKind, ToolRequest};
use voice_core::use_case::{Keep, PlaceCall, SendSms, Tool, UseCase, VerifyChannel};

use super::*;
use crate::metrics::Counter;
use crate::tools::http::Settings;
use crate::tools::testing::{self, CODE, PERSON, World};

async fn run_for(world: &World, request: ToolRequest) -> Handled {
    handle(&world.parts(Settings::default()), &request).await
}

async fn run(world: &World, handler: Handler, arguments: Value) -> Handled {
    run_for(world, testing::request(Tool::new("t", handler), arguments)).await
}

fn office() -> std::collections::BTreeMap<String, String> {
    [("office".to_owned(), "+14155550177".to_owned())].into()
}

#[tokio::test]
async fn messages_go_to_the_caller_or_to_a_number_of_the_record() {
    let world = World::default();
    let handler =
        |from: Option<&str>| Handler::SendSms(SendSms { numbers: office(), from: from.map(str::to_owned) });
    run(&world, handler(None), json!({ "message": " Hi " })).await.unwrap();
    run(&world, handler(Some("MG1")), json!({ "message": "Hi", "to": "office" })).await.unwrap();
    run(&world, handler(None), json!({ "message": "Hi", "to": PERSON })).await.unwrap();
    let sent: Vec<_> = world.carrier.messages.lock().unwrap().clone();
    let sent =
        sent.iter().map(|sms| (sms.to.expose().as_str(), sms.from.as_str(), sms.body.expose().as_str()));
    let expected =
        [(PERSON, "+18005550199", "Hi"), ("+14155550177", "MG1", "Hi"), (PERSON, "+18005550199", "Hi")];
    assert_eq!(sent.collect::<Vec<_>>(), expected);
    assert_eq!(world.metrics.value(Counter::SmsSent), 3);
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_is_spoken_about() {
    let world = World::default();
    let handler = || Handler::SendSms(SendSms { numbers: office(), from: None });
    for (arguments, told) in [
        (json!({}), "message"),
        (json!({ "message": "x".repeat(1601) }), "shorter"),
        (json!({ "message": "Hi", "to": "+14155550111" }), "office"),
    ] {
        let refused = run(&world, handler(), arguments).await.unwrap_err();
        assert!(refused.contains(told), "{refused}");
    }
    let request = testing::request(Tool::new("t", handler()), json!({ "message": "Hi" }));
    let refused = run_for(&world, testing::anonymous(request)).await.unwrap_err();
    assert!(refused.contains("withheld"), "{refused}");
    assert!(world.carrier.messages.lock().unwrap().is_empty());
    *world.carrier.failure.lock().unwrap() = Some((TelephonyErrorKind::Refused, Some(21211)));
    let refused = run(&world, handler(), json!({ "message": "Hi" })).await.unwrap_err();
    assert_eq!(refused, "The message was not sent (Twilio 21211).");
    assert_eq!(world.metrics.value(Counter::SmsSent), 0);
}

#[tokio::test]
async fn a_caller_is_verified_by_the_right_code_alone() {
    let world = World::default();
    let check = |code: &str| run(&world, Handler::VerifyCode, json!({ "code": code }));
    let nothing_sent = check(CODE).await.unwrap();
    assert_eq!((&nothing_sent.content["verified"], nothing_sent.effect), (&json!(false), None));
    let sent = run(&world, Handler::VerifySend { channel: VerifyChannel::Sms }, json!({})).await.unwrap();
    assert_eq!(sent.content, json!({ "sent": true, "channel": "sms" }));
    let wrong = check("1 2 3 4 5 6").await.unwrap();
    assert_eq!((&wrong.content["verified"], wrong.effect), (&json!(false), None));
    assert!(check("what?").await.is_err());
    assert_eq!(world.metrics.value(Counter::VerificationsFailed), 2);
    let right = check("4 8 2 9 1 3").await.unwrap();
    assert_eq!((right.content, right.effect), (json!({ "verified": true }), Some(Effect::Verified)));
    *world.carrier.failure.lock().unwrap() = Some((TelephonyErrorKind::Throttled, Some(60203)));
    let failed = check(CODE).await.unwrap_err();
    assert_eq!(failed, "The code was not checked (Twilio 60203).");
}

#[tokio::test]
async fn calls_go_to_numbers_of_the_record() {
    let world = World::default();
    let handler = || Handler::PlaceCall(PlaceCall { numbers: office(), use_case: Some("desk".to_owned()) });
    let placed = run(&world, handler(), json!({ "to": "office", "reason": "a flat tyre" })).await.unwrap();
    assert_eq!(placed.content, json!({ "placed": true, "status": "queued" }));
    let requests: Vec<_> = world.others.placed.lock().unwrap().drain(..).collect();
    let [request] = requests.as_slice() else { panic!("not one call: {requests:?}") };
    assert_eq!((request.to.expose().as_str(), request.use_case.as_str()), ("+14155550177", "desk"));
    assert_eq!(request.variables.expose()["reason"], "a flat tyre");
    assert_eq!(request.idempotency_key.as_deref(), Some("CA1:3:t-1"));
    let refused = run(&world, handler(), json!({ "to": "+14155550111" })).await.unwrap_err();
    assert!(refused.contains("office") && world.others.placed.lock().unwrap().is_empty(), "{refused}");
}

#[tokio::test]
async fn the_reason_of_a_call_is_masked_and_stays_behind_when_nothing_is_kept() {
    let world = World::default();
    let reason_for = async |keep: Keep| {
        let handler = Handler::PlaceCall(PlaceCall { numbers: office(), use_case: None });
        let arguments = json!({ "to": "office", "reason": "card 4111 1111 1111 1111" });
        let request = testing::request(Tool::new("t", handler), arguments);
        let mut use_case = UseCase::new("reception", "");
        use_case.storage.keep = keep;
        let request = ToolRequest { use_case: Arc::new(use_case), ..request };
        run_for(&world, request).await.unwrap();
        let placed = world.others.placed.lock().unwrap().pop().unwrap();
        placed.variables.expose().get("reason").cloned()
    };
    assert_eq!(reason_for(Keep::Words).await.as_deref(), Some("card [card number]"));
    assert_eq!(reason_for(Keep::Nothing).await, None);
}

#[tokio::test]
async fn a_call_that_is_not_placed_is_spoken_about() {
    let world = World::default();
    let handler = || Handler::PlaceCall(PlaceCall { numbers: office(), use_case: None });
    let error = TelephonyError {
        kind: TelephonyErrorKind::Refused,
        code: Some(21215),
        message: String::new(),
        source: None,
    };
    for (refusal, told) in [
        (NotPlaced::DoNotCall, "No call was placed: whoever has that number does not want to be called."),
        (NotPlaced::NoCallerIds, "No call was placed: calls cannot be placed from this line."),
        (NotPlaced::Carrier(error), "No call was placed (Twilio 21215)."),
    ] {
        *world.others.refusal.lock().unwrap() = Some(refusal);
        assert_eq!(run(&world, handler(), json!({ "to": "office" })).await.unwrap_err(), told);
    }
}

#[tokio::test]
async fn a_customer_is_known_or_not() {
    let world = World::default();
    let get = || run(&world, Handler::GetCustomer, json!({}));
    assert_eq!(get().await.unwrap().content, json!({ "found": false }));
    world.records.add(&json!({
        "pk": PERSON, "sk": "profile", "pk1": "profile", "sk1": PERSON, "useCase": "x", "plan": "gold",
    }));
    assert_eq!(get().await.unwrap().content, json!({ "found": true, "plan": "gold" }));
    *world.records.is_out_of_reach.lock().unwrap() = true;
    assert_eq!(get().await.unwrap().content, json!({ "found": true, "firstName": "Ada" }));
    let request = testing::request(Tool::new("t", Handler::GetCustomer), json!({}));
    let unknown = run_for(&world, testing::anonymous(request)).await.unwrap();
    assert_eq!(unknown.content, json!({ "found": false }));
}

#[tokio::test]
async fn a_call_goes_on_as_a_use_case_that_is_allowed() {
    let world = World::default();
    let use_cases = ["billing".to_owned(), "broken".to_owned()].to_vec();
    let set = |name: &str| {
        run(&world, Handler::SetUseCase { use_cases: use_cases.clone() }, json!({ "useCase": name }))
    };
    let changed = set("billing").await.unwrap();
    assert!(matches!(changed.effect, Some(Effect::ChangeUseCase(use_case)) if use_case.name == "billing"));
    assert!(set("admin").await.unwrap_err().contains("billing, broken"));
    assert!(set("broken").await.is_err());
}

#[tokio::test]
async fn tools_of_other_servers_are_called_there() {
    let handler = Handler::Mcp(testing::mcp_tool());
    let world = World::default();
    let request = testing::request(Tool::new("crm_find", handler), json!({ "a": 1 }));
    let tools = world.tools(Settings::default());
    let result = voice_core::ports::ToolRunner::run(&tools, request).await;
    assert_eq!(result.outcome.content, json!({ "tool": "find", "given": { "a": 1 } }));
}
