//! Looks at the templates of a tool before a call depends on them: whether they can be read, and whether what they name
//! exists.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::problem::Report;
use super::section::item_path;
use crate::catalog::prompt::bounded_syntax;
use crate::templates;

const ROOTS: [&str; 5] = ["args", "call", "caller", "variables", "run"];
const OF_THE_CALL: [&str; 6] = ["sid", "from", "to", "person", "direction", "useCase"];
const OF_THE_RUN: [&str; 1] = ["id"];

/// What the templates of one tool may name.
#[derive(Debug)]
pub(super) struct Templates<'a> {
    /// The arguments that the tool's schema declares; nothing when that cannot be told from it.
    arguments: Option<BTreeSet<&'a str>>,
}

impl<'a> Templates<'a> {
    pub(super) fn of_schema(schema: Option<&'a Value>) -> Self {
        Self { arguments: schema.and_then(declared_arguments) }
    }

    /// Reports what is wrong with a text that may hold templates.
    pub(super) fn check(&self, text: &str, path: &str, report: &mut Report) {
        if !bounded_syntax::has_templates(text) {
            return;
        }
        if text.contains("{%") || text.contains("{#") {
            report.error(path, "may hold {{ values }} only, neither {% statements %} nor {# comments #}");
            return;
        }
        // It bounds how deep the engine descends, which would otherwise end the process.
        if let Err(refusal) = bounded_syntax::check(text) {
            report.error(path, format!("is a template that cannot be read: {refusal}"));
            return;
        }
        for expression in bounded_syntax::expressions(text) {
            self.check_expression(expression, path, report);
        }
    }

    fn check_expression(&self, text: &str, path: &str, report: &mut Report) {
        let expression = match templates::compile(text) {
            Ok(expression) => expression,
            Err(error) => {
                let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
                let reason = format!("is a template that cannot be read: {{{{ {text} }}}}: {detail}");
                return report.error(path, reason);
            }
        };
        let names: BTreeSet<_> = expression.undeclared_variables(true).into_iter().collect();
        for reason in names.iter().filter_map(|name| self.unknown(name)) {
            report.warn(path, reason);
        }
    }

    /// Checks every text in a JSON value.
    pub(super) fn check_all(&self, value: &Value, path: &str, report: &mut Report) {
        match value {
            Value::String(text) => self.check(text, path, report),
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    self.check_all(value, &item_path(path, index), report);
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.check_all(value, &format!("{path}.{name}"), report);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Why a name such as `args.id` stands for nothing.
    fn unknown(&self, name: &str) -> Option<String> {
        let (root, rest) = name.split_once('.').unwrap_or((name, ""));
        let field = rest.split('.').next().filter(|field| !field.is_empty());
        if !ROOTS.contains(&root) {
            return Some(format!("{name} is not defined; there are {}", ROOTS.join(", ")));
        }
        let field = field?;
        let known = match root {
            "args" => self.arguments.as_ref().is_none_or(|arguments| arguments.contains(field)),
            "call" => OF_THE_CALL.contains(&field),
            "run" => OF_THE_RUN.contains(&field),
            _ => true,
        };
        (!known).then(|| match root {
            "args" => format!("args.{field} is not defined: the tool's schema has no such argument"),
            "call" => format!("call.{field} is not defined; there are {}", OF_THE_CALL.join(", ")),
            _ => format!("{root}.{field} is not defined"),
        })
    }
}

/// The arguments that an object schema declares; nothing when they may be declared elsewhere.
pub(super) fn declared_arguments(schema: &Value) -> Option<BTreeSet<&str>> {
    const ELSEWHERE: [&str; 6] = ["$ref", "allOf", "anyOf", "oneOf", "if", "patternProperties"];
    let schema = schema.as_object()?;
    if ELSEWHERE.iter().any(|name| schema.contains_key(*name)) {
        return None;
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    Some(properties.into_iter().flat_map(Map::keys).map(String::as_str).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn findings(text: &str, schema: &Value) -> (Vec<String>, Vec<String>) {
        let mut report = Report::default();
        Templates::of_schema(Some(schema)).check(text, "url", &mut report);
        let reasons = |problems: Vec<super::super::Problem>| problems.into_iter().map(|p| p.reason).collect();
        (reasons(report.errors), reasons(report.warnings))
    }

    #[test]
    fn what_a_template_may_name_is_known() {
        let schema = json!({"type": "object", "properties": {"id": {"type": "string"}}});
        let text =
            "/{{ args.id | upper }}/{{ call.person }}/{{ caller.any.thing }}/{{ variables.x }}/{{ run.id }}";
        assert_eq!(findings(text, &schema), (vec![], vec![]));
        for (text, name) in [
            ("{{ id }}", "id is not defined"),
            ("{{ args.ID }}", "args.ID"),
            ("{{ call.number }}", "call.number"),
            ("{{ run.generation }}", "run.generation"),
            ("{{ secrets.key }}", "secrets.key"),
        ] {
            let (errors, warnings) = findings(text, &schema);
            assert!(
                errors.is_empty() && warnings.len() == 1 && warnings[0].contains(name),
                "{text}: {warnings:?}"
            );
        }
        let open = json!({"type": "object", "anyOf": [{"properties": {"id": {}}}]});
        assert_eq!(findings("{{ args.anything }}", &open), (vec![], vec![]));
    }

    #[test]
    fn a_template_that_cannot_be_read_is_an_error() {
        let deep = format!("{{{{ {}1 }}}}", "(-".repeat(1000));
        for text in [
            "{{ args.",
            "{{ 1 + }}",
            "{{ }}",
            "{{ args.a - 1 }}{{ args.b | nonsense }}",
            "{{ nonsense() }}",
            "{% if x %}{% endif %}",
            "{# note #}",
            "{{ 'a' * 9 }}",
            &deep,
        ] {
            let (errors, _) = findings(text, &json!({}));
            assert_eq!(errors.len(), 1, "{text}");
        }
    }
}
