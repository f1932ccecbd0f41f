//! One expression: read to its end, checked to be bounded, compiled.

use std::fmt;
use std::sync::LazyLock;

use minijinja::{Environment, ErrorKind, UndefinedBehavior, filters};
use serde_json::Value;

use super::values::{Values, json_of};

/// The engine descends into expressions, and a long one would overflow the stack.
const LONGEST: usize = 400;

/// An expression that can be evaluated again and again.
pub(super) struct Expression(minijinja::Expression<'static, 'static>);

impl Expression {
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(engine);

        let unusable =
            |error: &minijinja::Error| format!("{{{{{text}}}}} is no expression: {}", error.kind());
        let compiled = ENGINE.compile_expression_owned(text.trim().to_owned());
        let compiled = Self(compiled.map_err(|error| unusable(&error))?);
        // Filters are looked up only when they run. Other failures depend on the values.
        match compiled.0.eval(minijinja::Value::UNDEFINED) {
            Err(error) if is_unknown(error.kind()) => Err(unusable(&error)),
            _ => Ok(compiled),
        }
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

const fn is_unknown(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod
    )
}

/// An engine with nothing in it but filters whose output is about as long as their input.
fn engine() -> Environment<'static> {
    let mut engine = Environment::empty();
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    engine.set_debug(false);
    engine.add_filter("default", filters::default);
    engine.add_filter("upper", filters::upper);
    engine.add_filter("lower", filters::lower);
    engine.add_filter("title", filters::title);
    engine.add_filter("capitalize", filters::capitalize);
    engine.add_filter("trim", filters::trim);
    engine
}

/// Splits at the `}}` that ends an expression; text in quotes may hold anything.
pub(super) fn split(inside: &str) -> Result<(&str, &str), String> {
    let mut quote = None;
    let mut is_escaped = false;
    for (index, character) in inside.char_indices() {
        if index > LONGEST {
            return Err(format!("an expression is longer than {LONGEST} bytes"));
        }
        if let Some(delimiter) = quote {
            match character {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                _ if character == delimiter => quote = None,
                _ => {}
            }
        } else if let Some(after) = inside[index..].strip_prefix("}}") {
            return Ok((&inside[..index], after));
        } else if matches!(character, '"' | '\'') {
            quote = Some(character);
        } else if !is_allowed(character) {
            return Err(format!("{character:?} may not stand in an expression"));
        }
    }
    Err("{{ is not closed".to_owned())
}

/// Neither `*`, which repeats text and lists, nor braces, nor `%`.
fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || character.is_ascii_whitespace()
        || "_.,|()[]=!<>~+-".contains(character)
}
