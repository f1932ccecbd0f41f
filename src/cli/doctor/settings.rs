//! The settings, all mistakes at once: a wrong one is set aside, and the checks go on with the others.

use super::finding::Finding;
use crate::config::{SettingError, Settings, SignatureCheck, Source};

/// What was read, with stand-ins for what could not be.
pub(super) struct Given {
    /// `None` when not even the rest makes sense.
    pub(super) settings: Option<Settings>,
    pub(super) bad: Vec<SettingError>,
}

/// Names of settings that are read together, so that they are set aside together.
const ACCOUNT: [&str; 3] = ["TWILIO_ACCOUNT_SID", "TWILIO_API_SID", "TWILIO_API_SECRET"];

pub(super) fn read(source: Source<'_>) -> Given {
    let mut bad: Vec<SettingError> = Vec::new();
    loop {
        let without_bad = |name: &str| match bad.iter().find(|error| sets_aside(error.variable, name)) {
            Some(_) => stand_in(name).map(str::to_owned),
            None => source(name),
        };
        match Settings::read(&without_bad) {
            Ok(settings) => return Given { settings: Some(settings), bad },
            Err(error) if bad.iter().any(|known| known.variable == error.variable) => {
                return Given { settings: None, bad };
            }
            Err(error) => bad.push(error),
        }
    }
}

fn sets_aside(bad: &str, name: &str) -> bool {
    bad == name || (ACCOUNT.contains(&bad) && ACCOUNT.contains(&name))
}

/// For a setting without a default that must be there.
fn stand_in(name: &str) -> Option<&'static str> {
    match name {
        "TABLE_NAME" | "STACK_USE_CASE" | "TWILIO_AUTH_TOKEN" => Some("unset"),
        "PUBLIC_URL" | "WS_URL" => Some("https://unset.invalid"),
        _ => None,
    }
}

/// What is wrong with a number is told without the number.
fn without_numbers(complaint: &str) -> String {
    let is_number = |word: &str| word.bytes().filter(u8::is_ascii_digit).count() >= 7;
    let words = complaint.split(' ').map(|word| if is_number(word) { "[number]" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

pub(super) fn findings(settings: Option<&Settings>, bad: &[SettingError]) -> Vec<Finding> {
    const CHECK: &str = "settings";
    let mut findings: Vec<_> = bad
        .iter()
        .map(|error| {
            Finding::problem(CHECK, without_numbers(&error.to_string()), format!("Set {}.", error.variable))
        })
        .collect();
    let Some(settings) = settings else { return findings };
    if bad.is_empty() {
        findings.push(Finding::ok(
            CHECK,
            format!("table {}, default use case {}", settings.table_name, settings.default_use_case),
        ));
    }
    if matches!(settings.signatures, SignatureCheck::Skipped) {
        findings.push(Finding::warning(
            CHECK,
            "requests that nobody signed are answered",
            "Unset DANGEROUS_SKIP_SIGNATURE_CHECK before anybody else can reach this machine.",
        ));
    }
    if settings.tools.private_hosts {
        findings.push(Finding::warning(
            CHECK,
            "tools reach private addresses",
            "Unset DANGEROUS_ALLOW_PRIVATE_TOOL_HOSTS before anybody else can reach this machine.",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(given: &[(&str, &str)]) -> Vec<&'static str> {
        let source =
            |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let given = read(&source);
        assert!(given.settings.is_some());
        given.bad.into_iter().map(|error| error.variable).collect()
    }

    #[test]
    fn a_number_is_not_printed() {
        let complaint = "OUTBOUND_CALLER_IDS: wants numbers, not \"8005550199\"";
        assert_eq!(without_numbers(complaint), "OUTBOUND_CALLER_IDS: wants numbers, not [number]");
        assert_eq!(without_numbers("PORT: wants 1 to 65535"), "PORT: wants 1 to 65535");
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let required = ["PUBLIC_URL", "TABLE_NAME", "STACK_USE_CASE", "TWILIO_AUTH_TOKEN"];
        let mut found = bad(&[]);
        found.sort_unstable();
        let mut expected = required;
        expected.sort_unstable();
        assert_eq!(found, expected);
        let complete = required.map(|name| (name, "https://voice.example.com"));
        assert_eq!(bad(&complete), [""; 0]);
        let with = |name: &'static str, value: &'static str| [&[(name, value)], complete.as_slice()].concat();
        assert_eq!(bad(&with("MAX_CALLS", "many")), ["MAX_CALLS"]);
        assert_eq!(bad(&with("TWILIO_API_SID", "SK1")), ["TWILIO_ACCOUNT_SID"]);
        assert_eq!(bad(&with("WS_URL", "nowhere")), [""; 0], "PUBLIC_URL goes before it");
        let instead = [("WS_URL", "nowhere"), complete[1], complete[2], complete[3]];
        assert_eq!(bad(&instead), ["WS_URL"]);
    }
}
