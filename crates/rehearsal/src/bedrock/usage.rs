//! Plausible token counts for the `usage` of an answer: a word is a token. Nothing is billed by them.

use serde_json::{Value, json};

use super::request::{ConverseRequest, is_role, list};

/// The `usage` object of Converse. With a cache point, the system prompt counts as cached: written by the first
/// request of a conversation, read by the later ones. As in Bedrock, `inputTokens` does not count what is cached.
pub(super) fn usage(request: &ConverseRequest, output_tokens: u32) -> Value {
    let system = words(list(&request.body, "system"));
    let messages = words(request.messages());
    let tools = request.body.pointer("/toolConfig/tools").map_or(0, words_of);
    if !has_cache_point(&request.body) {
        let input = system + messages + tools;
        return json!({
            "inputTokens": input,
            "outputTokens": output_tokens,
            "totalTokens": input + output_tokens,
        });
    }
    let first_request = !request.messages().iter().any(|message| is_role(message, "assistant"));
    let (read, written) = if first_request { (0, system) } else { (system, 0) };
    let input = messages + tools;
    json!({
        "inputTokens": input,
        "outputTokens": output_tokens,
        "totalTokens": input + output_tokens + system,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    })
}

fn words(values: &[Value]) -> u32 {
    values.iter().map(words_of).sum()
}

/// Words in all strings of a value, however deep, except those that are not for the model to read.
fn words_of(value: &Value) -> u32 {
    match value {
        Value::String(text) => u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX),
        Value::Array(values) => words(values),
        Value::Object(fields) => {
            let read = fields.iter().filter(|(name, _)| !UNREAD.contains(&name.as_str()));
            read.map(|(_, field)| words_of(field)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// Fields that steer the request rather than being read by the model.
const UNREAD: [&str; 5] = ["role", "cachePoint", "qualifiers", "toolUseId", "status"];

fn has_cache_point(body: &Value) -> bool {
    let in_messages = list(body, "messages").iter().flat_map(|message| list(message, "content"));
    let in_tools = body.get("toolConfig").map_or(&[][..], |config| list(config, "tools"));
    list(body, "system")
        .iter()
        .chain(in_messages)
        .chain(in_tools)
        .any(|block| block.get("cachePoint").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_words() {
        let request = ConverseRequest::new(
            "m",
            json!({"system": [{"text": "Be kind."}], "messages": [{"role": "user", "content": [{"text": "Hello there you"}]}]}),
        );
        assert_eq!(usage(&request, 4), json!({"inputTokens": 5, "outputTokens": 4, "totalTokens": 9}));
    }

    #[test]
    fn a_cache_point_is_written_first_and_read_later() {
        let mut body = json!({
            "system": [{"text": "Be kind."}, {"cachePoint": {"type": "default"}}],
            "messages": [{"content": [{"text": "Hello"}]}],
        });
        let first = usage(&ConverseRequest::new("m", body.clone()), 1);
        assert_eq!((&first["cacheReadInputTokens"], &first["cacheWriteInputTokens"]), (&json!(0), &json!(2)));
        body["messages"] = json!([{"role": "assistant", "content": [{"text": "Hello"}]}]);
        let later = usage(&ConverseRequest::new("m", body), 1);
        assert_eq!((&later["cacheReadInputTokens"], &later["cacheWriteInputTokens"]), (&json!(2), &json!(0)));
    }
}
