//! Values that records hold as JSON text or natively. The system replaced by this one wrote them as text.

use std::borrow::Cow;

use serde_json::Value;

use super::problem::Report;

/// The value itself, or what its text holds. Blank text holds nothing.
pub(super) fn decoded<'a>(value: &'a Value, path: &str, report: &mut Report) -> Option<Cow<'a, Value>> {
    let Value::String(text) = value else {
        return Some(Cow::Borrowed(value));
    };
    if text.trim().is_empty() {
        return None;
    }
    match serde_json::from_str(text) {
        Ok(Value::Null) => None,
        Ok(value) => Some(Cow::Owned(value)),
        Err(error) => {
            report.error(path, format!("is text that is not JSON: {error}"));
            None
        }
    }
}

/// A text, decoded once when it is a JSON string literal.
///
/// A loader of the replaced system encoded prompts that way, so that models were shown quotes and `\n`.
pub(super) fn plain_text(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim();
    if trimmed.starts_with('"')
        && let Ok(decoded) = serde_json::from_str(trimmed)
    {
        return Cow::Owned(decoded);
    }
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_a_value_are_read() {
        let mut report = Report::default();
        assert_eq!(decoded(&json!("[1]"), "x", &mut report).as_deref(), Some(&json!([1])));
        assert_eq!(decoded(&json!([1]), "x", &mut report).as_deref(), Some(&json!([1])));
        assert_eq!(decoded(&json!(" "), "x", &mut report), None);
        assert!(report.errors.is_empty());
        assert_eq!(decoded(&json!("[1"), "x", &mut report), None);
        assert_eq!(report.errors[0].path, "x");
    }

    #[test]
    fn a_text_is_decoded_only_when_it_is_a_literal() {
        assert_eq!(plain_text(r#""one\ntwo""#), "one\ntwo");
        assert_eq!(plain_text("plain\ntext"), "plain\ntext");
        assert_eq!(plain_text(r#""Hello," she said, "and bye.""#), r#""Hello," she said, "and bye.""#);
        assert_eq!(plain_text("\""), "\"");
    }
}
