//! Each rule with a body that breaks it, and arbitrary bodies that must not bring the rules down.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::check;

fn user(text: &str) -> Value {
    json!({"role": "user", "content": [{"text": text}]})
}

fn assistant(text: &str) -> Value {
    json!({"role": "assistant", "content": [{"text": text}]})
}

fn calls(ids: &[&str]) -> Value {
    let blocks: Vec<Value> =
        ids.iter().map(|id| json!({"toolUse": {"toolUseId": id, "name": "f", "input": {}}})).collect();
    json!({"role": "assistant", "content": blocks})
}

fn results(ids: &[&str]) -> Value {
    let blocks: Vec<Value> = ids
        .iter()
        .map(|id| json!({"toolResult": {"toolUseId": id, "content": [{"text": "done"}]}}))
        .collect();
    json!({"role": "user", "content": blocks})
}

fn tool(name: &str) -> Value {
    json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}})
}

fn conversation(messages: &[Value]) -> Value {
    json!({"messages": messages, "toolConfig": {"tools": [tool("f")]}})
}

/// A plain conversation with one more field.
fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut body = json!({"messages": [user("hi")]});
    body[name] = value.into();
    body
}

fn refusal(body: &Value) -> String {
    check(body).expect_err(&format!("accepted {body}")).to_string()
}

#[test]
fn a_conversation_with_everything_in_it_is_accepted() {
    let body = json!({
        "system": [{"text": "Be kind."}, {"cachePoint": {"type": "default"}}],
        "messages": [
            user("hi"),
            calls(&["a", "b"]),
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "b", "content": [{"json": {}}], "status": "error"}},
                {"toolResult": {"toolUseId": "a", "content": []}},
                {"text": "and then"},
                {"guardContent": {"text": {"text": "this", "qualifiers": ["query"]}}},
                {"cachePoint": {"type": "default"}},
            ]},
            assistant("Done. "),
            {"role": "system", "content": [{"toolRemoval": {"tool": {}}}]},
            user("thanks"),
        ],
        "inferenceConfig": {"maxTokens": 1, "temperature": 0, "topP": 1.0, "stopSequences": ["."]},
        "toolConfig": {"tools": [tool("f"), {"cachePoint": {"type": "default"}}], "toolChoice": {"auto": {}}},
        "requestMetadata": {"callSid": "CA0123", "empty": ""},
    });
    assert_eq!(check(&body), Ok(()));
}

#[test]
fn refuses_a_conversation_out_of_order() {
    let cases = [
        (json!({}), "A conversation must start with a user message."),
        (conversation(&[]), "A conversation must start with a user message."),
        (conversation(&[assistant("hi"), user("hi")]), "A conversation must start with a user message."),
        (conversation(&[user("a"), user("b")]), "A conversation must alternate between user and assistant"),
        (conversation(&[user("a"), assistant("b")]), "The conversation must end with a user message."),
        (conversation(&[user("a"), assistant("b ")]), "cannot end with trailing whitespace"),
        (
            conversation(&[json!({"role": "tool", "content": []})]),
            "enum value set: [user, assistant, system]",
        ),
        (
            conversation(&[user("a"), json!({"role": "system", "content": [{"text": "x"}]})]),
            "The system message at messages.1 can hold nothing but changes of tools.",
        ),
    ];
    for (body, expected) in cases {
        let message = refusal(&body);
        assert!(message.contains(expected), "{body}\n{message}");
    }
}

