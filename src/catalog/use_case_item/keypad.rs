//! The record's `dtmfHandlers`: what each key of the keypad does.
//!
//! A handler is `{replyWithText, replyText, replyWithFunction, replyFunction}`. A flag that is absent counts
//! as on when its text is given, so that people need not write both.

use std::collections::BTreeMap;

use serde_json::Value;
use voice_core::use_case::KeypadHandler;

use super::json_text::decoded;
use super::problem::Report;
use super::section::Section;

const FIELDS: [&str; 4] = ["replyWithText", "replyText", "replyWithFunction", "replyFunction"];

/// Reads the handlers; `tools` are the names of those that the use case has.
pub(super) fn read(value: &Value, tools: &[String], report: &mut Report) -> BTreeMap<char, KeypadHandler> {
    let Some(value) = decoded(value, "dtmfHandlers", report) else {
        return BTreeMap::new();
    };
    let Some(handlers) = Section::of(&value, "dtmfHandlers".to_owned(), report) else {
        return BTreeMap::new();
    };
    let mut keypad = BTreeMap::new();
    for (key, value) in handlers.fields().filter(|(_, value)| !value.is_null()) {
        let Some(digit) = as_digit(key) else {
            report.error(handlers.path_of(key), "is not a key; keys are 0 to 9, * and #");
            continue;
        };
        let Some(handler) = Section::of(value, handlers.path_of(key), report) else {
            continue;
        };
        if let Some(handler) = read_handler(&handler, tools, report) {
            keypad.insert(digit, handler);
        }
    }
    keypad
}

fn as_digit(key: &str) -> Option<char> {
    let mut characters = key.chars();
    let digit = characters.next().filter(|digit| digit.is_ascii_digit() || matches!(digit, '*' | '#'))?;
    characters.next().is_none().then_some(digit)
}

fn read_handler(handler: &Section<'_>, tools: &[String], report: &mut Report) -> Option<KeypadHandler> {
    handler.warn_of_unknown(&FIELDS, report);
    let text = read_part(handler, "replyWithText", "replyText", report);
    let tool = read_part(handler, "replyWithFunction", "replyFunction", report);
    if let Some(name) = tool.as_deref().filter(|name| !tools.iter().any(|tool| tool == name)) {
        report.warn(handler.path_of("replyFunction"), format!("this use case has no tool named {name}"));
    }
    match (text, tool) {
        (Some(text), Some(tool)) => Some(KeypadHandler::ReplyAndRun { text, tool }),
        (Some(text), None) => Some(KeypadHandler::Reply { text }),
        (None, Some(tool)) => Some(KeypadHandler::Run { tool }),
        (None, None) => None,
    }
}

/// One half of a handler: its text, when its flag is on.
fn read_part(handler: &Section<'_>, flag: &str, field: &str, report: &mut Report) -> Option<String> {
    let text = handler.filled_text(field, report);
    let is_on = handler.boolean(flag, report).unwrap_or(text.is_some());
    if is_on && text.is_none() {
        report.warn(handler.path_of(field), format!("is empty although {flag} is on"));
    }
    text.filter(|_| is_on).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_one(handler: &Value) -> (Option<KeypadHandler>, Vec<String>) {
        let mut report = Report::default();
        let mut keypad = read(&json!({ "1": handler }), &[], &mut report);
        assert!(report.errors.is_empty(), "{:?}", report.errors);
        (keypad.remove(&'1'), report.warnings.iter().map(|warning| warning.path.clone()).collect())
    }

    #[test]
    fn every_combination_of_flags_means_something() {
        let text = || "We open at noon.".to_owned();
        let tool = || "Ghost".to_owned();
        let ghost = "dtmfHandlers.1.replyFunction";
        let cases = [
            (false, false, None, vec![]),
            (true, false, Some(KeypadHandler::Reply { text: text() }), vec![]),
            (false, true, Some(KeypadHandler::Run { tool: tool() }), vec![ghost]),
            (true, true, Some(KeypadHandler::ReplyAndRun { text: text(), tool: tool() }), vec![ghost]),
        ];
        for (with_text, with_function, handler, warnings) in cases {
            let read = read_one(&json!({
                "replyWithText": with_text, "replyText": text(),
                "replyWithFunction": with_function, "replyFunction": tool(),
            }));
            assert_eq!(read, (handler, warnings.into_iter().map(str::to_owned).collect()));
        }
    }

    #[test]
    fn a_flag_without_its_text_is_a_warning() {
        let (handler, warnings) = read_one(&json!({
            "replyWithText": true, "replyText": " ", "replyWithFunction": true, "replyFunction": "",
        }));
        assert_eq!(handler, None);
        assert_eq!(warnings, ["dtmfHandlers.1.replyText", "dtmfHandlers.1.replyFunction"]);
    }

    #[test]
    fn a_text_needs_no_flag() {
        let (handler, warnings) = read_one(&json!({"replyText": "Noon."}));
        assert_eq!((handler, warnings), (Some(KeypadHandler::Reply { text: "Noon.".to_owned() }), vec![]));
    }

    #[test]
    fn only_keys_of_a_telephone_are_keys() {
        let mut report = Report::default();
        let reply = json!({"replyText": "x"});
        let value =
            json!({"0": reply, "*": reply, "#": reply, "10": reply, "a": reply, "": reply, "٣": reply});
        let keypad = read(&value, &[], &mut report);
        assert_eq!(keypad.into_keys().collect::<String>(), "#*0");
        assert_eq!(report.errors.len(), 4);
        assert!(report.errors.iter().any(|error| error.path == "dtmfHandlers.10"));
    }

    #[test]
    fn the_handlers_may_be_json_text() {
        let text = json!(r##"{"#": {"replyWithText": true, "replyText": "Bye."}}"##);
        let mut report = Report::default();
        assert_eq!(
            read(&text, &[], &mut report),
            BTreeMap::from([('#', KeypadHandler::Reply { text: "Bye.".to_owned() })])
        );
        read(&json!("{"), &[], &mut report);
        read(&json!([]), &[], &mut report);
        assert_eq!(report.errors.len(), 2);
    }
}
