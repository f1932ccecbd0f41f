//! What tools say when the carrier did not do it, and who it can be asked to reach.

use tracing::warn;
use voice_core::ports::{TelephonyError, TelephonyErrorKind, ToolRequest};
use voice_core::private::Private;
use voice_protocols::webhook::is_e164;

use crate::telemetry::causes;

/// Logs why the carrier did not do it, and says so to the model: `undone` is a sentence without its full stop, such as
/// "The message was not sent".
pub(super) fn failed(request: &ToolRequest, undone: &str, error: &TelephonyError) -> String {
    warn!(
        call.sid = %request.call.call_sid,
        tool = %request.tool.name,
        twilio.code = error.code,
        error = %causes(error),
        "the carrier did not do what a tool asked for"
    );
    in_words(undone, error)
}

/// Keeps the carrier's code, by which an operator finds the reason.
pub(super) fn in_words(undone: &str, error: &TelephonyError) -> String {
    let reason = match (error.kind, error.code) {
        (TelephonyErrorKind::NotConfigured, _) => " (this service is not configured for it)".to_owned(),
        (_, Some(code)) => format!(" (Twilio {code})"),
        (TelephonyErrorKind::Refused, None) => " (Twilio refused it)".to_owned(),
        (TelephonyErrorKind::Throttled, None) => " (Twilio is asked too often)".to_owned(),
        (TelephonyErrorKind::NotSent, None) => " (Twilio cannot be reached)".to_owned(),
        (TelephonyErrorKind::Unavailable, None) => String::new(),
    };
    match error.kind {
        TelephonyErrorKind::Unavailable => {
            format!(
                "{undone}, or it is not known whether it was{reason}. Twilio is out of reach at the moment."
            )
        }
        _ => format!("{undone}{reason}."),
    }
}

/// The number of the person on the line, if it is one that can be reached.
pub(super) fn person(request: &ToolRequest) -> Result<&Private<String>, String> {
    let person = request.call.person();
    if is_e164(person.expose()) {
        Ok(person)
    } else {
        Err("The caller's number is withheld, so nothing can be sent to it. Tell the caller.".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_the_carriers_code() {
        let say = |kind, code| {
            let error = TelephonyError { kind, code, message: ": invalid number".to_owned(), source: None };
            in_words("The message was not sent", &error)
        };
        assert_eq!(say(TelephonyErrorKind::Refused, Some(21211)), "The message was not sent (Twilio 21211).");
        let unknown = say(TelephonyErrorKind::Unavailable, None);
        assert!(unknown.contains("not known whether"), "{unknown}");
        let unset = say(TelephonyErrorKind::NotConfigured, None);
        assert_eq!(unset, "The message was not sent (this service is not configured for it).");
    }
}
