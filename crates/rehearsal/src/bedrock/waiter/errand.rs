//! Which tool the caller's words ask for, and an input made up from its schema, so that use cases other than the
//! restaurant can rehearse their tools too.

use serde_json::{Map, Value, json};

use super::super::request::{ConverseRequest, list};
use super::words::Words;

/// How many words of a tool's name the caller must say.
const WORDS_IN_COMMON: usize = 2;

/// The first tool of whose name the caller says two words, with an input that its schema asks for.
pub(super) fn choose<'a>(
    request: &'a ConverseRequest,
    words: &Words,
    text: &str,
) -> Option<(&'a str, Value)> {
    let tools = request.body.get("toolConfig").map_or(&[][..], |config| list(config, "tools"));
    tools.iter().find_map(|tool| {
        let specification = tool.get("toolSpec")?;
        let name = specification.get("name")?.as_str()?;
        let in_common = name_words(name).iter().filter(|word| word.len() > 2 && words.has(word)).count();
        (in_common >= WORDS_IN_COMMON).then(|| (name, input(specification, words, text)))
    })
}

/// `CheckDeliveryTime` and `check_delivery-time` are the words check, delivery and time.
fn name_words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for character in name.chars() {
        if !character.is_alphanumeric() || character.is_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
    }
    words.sort_unstable();
    words.dedup();
    words
}

/// The required properties, each with a value that its type allows.
fn input(specification: &Value, words: &Words, text: &str) -> Value {
    let schema = specification.pointer("/inputSchema/json").unwrap_or(&Value::Null);
    let required = list(schema, "required").iter().filter_map(Value::as_str);
    let fields: Map<String, Value> = required
        .map(|name| {
            let property = schema.get("properties").and_then(|properties| properties.get(name));
            (name.to_owned(), value_for(property.unwrap_or(&Value::Null), words, text))
        })
        .collect();
    Value::Object(fields)
}

fn value_for(property: &Value, words: &Words, text: &str) -> Value {
    let choices = list(property, "enum");
    let said = choices.iter().find(|choice| choice.as_str().is_some_and(|choice| words.has(choice)));
    if let Some(choice) = said.or(choices.first()) {
        return choice.clone();
    }
    match property.get("type").and_then(Value::as_str) {
        Some("number" | "integer") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => json!(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ConverseRequest {
        let schema = json!({
            "type": "object",
            "properties": {
                "order_type": {"type": "string", "enum": ["pickup", "delivery"]},
                "reason": {"type": "string"},
                "urgent": {"type": "boolean"},
                "note": {"type": "string"},
            },
            "required": ["order_type", "reason", "urgent"],
        });
        let tool = json!({"toolSpec": {"name": "CheckDeliveryTime", "inputSchema": {"json": schema}}});
        ConverseRequest::new("m", json!({"toolConfig": {"tools": [tool]}}))
    }

    #[test]
    fn two_words_of_its_name_choose_a_tool() {
        let request = request();
        let text = "what is the delivery time";
        let (name, input) = choose(&request, &Words::of(text), text).unwrap();
        assert_eq!(name, "CheckDeliveryTime");
        assert_eq!(input, json!({"order_type": "delivery", "reason": text, "urgent": true}));
        assert_eq!(choose(&request, &Words::of("what is the time"), ""), None);
    }
}
