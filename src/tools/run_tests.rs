//! When a run begins, how often, and what is recorded of it.

use serde_json::json;
use tokio::sync::Notify;
use voice_core::ports::{StoreErrorKind, ToolRunner};
use voice_core::use_case::{Handler, SendSms, Tool};

use super::*;
use crate::tools::http::Settings;
use crate::tools::testing::{self, World};

fn sms() -> ToolRequest {
    let tool = Tool::new("text_me", Handler::SendSms(SendSms::default()));
    testing::request(tool, json!({ "message": "Hello" }))
}

fn time() -> ToolRequest {
    testing::request(Tool { idempotent: true, ..testing::tool("time") }, json!({}))
}

/// A tool that may happen twice, and does not come to its end.
fn hanging(world: &World) -> ToolRequest {
    *world.others.hangs.lock().unwrap() = true;
    let tool = Tool { idempotent: true, ..Tool::new("find", Handler::Mcp(testing::mcp_tool())) };
    testing::request(tool, json!({}))
}

async fn ran(world: &World, request: ToolRequest) -> ToolResult {
    world.tools(Settings::default()).run(request).await
}

fn words(result: &ToolResult) -> &str {
    result.outcome.content["error"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn wrong_arguments_never_reach_the_handler() {
    let world = World::default();
    let mut request = sms();
    let schema = json!({ "type": "object", "properties": { "message": { "type": "integer" } } });
    request.tool = Arc::new(Tool { input_schema: schema, ..(*request.tool).clone() });
    let result = ran(&world, request).await;
    assert!(words(&result).contains("Wrong arguments"), "{result:?}");
    assert!(world.carrier.messages.lock().unwrap().is_empty());
    assert_eq!(world.metrics.value(Counter::ToolErrors), 1);
}

#[tokio::test]
async fn what_must_not_happen_twice_waits_for_its_claim() {
    let world = World::default();
    for (claim, told) in [
        (Ok(RunClaim::Unknown), "begun before"),
        (Ok(RunClaim::Overtaken), "moved elsewhere"),
        (Err(StoreErrorKind::Unavailable), "out of reach"),
    ] {
        *world.runs.claim.lock().unwrap() = Some(claim);
        let result = ran(&world, sms()).await;
        assert!(words(&result).contains(told), "{result:?}");
    }
    world.settled().await;
    assert!(world.carrier.messages.lock().unwrap().is_empty());
    assert!(world.runs.completed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_run_that_is_ours_is_recorded() {
    let world = World::default();
    let result = ran(&world, sms()).await;
    assert_eq!(result.outcome.content, json!({ "sent": true }));
    world.settled().await;
    assert_eq!(*world.runs.completed.lock().unwrap(), [result.outcome]);
    assert_eq!(world.metrics.value(Counter::SmsSent), 1);
}

#[tokio::test]
async fn what_may_happen_twice_asks_nobody_and_is_written_down_behind() {
    let world = World::default();
    for claim in [Err(StoreErrorKind::Unavailable), Ok(RunClaim::Unknown), Ok(RunClaim::Overtaken)] {
        *world.runs.claim.lock().unwrap() = Some(claim);
        assert_eq!(ran(&world, time()).await.outcome.status, OutcomeStatus::Success);
        world.settled().await;
        assert!(world.runs.completed.lock().unwrap().is_empty(), "there is no item of ours to complete");
    }
    *world.runs.claim.lock().unwrap() = None;
    let result = ran(&world, time()).await;
    world.settled().await;
    assert_eq!(*world.runs.completed.lock().unwrap(), [result.outcome]);
}

#[tokio::test]
async fn an_outcome_that_is_known_is_given_again() {
    let world = World::default();
    let outcome = ToolOutcome::success(sms().run.call, json!({ "sent": "before" }));
    *world.runs.claim.lock().unwrap() = Some(Ok(RunClaim::Completed(outcome.clone())));
    assert_eq!(ran(&world, sms()).await.outcome, outcome);
    assert!(world.carrier.messages.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_run_that_is_dropped_before_its_claim_is_noted_and_leaves_nothing() {
    let world = World::default();
    *world.runs.gate.lock().unwrap() = Some(Arc::new(Notify::new()));
    for (noted, request) in [(1, sms()), (2, hanging(&world))] {
        let mut running = Box::pin(world.tools(Settings::default()).run(request));
        assert!(futures_util::poll!(&mut running).is_pending());
        drop(running);
        assert_eq!(world.metrics.value(Counter::ToolErrors), noted);
    }
    world.settled().await;
    assert!(world.runs.completed.lock().unwrap().is_empty());
    assert!(world.carrier.messages.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_run_that_is_dropped_after_its_claim_is_noted_and_recorded() {
    let world = World::default();
    let mut request = hanging(&world);
    request.tool = Arc::new(Tool { idempotent: false, ..(*request.tool).clone() });
    let mut running = Box::pin(world.tools(Settings::default()).run(request));
    assert!(futures_util::poll!(&mut running).is_pending());
    drop(running);
    world.settled().await;
    let completed = world.runs.completed.lock().unwrap();
    assert!(completed[0].content["error"].as_str().unwrap().contains("Broken off"), "{completed:?}");
    assert_eq!((completed.len(), world.metrics.value(Counter::ToolErrors)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_table_that_never_answers_costs_what_may_happen_twice_no_time() {
    let world = World::default();
    *world.runs.gate.lock().unwrap() = Some(Arc::new(Notify::new()));
    let begun = tokio::time::Instant::now();
    assert_eq!(ran(&world, time()).await.outcome.status, OutcomeStatus::Success);
    assert!(begun.elapsed().is_zero());
    world.settled().await;
    assert!(world.runs.completed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_tool_that_cannot_work_is_not_available() {
    let world = World::default();
    let request = testing::request(Tool::new("x", Handler::Unknown("telepathy".to_owned())), json!({}));
    assert_eq!(words(&ran(&world, request).await), "This tool is not available.");
}

#[test]
fn what_is_recorded_holds_no_card_and_perhaps_nothing() {
    let content = json!({ "note": "card 4111 1111 1111 1111", "total": 12 });
    let mut result = success(&sms(), content, None);
    let kept = stored(&result, &Storage::default());
    assert_eq!(kept.content, json!({ "note": "card [card number]", "total": 12 }));
    result.effect = Some(Effect::Verified);
    let asked_for = stored(&result, &Storage::default());
    assert!(asked_for.content["note"].as_str().unwrap().contains("not known"), "{asked_for:?}");
    let nothing = stored(&result, &Storage { keep: Keep::Nothing, patterns: Vec::new() });
    assert_eq!((nothing.content, nothing.status), (json!({}), OutcomeStatus::Success));
}
