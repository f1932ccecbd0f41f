//! What a load with tools needs: a use case whose tool the model calls in every turn, and what that tool asks.

use std::sync::Arc;

use anyhow::anyhow;
use rehearsal::bedrock::Brain;
use rehearsal::load::{LoadObserver, ToolEndpoint, ToolEveryTurn, ToolKind};
use serde_json::{Map, Value, json};
use trunkline::telemetry::causes;
use voice_core::ports::RecordStore;

/// The use case that answers.
pub(super) const USE_CASE: &str = "load-with-tools";
const TOOL: &str = "work";

/// Writes the use case, and starts the endpoint when its tool is of that kind.
pub(super) async fn start(
    kind: ToolKind,
    observer: &Arc<LoadObserver>,
    store: &dyn RecordStore,
) -> anyhow::Result<Option<ToolEndpoint>> {
    let (handler, endpoint) = match kind {
        ToolKind::Builtin => (json!("current_time"), None),
        ToolKind::Http => {
            let endpoint = ToolEndpoint::start(Arc::clone(observer)).await?;
            (json!({ "type": "http", "url": endpoint.url(), "body": "arguments" }), Some(endpoint))
        }
    };
    let written = store.put_record(item(&handler), None).await;
    written.map_err(|error| anyhow!("the use case was not loaded: {}", causes(&error)))?;
    Ok(endpoint)
}

/// A model that calls the tool in every turn, and then answers with so many tokens.
pub(super) fn brain(tokens: u32, observer: Arc<LoadObserver>) -> Arc<dyn Brain> {
    Arc::new(ToolEveryTurn { tool: TOOL.to_owned(), tokens, observer })
}

fn item(handler: &Value) -> Map<String, Value> {
    let properties = json!({ "call": { "type": "string" } });
    let tool = json!({
        "toolSpec": {
            "name": TOOL,
            "description": "Works.",
            "inputSchema": { "json": { "type": "object", "properties": properties } },
        },
        "handler": handler,
    });
    let attributes = [
        ("pk", json!(USE_CASE)),
        ("sk", json!("configuration")),
        ("pk1", json!("use-case")),
        ("sk1", json!(USE_CASE)),
        ("prompt", json!("You call your tool before you answer.")),
        ("tools", json!([tool])),
    ];
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
