//! Masks what must not be kept: card numbers always, and what a use case's patterns match.
//!
//! It works on words, one text at a time. Whether anything is kept at all is not decided here.

mod cards;

use std::borrow::Cow;
use std::ops::Range;

use regex::Regex;
use serde_json::Value;

use crate::message::{Message, ToolCall, ToolOutcome};
use crate::use_case::Storage;

/// Stands where something that a pattern matched has been.
const REDACTED: &str = "[redacted]";
/// Stands where the number of a payment card has been.
const CARD_NUMBER: &str = "[card number]";

/// The rules of one use case.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    patterns: Vec<Regex>,
}

impl Redactor {
    pub fn new(storage: &Storage) -> Self {
        Self { patterns: storage.patterns.clone() }
    }

    /// The text as it may be kept; the same text, and nothing allocated, when nothing of it has to be masked.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        // The patterns were written for what people say, not for what is left of it.
        let mut masked = Cow::Borrowed(text);
        for pattern in &self.patterns {
            let found = pattern.find_iter(&masked).map(|found| found.range());
            let found: Vec<_> =
                found.filter(|found| !found.is_empty() && !is_marked(&masked, found)).collect();
            masked = replace(masked, &found, REDACTED);
        }
        let cards = cards::find_all(&masked);
        replace(masked, &cards, CARD_NUMBER)
    }

    /// All strings and numbers of a value as they may be kept; keys stay. A number that is masked becomes a string.
    pub fn json(&self, value: &Value) -> Value {
        match value {
            Value::Null | Value::Bool(_) => value.clone(),
            Value::Number(number) => match self.text(&number.to_string()) {
                Cow::Borrowed(_) => value.clone(),
                Cow::Owned(masked) => Value::String(masked),
            },
            Value::String(text) => Value::String(self.text(text).into_owned()),
            Value::Array(values) => values.iter().map(|value| self.json(value)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(key, value)| (key.clone(), self.json(value))).collect()
            }
        }
    }

    /// Words, arguments and outcomes of a message as they may be kept; ids and names of tools stay.
    pub fn message(&self, message: &Message) -> Message {
        let words = |text: &str| self.text(text).into_owned();
        match message {
            Message::Caller { text } => Message::Caller { text: words(text) },
            Message::Agent { text, tool_calls } => Message::Agent {
                text: words(text),
                tool_calls: tool_calls
                    .iter()
                    .map(|call| ToolCall {
                        id: call.id.clone(),
                        name: call.name.clone(),
                        input: self.json(&call.input),
                    })
                    .collect(),
            },
            Message::Outcomes { outcomes, text } => Message::Outcomes {
                outcomes: outcomes
                    .iter()
                    .map(|outcome| ToolOutcome {
                        id: outcome.id.clone(),
                        status: outcome.status,
                        content: self.json(&outcome.content),
                    })
                    .collect(),
                text: words(text),
            },
        }
    }
}

/// Puts the mark in place of each range; they are in order and do not overlap.
fn replace<'a>(text: Cow<'a, str>, ranges: &[Range<usize>], mark: &str) -> Cow<'a, str> {
    if ranges.is_empty() {
        return text;
    }
    let mut masked = String::with_capacity(text.len());
    let mut kept = 0;
    for range in ranges {
        masked.push_str(&text[kept..range.start]);
        masked.push_str(mark);
        kept = range.end;
    }
    masked.push_str(&text[kept..]);
    Cow::Owned(masked)
}

