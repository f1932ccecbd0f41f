//! For `crate::fuzzing`: what servers of tools answer, as the JSON that they send.

use std::sync::Arc;

use voice_core::use_case::{McpServer, Tool};

use super::{offer, outcome};

/// What the model sees of an answer to a call; `None` when the SDK refuses it.
pub fn answer(json: &str) -> Option<Result<serde_json::Value, String>> {
    serde_json::from_str(json).ok().map(outcome::of)
}

/// The tools that are offered of a server's list, and what is wrong with others.
pub fn tools(json: &str, server: &Arc<McpServer>) -> Option<(Vec<Tool>, Vec<String>)> {
    let found: Vec<rmcp::model::Tool> = serde_json::from_str(json).ok()?;
    Some(offer::of(server, &found))
}
