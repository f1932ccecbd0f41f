//! A JSON file that holds one item as the table does, plain or as DynamoDB JSON.

use serde_json::{Map, Value};

use super::plain::{Kind, complete};
use super::{Reason, phone_numbers, records};
use crate::catalog::dynamodb_json::from_dynamodb;

/// Reads one item and adds the keys of the index where its author left them out.
pub(super) fn read(text: &str) -> Result<Map<String, Value>, Reason> {
    let value: Value = serde_json::from_str(text)?;
    let item = if value.get("pk").is_some_and(Value::is_object) {
        from_dynamodb(&value)?
    } else if let Value::Object(item) = value {
        item
    } else {
        return Err(Reason::content("must hold one item"));
    };
    let key = |name: &str| item.get(name).and_then(Value::as_str).filter(|key| !key.trim().is_empty());
    let (Some(pk), Some(sk)) = (key("pk").map(str::to_owned), key("sk")) else {
        return Err(Reason::content("must have the keys pk and sk"));
    };
    let kind = Kind::of_sort_key(sk).ok_or_else(|| {
        Reason::content("sk: must be configuration, profile, number, do-not-call or record")
    })?;
    match kind {
        Kind::Record if records::index_keys(&pk).is_none() => {
            Err(Reason::content("pk: of a record must be record::<kind>::<key>"))
        }
        Kind::DoNotCall if !phone_numbers::is_number(&pk) => {
            Err(Reason::content("pk: must be a phone number in E.164 form, such as +14155550100"))
        }
        _ => Ok(complete(item, kind, &pk)),
    }
}
