//! Calls to numbers that the record names.

use std::collections::BTreeMap;

use serde_json::json;
use voice_core::ports::{NotPlaced, OutboundRequest, ToolRequest};
use voice_core::private::Private;
use voice_core::use_case::{Keep, PlaceCall};

use super::{carrier, listed, outgoing_text};
use crate::tools::arguments::text;
use crate::tools::{Answer, Handled, ToolsParts, run_key};

const LONGEST_REASON: usize = 500;

/// Calls the number that the argument `to` names. The agent who talks there knows the argument `reason` as a variable.
pub(super) async fn place(parts: &ToolsParts, settings: &PlaceCall, request: &ToolRequest) -> Handled {
    let name = text(request, "to");
    let to = name
        .and_then(|name| settings.numbers.get(name))
        .ok_or_else(|| format!("The argument to must be one of: {}.", listed(settings.numbers.keys())))?;
    let outbound = OutboundRequest {
        to: Private::new(to.clone()),
        from: None,
        use_case: settings.use_case.clone().unwrap_or_else(|| request.use_case.name.clone()),
        variables: Private::new(variables(request)),
        idempotency_key: Some(run_key(request)),
        machine: None,
    };
    // Whoever places calls logs why one was not placed.
    match parts.placer.place(outbound).await {
        Ok(launch) => Ok(Answer::from(json!({ "placed": true, "status": launch.status.as_str() }))),
        Err(NotPlaced::Carrier(error)) => Err(carrier::in_words(UNDONE, &error)),
        Err(error) => Err(format!("{UNDONE}: {}.", in_words(&error))),
    }
}

const UNDONE: &str = "No call was placed";

/// Variables are written down with the call that is placed, so that nothing of a call that leaves nothing behind is one.
fn variables(request: &ToolRequest) -> BTreeMap<String, String> {
    let reason = match request.use_case.storage.keep {
        Keep::Words => outgoing_text(request, "reason", LONGEST_REASON),
        Keep::Nothing => None,
    };
    reason.map(|reason| ("reason".to_owned(), reason)).into_iter().collect()
}

/// What the model can speak about. Names of settings and use cases are for the log.
const fn in_words(error: &NotPlaced) -> &'static str {
    match error {
        NotPlaced::NotANumber(_) => "the number is none that can be called",
        NotPlaced::CallerIdNotAllowed | NotPlaced::NoCallerIds => "calls cannot be placed from this line",
        NotPlaced::UseCase { .. } => "nobody can take that call on our side at the moment",
        NotPlaced::DoNotCall => "whoever has that number does not want to be called",
        NotPlaced::OutsideHours => "nobody is called at this time of the day",
        NotPlaced::KeyReused => "a call was asked for before in the same place, to somebody else",
        NotPlaced::Stopping | NotPlaced::Busy => "all lines are busy at the moment",
        NotPlaced::Table(_) => "our records are out of reach at the moment",
        NotPlaced::Carrier(_) => "the carrier did not do it",
    }
}
