//! DynamoDB JSON (`{"title": {"S": "Pizza"}}`) to plain JSON and back.
//!
//! It is what `aws dynamodb put-item --item` takes and `get-item` prints. The service itself reads and writes
//! the table through the SDK, not through this.

use serde_json::{Map, Number, Value, json};
use thiserror::Error;

/// DynamoDB stores no deeper nesting.
const DEEPEST: usize = 32;

/// An attribute that is not DynamoDB JSON, or cannot be held as plain JSON.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {reason}")]
pub struct DynamodbJsonError {
    /// Where, for example `conversationRelayParams.voice` or `list[2]`.
    pub path: String,
    pub reason: &'static str,
}

/// Unwraps the types of an item.
///
/// Sets become lists, binary values stay the base64 text that they are, and numbers keep their value to the
/// last digit.
///
/// # Errors
///
/// The first attribute that is not `{"<type>": …}` with a type of DynamoDB and a fitting value, that is
/// nested more than 32 levels deep, or whose number has more digits than JSON numbers keep here (about 17).
pub fn from_dynamodb(item: &Value) -> Result<Map<String, Value>, DynamodbJsonError> {
    unwrap_fields(item, "", DEEPEST)
}

/// Wraps every attribute of an item in its type. Lists become `L`, never sets.
pub fn to_dynamodb(item: &Map<String, Value>) -> Value {
    item.iter().map(|(name, value)| (name.clone(), wrap(value))).collect::<Map<_, _>>().into()
}

fn wrap(value: &Value) -> Value {
    match value {
        Value::Null => json!({"NULL": true}),
        Value::Bool(value) => json!({"BOOL": value}),
        Value::Number(number) => json!({"N": number.to_string()}),
        Value::String(text) => json!({"S": text}),
        Value::Array(values) => json!({"L": values.iter().map(wrap).collect::<Vec<_>>()}),
        Value::Object(fields) => json!({"M": to_dynamodb(fields)}),
    }
}

fn unwrap(attribute: &Value, path: &str, depth: usize) -> Result<Value, DynamodbJsonError> {
    let wrong = |reason| DynamodbJsonError { path: path.to_owned(), reason };
    let mut types =
        attribute.as_object().ok_or_else(|| wrong("must be a map of one type and its value"))?.iter();
    let (Some((kind, value)), None) = (types.next(), types.next()) else {
        return Err(wrong("must have exactly one type"));
    };
    let Some(depth) = depth.checked_sub(1) else {
        return Err(wrong("is nested too deeply"));
    };
    match (kind.as_str(), value) {
        ("S" | "B", Value::String(text)) => Ok(Value::String(text.clone())),
        ("N", Value::String(text)) => {
            unwrap_number(text).ok_or_else(|| wrong("is no number that can be kept"))
        }
        ("BOOL", Value::Bool(value)) => Ok(Value::Bool(*value)),
        ("NULL", Value::Bool(true)) => Ok(Value::Null),
        ("M", fields) => unwrap_fields(fields, path, depth).map(Value::Object),
        ("L", Value::Array(values)) => unwrap_list(values, path, |value, path| unwrap(value, path, depth)),
        ("SS" | "BS", Value::Array(values)) => {
            unwrap_list(values, path, |value, path| unwrap(&json!({"S": value}), path, depth))
        }
        ("NS", Value::Array(values)) => {
            unwrap_list(values, path, |value, path| unwrap(&json!({"N": value}), path, depth))
        }
        ("S" | "B" | "N" | "BOOL" | "NULL" | "L" | "SS" | "BS" | "NS", _) => {
            Err(wrong("has a value that does not fit its type"))
        }
        _ => Err(wrong("has a type that DynamoDB does not have")),
    }
}

fn unwrap_fields(fields: &Value, path: &str, depth: usize) -> Result<Map<String, Value>, DynamodbJsonError> {
    let Value::Object(fields) = fields else {
        let path = if path.is_empty() { "the item" } else { path };
        return Err(DynamodbJsonError { path: path.to_owned(), reason: "must be a map of attributes" });
    };
    let mut plain = Map::new();
    for (name, value) in fields {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        plain.insert(name.clone(), unwrap(value, &path, depth)?);
    }
    Ok(plain)
}

fn unwrap_list(
    values: &[Value],
    path: &str,
    unwrap: impl Fn(&Value, &str) -> Result<Value, DynamodbJsonError>,
) -> Result<Value, DynamodbJsonError> {
    let unwrapped =
        values.iter().enumerate().map(|(index, value)| unwrap(value, &format!("{path}[{index}]")));
    unwrapped.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// The number, if it is one and none of its digits would be lost.
fn unwrap_number(text: &str) -> Option<Value> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    let number = Number::from_f64(text.parse().ok()?)?;
    (Decimal::of(text) == Decimal::of(&number.to_string())).then_some(Value::Number(number))
}

