//! Which values an attribute takes, looked at alone. Knows no attribute.

use crate::relay::Interruptible;

#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// Anything: free text, or values that Twilio does not list.
    Text,
    Bool,
    OneOf(&'static [&'static str]),
    /// Like `OneOf`, whatever the case: Twilio takes `google` for `Google`.
    Provider(&'static [&'static str]),
    /// Any of these, separated by spaces.
    Words(&'static [&'static str]),
    Interruptible,
    Number {
        from: f64,
        to: f64,
    },
    AutoOrMilliseconds {
        from: u32,
        to: u32,
    },
    /// A BCP 47 tag, or `multi` for detection.
    LanguageOrMulti,
}

impl Rule {
    /// Why the value is refused, or None if it is fine.
    pub(super) fn refusal(self, value: &str) -> Option<String> {
        let fits = match self {
            Self::Text => true,
            Self::Bool => matches!(value, "true" | "false"),
            Self::OneOf(allowed) => allowed.contains(&value),
            Self::Provider(allowed) => allowed.iter().any(|name| name.eq_ignore_ascii_case(value)),
            Self::Words(allowed) => value.split_ascii_whitespace().all(|word| allowed.contains(&word)),
            Self::Interruptible => Interruptible::from_attribute(value).is_some(),
            Self::Number { from, to } => value.parse().is_ok_and(|number| (from..=to).contains(&number)),
            Self::AutoOrMilliseconds { from, to } => {
                value == "auto" || value.parse().is_ok_and(|number| (from..=to).contains(&number))
            }
            Self::LanguageOrMulti => is_language_tag(value),
        };
        (!fits).then(|| format!("takes {}", self.describe()))
    }

    fn describe(self) -> String {
        match self {
            Self::Text => "any text".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::OneOf(allowed) | Self::Provider(allowed) => format!("one of {}", allowed.join(", ")),
            Self::Words(allowed) => format!("any of {}, separated by spaces", allowed.join(", ")),
            Self::Interruptible => "none, dtmf, speech, any, true or false".to_owned(),
            Self::Number { from, to } => format!("a number from {from} to {to}"),
            Self::AutoOrMilliseconds { from, to } => {
                format!("auto or a whole number of milliseconds from {from} to {to}")
            }
            Self::LanguageOrMulti => "a language tag such as en-US, or multi".to_owned(),
        }
    }
}

/// The shape of a BCP 47 tag, or the word `multi`. Which languages a vendor speaks is not checked.
fn is_language_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let primary = parts.next().unwrap_or_default();
    let primary_fits = (2..=3).contains(&primary.len()) && primary.bytes().all(|b| b.is_ascii_alphabetic());
    let subtag =
        |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    text == "multi" || (primary_fits && parts.all(subtag))
}
