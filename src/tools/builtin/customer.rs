//! What is known of the person on the line.

use serde_json::{Map, Value, json};
use tracing::warn;
use voice_core::ports::{RecordStore, ToolRequest};

use super::carrier;
use crate::telemetry::causes;
use crate::tools::{Answer, Handled};

/// Attributes of a profile that place it in the table or steer the service.
const OURS: [&str; 6] = ["pk", "sk", "pk1", "sk1", "expireAt", "useCase"];

/// Reads the profile anew, because another tool may have changed it in this call.
pub(super) async fn get(records: &dyn RecordStore, request: &ToolRequest) -> Handled {
    let Ok(person) = carrier::person(request) else { return Ok(not_found()) };
    let profile = match records.get_record(person.expose(), "profile").await {
        Ok(profile) => profile,
        Err(error) => {
            warn!(call.sid = %request.call.call_sid, tool = %request.tool.name, error = %causes(&error), "a caller's profile was not read anew");
            request.call.caller.as_ref().map(|caller| caller.attributes.expose().clone())
        }
    };
    Ok(profile.map_or_else(not_found, shown))
}

fn shown(profile: Map<String, Value>) -> Answer {
    let mut shown: Map<_, _> =
        profile.into_iter().filter(|(name, _)| !OURS.contains(&name.as_str())).collect();
    shown.insert("found".to_owned(), Value::from(true));
    Answer::from(Value::Object(shown))
}

fn not_found() -> Answer {
    Answer::from(json!({ "found": false }))
}
