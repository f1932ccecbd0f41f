//! Settings of who may ask the service to act, and of whom its tools may ask.

use std::net::SocketAddr;

use voice_core::private::Private;

use super::{SettingError, Source, list, parsed, wrong};

/// Which addresses the tools of use cases may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolAccess {
    /// Host names in lower case, `*.example.com` for all below one; any public host when empty.
    pub hosts: Vec<String>,
    /// Also private addresses, and without TLS. Only on a loopback listener.
    pub private_hosts: bool,
}

/// A shorter one could be guessed.
const SHORTEST_TOKEN: usize = 16;

impl ToolAccess {
    pub(super) fn read(source: Source<'_>, listen: SocketAddr) -> Result<Self, SettingError> {
        Ok(Self { hosts: hosts(source)?, private_hosts: private_hosts(source, listen)? })
    }
}

/// Tokens of the operator API, any of which is good; there is no such API when there are none.
pub(super) fn api_tokens(source: Source<'_>) -> Result<Vec<Private<String>>, SettingError> {
    const VARIABLE: &str = "API_TOKEN";
    let tokens = list(source, VARIABLE);
    let fits =
        |token: &String| token.len() >= SHORTEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
    if tokens.iter().all(fits) {
        return Ok(tokens.into_iter().map(Private::new).collect());
    }
    // What is wrong with it must not show what it is.
    let problem = format!("wants at least {SHORTEST_TOKEN} printable ASCII characters without spaces");
    Err(SettingError { variable: VARIABLE, problem })
}

fn hosts(source: Source<'_>) -> Result<Vec<String>, SettingError> {
    const VARIABLE: &str = "TOOL_HOSTS";
    let hosts: Vec<_> = list(source, VARIABLE).iter().map(|host| host.to_ascii_lowercase()).collect();
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let fits = |host: &&String| host.strip_prefix("*.").unwrap_or(host).split('.').all(label);
    match hosts.iter().find(|host| !fits(host)) {
        Some(other) => Err(wrong(VARIABLE, other, "host names such as api.example.com or *.example.com")),
        None => Ok(hosts),
    }
}

fn private_hosts(source: Source<'_>, listen: SocketAddr) -> Result<bool, SettingError> {
    const DANGEROUS: &str = "DANGEROUS_ALLOW_PRIVATE_TOOL_HOSTS";
    let allowed = parsed(source, DANGEROUS, "true or false")?;
    if allowed && !listen.ip().is_loopback() {
        let problem =
            format!("is refused unless LISTEN_ADDRESS is a loopback address, and it is {}", listen.ip());
        return Err(SettingError { variable: DANGEROUS, problem });
    }
    Ok(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> impl Fn(&str) -> Option<String> {
        move |asked| (asked == name).then(|| value.to_owned())
    }

    fn tools(name: &'static str, value: &'static str, listen: &str) -> Result<ToolAccess, String> {
        ToolAccess::read(&with(name, value), listen.parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_that_could_be_guessed_is_refused_and_not_repeated() {
        let tokens = api_tokens(&with("API_TOKEN", "0123456789abcdef, fedcba9876543210")).unwrap();
        assert_eq!(tokens.len(), 2);
        assert!(api_tokens(&with("OTHER", "x")).unwrap().is_empty());
        for short in ["hunter2", "0123456789abcdef,hunter2", "0123456789 abcdef"] {
            let error = api_tokens(&with("API_TOKEN", short)).unwrap_err().to_string();
            assert!(
                error.starts_with("API_TOKEN: wants at least 16") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn hosts_are_names_or_everything_below_a_name() {
        let access = tools("TOOL_HOSTS", "API.example.com, *.example.org", "0.0.0.0:1").unwrap();
        assert_eq!(access.hosts, ["api.example.com", "*.example.org"]);
        for bad in ["https://a.example", "a.example/x", "*", "*.*.a", "a..b", "a.example:443"] {
            assert!(
                tools("TOOL_HOSTS", bad, "0.0.0.0:1").unwrap_err().starts_with("TOOL_HOSTS: wants"),
                "{bad}"
            );
        }
    }

    #[test]
    fn private_hosts_are_for_a_developers_machine() {
        const DANGEROUS: &str = "DANGEROUS_ALLOW_PRIVATE_TOOL_HOSTS";
        assert!(tools(DANGEROUS, "true", "127.0.0.1:1").unwrap().private_hosts);
        assert!(tools(DANGEROUS, "true", "0.0.0.0:1").unwrap_err().contains("loopback"));
        assert!(!tools("OTHER", "x", "0.0.0.0:1").unwrap().private_hosts);
    }
}
