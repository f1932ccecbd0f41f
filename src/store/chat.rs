//! A message of the dialogue as the table keeps it: `{role, content[]}` in the shape of the Converse API.

use serde_json::{Value, json};
use voice_core::message::{Message, OutcomeStatus, ToolCall, ToolCallId, ToolOutcome};

pub(super) fn to_chat(message: &Message) -> Value {
    match message {
        Message::Caller { text } => json!({ "role": "user", "content": [{ "text": text }] }),
        Message::Agent { text, tool_calls } => {
            let words = (!text.is_empty()).then(|| json!({ "text": text }));
            let calls = tool_calls.iter().map(
                |call| json!({ "toolUse": { "toolUseId": call.id.0, "name": call.name, "input": call.input } }),
            );
            json!({ "role": "assistant", "content": words.into_iter().chain(calls).collect::<Vec<_>>() })
        }
        Message::Outcomes { outcomes, text } => {
            let outcomes = outcomes.iter().map(to_tool_result);
            let words = (!text.is_empty()).then(|| json!({ "text": text }));
            json!({ "role": "user", "content": outcomes.chain(words).collect::<Vec<_>>() })
        }
    }
}

/// `None` for what is no message; the dialogue goes on without it.
pub(super) fn from_chat(chat: &Value) -> Option<Message> {
    let content = chat.get("content")?.as_array()?;
    let texts: Vec<&str> = content.iter().filter_map(|block| block.get("text")?.as_str()).collect();
    let text = texts.join(" ");
    match chat.get("role")?.as_str()? {
        "assistant" => {
            let tool_calls =
                content.iter().filter_map(|block| from_tool_use(block.get("toolUse")?)).collect();
            Some(Message::Agent { text, tool_calls })
        }
        "user" => {
            let outcomes: Vec<_> =
                content.iter().filter_map(|block| from_tool_result(block.get("toolResult")?)).collect();
            Some(if outcomes.is_empty() {
                Message::Caller { text }
            } else {
                Message::Outcomes { outcomes, text }
            })
        }
        _ => None,
    }
}

pub(super) fn to_tool_result(outcome: &ToolOutcome) -> Value {
    let status = match outcome.status {
        OutcomeStatus::Success => "success",
        OutcomeStatus::Error => "error",
    };
    json!({ "toolResult": { "toolUseId": outcome.id.0, "content": [{ "json": outcome.content }], "status": status } })
}

pub(super) fn from_tool_result(result: &Value) -> Option<ToolOutcome> {
    let id = ToolCallId(result.get("toolUseId")?.as_str()?.to_owned());
    let block = result.get("content")?.as_array()?.first()?;
    let content = match (block.get("json"), block.get("text")) {
        (Some(content), _) => content.clone(),
        (None, Some(text)) => json!({ "text": text }),
        (None, None) => return None,
    };
    let failed = result.get("status").and_then(Value::as_str) == Some("error");
    let status = if failed { OutcomeStatus::Error } else { OutcomeStatus::Success };
    Some(ToolOutcome { id, status, content })
}

fn from_tool_use(call: &Value) -> Option<ToolCall> {
    Some(ToolCall {
        id: ToolCallId(call.get("toolUseId")?.as_str()?.to_owned()),
        name: call.get("name")?.as_str()?.to_owned(),
        input: call.get("input")?.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_table() {
        let id = || ToolCallId("t-1".to_owned());
        let call = ToolCall { id: id(), name: "order".to_owned(), input: json!({ "n": 1.5 }) };
        for message in [
            Message::Caller { text: "Hello".to_owned() },
            Message::Agent { text: "Hi".to_owned(), tool_calls: vec![] },
            Message::Agent { text: String::new(), tool_calls: vec![call] },
            Message::Outcomes { outcomes: vec![ToolOutcome::error(id(), "no")], text: String::new() },
            Message::Outcomes {
                outcomes: vec![ToolOutcome::success(id(), json!({ "ok": true }))],
                text: "And?".to_owned(),
            },
        ] {
            assert_eq!(from_chat(&to_chat(&message)).as_ref(), Some(&message));
        }
    }

    #[test]
    fn the_originals_items_are_read_and_nonsense_is_not() {
        let outcome = json!({ "role": "user", "content": [{ "toolResult": { "toolUseId": "x", "content": [{ "json": { "message": "ok" } }] } }] });
        assert!(
            matches!(from_chat(&outcome), Some(Message::Outcomes { outcomes, .. }) if outcomes[0].status == OutcomeStatus::Success)
        );
        for nonsense in
            [json!({}), json!({ "role": "system", "content": [] }), json!({ "role": "user" }), json!(3)]
        {
            assert_eq!(from_chat(&nonsense), None);
        }
    }
}
