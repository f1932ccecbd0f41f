//! Secrets for tools that stand in the environment: variables named `TOOL_SECRET_…`, and no others.
//!
//! A record of the table can name these, and have them sent somewhere. It must not be able to name the credentials of
//! the service itself.

use std::collections::BTreeMap;
use std::ffi::OsString;

use voice_core::private::Private;

/// What the name of every such variable begins with.
pub const TOOL_SECRET_PREFIX: &str = "TOOL_SECRET_";

/// Those of the process's environment, by the name of their variable.
pub fn tool_secrets_of_environment() -> BTreeMap<String, Private<String>> {
    tool_secrets(std::env::vars_os())
}

/// Leaves out what is empty, not named as such, or no text.
fn tool_secrets(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> BTreeMap<String, Private<String>> {
    let secrets = variables.into_iter().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        let is_secret = name.strip_prefix(TOOL_SECRET_PREFIX).is_some_and(|rest| !rest.is_empty());
        (is_secret && !value.is_empty()).then(|| (name, Private::new(value)))
    });
    secrets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_named_as_such_are_taken() {
        let variables = [
            ("TOOL_SECRET_CRM", "a"),
            ("TOOL_SECRET_EMPTY", ""),
            ("TOOL_SECRET_", "b"),
            ("TWILIO_AUTH_TOKEN", "c"),
            ("MY_TOOL_SECRET_X", "d"),
        ];
        let found = tool_secrets(variables.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(found, BTreeMap::from([("TOOL_SECRET_CRM".to_owned(), Private::new("a".to_owned()))]));
    }
}
