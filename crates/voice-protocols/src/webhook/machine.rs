//! What Twilio posts when it has found out whether a machine answered a call that we placed.

use super::{WebhookError, call_sid, first};

/// The result of asynchronous detection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineDetected {
    pub call_sid: String,
    /// In Twilio's word; see [`is_machine`].
    pub answered_by: String,
}

impl MachineDetected {
    pub fn from_params(params: &[(String, String)]) -> Result<Self, WebhookError> {
        let answered_by = first(params, "AnsweredBy").unwrap_or_default().to_owned();
        Ok(Self { call_sid: call_sid(params)?, answered_by })
    }
}

/// Whether `AnsweredBy` tells of a machine: `machine_start`, `machine_end_beep`, `machine_end_silence`,
/// `machine_end_other` or `fax`, but neither `human` nor `unknown`.
pub fn is_machine(answered_by: &str) -> bool {
    answered_by.starts_with("machine_") || answered_by == "fax"
}
