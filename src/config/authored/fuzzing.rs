//! For `crate::fuzzing`: files that people write, as text.

use serde_json::{Map, Value};

use super::{json_item, toml_items};

/// A TOML file of profiles, numbers and records; in words what is wrong with it.
pub fn toml_file(text: &str) -> Result<Vec<Map<String, Value>>, String> {
    toml_items::read(text).map_err(|reason| reason.to_string())
}

/// A JSON file of one item.
pub fn json_file(text: &str) -> Result<Map<String, Value>, String> {
    json_item::read(text).map_err(|reason| reason.to_string())
}
