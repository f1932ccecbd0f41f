//! Every kind of mistake is reported, with its place.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Problem, parse, record, record_with, tool};

fn sorted_paths(problems: &[Problem]) -> Vec<&str> {
    let mut paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    paths.sort_unstable();
    paths
}

#[track_caller]
fn assert_errors(cases: &[(Value, &str)]) {
    for (attributes, path) in cases {
        let errors = parse(&record_with(attributes)).expect_err(&attributes.to_string());
        assert_eq!(sorted_paths(&errors), [*path], "{attributes}");
    }
}

#[test]
fn an_error_names_the_attribute() {
    assert_errors(&[
        (json!({"pk": " "}), "pk"),
        (json!({"pk": 1}), "pk"),
        (json!({"sk": "profile"}), "sk"),
        (json!({"prompt": null}), "prompt"),
        (json!({"prompt": " \n"}), "prompt"),
        (json!({"prompt": "\"\""}), "prompt"),
        (json!({"prompt": ["Be kind."]}), "prompt"),
        (json!({"title": 1}), "title"),
        (json!({"channel": "fax"}), "channel"),
        (json!({"conversationRelayParams": "voice=x"}), "conversationRelayParams"),
        (json!({"conversationRelayParams": {"hints": ["a"]}}), "conversationRelayParams.hints"),
        (json!({"languages": {}}), "languages"),
        (json!({"languages": [{"voice": "x"}]}), "languages[0].code"),
        (json!({"languages": [{"code": "de-DE"}, {"code": "de-DE"}]}), "languages[1].code"),
        (json!({"messages": {"busy": 1}}), "messages.busy"),
        (json!({"dtmfHandlers": {"12": {}}}), "dtmfHandlers.12"),
        (json!({"dtmfHandlers": {"1": "text"}}), "dtmfHandlers.1"),
        (json!({"dtmfHandlers": {"1": {"replyWithText": "yes"}}}), "dtmfHandlers.1.replyWithText"),
        (json!({"dtmfHandlers": "not json"}), "dtmfHandlers"),
    ]);
}

#[test]
fn an_error_names_the_setting_of_the_model() {
    let guardrail = |name: &str, value: Value| {
        let mut guardrail = json!({"identifier": "g", "version": "1"});
        guardrail[name] = value;
        json!({ "guardrail": guardrail })
    };
    assert_errors(&[
        (json!({"llmModel": {}}), "llmModel"),
        (json!({"fallbackModels": [1]}), "fallbackModels[0]"),
        (json!({"fallbackModels": ["a", ""]}), "fallbackModels[1]"),
        (json!({"inferenceConfig": []}), "inferenceConfig"),
        (json!({"inferenceConfig": {"maxTokens": 0}}), "inferenceConfig.maxTokens"),
        (json!({"inferenceConfig": {"maxTokens": 1.5}}), "inferenceConfig.maxTokens"),
        (json!({"inferenceConfig": {"temperature": 1.1}}), "inferenceConfig.temperature"),
        (json!({"inferenceConfig": {"topP": -0.1}}), "inferenceConfig.topP"),
        (json!({"inferenceConfig": {"stopSequences": "END"}}), "inferenceConfig.stopSequences"),
        (guardrail("identifier", json!(null)), "guardrail.identifier"),
        (guardrail("version", json!("")), "guardrail.version"),
        (guardrail("version", json!("latest")), "guardrail.version"),
        (guardrail("streamProcessingMode", json!("x")), "guardrail.streamProcessingMode"),
        (guardrail("trace", json!(1)), "guardrail.trace"),
    ]);
}

