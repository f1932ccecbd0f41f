//! Says whether a template keeps to the part of the language whose work is bounded by the template's own
//! length.
//!
//! Allowed are `{# comments #}`, `{{ values }}` and `{% if %}`, `{% elif %}`, `{% else %}`, `{% endif %}`,
//! with operators that cannot multiply text. Whether the template is otherwise well formed is for the engine
//! to say. Where this reader and the engine could disagree on an expression's end, as inside braces, the
//! template is refused.

use thiserror::Error;

use crate::templates::{NoExpression, split};

/// What a template may not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(in crate::catalog) enum Refusal {
    #[error("only if, elif, else and endif may stand in {{% %}}")]
    Statement,
    #[error("there are more than {MOST_STATEMENTS} {{% %}}")]
    Many,
    #[error(transparent)]
    Expression(#[from] NoExpression),
}

/// The engine descends into conditions, and a template with many of them would overflow the stack, which ends the process.
const MOST_STATEMENTS: usize = 100;

const STATEMENTS: [&str; 4] = ["if", "elif", "else", "endif"];

/// Whether the text holds anything that a template engine would look at.
pub(in crate::catalog) fn has_templates(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|opening| text.contains(opening))
}

/// Refuses what could make rendering long.
pub(in crate::catalog) fn check(template: &str) -> Result<(), Refusal> {
    let mut rest = template;
    let mut statements = 0;
    while let Some(start) = rest.find('{') {
        let tag = &rest[start..];
        rest = if let Some(comment) = tag.strip_prefix("{#") {
            comment.split_once("#}").ok_or(NoExpression::Open)?.1
        } else if let Some(expression) = tag.strip_prefix("{{") {
            split(expression, "}}")?.1
        } else if let Some(statement) = tag.strip_prefix("{%") {
            check_statement(statement)?;
            statements += 1;
            if statements > MOST_STATEMENTS {
                return Err(Refusal::Many);
            }
            split(statement, "%}")?.1
        } else {
            &tag[1..]
        };
    }
    Ok(())
}

/// What stands in `{{ … }}`, of a template that [`check`] has passed and that has neither statements nor comments.
pub(in crate::catalog) fn expressions(template: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = template;
    while let Some((_, tag)) = rest.split_once("{{") {
        let Ok((expression, after)) = split(tag, "}}") else { break };
        found.push(expression.trim());
        rest = after;
    }
    found
}

fn check_statement(statement: &str) -> Result<(), Refusal> {
    let statement = statement.strip_prefix(['-', '+']).unwrap_or(statement).trim_start();
    let end = statement.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let keyword = &statement[..end.unwrap_or(statement.len())];
    if STATEMENTS.contains(&keyword) { Ok(()) } else { Err(Refusal::Statement) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_conditions_are_allowed() {
        for template in [
            "no template at all { % }",
            "{{ caller.firstName | default('friend') }} {# a * comment {{ #} {{- date -}}",
            "{% if caller.plan == \"g*ld }} %}\" and not x %}a{% elif y %}b{%- else +%}c{% endif %}",
            r#"{{ "an \" escaped * quote" }}"#,
        ] {
            assert_eq!(check(template), Ok(()), "{template}");
        }
    }

    #[test]
    fn what_repeats_is_refused() {
        for statement in
            ["for x in y", "set x = 1", "macro f()", "include 'x'", "raw", "filter upper", "", "iffy"]
        {
            assert_eq!(check(&format!("{{% {statement} %}}")), Err(Refusal::Statement), "{statement}");
        }
        assert_eq!(check("{{ 'a' * 1000000 }}"), Err(Refusal::Expression(NoExpression::Character('*'))));
        assert_eq!(
            check("{% if 'a' * 1000000 %}{% endif %}"),
            Err(Refusal::Expression(NoExpression::Character('*')))
        );
        assert_eq!(check("{{ {'a': 1}}} * 9 }}"), Err(Refusal::Expression(NoExpression::Character('{'))));
        assert_eq!(check("{# {{ ' #}{{ 'a' * 9 }}"), Err(Refusal::Expression(NoExpression::Character('*'))));
        assert_eq!(check(r"{{ '\\' * 9 }}"), Err(Refusal::Expression(NoExpression::Character('*'))));
    }

    #[test]
    fn what_the_engine_would_descend_into_too_far_is_refused() {
        assert_eq!(check(&format!("{{{{ a{} }}}}", ".b".repeat(500))), Err(NoExpression::Long.into()));
        assert_eq!(check(&format!("{{{{ '{}' }}}}", "x".repeat(500))), Err(NoExpression::Long.into()));
        assert_eq!(check(&"{% if a %}".repeat(MOST_STATEMENTS + 1)), Err(Refusal::Many));
        assert_eq!(check(&"{% if a %}".repeat(MOST_STATEMENTS)), Ok(()));
        assert_eq!(check(&"{{ a }}".repeat(10 * MOST_STATEMENTS)), Ok(()));
    }

    #[test]
    fn expressions_are_found() {
        assert_eq!(expressions("a { {{ b }}{{'}}' ~ c}} }} d"), ["b", "'}}' ~ c"]);
        assert_eq!(expressions("{{ open"), Vec::<&str>::new());
    }

    #[test]
    fn what_stays_open_is_refused() {
        for template in ["{{ a", "{# a", "{% if a", "{{ 'a }}"] {
            assert_eq!(check(template), Err(NoExpression::Open.into()), "{template}");
        }
    }
}
