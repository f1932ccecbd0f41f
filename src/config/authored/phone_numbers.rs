//! Items about phone numbers: `[profiles."+14155550100"]` for callers, `[numbers."+18005550199"]` for the numbers that
//! are called, `[[do_not_call]]` for those that must not be.

use serde_json::{Map, Value};
use voice_protocols::webhook::is_e164;

use super::Reason;
use super::plain::{Kind, complete};

/// Reads all entries of `profiles` or `numbers`.
pub(super) fn read(kind: Kind, section: &str, entries: Value) -> Result<Vec<Map<String, Value>>, Reason> {
    let Value::Object(entries) = entries else {
        return Err(Reason::content(format!("{section}: must be a table of phone numbers")));
    };
    entries.into_iter().map(|(number, entry)| read_entry(kind, section, &number, entry)).collect()
}

/// Reads one entry of the do-not-call list: a `number`, and if anybody wants to know, the `reason`.
pub(super) fn read_do_not_call(mut entry: Map<String, Value>) -> Result<Map<String, Value>, Reason> {
    let Some(Value::String(number)) = entry.remove("number") else {
        return Err(Reason::content("do_not_call: must have its number, which is text"));
    };
    if !is_number(&number) {
        let reason = "must be a phone number in E.164 form, such as +14155550100";
        return Err(Reason::content(format!("do_not_call: {number:?} {reason}")));
    }
    Ok(complete(entry, Kind::DoNotCall, &number))
}

/// A number that is written differently would never be found.
pub(super) fn is_number(text: &str) -> bool {
    is_e164(text)
}

fn read_entry(kind: Kind, section: &str, number: &str, entry: Value) -> Result<Map<String, Value>, Reason> {
    let wrong = |reason: &str| Reason::content(format!("{section}.{number}: {reason}"));
    if !is_number(number) {
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