/// Whether the range lies within something that has been masked already: a pattern may match the word "redacted".
fn is_marked(text: &str, range: &Range<usize>) -> bool {
    [REDACTED, CARD_NUMBER].into_iter().any(|mark| {
        let starts = range.start.saturating_sub(mark.len() - 1)..=range.start;
        let mut places = starts.map(|start| start..start + mark.len());
        places.any(|place| range.end <= place.end && text.get(place) == Some(mark))
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;
    use regex::Regex;
    use serde_json::json;

    use super::{Redactor, cards};
    use crate::message::{Message, ToolCall, ToolCallId, ToolOutcome};
    use crate::use_case::Storage;

    fn masked(text: &str) -> String {
        Redactor::default().text(text).into_owned()
    }

    fn with_patterns(patterns: &[&str]) -> Redactor {
        let patterns = patterns.iter().map(|pattern| Regex::new(pattern).unwrap()).collect();
        Redactor::new(&Storage { patterns, ..Storage::default() })
    }

    #[test]
    fn card_numbers_are_masked_however_they_are_written_or_said() {
        for (text, expected) in [
            ("It is 4111111111111111.", "It is [card number]."),
            ("4111 1111 1111 1111", "[card number]"),
            ("4111-1111-1111-1111, 12/28", "[card number], 12/28"),
            ("4111.1111.1111.1111", "[card number]"),
            ("amex 3782 822463 10005 ok", "amex [card number] ok"),
            ("4111, 1111, 1111, 1111.", "[card number]."),
            (
                "(The caller pressed 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 on the keypad.)",
                "(The caller pressed [card number] on the keypad.)",
            ),
            (
                "Four one one one one one one one one one one one one one one one, please",
                "[card number], please",
            ),
            ("five one oh five one oh five one o five one oh five one zero oh", "[card number]"),
            ("this one 4111 1111 1111 1111 for two", "this one [card number] for two"),
            ("x4111111111111111y", "x[card number]y"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn what_follows_a_card_does_not_hide_it() {
        for text in [
            "4111 1111 1111 1111 12 28",
            "4111 1111 1111 1111 123",
            "41111111111111111228",
            "(The caller pressed 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 2 2 8 on the keypad.)",
            "12 4111 1111 1111 1111",
            "oh four one one one one one one one one one one one one one one one",
        ] {
            let masked = masked(text);
            assert!(masked.contains("[card number]"), "{text}: {masked}");
        }
    }

    #[test]
    fn other_numbers_stay() {
        for text in [
            "",
            "Call +1 415 555 0100 or 415-555-0101.",
            "4111 1111 1111 1112",
            "Order 12345678901234567890123456789 is ready.",
            "one or two, three of four",
            "at 10.30 on 2026-01-31, 25 minutes, 1.5 km",
        ] {
            assert!(matches!(Redactor::default().text(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn patterns_of_the_use_case_are_masked_first() {
        let redactor = with_patterns(&[r"(?i)account \d+", r"pin: .*", "redact", "x*"]);
        assert_eq!(redactor.text("Account 12 and account 345."), "[redacted] and [redacted].");
        assert_eq!(redactor.text("pin: 4111111111111111 or so"), "[redacted]");
        assert_eq!(redactor.text("nothing of it"), "nothing of it");
        let once = redactor.text("pin: 1").into_owned();
        assert_eq!(redactor.text(&once), once, "a mark is not masked again");
    }

    #[test]
    fn strings_and_numbers_of_json_are_masked_and_keys_are_not() {
        let value = json!({
            "4111111111111111": {"card": 4_111_111_111_111_111_u64, "list": ["4111 1111 1111 1111", 7, null]},
            "paid": true,
            "total": 12.5,
        });
        let expected = json!({
            "4111111111111111": {"card": "[card number]", "list": ["[card number]", 7, null]},
            "paid": true,
            "total": 12.5,
        });
        assert_eq!(Redactor::default().json(&value), expected);
    }

    #[test]
    fn every_part_of_a_message_is_masked() {
        let (card, id) = ("4111111111111111", ToolCallId("a".to_owned()));
        let mask = "[card number]";
        let messages = |card: &str| {
            [
                Message::Caller { text: format!("It is {card}.") },
                Message::Agent {
                    text: format!("So {card}?"),
                    tool_calls: vec![ToolCall {
                        id: id.clone(),
                        name: "pay".to_owned(),
                        input: json!({ "card": card }),
                    }],
                },
                Message::Outcomes {
                    outcomes: vec![ToolOutcome::success(id.clone(), json!({ "paid_with": card }))],
                    text: format!("Yes, {card}."),
                },
            ]
        };
        assert_eq!(messages(card).map(|message| Redactor::default().message(&message)), messages(mask));
    }

    /// Sixteen digits that pass the check.
    fn card() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0u8..10, 15).prop_map(|mut digits| {
            let check = (0..10).find(|check| cards::passes_check(digits.iter().copied().chain([*check])));
            digits.push(check.unwrap());
            digits
        })
    }

    fn written(digits: &[u8], separators: &[&str]) -> String {
        let mut written = String::new();
        for (digit, separator) in digits.iter().zip(separators) {
            written.push_str(if written.is_empty() { "" } else { separator });
            written.push_str(&digit.to_string());
        }
        written
    }

    proptest! {
        #[test]
        fn no_card_survives(
            before in "[^0-9]{0,20}",
            digits in card(),
            separators in prop::collection::vec(prop::sample::select(vec!["", " ", "-", "."]), 16),
            after in "[^0-9]{0,20}",
        ) {
            let masked = masked(&format!("{before}{}{after}", written(&digits, &separators)));
            prop_assert!(!masked.contains(|c: char| c.is_ascii_digit()), "{}", masked);
            prop_assert!(masked.contains("[card number]"));
        }

        #[test]
        fn no_spoken_card_survives(digits in card(), oh in any::<bool>()) {
            let zero = if oh { "oh" } else { "zero" };
            let words = [zero, "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
            let spoken: Vec<_> = digits.iter().map(|digit| words[usize::from(*digit)]).collect();
            prop_assert_eq!(masked(&format!("My card: {}.", spoken.join(" "))), "My card: [card number].");
        }

        #[test]
        fn text_without_digits_is_untouched(text in "[^0-9]{0,60}") {
            // Words for digits would have to be thirteen to matter.
            prop_assert!(matches!(Redactor::default().text(&text), Cow::Borrowed(same) if same == text));
        }

        #[test]
        fn masking_twice_is_masking_once(
            parts in prop::collection::vec(prop_oneof![
                "[0-9]{1,20}",
                "[ .,-]{1,2}",
                Just(" one ".to_owned()),
                Just("oh ".to_owned()),
                Just("4111 1111 1111 1111".to_owned()),
                "[a-z]{1,3}",
            ], 0..12),
        ) {
            let once = masked(&parts.concat());
            prop_assert_eq!(masked(&once), once);
        }
    }
}
