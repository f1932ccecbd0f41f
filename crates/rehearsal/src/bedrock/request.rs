//! A Converse request as a brain reads it. It reads leniently; what is wrong with a request is up to the rules.

use serde_json::Value;

/// A request to `Converse` or `ConverseStream`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConverseRequest {
    /// The model id of the path, percent-decoded: an id, an ARN or an inference profile.
    pub model: String,
    /// The JSON body as it came.
    pub body: Value,
}

impl ConverseRequest {
    /// A request for `model` with this JSON body.
    pub fn new(model: impl Into<String>, body: Value) -> Self {
        Self { model: model.into(), body }
    }

    /// The messages, oldest first.
    pub fn messages(&self) -> &[Value] {
        list(&self.body, "messages")
    }

    /// The text of the system prompt, its blocks joined by line breaks.
    pub fn system_text(&self) -> String {
        join_texts(list(&self.body, "system"))
    }

    /// The text of the latest message of the user that has text, its blocks joined by line breaks.
    pub fn last_user_text(&self) -> String {
        self.messages()
            .iter()
            .rev()
            .filter(|message| is_role(message, "user"))
            .map(text_of)
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    }

    /// The names of the tools on offer, in the order of the request.
    pub fn tool_names(&self) -> Vec<&str> {
        let tools = self.body.get("toolConfig").map_or(&[][..], |config| list(config, "tools"));
        tools.iter().filter_map(|tool| tool.pointer("/toolSpec/name")?.as_str()).collect()
    }

    /// The `toolResult` objects of the last message, in order; empty when it holds none.
    pub fn tool_results_of_last_message(&self) -> Vec<&Value> {
        let last = self.messages().last();
        last.map(|message| blocks(message, "toolResult").collect()).unwrap_or_default()
    }

    /// An entry of the request's metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.body.get("requestMetadata")?.get(key)?.as_str()
    }
}

/// Whether a message has this role.
pub(super) fn is_role(message: &Value, role: &str) -> bool {
    message.get("role").and_then(Value::as_str) == Some(role)
}

/// The text blocks of a message, joined by line breaks.
pub(super) fn text_of(message: &Value) -> String {
    join_texts(list(message, "content"))
}

/// What the blocks of one kind hold, in order.
pub(super) fn blocks<'a>(message: &'a Value, kind: &'static str) -> impl Iterator<Item = &'a Value> {
    list(message, "content").iter().filter_map(move |block| block.get(kind))
}

/// An array by its name, empty when it is missing or something else.
pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn join_texts(blocks: &[Value]) -> String {
    let texts: Vec<&str> = blocks.iter().filter_map(text_in).collect();
    texts.join("\n")
}

/// The text of a block that is text, guarded or not.
pub(super) fn text_in(block: &Value) -> Option<&str> {
    block.get("text").or_else(|| block.pointer(GUARDED_TEXT))?.as_str()
}

/// Where a block has the text that is marked for a guardrail.
pub(super) const GUARDED_TEXT: &str = "/guardContent/text/text";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_brains_need() {
        let request = ConverseRequest::new(
            "m",
            json!({
                "system": [{"text": "Be kind."}, {"cachePoint": {"type": "default"}}, {"text": "Be brief."}],
                "messages": [
                    {"role": "user", "content": [{"text": "Hello"}]},
                    {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}]},
                    {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": []}}]},
                ],
                "toolConfig": {"tools": [{"toolSpec": {"name": "f"}}, {"cachePoint": {"type": "default"}}]},
                "requestMetadata": {"callSid": "CA1"},
            }),
        );
        assert_eq!(request.system_text(), "Be kind.\nBe brief.");
        assert_eq!(request.last_user_text(), "Hello");
        assert_eq!(request.tool_names(), ["f"]);
        assert_eq!(request.tool_results_of_last_message()[0]["toolUseId"], "t");
        assert_eq!(request.metadata("callSid"), Some("CA1"));
    }

    #[test]
    fn reads_guarded_text_as_a_model_does() {
        let guarded = json!({"guardContent": {"text": {"text": "Hello"}}});
        let content = json!([guarded, {"text": "there"}]);
        let body = json!({"system": content, "messages": [{"role": "user", "content": content}]});
        let request = ConverseRequest::new("m", body);
        assert_eq!(request.last_user_text(), "Hello\nthere");
        assert_eq!(request.system_text(), "Hello\nthere");
    }

    #[test]
    fn reads_nothing_from_nonsense() {
        for body in [json!(null), json!([1]), json!({"messages": 3, "system": {}, "toolConfig": []})] {
            let request = ConverseRequest::new("m", body);
            assert!(request.messages().is_empty() && request.tool_names().is_empty());
            assert_eq!(request.system_text() + &request.last_user_text(), "");
        }
    }
}
