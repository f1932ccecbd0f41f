//! One expression of a tool's text, compiled.

use std::fmt;

use serde_json::Value;

use super::values::{Values, json_of};
use crate::templates;

/// An expression that can be evaluated again and again.
pub(super) struct Expression(minijinja::Expression<'static, 'static>);

impl Expression {
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        templates::compile(text)
            .map(Self)
            .map_err(|error| format!("{{{{{text}}}}} is no expression: {}", error.kind()))
    }

    pub(super) fn value(&self, values: &Values) -> Result<Value, String> {
        let value = self.0.eval(values.engine()).map_err(|error| {
            // The details of an error may quote values, which are the caller's.
            format!("The tool could not use these arguments: {}.", error.kind())
        })?;
        Ok(json_of(&value))
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Expression")
    }
}
