//! Tools in a conversation: rounds, parallel runs, and what the table keeps of them.

use rehearsal::bedrock::Answer;
use serde_json::{Value, json};
use trunkline::metrics::Counter;

use crate::support::{
    AT_ONCE, CALLED, CALLER, DEFAULT, SOON, ask, bedrock, call, dialogue, every_request_was_valid, finish,
    items, profile, stage, use_case,
};

fn restaurant() -> Value {
    let schema = json!({ "json": { "type": "object" } });
    let tools = ["PlaceOrderFunction", "CheckRestaurantPickUpTime"]
        .map(|name| json!({ "toolSpec": { "name": name, "inputSchema": schema } }));
    use_case(DEFAULT, json!({ "tools": tools }))
}

fn order() -> Value {
    json!({
        "current_order": [{ "line_item": "Margherita, large", "line_amount": 16.5 }],
        "order_type": "pickup", "order_total": 16.5,
    })
}

#[tokio::test]
async fn rounds_of_tools_follow_each_other_until_the_model_answers() {
    let stage = stage([restaurant()]).await;
    let mut call = call(&stage, AT_ONCE).await;
    bedrock(&stage).script(Answer::empty().then_tool("t-1", "CheckRestaurantPickUpTime", json!({})));
    bedrock(&stage).script(Answer::empty().then_tool("t-2", "PlaceOrderFunction", order()));
    bedrock(&stage).script(Answer::text("It is ready soon."));
    assert_eq!(ask(&mut call, "The usual.").await, "It is ready soon.");
    let request = bedrock(&stage).wait_for_request(3, SOON).await.unwrap();
    let expected =
        ["user: The usual.", "assistant: [call]", "user: [success]", "assistant: [call]", "user: [success]"];
    assert_eq!(dialogue(&request), expected);
    bedrock(&stage).wait_for_outcome(3, SOON).await.unwrap();
    every_request_was_valid(&stage);
}

#[tokio::test]
async fn tools_called_together_come_back_together_in_their_order() {
    let stage = stage([restaurant()]).await;
    let mut call = call(&stage, AT_ONCE).await;
    let calls = Answer::text("Let me see.")
        .then_tool("t-1", "CheckRestaurantPickUpTime", json!({}))
        .then_tool("t-2", "PlaceOrderFunction", order())
        .then_tool("t-3", "CheckRestaurantPickUpTime", json!({}));
    bedrock(&stage).script(calls);
    bedrock(&stage).script(Answer::text("All done."));
    assert_eq!(ask(&mut call, "The usual, and when?").await, "Let me see.");
    assert_eq!(call.agent_turn(SOON).await.unwrap(), "All done.");
    let request = bedrock(&stage).wait_for_request(2, SOON).await.unwrap();
    let blocks = request.body["messages"][2]["content"].as_array().unwrap();
    let ids: Vec<_> = blocks.iter().map(|block| block["toolResult"]["toolUseId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["t-1", "t-2", "t-3"]);
    assert!(blocks.iter().all(|block| block["toolResult"]["status"] == "success"), "{blocks:?}");
    assert_eq!(stage.metrics.value(Counter::ToolRuns), 3);
    assert_eq!(stage.metrics.value(Counter::ToolErrors), 0);
}

#[tokio::test]
async fn a_run_is_claimed_and_completed_and_its_order_is_kept() {
    let mut stage = stage([restaurant(), profile(CALLER, json!({}))]).await;
    let mut call = call(&stage, AT_ONCE).await;
    let call_sid = call.sid.clone();
    bedrock(&stage).script(Answer::empty().then_tool("t-1", "PlaceOrderFunction", order()));
    ask(&mut call, "The usual.").await;
    call.hang_up().await.unwrap();
    finish(&mut stage).await;
    let of_call = items(&stage, &call_sid).await;
    let run = of_call.iter().find(|item| item["sk"].as_str().unwrap().starts_with("tool::")).unwrap();
    assert_eq!((&run["tool"], &run["status"]), (&json!("PlaceOrderFunction"), &json!("completed")));
    assert_eq!(run["outcome"]["toolResult"]["status"], "success");
    let of_caller = items(&stage, CALLER).await;
    let orders: Vec<_> = of_caller
        .iter()
        .filter(|item| item.get("pk1").is_some_and(|kind| kind == "restaurantOrder"))
        .collect();
    let [saved] = orders.as_slice() else { panic!("not one order: {of_caller:?}") };
    assert!(saved["sk"].as_str().unwrap().starts_with("restaurantOrder::"));
    assert_eq!((&saved["sk1"], &saved["callSid"]), (&json!(CALLED), &json!(call_sid)));
    assert_eq!(saved["order"]["order_total"], 16.5);
    assert!(
        saved["expireAt"].as_u64().unwrap() > run["expireAt"].as_u64().unwrap(),
        "orders are kept longer"
    );
}

#[tokio::test]
async fn a_handler_that_cannot_do_it_tells_the_model_why() {
    let stage = stage([restaurant()]).await;
    let mut call = call(&stage, AT_ONCE).await;
    let to_nowhere =
        json!({ "current_order": [{ "line_item": "Garden" }], "order_type": "delivery", "order_total": 9 });
    bedrock(&stage).script(Answer::empty().then_tool("t-1", "PlaceOrderFunction", to_nowhere));
    bedrock(&stage).script(Answer::text("Where shall it go?"));
    assert_eq!(ask(&mut call, "Bring me a pizza.").await, "Where shall it go?");
    let request = bedrock(&stage).wait_for_request(2, SOON).await.unwrap();
    let result = &request.body["messages"][2]["content"][0]["toolResult"];
    assert_eq!(result["status"], "error");
    assert!(result["content"][0]["json"]["error"].as_str().unwrap().contains("needs an address"), "{result}");
    assert_eq!(stage.metrics.value(Counter::ToolErrors), 1);
}
