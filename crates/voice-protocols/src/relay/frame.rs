//! Reading fields out of a JSON object, and writing one with its `type` first. Knows no message.

use serde_json::{Map, Value};

use super::MalformedFrame;

/// The fields of one received frame, taken out one by one.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn parse(text: &str) -> Result<Self, MalformedFrame> {
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(MalformedFrame::NotAnObject),
            Err(error) => Err(MalformedFrame::NotJson { line: error.line(), column: error.column() }),
        }
    }

    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.0.remove(name)
    }

    /// The `type` of the frame.
    pub(super) fn kind(&mut self) -> Result<String, MalformedFrame> {
        self.required_string("type")
    }

    /// Text that may be absent: `null` reads as empty, a number or boolean as it is written.
    pub(super) fn lenient_text(&mut self, name: &'static str) -> Result<String, MalformedFrame> {
        match self.take(name) {
            Some(Value::Array(_) | Value::Object(_)) => {
                Err(MalformedFrame::Invalid { field: name, expected: "text" })
            }
            value => Ok(value.map(text_of).unwrap_or_default()),
        }
    }

    pub(super) fn required_string(&mut self, name: &'static str) -> Result<String, MalformedFrame> {
        self.optional_string(name)?.ok_or(MalformedFrame::Missing(name))
    }

    /// A string or nothing. `null` is not nothing.
    pub(super) fn optional_string(&mut self, name: &'static str) -> Result<Option<String>, MalformedFrame> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(MalformedFrame::Invalid { field: name, expected: "a string" }),
        }
    }

    /// A boolean or nothing. `null` is not nothing.
    pub(super) fn optional_bool(&mut self, name: &'static str) -> Result<Option<bool>, MalformedFrame> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(MalformedFrame::Invalid { field: name, expected: "a boolean" }),
        }
    }
}

/// Any JSON value as text: a string without its quotes, `null` as nothing, the rest as JSON.
pub(super) fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Writes one frame, fields in the order given, so that a trace reads the way the vendor documents it.
pub(super) struct FrameWriter(String);

impl FrameWriter {
    pub(super) fn new(kind: &str) -> Self {
        let mut frame = Self(String::with_capacity(96));
        frame.0.push('{');
        frame.member("type", kind);
        frame
    }

    pub(super) fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.push(',');
        self.member(name, value);
        self
    }

    pub(super) fn optional(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn member(&mut self, name: &str, value: impl Into<Value>) {
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
        self.0.push_str(&value.into().to_string());
    }
}
