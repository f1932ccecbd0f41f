//! A TOML file of items: callers and numbers, numbers that must not be called, and the operator's own records.

use serde_json::{Map, Value};

use super::plain::{Kind, from_toml};
use super::{Reason, phone_numbers, records};

/// Reads one file into its items.
pub(super) fn read(text: &str) -> Result<Vec<Map<String, Value>>, Reason> {
    let mut items = Vec::new();
    for (section, entries) in from_toml(text)? {
        match section.as_str() {
            "profiles" => items.extend(phone_numbers::read(Kind::Profile, &section, entries)?),
            "numbers" => items.extend(phone_numbers::read(Kind::Number, &section, entries)?),
            "do_not_call" => {
                for entry in list(&section, entries)? {
                    items.push(phone_numbers::read_do_not_call(entry)?);
                }
            }
            "record" => {
                for entry in list(&section, entries)? {
                    items.push(records::read(entry)?);
                }
            }
            _ => {
                let known = "only profiles, numbers, do_not_call and record are known here";
                return Err(Reason::content(format!("{section}: {known}")));
            }
        }
    }
    Ok(items)
}

/// The entries of `[[section]]`.
fn list(section: &str, entries: Value) -> Result<Vec<Map<String, Value>>, Reason> {
    let wrong = || Reason::content(format!("{section}: must be written as [[{section}]]"));
    let Value::Array(entries) = entries else {
        return Err(wrong());
    };
    let tables = entries.into_iter().map(|entry| match entry {
        Value::Object(entry) => Ok(entry),
        _ => Err(wrong()),
    });
    tables.collect()
}
