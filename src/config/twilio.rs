//! Settings of who the service is at Twilio: the account for REST, the numbers that it may call from, and where callers
//! go when nobody else takes them.

use std::net::SocketAddr;

use url::Url;
use voice_core::private::Private;
use voice_protocols::webhook::is_e164;

use super::{SettingError, Source, list, missing, optional, required, wrong};

/// What is needed to ask Twilio for something.
#[derive(Clone, Debug)]
pub struct TwilioSettings {
    /// Absent when nothing can be asked for: no messages, no codes, no outbound calls, no warm transfers.
    pub account: Option<TwilioAccount>,
    /// Base URLs, without a slash at the end.
    pub api_url: String,
    pub verify_url: String,
    /// `VA…`.
    pub verify_service_sid: Option<String>,
    /// E.164 numbers that calls may be placed from; the first is used when a request names none.
    pub caller_ids: Vec<String>,
    /// `sip:…`, for callers whose use case names nobody.
    pub sip_endpoint: Option<String>,
}

#[derive(Clone, Debug)]
pub struct TwilioAccount {
    /// `AC…`.
    pub sid: String,
    /// The API key, or the account itself.
    pub user: String,
    pub password: Private<String>,
}

impl TwilioSettings {
    pub(super) fn read(source: Source<'_>, listen: SocketAddr) -> Result<Self, SettingError> {
        Ok(Self {
            account: account(source)?,
            api_url: base_url(source, "TWILIO_API_URL", listen)?,
            verify_url: base_url(source, "TWILIO_VERIFY_URL", listen)?,
            verify_service_sid: sid(source, "TWILIO_VERIFY_SERVICE_SID", "VA")?,
            caller_ids: caller_ids(source)?,
            sip_endpoint: sip_endpoint(source)?,
        })
    }
}

fn account(source: Source<'_>) -> Result<Option<TwilioAccount>, SettingError> {
    let key = (sid(source, "TWILIO_API_SID", "SK")?, optional(source, "TWILIO_API_SECRET"));
    let Some(sid) = sid(source, "TWILIO_ACCOUNT_SID", "AC")? else {
        // Whoever gives a key wants it used.
        return if key == (None, None) { Ok(None) } else { Err(missing("TWILIO_ACCOUNT_SID")) };
    };
    let (user, password) = match key {
        (Some(user), Some(secret)) => (user, secret),
        (Some(_), None) => return Err(missing("TWILIO_API_SECRET")),
        (None, Some(_)) => return Err(missing("TWILIO_API_SID")),
        // While tokens rotate, the first is the one that stays.
        (None, None) => match list(source, "TWILIO_AUTH_TOKEN").into_iter().next() {
            Some(token) => (sid.clone(), token),
            None => return Err(missing("TWILIO_API_SID")),
        },
    };
    Ok(Some(TwilioAccount { sid, user, password: Private::new(password) }))
}

/// It becomes a part of addresses.
fn sid(source: Source<'_>, variable: &'static str, prefix: &str) -> Result<Option<String>, SettingError> {
    let Some(sid) = optional(source, variable) else { return Ok(None) };
    if sid.starts_with(prefix) && sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(Some(sid));
    }
    let wants = format!("{prefix} and then letters and digits");
    Err(SettingError { variable, problem: format!("wants {wants}") })
}