#[test]
fn refuses_blocks_that_say_nothing_or_too_much() {
    let block = |block: Value| conversation(&[json!({"role": "user", "content": [block]})]);
    let result = |content: Value| {
        let result = json!({"toolResult": {"toolUseId": "t", "content": content}});
        conversation(&[user("a"), calls(&["t"]), json!({"role": "user", "content": [result]})])
    };
    let blank = "The text field in the ContentBlock object at messages.0.content.0 is blank. \
                 Add text to the text field, and try again.";
    let empty = "The content field in the Message object at messages.0 is empty. \
                 Add a ContentBlock object to the content field and try again.";
    let cases = [
        (block(json!({"text": ""})), blank),
        (block(json!({"text": " \n"})), blank),
        (conversation(&[json!({"role": "user", "content": []})]), empty),
        (conversation(&[json!({"role": "user"})]), empty),
        (block(json!({})), "must set one of the following keys: text,"),
        (block(json!({"smell": {}})), "must set one of the following keys: text,"),
        (block(json!({"text": "a", "image": {}})), "must set one of the following keys: text,"),
        (block(json!({"guardContent": {}})), "must set one of the following keys: text, image."),
        (block(json!({"guardContent": {"text": "a"}})), "'messages.0.content.0.guardContent.text.text'"),
        (
            block(json!({"guardContent": {"text": {"text": " "}}})),
            "The guard content field in the ContentBlock object at messages.0.content.0 is blank",
        ),
        (
            block(json!({"guardContent": {"text": {"text": "a", "qualifiers": ["loud"]}}})),
            "enum value set: [grounding_source, query, guard_content]",
        ),
        (
            with("system", json!([{"guardContent": {"text": {"text": ""}}}])),
            "The guard content field in the SystemContentBlock object at system.0 is blank",
        ),
        (block(json!({"cachePoint": {"type": "default"}})), "has nothing before it"),
        (with("system", json!([{"text": " "}])), "SystemContentBlock object at system.0 is blank"),
        (with("system", json!([{"cachePoint": {}}])), "has nothing before it"),
        (result(json!([{"json": [1]}])), "content.0.json is invalid. Provide a json object"),
        (result(json!([{"text": ""}])), "messages.2.content.0.toolResult.content.0 is blank"),
        (result(Value::Null), "'messages.2.content.0.toolResult.content' failed"),
    ];
    for (body, expected) in cases {
        let message = refusal(&body);
        assert!(message.contains(expected), "{body}\n{message}");
    }
}

