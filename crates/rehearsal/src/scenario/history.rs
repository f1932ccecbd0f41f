//! The words in the last request that the model stand-in recorded.

use serde_json::Value;

use super::turn::contains;
use super::want::Want;
use crate::bedrock::BedrockStandIn;

/// Checks a want about the model; the error is what was there instead.
pub(super) fn check(bedrock: Option<&BedrockStandIn>, want: &Want) -> Result<(), String> {
    let Some(bedrock) = bedrock else {
        return Err("no model stand-in on this stage".to_owned());
    };
    let Some(request) = bedrock.requests().pop() else {
        return Err("no request to the model".to_owned());
    };
    let messages = request.body.get("messages").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_met = match want {
        Want::ModelLastUser(words) => contains(&last_user(&messages), words),
        Want::ModelHistory(words) => contains(&all_text(&messages), words),
        Want::ModelHistoryAbsent(words) => !contains(&all_text(&messages), words),
        Want::Said(_) | Want::Heard(_) | Want::Event(_) | Want::Sms { .. } | Want::Ended => true,
    };
    if is_met { Ok(()) } else { Err(all_text(&messages)) }
}

fn last_user(messages: &[Value]) -> String {
    let last = messages.iter().rev().find(|message| message["role"] == "user");
    last.map(|message| all_text(std::slice::from_ref(message))).unwrap_or_default()
}

/// Every text in the messages, with what tools were asked and answered.
fn all_text(messages: &[Value]) -> String {
    let mut texts = Vec::new();
    for message in messages {
        collect(&message["content"], &mut texts);
    }
    texts.join(" | ")
}

fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
