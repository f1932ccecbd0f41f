//! Files that people write, TOML behind a line `toml` and JSON else: every item that comes out has the keys of the table.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use trunkline::catalog::dynamodb_json::{from_dynamodb, to_dynamodb};
use trunkline::fuzzing::authored::{json_file, toml_file};

fuzz_target!(|text: &str| {
    let items = match text.strip_prefix("toml\n") {
        Some(text) => toml_file(text),
        None => json_file(text).map(|item| vec![item]),
    };
    match items {
        Ok(items) => items.iter().for_each(is_complete),
        Err(reason) => assert!(!reason.is_empty(), "what is refused has a reason"),
    }
});

fn is_complete(item: &Map<String, Value>) {
    for key in ["pk", "sk"] {
        let text = item.get(key).and_then(Value::as_str).unwrap_or_default();
        assert!(!text.trim().is_empty(), "an item has its {key}");
    }
    assert_eq!(from_dynamodb(&to_dynamodb(item)).as_ref(), Ok(item), "what is put is what was written");
}
