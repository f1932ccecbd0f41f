//! What services and MCP servers answer to tools, behind a line of status, content type and mapping: the model gets an
//! object, or a sentence, of bounded length and without control characters.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use trunkline::fuzzing::{http_tools, mcp_tools};
use voice_core::use_case::{McpServer, ResponseMapping};

const LONGEST_TEXT: usize = 8000;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let head = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let body = parts.next().unwrap_or_default();

    let mut words = head.splitn(3, ' ');
    let status = words.next().and_then(|status| status.parse().ok()).unwrap_or(200);
    let content_type = words.next().unwrap_or_default();
    // The operator says where the data stands, and the service what it is.
    let mapping = match words.next() {
        Some("/data") => ResponseMapping::At("/data".to_owned()),
        Some(_) => ResponseMapping::Fields(BTreeMap::from([("name".to_owned(), "/data/0".to_owned())])),
        None => ResponseMapping::Whole,
    };
    match http_tools::answer(status, content_type, body.to_vec(), &mapping) {
        Ok(content) => {
            assert!(content.is_object(), "an outcome is an object");
            is_speakable(&content);
        }
        Err(sentence) => assert!(!sentence.is_empty() && !sentence.contains(char::is_control)),
    }

    let Ok(text) = std::str::from_utf8(body) else { return };
    if let Some(Ok(content)) = mcp_tools::answer(text) {
        assert!(content.is_object());
    }
    if let Some((tools, _)) = mcp_tools::tools(text, &server()) {
        let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
        assert!(
            names.iter().all(|name| ["p_book", "p_cancel"].contains(name)),
            "only what is allowed: {names:?}"
        );
        assert!(names.len() <= 2, "each of them once");
    }
});

fn is_speakable(value: &Value) {
    match value {
        Value::String(text) => {
            assert!(text.chars().count() <= LONGEST_TEXT);
            assert!(!text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
        }
        Value::Array(items) => items.iter().for_each(is_speakable),
        Value::Object(fields) => fields.values().for_each(is_speakable),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn server() -> Arc<McpServer> {
    Arc::new(McpServer {
        name: "bookings".to_owned(),
        url: "https://example.com/mcp".to_owned(),
        headers: BTreeMap::new(),
        allow: vec!["book".to_owned(), "cancel".to_owned()],
        prefix: "p_".to_owned(),
        timeout: Duration::from_secs(3),
        idempotent: Vec::new(),
    })
}
