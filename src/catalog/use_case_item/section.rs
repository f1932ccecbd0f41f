//! Typed access to the fields of one JSON object, reporting each field that has the wrong type.
//!
//! An absent field and a field that is `null` are the same thing to every reader here. Meaning is not judged
//! here.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::problem::Report;

/// One object of a record and the path that leads to it.
#[derive(Clone, Debug)]
pub(super) struct Section<'a> {
    path: String,
    fields: &'a Map<String, Value>,
}

impl<'a> Section<'a> {
    /// The record itself; the paths of its fields are their names.
    pub(super) fn root(fields: &'a Map<String, Value>) -> Self {
        Self { path: String::new(), fields }
    }

    /// A section without fields, in place of one that was left out.
    pub(super) fn empty(path: String) -> Self {
        static NO_FIELDS: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

        Self { path, fields: &NO_FIELDS }
    }

    /// `value` as a section, or nothing and an error when it is not an object.
    pub(super) fn of(value: &'a Value, path: String, report: &mut Report) -> Option<Self> {
        let Value::Object(fields) = value else {
            report.error(path, format!("must be a map, not {}", kind(value)));
            return None;
        };
        Some(Self { path, fields })
    }

    /// The path that leads to this section.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The path of a field of this section.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Every field in the record's order.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The field, unless it is absent or null.
    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// A nested object.
    pub(super) fn section(&self, name: &str, report: &mut Report) -> Option<Self> {
        Self::of(self.value(name)?, self.path_of(name), report)
    }

    /// A list.
    pub(super) fn list(&self, name: &str, report: &mut Report) -> Option<&'a [Value]> {
        let value = self.value(name)?;
        let list = value.as_array();
        if list.is_none() {
            report.error(self.path_of(name), format!("must be a list, not {}", kind(value)));
        }
        list.map(Vec::as_slice)
    }

    /// A text.
    pub(super) fn text(&self, name: &str, report: &mut Report) -> Option<&'a str> {
        let value = self.value(name)?;
        let text = value.as_str();
        if text.is_none() {
            report.error(self.path_of(name), format!("must be text, not {}", kind(value)));
        }
        text
    }

    /// A text that says something; a blank one counts as absent.
    pub(super) fn filled_text(&self, name: &str, report: &mut Report) -> Option<&'a str> {
        self.text(name, report).filter(|text| !text.trim().is_empty())
    }

    /// The field, which must be there.
    pub(super) fn demanded(&self, name: &str, report: &mut Report) -> Option<&'a Value> {
        let value = self.value(name);
        if value.is_none() {
            report.error(self.path_of(name), "is missing");
        }
        value
    }

    /// A text that must be there and say something.
    pub(super) fn demanded_text(&self, name: &str, report: &mut Report) -> Option<&'a str> {
        self.demanded(name, report)?;
        let text = self.text(name, report)?;
        if text.trim().is_empty() {
            report.error(self.path_of(name), "is empty");
            return None;
        }
        Some(text)
    }

    /// A list of texts that each say something; the others are reported.
    pub(super) fn texts(&self, name: &str, report: &mut Report) -> Option<Vec<String>> {
        let list = self.list(name, report)?;
        let mut texts = Vec::new();
        for (index, value) in list.iter().enumerate() {
            match value {
                Value::String(text) if !text.is_empty() => texts.push(text.clone()),
                Value::String(_) => report.error(item_path(&self.path_of(name), index), "is empty"),
                other => {
                    let reason = format!("must be text, not {}", kind(other));
                    report.error(item_path(&self.path_of(name), index), reason);
                }
            }
        }
        Some(texts)
    }

    /// A list of texts that must be there and hold one at least.
    pub(super) fn demanded_texts(&self, name: &str, report: &mut Report) -> Option<Vec<String>> {
        let value = self.demanded(name, report)?;
        if value.as_array().is_some_and(Vec::is_empty) {
            report.error(self.path_of(name), "is empty");
        }
        self.texts(name, report)
    }

    /// A map of names to texts; values of another kind are reported.
    pub(super) fn named_texts(&self, name: &str, report: &mut Report) -> Option<Vec<(&'a str, &'a str)>> {
        let section = self.section(name, report)?;
        let mut texts = Vec::new();
        for (name, value) in section.fields() {
            match value.as_str() {
                Some(text) => texts.push((name, text)),
                None => report.error(section.path_of(name), format!("must be text, not {}", kind(value))),
            }
        }
        Some(texts)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, name: &str, report: &mut Report) -> Option<bool> {
        let value = self.value(name)?;
        let boolean = value.as_bool();
        if boolean.is_none() {
            report.error(self.path_of(name), format!("must be true or false, not {}", kind(value)));
        }
        boolean
    }

    /// A whole number between `least` and `most`, both included.
    pub(super) fn whole_number(&self, name: &str, least: u32, most: u32, report: &mut Report) -> Option<u32> {
        let value = self.value(name)?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            report.error(self.path_of(name), format!("must be a whole number from {least} to {most}"));
        }
        number
    }

    /// A number between `least` and `most`, both included.
    pub(super) fn number(&self, name: &str, least: u32, most: u32, report: &mut Report) -> Option<f64> {
        let value = self.value(name)?;
        let number = value.as_f64().filter(|number| (f64::from(least)..=f64::from(most)).contains(number));
        if number.is_none() {
            report.error(self.path_of(name), format!("must be a number from {least} to {most}"));
        }
        number
    }

    /// A number from 0 to 1, as sampling settings are.
    pub(super) fn fraction(&self, name: &str, report: &mut Report) -> Option<f32> {
        let value = self.value(name)?;
        let number = value.as_f64().filter(|number| (0.0..=1.0).contains(number));
        if number.is_none() {
            report.error(self.path_of(name), "must be a number from 0 to 1");
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a sampling setting needs no more digits than f32 has"
        )]
        number.map(|number| number as f32)
    }

    /// Warns of each field that nobody reads, which most often is a misspelt one.
    pub(super) fn warn_of_unknown(&self, known: &[&str], report: &mut Report) {
        for (name, _) in self.fields().filter(|(name, _)| !known.contains(name)) {
            report.warn(self.path_of(name), "is not known and has no effect");
        }
    }
}

