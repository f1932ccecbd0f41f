//! TOML as plain JSON, and the keys that complete an item.

use serde_json::{Map, Number, Value};

use super::{Reason, records};

/// Reads TOML; dates become their text.
pub(super) fn from_toml(text: &str) -> Result<Map<String, Value>, Reason> {
    convert_table(toml::from_str(text)?)
}

fn convert_table(table: toml::Table) -> Result<Map<String, Value>, Reason> {
    table.into_iter().map(|(name, value)| Ok((name, convert(value)?))).collect()
}

fn convert(value: toml::Value) -> Result<Value, Reason> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => {
            let number = Number::from_f64(number);
            Value::Number(
                number.ok_or_else(|| Reason::content("holds a number that is infinite or not one"))?,
            )
        }
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(values) => {
            Value::Array(values.into_iter().map(convert).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => Value::Object(convert_table(table)?),
    })
}

/// The kinds of items that people write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    UseCase,
    Profile,
    Number,
    /// A number that must not be called.
    DoNotCall,
    /// What tools of the operator look up.
    Record,
}

impl Kind {
    /// The kind whose items have this `sk`.
    pub(super) fn of_sort_key(sk: &str) -> Option<Self> {
        let all = [Self::UseCase, Self::Profile, Self::Number, Self::DoNotCall, Self::Record];
        all.into_iter().find(|kind| kind.sort_key() == sk)
    }

    const fn sort_key(self) -> &'static str {
        match self {
            Self::UseCase => "configuration",
            Self::Profile => "profile",
            Self::Number => "number",
            Self::DoNotCall => "do-not-call",
            Self::Record => "record",
        }
    }

    /// `pk1` and `sk1` of an item.
    fn index_keys(self, pk: &str) -> (&str, &str) {
        match self {
            Self::UseCase => ("use-case", pk),
            Self::Record => records::index_keys(pk).unwrap_or(("record", pk)),
            Self::Profile | Self::Number | Self::DoNotCall => (self.sort_key(), pk),
        }
    }
}

/// Adds the four keys. They are not the author's to choose, so what stands there is overwritten.
pub(super) fn complete(mut item: Map<String, Value>, kind: Kind, pk: &str) -> Map<String, Value> {
    let (pk1, sk1) = kind.index_keys(pk);
    for (key, value) in [("pk", pk), ("sk", kind.sort_key()), ("pk1", pk1), ("sk1", sk1)] {
        item.insert(key.to_owned(), value.into());
    }
    item
}
