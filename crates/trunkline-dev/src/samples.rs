//! Loads an operator's items into the table, as `trunkline use-case put` does.

use std::path::Path;

use anyhow::{Context, anyhow};
use trunkline::config::authored;
use trunkline::telemetry::causes;
use voice_core::ports::RecordStore;

/// Writes all items under `path`; returns how many there were.
pub async fn load(path: &Path, store: &dyn RecordStore) -> anyhow::Result<usize> {
    let items =
        authored::read(path).with_context(|| format!("the items under {} were not read", path.display()))?;
    let number = items.len();
    for authored in items {
        let file = authored.path.display().to_string();
        let written = store.put_record(authored.item, None).await;
        written.map_err(|error| anyhow!("{file} was not loaded: {}", causes(&error)))?;
    }
    Ok(number)
}
