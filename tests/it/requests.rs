//! What Bedrock is asked: every part of a request that a use case decides.

use serde_json::{Value, json};

use crate::support::{AT_ONCE, DEFAULT, ask, bedrock, call, every_request_was_valid, stage, use_case};

/// The model and the body with which a use case asks.
async fn asked_with(changes: Value) -> (String, Value, String) {
    let stage = stage([use_case(DEFAULT, changes)]).await;
    let mut call = call(&stage, AT_ONCE).await;
    ask(&mut call, "Hello").await;
    every_request_was_valid(&stage);
    let request = bedrock(&stage).requests().pop().unwrap();
    (request.model, request.body, call.sid)
}

#[tokio::test]
async fn a_use_case_decides_model_sampling_guardrail_and_tools() {
    let schema = json!({ "type": "object", "properties": { "size": { "type": "number", "minimum": 0.5 } } });
    let (model, body, call_sid) = asked_with(json!({
        "llmModel": "eu.amazon.nova-pro-v1:0",
        "inferenceConfig": { "maxTokens": 120, "temperature": 0.5, "topP": 0.25, "stopSequences": ["END"] },
        "guardrail": { "identifier": "abc123", "version": 3, "streamProcessingMode": "async", "trace": true },
        "tools": [{ "toolSpec": {
            "name": "WaitingTime", "description": "Tells how long.", "inputSchema": { "json": schema },
        }, "handler": "CheckRestaurantPickUpTime" }],
    }))
    .await;
    assert_eq!(model, "eu.amazon.nova-pro-v1:0");
    let inference = json!({ "maxTokens": 120, "temperature": 0.5, "topP": 0.25, "stopSequences": ["END"] });
    assert_eq!(body["inferenceConfig"], inference);
    let guardrail = json!({
        "guardrailIdentifier": "abc123", "guardrailVersion": "3", "streamProcessingMode": "async", "trace": "enabled",
    });
    assert_eq!(body["guardrailConfig"], guardrail);
    let tool =
        json!({ "name": "WaitingTime", "description": "Tells how long.", "inputSchema": { "json": schema } });
    assert_eq!(body["toolConfig"], json!({ "tools": [{ "toolSpec": tool }] }));
    let metadata = json!({ "callSid": call_sid, "useCase": DEFAULT, "generation": body["requestMetadata"]["generation"] });
    assert_eq!(body["requestMetadata"], metadata);
    assert!(body["requestMetadata"]["generation"].is_string());
}

#[tokio::test]
async fn what_a_use_case_leaves_out_is_left_out_or_has_its_default() {
    let (model, body, _) = asked_with(json!({})).await;
    assert_eq!(model, trunkline_dev::stage::MODEL);
    assert_eq!(body["inferenceConfig"]["maxTokens"], 1600);
    assert!(body.get("guardrailConfig").is_none() && body.get("toolConfig").is_none(), "{body}");
    assert_eq!(body["system"], json!([{ "text": "You answer the telephone." }]));
}

#[tokio::test]
async fn a_long_prompt_is_cached_where_the_model_can() {
    let long = "Never promise a discount. ".repeat(400);
    let point = json!({ "cachePoint": { "type": "default" } });
    for (model, prompt, cached) in [
        ("us.amazon.nova-lite-v1:0", long.as_str(), true),
        ("us.amazon.nova-lite-v1:0", "Be brief.", false),
        ("meta.llama3-70b-instruct-v1:0", long.as_str(), false),
    ] {
        let (_, body, _) = asked_with(json!({ "llmModel": model, "prompt": prompt })).await;
        assert_eq!(body["system"].as_array().unwrap().contains(&point), cached, "{model}");
    }
}