#[test]
fn an_error_names_the_part_of_the_tool() {
    let schema = |schema: Value| json!({"tools": [{"name": "a", "inputSchema": {"json": schema}}]});
    let setting = |name: &str, value: Value| {
        let mut tool = tool("a");
        tool[name] = value;
        json!({ "tools": [tool] })
    };
    assert_errors(&[
        (json!({"tools": "not json"}), "tools"),
        (json!({"tools": {}}), "tools"),
        (json!({"tools": ["a"]}), "tools[0]"),
        (json!({"tools": [tool("a"), {"toolSpec": []}]}), "tools[1].toolSpec"),
        (json!({"tools": [tool("a"), tool("b"), tool("a")]}), "tools[2].toolSpec.name"),
        (json!({"tools": [tool("a b")]}), "tools[0].toolSpec.name"),
        (json!({"tools": [tool("")]}), "tools[0].toolSpec.name"),
        (json!({"tools": [tool(&"x".repeat(65))]}), "tools[0].toolSpec.name"),
        (json!({"tools": [{"inputSchema": {"json": {"type": "object"}}}]}), "tools[0].name"),
        (json!({"tools": [{"name": "a"}]}), "tools[0].inputSchema"),
        (json!({"tools": [{"name": "a", "inputSchema": {}}]}), "tools[0].inputSchema.json"),
        (schema(json!("{")), "tools[0].inputSchema.json"),
        (schema(json!({"type": "string"})), "tools[0].inputSchema.json"),
        (schema(json!({"properties": {}})), "tools[0].inputSchema.json"),
        (schema(json!({"type": "object", "required": "a"})), "tools[0].inputSchema.json"),
        (
            schema(json!({"type": "object", "$ref": "https://example.com/x.json"})),
            "tools[0].inputSchema.json",
        ),
        (setting("timeoutMs", json!(0)), "tools[0].timeoutMs"),
        (setting("timeoutMs", json!(999_999)), "tools[0].timeoutMs"),
        (setting("onInterrupt", json!("stop")), "tools[0].onInterrupt"),
        (setting("terminal", json!("true")), "tools[0].terminal"),
        (setting("filler", json!(1)), "tools[0].filler"),
        (setting("handler", json!(1)), "tools[0].handler"),
    ]);
}

fn bare_tool(setting: &str, value: &Value) -> Value {
    json!({"name": "end_call", "inputSchema": {"json": {"type": "object"}}, setting: value})
}

#[test]
fn a_warning_names_its_place_and_the_record_works() {
    for (attributes, path) in [
        (json!({"prompts": "x"}), "prompts"),
        (json!({"channel": "mediaStreams"}), "channel"),
        (json!({"speech": {}}), "speech"),
        (json!({"messages": {"bussy": "x"}}), "messages.bussy"),
        (json!({"messages": {"busy": " "}}), "messages.busy"),
        (json!({"inferenceConfig": {"maxToken": 1}}), "inferenceConfig.maxToken"),
        (json!({"guardrail": {"identifier": "g", "version": "DRAFT", "mode": 1}}), "guardrail.mode"),
        (json!({"conversationRelayParams": {"voise": "x"}}), "conversationRelayParams.voise"),
        (json!({"dtmfHandlers": {"1": {"reply": "x"}}}), "dtmfHandlers.1.reply"),
        (json!({"dtmfHandlers": {"1": {"replyFunction": "nobody"}}}), "dtmfHandlers.1.replyFunction"),
        (json!({"tools": [tool("Ghost")]}), "tools[0].toolSpec.name"),
        (json!({"tools": [bare_tool("handler", &json!("Ghost"))]}), "tools[0].handler"),
        (json!({"tools": [bare_tool("timeOutMs", &json!(5))]}), "tools[0].timeOutMs"),
    ] {
        let parsed = parse(&record_with(&attributes)).unwrap();
        assert_eq!(sorted_paths(&parsed.warnings), [path], "{attributes}");
        assert_eq!(parsed.attribute_errors, []);
    }
}