/// Credentials go there, so without TLS only on the machine of a developer.
fn base_url(source: Source<'_>, variable: &'static str, listen: SocketAddr) -> Result<String, SettingError> {
    let text = required(source, variable)?;
    let url = Url::parse(&text).map_err(|_| wrong(variable, &text, "https://host"))?;
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !plain || !url.username().is_empty() || url.password().is_some() || url.host_str().is_none() {
        return Err(SettingError { variable, problem: "wants https://host and nothing else".to_owned() });
    }
    match url.scheme() {
        "https" => {}
        "http" if listen.ip().is_loopback() => {}
        _ => {
            return Err(wrong(
                variable,
                &text,
                "https://host; http only when LISTEN_ADDRESS is a loopback address",
            ));
        }
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn caller_ids(source: Source<'_>) -> Result<Vec<String>, SettingError> {
    const VARIABLE: &str = "OUTBOUND_CALLER_IDS";
    let numbers = list(source, VARIABLE);
    match numbers.iter().find(|number| !is_e164(number)) {
        Some(other) => Err(wrong(VARIABLE, other, "numbers such as +14155550100, separated by commas")),
        None => Ok(numbers),
    }
}

fn sip_endpoint(source: Source<'_>) -> Result<Option<String>, SettingError> {
    const VARIABLE: &str = "SIP_ENDPOINT";
    let Some(address) = optional(source, VARIABLE) else { return Ok(None) };
    let lower = address.to_ascii_lowercase();
    let bare = lower.strip_prefix("sip:").or_else(|| lower.strip_prefix("sips:")).unwrap_or(&lower);
    if bare.is_empty() || bare.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(wrong(VARIABLE, &address, "a SIP address such as sip:support@example.com"));
    }
    let has_scheme = bare.len() < lower.len();
    Ok(Some(if has_scheme { address } else { format!("sip:{address}") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:3000";

    fn read(settings: &[(&str, &str)], listen: &str) -> Result<TwilioSettings, String> {
        let value =
            |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        TwilioSettings::read(&value, listen.parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn without_any_setting_nothing_can_be_asked_for() {
        let settings = read(&[], "0.0.0.0:3000").unwrap();
        assert!(settings.account.is_none() && settings.caller_ids.is_empty());
        assert_eq!(settings.api_url, "https://api.twilio.com");
        assert_eq!(settings.verify_url, "https://verify.twilio.com");
    }

    #[test]
    fn a_key_is_preferred_to_the_auth_token() {
        let account = ("TWILIO_ACCOUNT_SID", "AC1");
        let tokens = ("TWILIO_AUTH_TOKEN", "new-token, old-token");
        let by_token = read(&[account, tokens], LOOPBACK).unwrap().account.unwrap();
        assert_eq!((by_token.user.as_str(), by_token.password.expose().as_str()), ("AC1", "new-token"));
        let key = [("TWILIO_API_SID", "SK1"), ("TWILIO_API_SECRET", "key-secret")];
        let by_key = read(&[account, tokens, key[0], key[1]], LOOPBACK).unwrap().account.unwrap();
        assert_eq!((by_key.user.as_str(), by_key.password.expose().as_str()), ("SK1", "key-secret"));
        assert!(!format!("{by_key:?}").contains("key-secret"));
    }

    #[test]
    fn half_an_account_is_an_error_that_names_the_other_half() {
        let (account, key, secret) =
            (("TWILIO_ACCOUNT_SID", "AC1"), ("TWILIO_API_SID", "SK1"), ("TWILIO_API_SECRET", "s"));
        for (given, missing) in [
            (vec![account], "TWILIO_API_SID"),
            (vec![account, key], "TWILIO_API_SECRET"),
            (vec![account, secret], "TWILIO_API_SID"),
            (vec![key, secret], "TWILIO_ACCOUNT_SID"),
            (vec![("TWILIO_ACCOUNT_SID", "AC1/../x"), key, secret], "TWILIO_ACCOUNT_SID"),
        ] {
            let error = read(&given, LOOPBACK).unwrap_err();
            assert!(error.starts_with(&format!("{missing}: ")), "{error}");
        }
    }

    #[test]
    fn credentials_leave_the_machine_only_over_tls() {
        let local = [("TWILIO_API_URL", "http://127.0.0.1:4000/")];
        assert_eq!(read(&local, LOOPBACK).unwrap().api_url, "http://127.0.0.1:4000");
        assert!(read(&local, "0.0.0.0:3000").unwrap_err().starts_with("TWILIO_API_URL: wants https"));
        for url in ["api.twilio.com", "ftp://x", "https://a/b", "https://u:p@a", "https://a?b=c"] {
            assert!(read(&[("TWILIO_VERIFY_URL", url)], LOOPBACK).is_err(), "{url}");
        }
    }

    #[test]
    fn numbers_and_addresses_are_checked() {
        let settings = read(&[("OUTBOUND_CALLER_IDS", "+18005550199, +18005550198,")], LOOPBACK).unwrap();
        assert_eq!(settings.caller_ids, ["+18005550199", "+18005550198"]);
        assert!(read(&[("OUTBOUND_CALLER_IDS", "8005550199")], LOOPBACK).is_err());
        for (given, address) in [
            ("support@example.com", "sip:support@example.com"),
            ("SIP:Support@example.com;a=b", "SIP:Support@example.com;a=b"),
            ("sips:support@example.com", "sips:support@example.com"),
        ] {
            let settings = read(&[("SIP_ENDPOINT", given)], LOOPBACK).unwrap();
            assert_eq!(settings.sip_endpoint.as_deref(), Some(address));
        }
        for address in ["sip:", "a b@example.com"] {
            assert!(read(&[("SIP_ENDPOINT", address)], LOOPBACK).is_err(), "{address}");
        }
    }
}
