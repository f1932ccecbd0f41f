//! Calls to numbers that the record names.

use std::collections::BTreeMap;

use serde_json::json;
use tracing::warn;
use voice_core::ports::{NotPlaced, OutboundRequest, ToolRequest};
use voice_core::private::Private;
use voice_core::use_case::PlaceCall;

use super::{carrier, listed};
use crate::telemetry::causes;
use crate::tools::arguments::{shortened, text};
use crate::tools::{Answer, Handled, ToolsParts, run_key};

const LONGEST_REASON: usize = 500;

/// Calls the number that the argument `to` names. The agent who talks there knows the argument `reason` as a variable.
pub(super) async fn place(parts: &ToolsParts, settings: &PlaceCall, request: &ToolRequest) -> Handled {
    let name = text(request, "to");
    let to = name
        .and_then(|name| settings.numbers.get(name))
        .ok_or_else(|| format!("The argument to must be one of: {}.", listed(settings.numbers.keys())))?;
    let reason = text(request, "reason").map(|reason| shortened(reason, LONGEST_REASON).to_owned());
    let variables: BTreeMap<_, _> = reason.map(|reason| ("reason".to_owned(), reason)).into_iter().collect();
    let outbound = OutboundRequest {
        to: Private::new(to.clone()),
        from: None,
        use_case: settings.use_case.clone().unwrap_or_else(|| request.use_case.name.clone()),
        variables: Private::new(variables),
        idempotency_key: Some(run_key(request)),
        machine: None,
    };
    match parts.placer.place(outbound).await {
        Ok(launch) => Ok(Answer::from(json!({ "placed": true, "status": launch.status.as_str() }))),
        Err(error) => Err(failed(request, &error)),
    }
}

fn failed(request: &ToolRequest, error: &NotPlaced) -> String {
    if let NotPlaced::Carrier(error) = error {
        return carrier::failed(request, "No call was placed", error);
    }
    warn!(call.sid = %request.call.call_sid, tool = %request.tool.name, code = error.code(), error = %causes(error), "a tool's call was not placed");
    format!("No call was placed: {error}.")
}
