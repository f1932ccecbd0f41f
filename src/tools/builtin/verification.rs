//! Whether the caller holds the telephone they call from: a code is sent to it, and the caller tells the code.

use serde_json::{Value, json};
use voice_core::ports::{Effect, ToolRequest, Verification};
use voice_core::private::Private;
use voice_core::use_case::VerifyChannel;

use super::carrier;
use crate::metrics::Counter;
use crate::tools::{Answer, Handled, ToolsParts};

/// Twilio documents that codes have this many digits.
const DIGITS: std::ops::RangeInclusive<usize> = 4..=10;

/// Sends a code. The model never learns it.
pub(super) async fn send(parts: &ToolsParts, channel: VerifyChannel, request: &ToolRequest) -> Handled {
    let person = carrier::person(request)?;
    match parts.telephony.start_verification(person, channel).await {
        Ok(()) => Ok(Answer::from(json!({ "sent": true, "channel": channel.as_str() }))),
        Err(error) => Err(carrier::failed(request, "The code was not sent", &error)),
    }
}

/// Checks the argument `code`. A wrong code is an answer, not a failure.
pub(super) async fn check(parts: &ToolsParts, request: &ToolRequest) -> Handled {
    let person = carrier::person(request)?;
    let code = digits(request.input.get("code"))
        .ok_or("The argument code must hold the digits that the caller was sent. Ask the caller for them.")?;
    let reason = match parts.telephony.check_verification(person, &code).await {
        Ok(Verification::Approved) => {
            return Ok(Answer::with(json!({ "verified": true }), Effect::Verified));
        }
        Ok(Verification::Wrong) => "The code is wrong. The caller may try again.",
        Ok(Verification::NothingPending) => {
            "There is no code to compare with: none was sent, it is too old, or it was tried too often. \
             Send a new one."
        }
        Err(error) => return Err(carrier::failed(request, "The code was not checked", &error)),
    };
    parts.metrics.count(Counter::VerificationsFailed);
    Ok(Answer::from(json!({ "verified": false, "reason": reason })))
}

/// Callers tell codes one digit at a time, and models write that down as they like.
fn digits(code: Option<&Value>) -> Option<Private<String>> {
    let said = match code? {
        Value::String(said) => said.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let digits: String = said.chars().filter(char::is_ascii_digit).collect();
    DIGITS.contains(&digits.len()).then(|| Private::new(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_its_digits() {
        let of = |code: Value| digits(Some(&code)).map(Private::into_inner);
        assert_eq!(of(json!("1 2 3 4 5 6")).as_deref(), Some("123456"));
        assert_eq!(of(json!("It is 123-456.")).as_deref(), Some("123456"));
        assert_eq!(of(json!(123_456)).as_deref(), Some("123456"));
        for code in [json!("123"), json!("12345678901"), json!("none"), json!(null), json!(["1234"])] {
            assert_eq!(of(code.clone()), None, "{code}");
        }
    }
}
