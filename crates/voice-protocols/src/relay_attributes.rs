//! What Twilio documents about the attributes of `<ConversationRelay>` and `<Language>`, as a checker that
//! tells an operator before a caller finds out.
//!
//! Vendors add attributes, voices and models all the time, so a name that is not known here is a warning and
//! is still sent. An error is what Twilio is documented or was seen to refuse.

mod providers;
mod table;
mod values;

use std::collections::BTreeMap;

use self::table::{Attribute, DEPRECATED, LANGUAGE, RELAY};

/// Something that an operator should know about one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub attribute: String,
    /// A sentence without the attribute's name, such as "takes true or false".
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is sent as it is, and may do nothing.
    Warning,
    /// The session would fail or do something else than what was meant.
    Error,
}

/// Checks the attributes of a `<ConversationRelay>`, one by one and against each other.
pub fn check(attributes: &BTreeMap<String, String>) -> Vec<Finding> {
    let mut findings = check_each(attributes, RELAY);
    providers::check_relay(attributes, &mut findings);
    findings
}

/// Checks the attributes of a `<Language>`.
pub fn check_language(attributes: &BTreeMap<String, String>) -> Vec<Finding> {
    let mut findings = check_each(attributes, LANGUAGE);
    if !attributes.contains_key("code") {
        findings.push(Finding::error("code", "is required"));
    }
    providers::check_language(attributes, &mut findings);
    findings
}

impl Finding {
    fn error(attribute: &str, reason: impl Into<String>) -> Self {
        Self { severity: Severity::Error, attribute: attribute.to_owned(), reason: reason.into() }
    }

    fn warning(attribute: &str, reason: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, attribute: attribute.to_owned(), reason: reason.into() }
    }
}

fn check_each(attributes: &BTreeMap<String, String>, table: &[Attribute]) -> Vec<Finding> {
    let check_one = |(name, value): (&String, &String)| match table.iter().find(|known| known.name == name) {
        Some(known) => known.rule.refusal(value).map(|reason| Finding::error(name, reason)),
        None => Some(Finding::warning(name, explain_unknown(name, table))),
    };
    attributes.iter().filter_map(check_one).collect()
}

fn explain_unknown(name: &str, table: &[Attribute]) -> String {
    if let Some((_, reason)) = DEPRECATED.iter().find(|(deprecated, _)| *deprecated == name) {
        return (*reason).to_owned();
    }
    match table.iter().find(|known| known.name.eq_ignore_ascii_case(name)) {
        Some(known) => format!("is spelled {} by Twilio, which may ignore it as it is", known.name),
        None => "is not known; it is sent as it is".to_owned(),
    }
}

#[cfg(test)]
mod tests;
