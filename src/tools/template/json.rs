//! JSON whose texts are templates.

use serde_json::{Map, Value};

use super::{Expression, Template, Values};

/// A JSON value, compiled. A text that is one expression keeps the type of its value.
#[derive(Debug)]
pub(in crate::tools) struct JsonTemplate(Part);

#[derive(Debug)]
enum Part {
    Fixed(Value),
    Typed(Expression),
    Text(Template),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl JsonTemplate {
    pub(in crate::tools) fn compile(json: &Value) -> Result<Self, String> {
        Part::compile(json).map(Self)
    }

    pub(in crate::tools) fn fill(&self, values: &Values) -> Result<Value, String> {
        self.0.fill(values)
    }
}

impl Part {
    fn compile(json: &Value) -> Result<Self, String> {
        Ok(match json {
            Value::String(text) => {
                let template = Template::compile(text)?;
                if template.is_literal() {
                    return Ok(Self::Fixed(json.clone()));
                }
                template.into_single_expression().map_or_else(Self::Text, Self::Typed)
            }
            Value::Array(items) => Self::List(items.iter().map(Self::compile).collect::<Result<_, _>>()?),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| Ok((name.clone(), Self::compile(value)?)));
                Self::Object(fields.collect::<Result<_, String>>()?)
            }
            other => Self::Fixed(other.clone()),
        })
    }

    fn fill(&self, values: &Values) -> Result<Value, String> {
        Ok(match self {
            Self::Fixed(value) => value.clone(),
            Self::Typed(expression) => expression.value(values)?,
            Self::Text(template) => Value::String(template.fill_plainly(values)?),
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.fill(values)).collect::<Result<_, _>>()?)
            }
            Self::Object(fields) => {
                let filled = fields.iter().map(|(name, value)| Ok((name.clone(), value.fill(values)?)));
                Value::Object(filled.collect::<Result<Map<_, _>, String>>()?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::testing;

    #[test]
    fn a_text_that_is_one_expression_keeps_the_type_of_its_value() {
        let written = json!({
            "id": "{{ args.id }}", "n": "{{ args.n }}", "f": "{{args.f}}", "no": "{{ args.no }}",
            "text": "n={{ args.n }}", "list": ["{{ args.list }}", 1, null, true], "big": "{{ args.big }}",
            "{{ key }}": "kept",
        });
        let arguments = json!({
            "id": "{{ x }}", "n": -7, "f": 1.5, "list": [{ "a": [] }, "\"}"], "big": u64::MAX,
        });
        let values = Values::of(&testing::request(testing::tool("t"), arguments));
        let filled = JsonTemplate::compile(&written).and_then(|template| template.fill(&values));
        let expected = json!({
            "id": "{{ x }}", "n": -7, "f": 1.5, "no": null,
            "text": "n=-7", "list": [[{ "a": [] }, "\"}"], 1, null, true], "big": u64::MAX,
            "{{ key }}": "kept",
        });
        assert_eq!(filled, Ok(expected));
    }
}