/// The item of a list: `tools[1]`.
pub(super) fn item_path(list: &str, index: usize) -> String {
    format!("{list}[{index}]")
}

/// What a value is, in the words of an author.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complaint(read: impl FnOnce(&Section<'_>, &mut Report)) -> Vec<String> {
        let fields =
            json!({"text": 1, "flag": "true", "number": 1.5, "fraction": 1.01, "list": {}, "map": []});
        let mut report = Report::default();
        read(&Section::root(fields.as_object().unwrap()), &mut report);
        report.errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_wrong_type_is_reported_where_it_stands() {
        assert_eq!(
            complaint(|s, r| assert!(s.text("text", r).is_none())),
            ["text: must be text, not a number"]
        );
        assert_eq!(
            complaint(|s, r| assert!(s.boolean("flag", r).is_none())),
            ["flag: must be true or false, not text"]
        );
        assert_eq!(
            complaint(|s, r| assert!(s.whole_number("number", 1, 9, r).is_none())),
            ["number: must be a whole number from 1 to 9"]
        );
        assert_eq!(
            complaint(|s, r| assert!(s.fraction("fraction", r).is_none())),
            ["fraction: must be a number from 0 to 1"]
        );
        assert_eq!(
            complaint(|s, r| assert!(s.list("list", r).is_none())),
            ["list: must be a list, not a map"]
        );
        assert_eq!(
            complaint(|s, r| assert!(s.section("map", r).is_none())),
            ["map: must be a map, not a list"]
        );
    }

    #[test]
    fn absent_and_null_are_the_same() {
        let fields = json!({"nothing": null});
        let mut report = Report::default();
        let section = Section::root(fields.as_object().unwrap());
        assert!(section.text("nothing", &mut report).is_none());
        assert!(section.text("absent", &mut report).is_none());
        assert!(report.errors.is_empty());
    }
}
