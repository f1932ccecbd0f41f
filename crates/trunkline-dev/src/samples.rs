//! Loads an operator's items into the table, as `trunkline use-case put` does, and changes them for a scenario.

use std::path::Path;

use anyhow::{Context, anyhow};
use rehearsal::scenario::Configuration;
use serde_json::Value;
use trunkline::config::authored;
use trunkline::telemetry::causes;
use voice_core::ports::RecordStore;

/// Writes all items under `path`, but leaves the records alone that calls may have changed since; returns how many there
/// were.
pub async fn load(path: &Path, store: &dyn RecordStore) -> anyhow::Result<usize> {
    let items =
        authored::read(path).with_context(|| format!("the items under {} were not read", path.display()))?;
    let number = items.len();
    for authored in items {
        let file = authored.path.display().to_string();
        let written = if authored.item.get("sk").and_then(Value::as_str) == Some("record") {
            store.put_new_record(authored.item).await.map(drop)
        } else {
            store.put_record(authored.item, None).await
        };
        written.map_err(|error| anyhow!("{file} was not loaded: {}", causes(&error)))?;
    }
    Ok(number)
}

/// Replaces attributes of a use case, or makes one of that name.
pub async fn change(change: &Configuration, store: &dyn RecordStore) -> anyhow::Result<()> {
    let use_case = change.use_case.as_str();
    let known = store.get_record(use_case, "configuration").await;
    let known = known.map_err(|error| anyhow!("{use_case} was not read: {}", causes(&error)))?;
    let mut item = known.unwrap_or_default();
    let keys = [("pk", use_case), ("sk", "configuration"), ("pk1", "use-case"), ("sk1", use_case)];
    item.extend(keys.map(|(name, value)| (name.to_owned(), Value::from(value))));
    item.extend(change.attributes.clone());
    let written = store.put_record(item, None).await;
    written.map_err(|error| anyhow!("{use_case} was not changed: {}", causes(&error)))
}
