//! What records become, and what their authors are told.

mod handlers;
mod mistakes;
mod original;
mod policies;

use std::time::Duration;

use serde_json::{Map, Value, json};
use voice_core::use_case::{Channel, Handler, InferenceSettings, OnInterrupt, RestaurantTool, Sentences};

use super::{ParsedUseCase, Problem, parse_use_case};

/// The least that a use case can be.
fn record() -> Map<String, Value> {
    let record = json!({"pk": "sample", "sk": "configuration", "prompt": "Be kind."});
    record.as_object().unwrap().clone()
}

fn record_with(attributes: &Value) -> Map<String, Value> {
    let mut record = record();
    record.extend(attributes.as_object().unwrap().clone());
    record
}

fn tool(name: &str) -> Value {
    json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}})
}

fn parse(item: &Map<String, Value>) -> Result<ParsedUseCase, Vec<Problem>> {
    parse_use_case(item)
}

#[track_caller]
fn parsed(attributes: &Value) -> ParsedUseCase {
    let parsed = parse(&record_with(attributes)).unwrap();
    assert_eq!(
        (parsed.warnings.as_slice(), parsed.attribute_errors.as_slice()),
        ([].as_slice(), [].as_slice())
    );
    parsed
}

#[test]
fn what_a_record_leaves_out_has_a_default() {
    let use_case = parsed(&json!({})).use_case;
    assert_eq!((use_case.name.as_str(), use_case.prompt.as_str()), ("sample", "Be kind."));
    assert_eq!((use_case.channel, use_case.model), (Channel::ConversationRelay, None));
    assert_eq!(use_case.inference, InferenceSettings::default());
    assert_eq!(use_case.sentences, Sentences::default());
    assert!(use_case.tools.is_empty() && use_case.keypad.is_empty() && use_case.languages.is_empty());
}

#[test]
fn every_attribute_is_read() {
    let use_case = parsed(&json!({
        "title": "T", "description": "D", "channel": "conversationRelay",
        "llmModel": "m1", "fallbackModels": ["m2", "m3"],
        "conversationRelayParams": {"dtmfDetection": true, "speechTimeout": 900, "hints": "a,b"},
        "languages": [{"code": "de-DE", "ttsProvider": "Google", "messages": {"goodbye": "Tschüss."}}],
        "inferenceConfig": {"maxTokens": 200, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        "guardrail": {"identifier": "g", "version": 3, "streamProcessingMode": "async", "trace": true},
        "messages": {"busy": "Full."},
        "pk1": "use-case", "sk1": "sample", "expireAt": 1,
    }))
    .use_case;
    assert_eq!((use_case.title.as_deref(), use_case.description.as_deref()), (Some("T"), Some("D")));
    assert_eq!(use_case.channel, Channel::ConversationRelay);
    assert_eq!(use_case.model.as_deref(), Some("m1"));
    assert_eq!(use_case.fallback_models, ["m2", "m3"]);
    let attributes: Vec<_> =
        use_case.relay_attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(attributes, [("dtmfDetection", "true"), ("hints", "a,b"), ("speechTimeout", "900")]);
    let [german] = use_case.languages.as_slice() else { panic!("{:?}", use_case.languages) };
    assert_eq!(german.attributes.keys().collect::<Vec<_>>(), ["code", "ttsProvider"]);
    let sentences = german.sentences.as_ref().unwrap();
    assert_eq!((sentences.goodbye.as_str(), sentences.busy.as_str()), ("Tschüss.", "Full."));
    let inference = InferenceSettings {
        max_tokens: 200,
        temperature: Some(0.5),
        top_p: Some(0.9),
        stop_sequences: vec!["END".to_owned()],
    };
    assert_eq!(use_case.inference, inference);
    let guardrail = use_case.guardrail.unwrap();
    assert_eq!((guardrail.identifier.as_str(), guardrail.version.as_str()), ("g", "3"));
    assert_eq!((guardrail.stream_processing.as_deref(), guardrail.trace), (Some("async"), true));
    assert_eq!(use_case.sentences, Sentences { busy: "Full.".to_owned(), ..Sentences::default() });
}

#[test]
fn a_tool_is_read_with_its_settings_and_defaults() {
    let tools = json!([
        {
            "toolSpec": {"name": "one", "description": "First.", "inputSchema": {"json": {"type": "object"}}},
            "handler": "end_call", "timeoutMs": 500, "onInterrupt": "cancel",
            "terminal": true, "filler": "Wait.", "requiresVerified": true, "idempotent": true,
        },
        {"name": "CheckRestaurantPickUpTime", "inputSchema": {"json": "{\"type\": \"object\", \"required\": [\"a\"]}"}},
    ]);
    for tools in [tools.clone(), tools.to_string().into()] {
        let use_case = parsed(&json!({ "tools": tools })).use_case;
        let [one, two] = use_case.tools.as_slice() else { panic!("{:?}", use_case.tools) };
        assert_eq!((one.name.as_str(), one.description.as_deref()), ("one", Some("First.")));
        assert_eq!((&one.handler, one.timeout), (&Handler::EndCall, Duration::from_millis(500)));
        assert_eq!((one.on_interrupt, one.terminal), (OnInterrupt::Cancel, true));
        assert_eq!(one.filler.as_deref(), Some("Wait."));
        assert!(one.requires_verified && one.idempotent && !two.requires_verified && !two.idempotent);
        assert_eq!(
            (&two.handler, two.timeout),
            (&Handler::Restaurant(RestaurantTool::PickUpTime), Duration::from_secs(10))
        );
        assert_eq!((two.on_interrupt, two.terminal, &two.filler), (OnInterrupt::Finish, false, &None));
        assert_eq!(two.input_schema, json!({"type": "object", "required": ["a"]}));
    }
}

#[test]
fn a_prompt_may_be_encoded_once_more() {
    let prompt = "Say \"hi\".\nThen stop.";
    let encoded = json!(prompt).to_string();
    assert_eq!(parsed(&json!({ "prompt": prompt })).use_case.prompt, prompt);
    assert_eq!(parsed(&json!({ "prompt": encoded })).use_case.prompt, prompt);
}

#[test]
fn blank_means_absent_where_a_default_exists() {
    let use_case =
        parsed(&json!({"llmModel": "", "title": " ", "tools": "", "dtmfHandlers": "", "channel": ""}))
            .use_case;
    assert_eq!((use_case.model, use_case.title, use_case.channel), (None, None, Channel::ConversationRelay));
}
