//! Texts of tools with `{{ expressions }}` in them, compiled once and filled in for every run.
//!
//! Only expressions are understood: no statements, no loops, nothing that multiplies text, so that the work is
//! proportional to what is written and what is filled in. How a value is written, percent-encoded for example, is for
//! whoever asks. What is filled in is data and is never read as a template.

mod expression;
mod json;
mod values;

use serde_json::Value;

use self::expression::Expression;
pub(super) use self::json::JsonTemplate;
pub(super) use self::values::{Values, call_facts};
use crate::templates::split;

/// Longer than anything that a tool sends.
const LONGEST_OUTPUT: usize = 256 * 1024;

/// A text, compiled.
#[derive(Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Literal(String),
    Expression(Expression),
}

impl Template {
    /// Compiles a text, or says what is wrong with it.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (before, tag) = rest.split_at(start);
            push_literal(&mut parts, before);
            if let Some(inside) = tag.strip_prefix("{{") {
                let (expression, after) = split(inside, "}}").map_err(|refusal| refusal.to_string())?;
                parts.push(Part::Expression(Expression::compile(expression)?));
                rest = after;
            } else if tag.starts_with("{%") || tag.starts_with("{#") {
                return Err("only {{ expressions }} may stand in a template of a tool".to_owned());
            } else {
                push_literal(&mut parts, "{");
                rest = &tag[1..];
            }
        }
        push_literal(&mut parts, rest);
        Ok(Self { parts })
    }

    /// Fills the text in. `write` appends a value; what it refuses fails the run.
    pub(super) fn fill(
        &self,
        values: &Values,
        mut write: impl FnMut(&str, &mut String) -> Result<(), String>,
    ) -> Result<String, String> {
        let mut output = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => output.push_str(text),
                Part::Expression(expression) => write(&text_of(&expression.value(values)?), &mut output)?,
            }
            if output.len() > LONGEST_OUTPUT {
                return Err("What this tool would send is too long.".to_owned());
            }
        }
        Ok(output)
    }

    /// Fills the text in with values as they are.
    pub(super) fn fill_plainly(&self, values: &Values) -> Result<String, String> {
        self.fill(values, |value, output| {
            output.push_str(value);
            Ok(())
        })
    }

    /// The text with `value` in place of every expression.
    pub(super) fn with_each(&self, value: &str) -> String {
        let text = self.parts.iter().map(|part| match part {
            Part::Literal(text) => text.as_str(),
            Part::Expression(_) => value,
        });
        text.collect()
    }

    /// The only expression, when there is nothing else.
    fn into_single_expression(self) -> Result<Expression, Self> {
        match <[Part; 1]>::try_from(self.parts) {
            Ok([Part::Expression(expression)]) => Ok(expression),
            Ok(parts) => Err(Self { parts: parts.into() }),
            Err(parts) => Err(Self { parts }),
        }
    }

    fn is_literal(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    }
}

fn push_literal(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Literal(before)) => before.push_str(text),
        _ => parts.push(Part::Literal(text.to_owned())),
    }
}

/// A value inside a text: nothing for `null`, JSON for what is no text.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use voice_core::ports::CallContext;
    use voice_core::use_case::CallerProfile;

    use super::*;
    use crate::tools::testing;

    fn filled(text: &str, arguments: Value) -> Result<String, String> {
        let values = Values::of(&testing::request(testing::tool("t"), arguments));
        Template::compile(text)?.fill_plainly(&values)
    }

    #[test]
    fn expressions_reach_arguments_call_caller_variables_and_run() {
        for (text, expected) in [
            ("{{ args.id }}/{{args.n}}", "A-1/7"),
            ("{{ args.deep.list[1] }} {{ args.flag }}", "two true"),
            ("{{ call.sid }} {{ call.from }} {{ call.to }}", "CA1 +14155550100 +18005550199"),
            ("{{ call.person }} {{ call.direction }} {{ call.useCase }}", "+14155550100 inbound reception"),
            ("{{ caller.firstName | upper }} {{ variables.order }}", "ADA 42"),
            ("{{ run.id }}", "CA1:3:t-1"),
            ("[{{ args.nothing }}{{ args.no.such.thing }}{{ nobody }}]", "[]"),
            ("{{ args.nothing | default('none') }} {{ 'a }} b' }}", "none a }} b"),
            ("{{ args.deep }}", r#"{"list":["one","two"]}"#),
            ("no { template } %}", "no { template } %}"),
            ("{{ 'yes' if args.flag else 'no' }}", "yes"),
        ] {
            let arguments = json!({ "id": "A-1", "n": 7, "flag": true, "deep": { "list": ["one", "two"] }, "nothing": null });
            assert_eq!(filled(text, arguments).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_callers_number_is_the_persons_whatever_the_profile_says() {
        let mut request = testing::request(testing::tool("t"), json!({}));
        let attributes = json!({ "number": "+14155550199", "plan": "gold" }).as_object().cloned().unwrap();
        let profile = CallerProfile { attributes: attributes.into(), ..CallerProfile::default() };
        let call = CallContext { caller: Some(Arc::new(profile)), ..(*request.call).clone() };
        request.call = Arc::new(call);
        let filled = Template::compile("{{ caller.number }} {{ caller.plan }}").unwrap();
        assert_eq!(filled.fill_plainly(&Values::of(&request)).as_deref(), Ok("+14155550100 gold"));
    }

    #[test]
    fn what_is_filled_in_is_no_template() {
        assert_eq!(filled("{{ args.x }}", json!({ "x": "{{ call.sid }}" })).as_deref(), Ok("{{ call.sid }}"));
    }

    #[test]
    fn what_is_no_bounded_expression_is_refused() {
        for text in [
            "{{ 'a' * 1000000 }}",
            "{% for x in y %}{% endfor %}",
            "{# a note #}",
            "{{ a",
            "{{ 'a }}",
            "{{ a b }}",
            "{{ }}",
            "{{ {'a': 1} }}",
            "{{ a | nosuchfilter }}",
        ] {
            let outcome = filled(text, json!({}));
            assert!(outcome.is_err(), "{text}: {outcome:?}");
        }
        let long = format!("{{{{ a{} }}}}", ".b".repeat(400));
        assert!(filled(&long, json!({})).is_err());
    }

    #[test]
    fn output_is_bounded() {
        let half = "x".repeat(LONGEST_OUTPUT / 2 + 1);
        assert!(filled("{{ args.x }}", json!({ "x": half })).is_ok());
        assert!(filled("{{ args.x }}{{ args.x }}", json!({ "x": half })).is_err());
    }
}