#[test]
fn refuses_tool_calls_that_do_not_pair_up() {
    let long_id = "i".repeat(65);
    let no_tools = json!({"messages": [user("a"), calls(&["t"]), results(&["t"])]});
    let text_input =
        json!({"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "f", "input": "x"}}]});
    let cases = [
        (
            conversation(&[user("a"), calls(&["t", "u"]), user("b")]),
            "Expected toolResult blocks at messages.2.content for the following Ids: t, u",
        ),
        (
            conversation(&[user("a"), calls(&["t", "u"]), results(&["u"])]),
            "Expected toolResult blocks at messages.2.content for the following Ids: t",
        ),
        (
            conversation(&[user("a"), calls(&["t"]), user("b"), assistant("c"), results(&["t"])]),
            "Expected toolResult blocks at messages.2.content for the following Ids: t",
        ),
        (
            conversation(&[results(&["t"])]),
            "The number of toolResult blocks at messages.0.content exceeds the number of toolUse blocks",
        ),
        (
            conversation(&[user("a"), calls(&["t"]), results(&["t", "u"])]),
            "The number of toolResult blocks at messages.2.content exceeds the number of toolUse blocks",
        ),
        (
            conversation(&[user("a"), calls(&["t", "t"]), results(&["t"])]),
            "The toolUse blocks at messages.1.content contain duplicate Ids: t",
        ),
        (
            conversation(&[user("a"), calls(&["t"]), results(&["t", "t"])]),
            "The toolResult blocks at messages.2.content contain duplicate Ids: t",
        ),
        (
            conversation(&[user("a"), calls(&["t"]), results(&["t"]), calls(&["t"]), results(&["t"])]),
            "`tool_use` ids must be unique: t",
        ),
        (no_tools, "The toolConfig field must be defined when using toolUse and toolResult content blocks."),
        (conversation(&[user("a"), calls(&["a b"]), results(&["a b"])]), "pattern: [a-zA-Z0-9_.:-]+"),
        (conversation(&[user("a"), calls(&[&long_id]), user("b")]), "less than or equal to 64"),
        (conversation(&[user("a"), text_input, results(&["t"])]), "toolUse.input is invalid."),
        (conversation(&[user("a"), results(&["t"]), user("b")]), "must alternate"),
        (
            conversation(&[json!({"role": "user", "content": calls(&["t"])["content"]})]),
            "The toolUse block at messages.0.content.0 is not allowed",
        ),
    ];
    for (body, expected) in cases {
        let message = refusal(&body);
        assert!(message.contains(expected), "{body}\n{message}");
    }
}

#[test]
fn refuses_fields_out_of_range() {
    let inference = |config: Value| with("inferenceConfig", config);
    let tools = |tools: Value| with("toolConfig", json!({"tools": tools}));
    let metadata = |key: &str, value: &str| with("requestMetadata", json!({key: value}));
    let seventeen: Map<String, Value> = (0..17).map(|n| (n.to_string(), json!("x"))).collect();
    let cases = [
        (inference(json!({"maxTokens": 0})), "greater than or equal to 1"),
        (inference(json!({"maxTokens": "9"})), "'inferenceConfig.maxTokens'"),
        (inference(json!({"temperature": -0.1})), "greater than or equal to 0"),
        (inference(json!({"temperature": 1.1})), "'inferenceConfig.temperature'"),
        (inference(json!({"topP": 2})), "less than or equal to 1"),
        (inference(json!({"stopSequences": [""]})), "length greater than or equal to 1"),
        (inference(json!({"stopSequences": vec!["x"; 2501]})), "less than or equal to 2500"),
        (with("toolConfig", json!({})), "Value null at 'toolConfig.tools'"),
        (tools(json!([])), "length greater than or equal to 1"),
        (tools(json!([tool("a b")])), "pattern: [a-zA-Z0-9_-]+"),
        (tools(json!([tool("")])), "pattern: [a-zA-Z0-9_-]+"),
        (tools(json!([tool(&"n".repeat(65))])), "less than or equal to 64"),
        (tools(json!([tool("f"), tool("f")])), "used more than once"),
        (tools(json!([{}])), "must set one of the following keys: toolSpec"),
        (
            tools(json!([{"toolSpec": {"name": "f", "inputSchema": {"json": "{}"}}}])),
            "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.",
        ),
        (with("requestMetadata", json!({})), "greater than or equal to 1"),
        (with("requestMetadata", Value::Object(seventeen)), "less than or equal to 16"),
        (metadata("", "x"), "between 1 and 256"),
        (metadata(&"k".repeat(257), "x"), "between 1 and 256"),
        (metadata("k", &"v".repeat(257)), "less than or equal to 256"),
        (metadata("k", "né"), "regular expression pattern"),
        (metadata("k", "(x)"), "regular expression pattern"),
    ];
    for (body, expected) in cases {
        let message = refusal(&body);
        assert!(message.contains(expected), "{body}\n{message}");
    }
}

/// JSON that uses the words of the protocol, so that it gets past the first checks.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "messages",
        "system",
        "role",
        "content",
        "text",
        "toolUse",
        "toolResult",
        "guardContent",
        "qualifiers",
        "toolUseId",
        "name",
        "input",
        "toolConfig",
        "tools",
        "toolSpec",
        "inputSchema",
        "json",
        "type",
        "cachePoint",
        "inferenceConfig",
        "maxTokens",
        "stopSequences",
        "requestMetadata",
        "status",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec!["user", "assistant", "system", "object", "t", " "]).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..5).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

/// Messages of the right shape with any roles, blocks and ids.
fn any_conversation() -> impl Strategy<Value = Value> {
    let id = prop::sample::select(vec!["a", "b", "c", "a b"]);
    let block = prop_oneof![
        prop::sample::select(vec!["hi", " ", "hi "]).prop_map(|text| json!({"text": text})),
        id.clone().prop_map(|id| json!({"toolUse": {"toolUseId": id, "name": "f", "input": {}}})),
        id.prop_map(|id| json!({"toolResult": {"toolUseId": id, "content": []}})),
        any_json(),
    ];
    let role = prop::sample::select(vec!["user", "assistant", "system"]);
    let message = (role, prop::collection::vec(block, 0..4))
        .prop_map(|(role, content)| json!({"role": role, "content": content}));
    prop::collection::vec(message, 0..6).prop_map(|messages| conversation(&messages))
}

proptest! {
    #[test]
    fn any_body_is_judged_without_a_panic(body in prop_oneof![any_json(), any_conversation()]) {
        if let Err(refusal) = check(&body) {
            prop_assert!(!refusal.to_string().is_empty());
        }
    }
}
