//! What Twilio says when it does not do something, in both forms of its error bodies.

use serde_json::Value;
use voice_core::ports::{TelephonyError, TelephonyErrorKind};

/// An error with the status that it came with, if there was an answer.
pub(super) struct Refusal {
    pub(super) status: Option<u16>,
    pub(super) error: TelephonyError,
}

impl From<Refusal> for TelephonyError {
    fn from(refusal: Refusal) -> Self {
        refusal.error
    }
}

/// Twilio's code for too many requests.
pub(super) const TOO_MANY_REQUESTS: u32 = 20429;
/// What an operator reads of it in a log line.
const LONGEST_MESSAGE: usize = 200;
/// A telephone number has at least as many digits; codes and statuses have fewer.
const DIGITS_OF_A_NUMBER: usize = 7;

/// An answer that is no success: `{code, message}`, or `{title, detail, code}` as of RFC 9457.
pub(super) fn refusal(status: u16, body: &Value) -> Refusal {
    let code = body["code"].as_u64().and_then(|code| u32::try_from(code).ok());
    let kind = match status {
        429 => TelephonyErrorKind::Throttled,
        _ if code == Some(TOO_MANY_REQUESTS) => TelephonyErrorKind::Throttled,
        500.. => TelephonyErrorKind::Unavailable,
        _ => TelephonyErrorKind::Refused,
    };
    let words = ["message", "detail", "title"].into_iter().find_map(|name| body[name].as_str());
    let message = match words.map(clean) {
        Some(words) if !words.is_empty() => format!(": {words}"),
        _ => format!(": status {status}"),
    };
    Refusal { status: Some(status), error: TelephonyError { kind, code, message, source: None } }
}

/// The words without telephone numbers and control characters, and not too many of them.
fn clean(words: &str) -> String {
    let mut cleaned = String::new();
    let mut rest = words.trim();
    while let Some(next) = rest.chars().next() {
        let number = number_at_start(rest);
        if number > 0 {
            cleaned.push_str("[number]");
            rest = &rest[number..];
            continue;
        }
        // A run of digits that is no number is none in its later part either.
        let taken = digits_at_start(rest).max(next.len_utf8());
        cleaned.extend(rest[..taken].chars().map(|c| if c.is_control() { ' ' } else { c }));
        rest = &rest[taken..];
    }
    match cleaned.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => cleaned[..end].to_owned(),
        None => cleaned,
    }
}

fn digits_at_start(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The length of a telephone number with which the text begins, also one that is written in groups; 0 for none.
fn number_at_start(text: &str) -> usize {
    let (mut end, mut digits) = (0, 0);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                end = index + 1;
            }
            b'+' if index == 0 => {}
            // Two of them stand around the parts of `+1 (415) 555-0100`.
            b' ' | b'-' | b'.' | b'(' | b')' if digits > 0 && index - end < 2 => {}
            _ => break,
        }
    }
    if digits >= DIGITS_OF_A_NUMBER { end } else { 0 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_an_error_are_read() {
        let classic = json!({ "code": 21220, "message": "Invalid call state", "status": 400 });
        let refused = refusal(400, &classic).error;
        assert_eq!(refused.to_string(), "the carrier: refused (code 21220): Invalid call state");
        let problem =
            json!({ "type": "t", "title": "Bad", "status": 400, "code": 60200, "detail": "Bad To" });
        assert_eq!(refusal(400, &problem).error.message, ": Bad To");
        assert_eq!(refusal(502, &Value::Null).error.to_string(), "the carrier: out of reach: status 502");
    }

    #[test]
    fn an_error_has_the_kind_that_its_status_and_code_tell() {
        for (status, code, kind) in [
            (429, None, TelephonyErrorKind::Throttled),
            (400, Some(20429), TelephonyErrorKind::Throttled),
            (401, Some(20003), TelephonyErrorKind::Refused),
            (404, Some(20404), TelephonyErrorKind::Refused),
            (301, None, TelephonyErrorKind::Refused),
            (500, Some(20500), TelephonyErrorKind::Unavailable),
            (503, None, TelephonyErrorKind::Unavailable),
        ] {
            assert_eq!(refusal(status, &json!({ "code": code })).error.kind, kind, "{status} {code:?}");
        }
    }

    #[test]
    fn numbers_are_masked_and_everything_else_is_kept() {
        for (words, cleaned) in [
            ("The 'To' number +14155550100 is not valid", "The 'To' number [number] is not valid"),
            ("4155550100, (see 21211)", "[number], (see 21211)"),
            ("to +1 (415) 555-0100.", "to [number]."),
            ("to +1 415 555-0100.", "to [number]."),
            ("code 123456 of 10", "code 123456 of 10"),
            ("line\nfeed\u{7}", "line feed "),
            ("ünlicensed +49 30 1234567", "ünlicensed [number]"),
        ] {
            assert_eq!(clean(words), cleaned);
        }
        assert_eq!(clean(&"ä".repeat(300)).chars().count(), LONGEST_MESSAGE);
    }
}
