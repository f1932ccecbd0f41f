//! A server's answer to a tool call as the model gets it.

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Map, Value, json};

/// Of an outcome, in bytes of text. It is read by the model in every turn that follows.
const LARGEST: usize = 16 * 1024;

/// A JSON object, or the reason why there is none: the server's own words when it has some.
pub(super) fn of(answer: CallToolResult) -> Result<Value, String> {
    let text = text(&answer.content);
    let object = match answer.structured_content {
        Some(Value::Object(object)) => Some(object),
        _ => None,
    };
    let size = object.as_ref().map_or(text.len(), |object| json!(object).to_string().len());
    if size > LARGEST {
        return Err(format!("The tool answered with more than {} KiB.", LARGEST / 1024));
    }
    if answer.is_error == Some(true) {
        let silent = text.trim().is_empty();
        return Err(if silent { "The tool failed and did not say why.".to_owned() } else { text });
    }
    let mut content = object.unwrap_or_else(|| object_of(text));
    let omitted: Vec<&str> = answer.content.iter().filter_map(unspeakable).collect();
    if !omitted.is_empty() {
        content.entry("omitted").or_insert_with(|| json!(omitted));
    }
    Ok(Value::Object(content))
}

fn text(content: &[ContentBlock]) -> String {
    let texts = content.iter().filter_map(|block| match block {
        ContentBlock::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// Many servers write their JSON as text.
fn object_of(text: String) -> Map<String, Value> {
    match serde_json::from_str(&text) {
        Ok(Value::Object(object)) => object,
        _ => Map::from_iter([("result".to_owned(), Value::String(text))]),
    }
}

/// What a voice has no use for, by its kind.
const fn unspeakable(block: &ContentBlock) -> Option<&'static str> {
    match block {
        ContentBlock::Text(_) => None,
        ContentBlock::Image(_) => Some("image"),
        ContentBlock::Audio(_) => Some("audio"),
        ContentBlock::Resource(_) | ContentBlock::ResourceLink(_) => Some("resource"),
        _ => Some("other"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(value: Value) -> Result<Value, String> {
        of(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn texts_become_a_result_and_json_an_object() {
        let texts = json!([{ "type": "text", "text": "Two" }, { "type": "text", "text": "seats" }]);
        assert_eq!(answer(json!({ "content": texts })), Ok(json!({ "result": "Two\nseats" })));
        let object = json!([{ "type": "text", "text": r#"{"seats": 2}"# }]);
        assert_eq!(answer(json!({ "content": object })), Ok(json!({ "seats": 2 })));
        let list = json!([{ "type": "text", "text": "[1]" }]);
        assert_eq!(answer(json!({ "content": list })), Ok(json!({ "result": "[1]" })));
        assert_eq!(answer(json!({ "content": [] })), Ok(json!({ "result": "" })));
    }

    #[test]
    fn structured_content_goes_before_the_text_when_it_is_an_object() {
        let text = json!([{ "type": "text", "text": "Two" }]);
        let object = json!({ "content": text, "structuredContent": { "seats": 2 } });
        assert_eq!(answer(object), Ok(json!({ "seats": 2 })));
        assert_eq!(
            answer(json!({ "content": text, "structuredContent": 2 })),
            Ok(json!({ "result": "Two" }))
        );
    }

    #[test]
    fn what_cannot_be_spoken_is_named() {
        let content = json!([
            { "type": "image", "data": "aGk=", "mimeType": "image/png" },
            { "type": "text", "text": "A map" },
            { "type": "resource_link", "uri": "file:///a", "name": "a" },
        ]);
        let expected = json!({ "result": "A map", "omitted": ["image", "resource"] });
        assert_eq!(answer(json!({ "content": content })), Ok(expected));
    }

    #[test]
    fn an_error_is_the_servers_own_words() {
        let content = json!([{ "type": "text", "text": "No such booking" }]);
        let failed = answer(json!({ "content": content, "isError": true }));
        assert_eq!(failed, Err("No such booking".to_owned()));
        assert!(answer(json!({ "content": [], "isError": true })).unwrap_err().contains("did not say"));
    }

    #[test]
    fn what_is_too_large_is_an_error() {
        let of_size = |size: usize| json!({ "content": [{ "type": "text", "text": "x".repeat(size) }] });
        assert!(answer(of_size(LARGEST)).is_ok());
        assert!(answer(of_size(LARGEST + 1)).unwrap_err().contains("16 KiB"));
        let structured = json!({ "content": [], "structuredContent": { "x": "x".repeat(LARGEST) } });
        assert!(answer(structured).is_err());
    }
}
