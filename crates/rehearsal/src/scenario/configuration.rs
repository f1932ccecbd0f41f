//! `configuration`: attributes that a scenario gives to the use case that it calls, in place of those that it has.

use anyhow::ensure;
use serde_json::{Map, Value};

use super::HTTP;

/// What is changed of which use case before the service starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    pub use_case: String,
    pub attributes: Map<String, Value>,
}

/// Whether somewhere in the values the server for tools is named.
pub(super) fn check(attributes: &Map<String, Value>, has_http: bool) -> anyhow::Result<()> {
    let names_http = attributes.values().any(|value| value.to_string().contains(HTTP));
    ensure!(has_http || !names_http, "`configuration` names {HTTP}, and there is no [[http]]");
    Ok(())
}

/// The value with the address of the server in its place.
pub(super) fn fill(value: &Value, http: &str) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace(HTTP, http)),
        Value::Array(values) => values.iter().map(|value| fill(value, http)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), fill(value, http))).collect()
        }
        other => other.clone(),
    }
}
