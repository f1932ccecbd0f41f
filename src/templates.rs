//! What prompts and the texts of tools have in common: expressions whose work is bounded by their own length.
//!
//! Only one expression at a time is looked at here. What stands around expressions, and what their values are, is for
//! whoever fills a text in.

use std::sync::LazyLock;

use minijinja::{Environment, Error, ErrorKind, Expression, UndefinedBehavior, Value, filters};
use thiserror::Error;

/// The engine descends into expressions, and a long one would overflow the stack, which ends the process.
const LONGEST_EXPRESSION: usize = 400;

/// Why a text is no expression that may be evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoExpression {
    #[error("{0:?} may not stand in a template's expressions")]
    Character(char),
    #[error("a template is not closed")]
    Open,
    #[error("an expression is longer than {LONGEST_EXPRESSION} bytes")]
    Long,
}

/// Splits behind an opening at the `closing` that ends the expression: into the expression and what follows. Text in
/// quotes may hold anything.
pub fn split<'a>(text: &'a str, closing: &str) -> Result<(&'a str, &'a str), NoExpression> {
    let mut quote = None;
    let mut is_escaped = false;
    for (index, character) in text.char_indices() {
        if index > LONGEST_EXPRESSION {
            return Err(NoExpression::Long);
        }
        if let Some(delimiter) = quote {
            match character {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                _ if character == delimiter => quote = None,
                _ => {}
            }
        } else if let Some(after) = text[index..].strip_prefix(closing) {
            return Ok((&text[..index], after));
        } else if matches!(character, '"' | '\'') {
            quote = Some(character);
        } else if !is_allowed(character) {
            return Err(NoExpression::Character(character));
        }
    }
    Err(NoExpression::Open)
}

/// Neither `*`, which repeats text and lists, nor braces, where this reader and the engine could disagree on an
/// expression's end, nor `%`.
fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || character.is_ascii_whitespace()
        || "_.,|()[]=!<>~+-".contains(character)
}

/// An engine with nothing in it but filters whose output is about as long as their input.
pub fn engine() -> Environment<'static> {
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

/// Compiles an expression that [`split`] has found.
pub fn compile(expression: &str) -> Result<Expression<'static, 'static>, Error> {
    static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(engine);

    let compiled = ENGINE.compile_expression_owned(expression.trim().to_owned())?;
    // Filters are looked up only when they run. Other failures depend on the values.
    match compiled.eval(Value::UNDEFINED) {
        Err(error) if is_unknown(error.kind()) => Err(error),
        _ => Ok(compiled),
    }
}

const fn is_unknown(kind: ErrorKind) -> bool {
    use ErrorKind::{UnknownFilter, UnknownFunction, UnknownMethod, UnknownTest};

    matches!(kind, UnknownFilter | UnknownFunction | UnknownMethod | UnknownTest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_ends_where_it_is_closed_outside_of_quotes() {
        assert_eq!(split(" a }} b", "}}"), Ok((" a ", " b")));
        assert_eq!(split(r#"'}}' ~ "\"}}" }}"#, "}}"), Ok((r#"'}}' ~ "\"}}" "#, "")));
        assert_eq!(split("a == '%}' %}b", "%}"), Ok(("a == '%}' ", "b")));
        assert_eq!(split("a", "}}"), Err(NoExpression::Open));
        assert_eq!(split("'a }}", "}}"), Err(NoExpression::Open));
        assert_eq!(split(r"'\\' * 9 }}", "}}"), Err(NoExpression::Character('*')));
        assert_eq!(
            split(&format!("a{} }}}}", ".b".repeat(LONGEST_EXPRESSION)), "}}"),
            Err(NoExpression::Long)
        );
    }

    #[test]
    fn what_the_engine_does_not_have_is_found_out_before_it_runs() {
        for expression in ["a | upper", "a.b[1] ~ 'x'", "a if b else c", "a | default('none') | trim"] {
            assert!(compile(expression).is_ok(), "{expression}");
        }
        for expression in ["a | nonsense", "nonsense()", "a is nonsense", "1 +", "", "a b"] {
            assert!(compile(expression).is_err(), "{expression}");
        }
    }
}
