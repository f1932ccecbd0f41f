//! What templates of tools can speak of: `args`, `call`, `caller`, `variables` and `run`.

use std::collections::BTreeMap;
use std::fmt;

use minijinja::Value;
use minijinja::value::ValueKind;
use serde_json::{Map, Value as Json, json};
use voice_core::ports::ToolRequest;

use crate::tools::run_key;

/// Levels of JSON that templates can reach.
const DEEPEST: usize = 32;

/// The values of one run.
pub(in crate::tools) struct Values(Value);

impl fmt::Debug for Values {
    /// They are the caller's.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Values")
    }
}

impl Values {
    pub(in crate::tools) fn of(request: &ToolRequest) -> Self {
        let call = &request.call;
        let mut caller = call
            .caller
            .as_ref()
            .map_or_else(BTreeMap::new, |profile| converted_fields(profile.attributes.expose(), DEEPEST));
        caller.insert("number".to_owned(), Value::from(call.person().expose().as_str()));
        let variables = call.variables.expose().iter();
        let variables: BTreeMap<_, _> =
            variables.map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        let run = BTreeMap::from([("id".to_owned(), Value::from(run_key(request)))]);
        Self(Value::from(BTreeMap::from([
            ("args", converted(&request.input, DEEPEST)),
            ("call", converted(&call_facts(request), DEEPEST)),
            ("caller", Value::from(caller)),
            ("variables", Value::from(variables)),
            ("run", Value::from(run)),
        ])))
    }

    pub(super) fn engine(&self) -> Value {
        self.0.clone()
    }
}

/// What services outside are told of the call: `sid`, `from`, `to`, `person`, `direction`, `useCase`.
pub(in crate::tools) fn call_facts(request: &ToolRequest) -> Json {
    let call = &request.call;
    json!({
        "sid": call.call_sid,
        "from": call.from.expose(),
        "to": call.to.expose(),
        "person": call.person().expose(),
        "direction": call.direction.as_str(),
        "useCase": request.use_case.name,
    })
}

fn converted_fields(fields: &Map<String, Json>, depth: usize) -> BTreeMap<String, Value> {
    fields.iter().map(|(name, value)| (name.clone(), converted(value, depth))).collect()
}

/// What lies too deep is undefined, as `null` is.
fn converted(value: &Json, depth: usize) -> Value {
    match value {
        Json::String(text) => Value::from(text.as_str()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => Value::from(number),
            (_, Some(number), _) => Value::from(number),
            (.., number) => number.map_or(Value::UNDEFINED, Value::from),
        },
        Json::Array(items) if depth > 0 => {
            items.iter().map(|item| converted(item, depth - 1)).collect::<Vec<_>>().into()
        }
        Json::Object(fields) if depth > 0 => Value::from(converted_fields(fields, depth - 1)),
        Json::Null | Json::Array(_) | Json::Object(_) => Value::UNDEFINED,
    }
}

/// A value of the engine as JSON. What JSON has no word for is `null`.
pub(super) fn json_of(value: &Value) -> Json {
    let items = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => number_of(value),
        ValueKind::String => value.as_str().map_or(Json::Null, Json::from),
        ValueKind::Seq | ValueKind::Iterable => items().map(|item| json_of(&item)).collect(),
        ValueKind::Map => {
            let field = |key: Value| {
                let inside = value.get_item(&key).unwrap_or_default();
                (key.to_string(), json_of(&inside))
            };
            Json::Object(items().map(field).collect())
        }
        _ => Json::Null,
    }
}

fn number_of(value: &Value) -> Json {
    if let Some(number) = value.as_i64().filter(|_| value.is_integer()) {
        return Json::from(number);
    }
    match u64::try_from(value.clone()) {
        Ok(number) if value.is_integer() => Json::from(number),
        _ => f64::try_from(value.clone()).map_or(Json::Null, Json::from),
    }
}
