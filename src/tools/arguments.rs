//! Checks a tool call's arguments against the tool's schema, in words that a model can act on.

use jsonschema::Validator;
use serde_json::Value;
use voice_core::ports::ToolRequest;

/// More problems than this do not help a model.
const MOST: usize = 5;

/// A schema, compiled.
#[derive(Debug)]
pub(super) struct ArgumentCheck {
    /// Schemas were checked when the use case was read; one that is broken after all checks nothing.
    validator: Option<Validator>,
}

impl ArgumentCheck {
    pub(super) fn compile(schema: &Value) -> Self {
        Self { validator: jsonschema::validator_for(schema).ok() }
    }

    pub(super) fn check(&self, input: &Value) -> Result<(), String> {
        let Some(validator) = &self.validator else { return Ok(()) };
        if validator.is_valid(input) {
            return Ok(());
        }
        let problems = validator.iter_errors(input).take(MOST).map(|problem| {
            let place = problem.instance_path().to_string();
            let place = if place.is_empty() { "the arguments" } else { place.as_str() };
            format!("{place}: {}", problem.masked())
        });
        Err(format!("Wrong arguments. {}", problems.collect::<Vec<_>>().join("; ")))
    }
}

/// A text among the arguments, trimmed; `None` when it is missing, blank or no text.
pub(super) fn text<'a>(request: &'a ToolRequest, name: &str) -> Option<&'a str> {
    request.input.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// The first of a text's characters, as many as `most`.
pub(super) fn shortened(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn problems_name_their_place() {
        let schema =
            json!({ "type": "object", "properties": { "n": { "type": "number" } }, "required": ["n"] });
        let check = ArgumentCheck::compile(&schema);
        assert_eq!(check.check(&json!({ "n": 1 })), Ok(()));
        let missing = check.check(&json!({})).unwrap_err();
        assert!(missing.contains("the arguments") && missing.contains('n'), "{missing}");
        let wrong = check.check(&json!({ "n": "five" })).unwrap_err();
        assert!(wrong.contains("/n") && wrong.contains("number"), "{wrong}");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shortened("Zoë 🍕", 3), "Zoë");
        assert_eq!(shortened("Zoë", 3), "Zoë");
    }
}
