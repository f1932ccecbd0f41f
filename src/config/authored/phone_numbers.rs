//! A TOML file about phone numbers: `[profiles."+14155550100"]` for callers, `[numbers."+18005550199"]` for
//! the numbers that are called.

use serde_json::{Map, Value};
use voice_protocols::webhook::is_e164;

use super::Reason;
use super::plain::{Kind, complete, from_toml};

/// Reads one file into its items.
pub(super) fn read(text: &str) -> Result<Vec<Map<String, Value>>, Reason> {
    let mut items = Vec::new();
    for (section, entries) in from_toml(text)? {
        let kind = match section.as_str() {
            "profiles" => Kind::Profile,
            "numbers" => Kind::Number,
            _ => {
                return Err(Reason::content(format!("{section}: only profiles and numbers are known here")));
            }
        };
        let Value::Object(entries) = entries else {
            return Err(Reason::content(format!("{section}: must be a table of phone numbers")));
        };
        for (number, entry) in entries {
            items.push(read_entry(kind, &section, &number, entry)?);
        }
    }
    Ok(items)
}

fn read_entry(kind: Kind, section: &str, number: &str, entry: Value) -> Result<Map<String, Value>, Reason> {
    let wrong = |reason: &str| Reason::content(format!("{section}.{number}: {reason}"));
    if !is_e164(number) {
        return Err(wrong("must be a phone number in E.164 form, such as +14155550100"));
    }
    let Value::Object(entry) = entry else {
        return Err(wrong("must be a table"));
    };
    let names_use_case =
        entry.get("useCase").and_then(Value::as_str).is_some_and(|name| !name.trim().is_empty());
    if kind == Kind::Number && !names_use_case {
        return Err(wrong("must name its useCase"));
    }
    Ok(complete(entry, kind, number))
}