/// A decimal number taken apart so that two spellings of one value are equal: `digits` × 10 ^ `exponent`.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Takes apart what has been parsed as a number before. Nothing when the exponent is absurd.
    fn of(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}").replace(['+', '-'], "");
        let significant = all.trim_end_matches('0');
        let dropped = i64::try_from(all.len() - significant.len()).ok()?;
        let exponent = exponent
            .parse::<i64>()
            .ok()?
            .checked_sub(i64::try_from(fraction.len()).ok()?)?
            .checked_add(dropped)?;
        let digits = significant.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { is_negative: false, digits, exponent: 0 });
        }
        Some(Self { is_negative: mantissa.starts_with('-'), digits, exponent })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn complaint(item: &Value) -> String {
        from_dynamodb(item).unwrap_err().to_string()
    }

    #[test]
    fn every_type_is_unwrapped() {
        let item = json!({
            "text": {"S": "a"}, "whole": {"N": "300"}, "part": {"N": "0.30"}, "flag": {"BOOL": false},
            "nothing": {"NULL": true}, "bytes": {"B": "AQID"}, "list": {"L": [{"S": "a"}, {"N": "1"}]},
            "map": {"M": {"inner": {"M": {}}}}, "texts": {"SS": ["a", "b"]}, "numbers": {"NS": ["1", "2.5"]},
            "blobs": {"BS": ["AQID"]},
        });
        let plain = json!({
            "text": "a", "whole": 300, "part": 0.3, "flag": false, "nothing": null, "bytes": "AQID",
            "list": ["a", 1], "map": {"inner": {}}, "texts": ["a", "b"], "numbers": [1, 2.5],
            "blobs": ["AQID"],
        });
        assert_eq!(Value::Object(from_dynamodb(&item).unwrap()), plain);
    }

    #[test]
    fn every_value_is_wrapped() {
        let plain = json!({"a": "x", "b": 7, "c": 0.5, "d": true, "e": null, "f": [1], "g": {"h": "i"}});
        assert_eq!(
            to_dynamodb(plain.as_object().unwrap()),
            json!({
                "a": {"S": "x"}, "b": {"N": "7"}, "c": {"N": "0.5"}, "d": {"BOOL": true}, "e": {"NULL": true},
                "f": {"L": [{"N": "1"}]}, "g": {"M": {"h": {"S": "i"}}},
            })
        );
    }

    #[test]
    fn a_number_keeps_its_value_or_is_refused() {
        for (text, number) in [
            ("9223372036854775807", json!(i64::MAX)),
            ("18446744073709551615", json!(u64::MAX)),
            ("-12", json!(-12)),
            ("1E+2", json!(100.0)),
            ("1000000000000000000000", json!(1e21)),
            ("0.10", json!(0.1)),
            ("0.000", json!(0.0)),
        ] {
            assert_eq!(unwrap_number(text), Some(number), "{text}");
        }
        for text in
            ["3.14159265358979323846", "12345678901234567890123", "NaN", "inf", "", "0x10", "1E999", "1E-999"]
        {
            assert_eq!(unwrap_number(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        assert_eq!(complaint(&json!([])), "the item: must be a map of attributes");
        assert_eq!(complaint(&json!({"a": "b"})), "a: must be a map of one type and its value");
        assert_eq!(complaint(&json!({"a": {}})), "a: must have exactly one type");
        assert_eq!(complaint(&json!({"a": {"S": "x", "N": "1"}})), "a: must have exactly one type");
        assert_eq!(complaint(&json!({"a": {"X": "x"}})), "a: has a type that DynamoDB does not have");
        assert_eq!(complaint(&json!({"a": {"BOOL": "true"}})), "a: has a value that does not fit its type");
        assert_eq!(
            complaint(&json!({"a": {"M": {"b": {"L": [{"S": "x"}, {"N": 1}]}}}})),
            "a.b[1]: has a value that does not fit its type"
        );
        assert_eq!(complaint(&json!({"a": {"M": []}})), "a: must be a map of attributes");
        let deep = (0..DEEPEST).fold(json!({"S": "x"}), |inner, _| json!({"L": [inner]}));
        assert!(complaint(&json!({ "a": deep })).ends_with("is nested too deeply"));
    }

    fn plain_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (proptest::num::f64::NORMAL | proptest::num::f64::ZERO).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map("[A-Z]{0,4}|S|N|M|L|SS|NS", inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_wrapped_can_be_unwrapped(value in plain_json()) {
            let item = Map::from_iter([("value".to_owned(), value)]);
            prop_assert_eq!(from_dynamodb(&to_dynamodb(&item)), Ok(item));
        }

        #[test]
        fn no_json_makes_it_panic(value in plain_json(), number in "[-+0-9.eE]{0,24}") {
            let _ = from_dynamodb(&value);
            let _ = from_dynamodb(&json!({"a": {"N": number}}));
        }
    }
}
