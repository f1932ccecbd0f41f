//! The record's `conversationRelayParams` and `languages`: attributes of Twilio's XML elements, turned into
//! their text.
//!
//! What Twilio accepts is known elsewhere; here its findings get the path of the record.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use voice_core::use_case::{Language, Sentences};
use voice_protocols::relay_attributes::{self, Finding, Severity};

use super::problem::Report;
use super::section::{Section, item_path, kind};
use super::sentences;

/// Of a language: what the service itself says in it.
const MESSAGES: &str = "messages";

/// Reads the attributes of `<ConversationRelay>`.
pub(super) fn read_attributes(record: &Section<'_>, report: &mut Report) -> BTreeMap<String, String> {
    let Some(section) = record.section("conversationRelayParams", report) else {
        return BTreeMap::new();
    };
    let attributes = as_attributes(&section, &[], report);
    pass_on(relay_attributes::check(&attributes), &section, report);
    attributes
}

/// Reads the `<Language>` elements, each with the sentences that are said in it; `sentences` are those of the use case.
pub(super) fn read_languages(
    record: &Section<'_>,
    sentences: &Sentences,
    report: &mut Report,
) -> Vec<Language> {
    let mut languages = Vec::new();
    let mut codes = BTreeSet::new();
    for (index, value) in record.list("languages", report).unwrap_or_default().iter().enumerate() {
        let Some(section) = Section::of(value, item_path("languages", index), report) else {
            continue;
        };
        let attributes = as_attributes(&section, &[MESSAGES], report);
        let own = section.section(MESSAGES, report);
        let own = own.map(|section| sentences::read(&section, sentences, report));
        let Some(code) = attributes.get("code").filter(|code| !code.trim().is_empty()) else {
            report.error(section.path_of("code"), "is missing");
            continue;
        };
        if !codes.insert(code.clone()) {
            report.error(section.path_of("code"), format!("{code} is described twice"));
        }
        pass_on(relay_attributes::check_language(&attributes), &section, report);
        languages.push(Language { attributes, sentences: own });
    }
    languages
}

/// The text of each attribute but those that are no attributes. A list or a map has none.
fn as_attributes(section: &Section<'_>, others: &[&str], report: &mut Report) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    for (name, value) in section.fields().filter(|(name, _)| !others.contains(name)) {
        let text = match value {
            Value::Null => continue,
            Value::Bool(value) => value.to_string(),
            Value::Number(value) => value.to_string(),
            Value::String(value) => value.clone(),
            Value::Array(_) | Value::Object(_) => {
                let reason = format!("must be text, a number, true or false, not {}", kind(value));
                report.error(section.path_of(name), reason);
                continue;
            }
        };
        attributes.insert(name.to_owned(), text);
    }
    attributes
}

fn pass_on(findings: Vec<Finding>, section: &Section<'_>, report: &mut Report) {
    for finding in findings {
        let path = section.path_of(&finding.attribute);
        match finding.severity {
            Severity::Error => report.attribute_error(path, finding.reason),
            Severity::Warning => report.warn(path, finding.reason),
        }
    }
}
