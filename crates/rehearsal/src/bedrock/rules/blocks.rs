//! The rules that a single content block can be checked by, without its neighbours.

use serde_json::Value;

use super::{Refusal, array, tool_name, tool_use_id};

/// What a content block can be.
const KINDS: [&str; 14] = [
    "text",
    "image",
    "document",
    "video",
    "audio",
    "toolUse",
    "toolResult",
    "guardContent",
    "cachePoint",
    "reasoningContent",
    "citationsContent",
    "searchResult",
    "toolAddition",
    "toolRemoval",
];

/// What the content of a tool result can be.
const RESULT_KINDS: [&str; 6] = ["json", "text", "image", "document", "video", "searchResult"];

/// What can be marked for a guardrail.
const GUARDED_KINDS: [&str; 2] = ["text", "image"];

/// What marked text can be for.
const QUALIFIERS: [&str; 3] = ["grounding_source", "query", "guard_content"];

/// What a system block can be.
const SYSTEM_KINDS: [&str; 3] = ["text", "guardContent", "cachePoint"];

/// Checks the blocks of the system prompt.
pub(super) fn check_system(body: &Value) -> Result<(), Refusal> {
    let blocks = array(body, "system", "system")?.unwrap_or_default();
    for (index, block) in blocks.iter().enumerate() {
        let path = format!("system.{index}");
        let kind = kind_of(block, &path, "SystemContentBlock", &SYSTEM_KINDS)?;
        check_text(block, &path, "SystemContentBlock")?;
        check_guarded(block, &path, "SystemContentBlock")?;
        check_cache_point(kind, index, &path)?;
    }
    Ok(())
}

/// Checks a block of a message, at a path such as `messages.0.content.1`, and returns its kind.
pub(super) fn check<'a>(block: &'a Value, index: usize, path: &str) -> Result<&'a str, Refusal> {
    let kind = kind_of(block, path, "ContentBlock", &KINDS)?;
    check_text(block, path, "ContentBlock")?;
    check_guarded(block, path, "ContentBlock")?;
    check_cache_point(kind, index, path)?;
    if let Some(call) = block.get("toolUse") {
        check_call(call, &format!("{path}.toolUse"))?;
    }
    if let Some(result) = block.get("toolResult") {
        check_result(result, &format!("{path}.toolResult"))?;
    }
    Ok(kind)
}

/// The one member of a union.
fn kind_of<'a>(block: &'a Value, path: &str, union: &str, kinds: &[&str]) -> Result<&'a str, Refusal> {
    let members: Vec<&String> = block.as_object().map(|block| block.keys().collect()).unwrap_or_default();
    match members.as_slice() {
        [kind] if kinds.contains(&kind.as_str()) => Ok(kind),
        _ => Err(Refusal::new(format!(
            "The {union} object at {path} must set one of the following keys: {}.",
            kinds.join(", ")
        ))),
    }
}

fn check_text(block: &Value, path: &str, union: &str) -> Result<(), Refusal> {
    let Some(text) = block.get("text") else {
        return Ok(());
    };
    if text.as_str().is_some_and(|text| !text.trim().is_empty()) {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "The text field in the {union} object at {path} is blank. Add text to the text field, and try again."
    )))
}

fn check_guarded(block: &Value, path: &str, union: &str) -> Result<(), Refusal> {
    let Some(guarded) = block.get("guardContent") else {
        return Ok(());
    };
    let inner = format!("{path}.guardContent");
    kind_of(guarded, &inner, "GuardrailConverseContentBlock", &GUARDED_KINDS)?;
    let Some(marked) = guarded.get("text") else {
        return Ok(());
    };
    let text = marked.get("text").unwrap_or(&Value::Null);
    if text.is_null() {
        return Err(Refusal::missing(&format!("{inner}.text.text")));
    }
    if text.as_str().is_none_or(|text| text.trim().is_empty()) {
        return Err(Refusal::new(format!(
            "The guard content field in the {union} object at {path} is blank."
        )));
    }
    check_qualifiers(marked, &format!("{inner}.text.qualifiers"))
}

fn check_qualifiers(marked: &Value, path: &str) -> Result<(), Refusal> {
    let known = |qualifier: &&Value| QUALIFIERS.iter().any(|known| **qualifier == *known);
    match array(marked, "qualifiers", path)?.unwrap_or_default().iter().find(|qualifier| !known(qualifier)) {
        None => Ok(()),
        Some(unknown) => {
            let values = format!("Member must satisfy enum value set: [{}]", QUALIFIERS.join(", "));
            Err(Refusal::constraint(unknown, path, &values))
        }
    }
}

fn check_cache_point(kind: &str, index: usize, path: &str) -> Result<(), Refusal> {
    if kind == "cachePoint" && index == 0 {
        return Err(Refusal::new(format!(
            "The cachePoint at {path} has nothing before it. Add a cachePoint after the content to cache."
        )));
    }
    Ok(())
}

fn check_call(call: &Value, path: &str) -> Result<(), Refusal> {
    tool_use_id(call, path)?;
    tool_name(call, path)?;
    if call.get("input").is_some_and(Value::is_object) {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "The format of the value at {path}.input is invalid. Provide a json object for the field and try again."
    )))
}

fn check_result(result: &Value, path: &str) -> Result<(), Refusal> {
    tool_use_id(result, path)?;
    if let Some(status) = result.get("status")
        && !matches!(status.as_str(), Some("success" | "error"))
    {
        let values = "Member must satisfy enum value set: [success, error]";
        return Err(Refusal::constraint(status, &format!("{path}.status"), values));
    }
    let path = format!("{path}.content");
    let blocks = array(result, "content", &path)?.ok_or_else(|| Refusal::missing(&path))?;
    for (index, block) in blocks.iter().enumerate() {
        let path = format!("{path}.{index}");
        kind_of(block, &path, "ToolResultContentBlock", &RESULT_KINDS)?;
        check_text(block, &path, "ToolResultContentBlock")?;
        if block.get("json").is_some_and(|json| !json.is_object()) {
            return Err(Refusal::new(format!(
                "The format of the value at {path}.json is invalid. Provide a json object for the field and try again."
            )));
        }
    }
    Ok(())
}
