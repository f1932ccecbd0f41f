//! What Bedrock refuses in a Converse request, in Bedrock's words where they are known, so that a request which would
//! fail in production fails in a rehearsal.
//!
//! Models differ in strictness; these are the rules of the strictest. Model ids are data and are not checked.

use serde_json::Value;

mod blocks;
mod conversation;
mod fields;

#[cfg(test)]
mod tests;

/// Why a request is refused; it displays as the message of Bedrock's `ValidationException` (HTTP status 400).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// Checks the JSON body of a `Converse` or `ConverseStream` request. It never panics, whatever the body.
///
/// # Errors
/// The first rule that the request breaks: limits of fields first, then the conversation as a whole.
pub fn check(body: &Value) -> Result<(), Refusal> {
    if !body.is_object() {
        return Err(Refusal::new("The request body must be a JSON object."));
    }
    fields::check(body)?;
    blocks::check_system(body)?;
    conversation::check(body)
}

impl Refusal {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// A value outside the limits that the service's own model of the API states.
    fn constraint(value: &Value, path: &str, constraint: &str) -> Self {
        let value = match value {
            Value::Null => "null".to_owned(),
            Value::String(text) => format!("'{text}'"),
            other => format!("'{other}'"),
        };
        Self(format!(
            "1 validation error detected: Value {value} at '{path}' failed to satisfy constraint: {constraint}"
        ))
    }

    fn missing(path: &str) -> Self {
        Self::constraint(&Value::Null, path, "Member must not be null")
    }
}

/// A member that must be an array; none when it is absent.
fn array<'a>(value: &'a Value, name: &str, path: &str) -> Result<Option<&'a [Value]>, Refusal> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(values)) => Ok(Some(values)),
        Some(_) => Err(Refusal::new(format!("The value at {path} must be a list."))),
    }
}

/// A member that must be a string within a length and over an alphabet.
fn identifier<'a>(
    value: &'a Value,
    name: &str,
    path: &str,
    alphabet: &str,
    allowed: fn(char) -> bool,
) -> Result<&'a str, Refusal> {
    let path = format!("{path}.{name}");
    let member = value.get(name).ok_or_else(|| Refusal::missing(&path))?;
    let Some(text) = member.as_str() else {
        return Err(Refusal::missing(&path));
    };
    if text.is_empty() || !text.chars().all(allowed) {
        let pattern = format!("Member must satisfy regular expression pattern: {alphabet}");
        return Err(Refusal::constraint(member, &path, &pattern));
    }
    if text.chars().count() > 64 {
        let limit = "Member must have length less than or equal to 64";
        return Err(Refusal::constraint(member, &path, limit));
    }
    Ok(text)
}

/// The name of a tool, which must match `[a-zA-Z0-9_-]{1,64}`.
fn tool_name<'a>(value: &'a Value, path: &str) -> Result<&'a str, Refusal> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    identifier(value, "name", path, "[a-zA-Z0-9_-]+", allowed)
}

/// The id of a tool call, which must match `[a-zA-Z0-9_.:-]{1,64}`.
fn tool_use_id<'a>(value: &'a Value, path: &str) -> Result<&'a str, Refusal> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "_.:-".contains(character);
    identifier(value, "toolUseId", path, "[a-zA-Z0-9_.:-]+", allowed)
}
