//! The operator's own records: `[[record]]` with a `kind`, a `key` and whatever the tools of a use case look up.

use serde_json::{Map, Value};

use super::Reason;
use super::plain::{Kind, complete};

const LONGEST_KIND: usize = 64;
/// In bytes. Tools look for no longer one.
const LONGEST_KEY: usize = 200;

/// Reads one entry. The kind becomes part of the item's key, and the key stays a field that tools can show.
pub(super) fn read(mut entry: Map<String, Value>) -> Result<Map<String, Value>, Reason> {
    let Some(Value::String(kind)) = entry.remove("kind") else {
        return Err(Reason::content("record: must name its kind"));
    };
    if !is_kind(&kind) {
        let reason = format!("record: the kind {kind:?} must be 1 to {LONGEST_KIND} letters, digits, _ or -");
        return Err(Reason::content(reason));
    }
    let Some(key) = entry.get("key").and_then(Value::as_str).map(str::to_owned) else {
        return Err(Reason::content(format!("record: a {kind} must have a key, which is text")));
    };
    if !is_key(&key) {
        let reason = format!(
            "record: the key {key:?} of a {kind} must be 1 to {LONGEST_KEY} bytes without blanks around it"
        );
        return Err(Reason::content(reason));
    }
    Ok(complete(entry, Kind::Record, &format!("record::{kind}::{key}")))
}

/// Takes `record::<kind>::<key>` apart into `record::<kind>`, which the index knows all records of a kind by, and the key.
pub(super) fn index_keys(pk: &str) -> Option<(&str, &str)> {
    let (kind, key) = pk.strip_prefix("record::")?.split_once("::")?;
    let index_key = pk.strip_suffix(key)?.strip_suffix("::")?;
    (is_kind(kind) && is_key(key)).then_some((index_key, key))
}

fn is_kind(kind: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=LONGEST_KIND).contains(&kind.len()) && kind.bytes().all(is_allowed)
}

fn is_key(key: &str) -> bool {
    (1..=LONGEST_KEY).contains(&key.len()) && key.trim() == key && !key.chars().any(char::is_control)
}
