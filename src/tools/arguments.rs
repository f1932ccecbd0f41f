//! Checks a tool call's arguments against the tool's schema, in words that a model can act on.

use serde_json::Value;

/// More problems than this do not help a model.
const MOST: usize = 5;

pub(super) fn check(schema: &Value, input: &Value) -> Result<(), String> {
    // Schemas were checked when the use case was read; one that is broken after all checks nothing.
    let Ok(validator) = jsonschema::validator_for(schema) else {
        return Ok(());
    };
    let problems: Vec<String> = validator
        .iter_errors(input)
        .take(MOST)
        .map(|problem| {
            let place = problem.instance_path().to_string();
            let place = if place.is_empty() { "the arguments" } else { place.as_str() };
            format!("{place}: {}", problem.masked())
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(format!("Wrong arguments. {}", problems.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn problems_name_their_place() {
        let schema =
            json!({ "type": "object", "properties": { "n": { "type": "number" } }, "required": ["n"] });
        assert_eq!(check(&schema, &json!({ "n": 1 })), Ok(()));
        let missing = check(&schema, &json!({})).unwrap_err();
        assert!(missing.contains("the arguments") && missing.contains('n'), "{missing}");
        let wrong = check(&schema, &json!({ "n": "five" })).unwrap_err();
        assert!(wrong.contains("/n") && wrong.contains("number"), "{wrong}");
    }
}