#[test]
fn what_twilio_refuses_is_told_apart_from_what_cannot_be_used() {
    let parsed = parse(&record_with(&json!({
        "conversationRelayParams": {"voice": "en-US-Journey-O"},
        "languages": [
            {"code": "en-US"},
            {"code": "de-DE", "ttsProvider": "Amazon", "voice": "de-DE-Journey-O"},
        ],
    })))
    .unwrap();
    assert_eq!(
        sorted_paths(&parsed.attribute_errors),
        ["conversationRelayParams.voice", "languages[1].voice"]
    );
    assert_eq!(parsed.use_case.relay_attributes["voice"], "en-US-Journey-O");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let errors = parse(&record_with(&json!({
        "prompt": "", "channel": "fax", "inferenceConfig": {"maxTokens": 0, "topP": 2},
        "tools": [{"name": "a b", "timeoutMs": 0}, {"name": "c", "inputSchema": {"json": 1}}],
    })))
    .unwrap_err();
    assert_eq!(
        sorted_paths(&errors),
        [
            "channel",
            "inferenceConfig.maxTokens",
            "inferenceConfig.topP",
            "prompt",
            "tools[0].inputSchema",
            "tools[0].name",
            "tools[0].timeoutMs",
            "tools[1].inputSchema.json",
        ]
    );
}

/// JSON that looks enough like a record to get past the first check.
fn near_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(a|object|configuration|\"|[\\[{(*]|\\PC){0,6}".prop_map(Value::from),
        "http|mcp|record|end_call|send_sms|play_audio|get|put|update|list|GET".prop_map(Value::from),
        "(https://|env:|aws:|\\{\\{ ?|args\\.| ?\\}\\}|\\{%|sip:|\\+1|@|[a-z0-9/#.|:~-]){0,12}"
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        let name = "toolSpec|name|inputSchema|json|type|properties|required|[0-9*#]|code|voice|replyText\
                    |replyFunction|identifier|version|\\$ref|pattern|allOf|minimum|handler|url|method|headers|body\
                    |response|secret|kind|action|key|set|server|tool|numbers|sources|useCases|allow|prefix|targets\
                    |phone|sip|warm|callingHours|from|until|days|timeZone|machine|say|keep|redact|prompts\
                    |afterSeconds|.{0,4}";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(name, inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_record_makes_it_panic(
        attributes in proptest::collection::btree_map(
            "pk|sk|prompt|title|channel|tools|dtmfHandlers|languages|messages|guardrail|inferenceConfig\
             |conversationRelayParams|fallbackModels|toolsUrl|toolsSecret|mcpServers|handoff|silence|budget\
             |maxDurationSeconds|warnBeforeSeconds|rateLimit|outbound|storage|.{0,4}",
            near_json(),
            0..8,
        ),
    ) {
        let attributes: Map<_, _> = attributes.into_iter().collect();
        match parse(&attributes) {
            Ok(parsed) => prop_assert!(!parsed.use_case.prompt.is_empty()),
            Err(errors) => prop_assert!(!errors.is_empty()),
        }
        let mut whole = record();
        whole.extend(attributes);
        let _ = parse(&whole);
    }

    #[test]
    fn no_handler_makes_it_panic(handler in near_json(), kind in "http|mcp|record|play_audio|place_call|send_sms") {
        let mut handler = handler;
        if let Value::Object(options) = &mut handler {
            options.insert("type".to_owned(), kind.into());
        }
        let mut tool = tool("a");
        tool["handler"] = handler;
        let _ = parse(&record_with(&json!({"tools": [tool], "mcpServers": {"x": {"url": "https://a.b", "allow": ["a"]}}})));
    }

    #[test]
    fn no_tool_schema_makes_it_panic(schema in near_json()) {
        let mut schema = schema;
        if let Value::Object(fields) = &mut schema {
            fields.insert("type".to_owned(), "object".into());
        }
        let _ = parse(&record_with(&json!({"tools": [{"name": "a", "inputSchema": {"json": schema}}]})));
    }
}

#[test]
fn a_schema_nested_as_deeply_as_text_allows_is_compiled() {
    let deep = format!("{{\"type\":\"object\",\"not\":{}{{}}{}}}", "{\"not\":".repeat(120), "}".repeat(120));
    let attributes = json!({"tools": [{"name": "a", "inputSchema": {"json": deep}}]});
    assert!(parse(&record_with(&attributes)).is_ok());
}
