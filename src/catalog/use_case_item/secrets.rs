//! References to secrets, and headers that may hold them. A record never holds a secret itself.

use std::collections::BTreeMap;

use serde_json::Value;
use voice_core::use_case::{HeaderSource, OWN_HEADERS, SecretRef};

use super::problem::Report;
use super::section::{Section, kind};

/// Only variables of these names can be referred to, so that no record reaches the service's own credentials.
const VARIABLE_PREFIX: &str = "TOOL_SECRET_";
/// Reads a field that is `env:<variable>`, `aws:<id>` or `aws:<id>#<key>`.
pub(super) fn read(section: &Section<'_>, name: &str, report: &mut Report) -> Option<SecretRef> {
    section.value(name)?;
    match parse(section.demanded_text(name, report)?) {
        Ok(secret) => Some(secret),
        Err(reason) => {
            report.error(section.path_of(name), reason);
            None
        }
    }
}

fn parse(text: &str) -> Result<SecretRef, &'static str> {
    if let Some(variable) = text.strip_prefix("env:") {
        let is_allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        let is_ours = variable.strip_prefix(VARIABLE_PREFIX).is_some_and(|rest| !rest.is_empty());
        return if is_ours && variable.bytes().all(is_allowed) {
            Ok(SecretRef::Environment(variable.to_owned()))
        } else {
            Err("must name a variable that begins with TOOL_SECRET_, in capital letters")
        };
    }
    let Some(reference) = text.strip_prefix("aws:") else {
        return Err("must refer to a secret: env:TOOL_SECRET_<name>, aws:<id> or aws:<id>#<key>");
    };
    let (id, key) = match reference.rsplit_once('#') {
        Some((id, key)) => (id, Some(key)),
        None => (reference, None),
    };
    if id.trim().is_empty() || key.is_some_and(|key| key.trim().is_empty()) {
        return Err("must name a secret, and a key behind the #");
    }
    Ok(SecretRef::SecretsManager { id: id.to_owned(), key: key.map(str::to_owned) })
}

/// Reads `headers`; `check` judges the texts that are no secrets.
pub(super) fn read_headers(
    section: &Section<'_>,
    mut check: impl FnMut(&str, &str, &mut Report),
    report: &mut Report,
) -> BTreeMap<String, HeaderSource> {
    let mut headers = BTreeMap::new();
    let Some(section) = section.section("headers", report) else {
        return headers;
    };
    for (name, value) in section.fields() {
        let path = section.path_of(name);
        if let Err(reason) = check_name(name) {
            report.error(&path, reason);
            continue;
        }
        let source = match value {
            Value::String(text) => {
                check(text, &path, report);
                Some(HeaderSource::Template(text.clone()))
            }
            Value::Object(_) => Section::of(value, path, report).and_then(|map| read_secret(&map, report)),
            other => {
                report.error(path, format!("must be text or a map with a secret, not {}", kind(other)));
                None
            }
        };
        headers.extend(source.map(|source| (name.to_owned(), source)));
    }
    headers
}

fn read_secret(map: &Section<'_>, report: &mut Report) -> Option<HeaderSource> {
    map.warn_of_unknown(&["secret", "prefix"], report);
    let prefix = map.text("prefix", report).unwrap_or_default().to_owned();
    if prefix.chars().any(char::is_control) {
        report.error(map.path_of("prefix"), "must not hold control characters");
    }
    map.demanded("secret", report)?;
    Some(HeaderSource::Secret { prefix, secret: read(map, "secret", report)? })
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_allowed) {
        return Err("is not the name of a header");
    }
    if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err("is a header that the service sets itself");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_by_where_it_is_kept() {
        let aws = |id: &str, key: Option<&str>| SecretRef::SecretsManager {
            id: id.to_owned(),
            key: key.map(str::to_owned),
        };
        assert_eq!(
            parse("env:TOOL_SECRET_CRM_2"),
            Ok(SecretRef::Environment("TOOL_SECRET_CRM_2".to_owned()))
        );
        assert_eq!(parse("aws:prod/crm"), Ok(aws("prod/crm", None)));
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:crm-AbCdEf";
        assert_eq!(parse(&format!("aws:{arn}#token")), Ok(aws(arn, Some("token"))));
        for text in [
            "",
            "hunter2",
            "env:",
            "env:TWILIO_AUTH_TOKEN",
            "env:TOOL_SECRET_",
            "env:TOOL_SECRET_a b",
            "aws:",
            "aws:#key",
            "aws:id#",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_headers_that_the_service_sets_cannot_be_named() {
        assert_eq!(check_name("X-Api-Key"), Ok(()));
        for name in ["", "X Api", "Höst", "Host", "Idempotency-Key", "x-trunkline-signature"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
