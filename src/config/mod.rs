//! The settings of the service: what the environment and the command line say, typed and checked.
//!
//! Nothing else reads the environment or a file of settings. A setting that is missing or wrong is an error that names
//! the variable and what it wants, before a port is bound.

mod access;
pub mod authored;
mod connections;
mod machine;
mod public_url;
mod secrets;
mod table;
mod telemetry;
mod twilio;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;
use tracing_subscriber::EnvFilter;
use url::Url;
use voice_core::private::Private;

use crate::prices::Prices;

pub use access::ToolAccess;
pub use connections::ConnectionSettings;
pub use machine::most_open_files;
pub use public_url::PublicUrl;
pub use secrets::{TOOL_SECRET_PREFIX, tool_secrets_of_environment};
pub use table::{SETTINGS, Setting};
pub use telemetry::{ExportSettings, TelemetrySettings};
pub use twilio::{TwilioAccount, TwilioSettings};

/// Everything that `trunkline serve` can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    pub public_url: PublicUrl,
    pub signatures: SignatureCheck,
    pub twilio: TwilioSettings,
    /// Of the operator API, which is off when there are none.
    pub api_tokens: Vec<Private<String>>,
    pub tools: ToolAccess,
    pub table_name: String,
    /// Answers when nothing else chooses a use case.
    pub default_use_case: String,
    /// Asked when a use case names no model.
    pub default_model: Option<String>,
    pub time_zone: TimeZone,
    pub max_calls: usize,
    pub connections: ConnectionSettings,
    pub model_deadlines: ModelDeadlines,
    /// When a second model is asked because the first one is late; never when absent.
    pub model_hedge: Option<Duration>,
    /// Whether connections to models are kept open while there are no calls.
    pub model_warm_up: bool,
    /// How long sessions, turns and tool runs stay in the table.
    pub keep_calls: Duration,
    /// How long calls in progress may go on after a signal to stop.
    pub drain: Duration,
    /// The agent of ECS beside this task, when it is one.
    pub ecs_agent: Option<Url>,
    pub log: LogSettings,
    pub telemetry: TelemetrySettings,
}

#[derive(Clone, Debug)]
pub enum SignatureCheck {
    /// Any of these tokens may have signed; several while rotating.
    Tokens(Vec<Private<String>>),
    /// Only on a loopback listener.
    Skipped,
}

/// How long a caller waits for a model before it counts as failed.
#[derive(Clone, Copy, Debug)]
pub struct ModelDeadlines {
    pub first_token: Duration,
    pub next_token: Duration,
}

#[derive(Clone, Debug)]
pub struct LogSettings {
    pub format: LogFormat,
    /// A `tracing` filter, such as `info,trunkline=debug`.
    pub filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Pretty,
}

/// A setting that is missing or wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct SettingError {
    pub variable: &'static str,
    pub problem: String,
}

/// Where settings come from. `None` for one that is not set; an empty value counts as not set.
pub type Source<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process environment.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Settings {
    /// Reads all settings. `source` is asked for the names of [`SETTINGS`] and their aliases.
    pub fn read(source: Source<'_>) -> Result<Self, SettingError> {
        let port = Self::read_port(source)?;
        let address: IpAddr = parsed(source, "LISTEN_ADDRESS", "an IP address such as 127.0.0.1")?;
        let listen = SocketAddr::new(address, port);
        let model_deadlines = ModelDeadlines {
            first_token: Duration::from_millis(number(source, "MODEL_FIRST_TOKEN_MS", MILLISECONDS)?),
            next_token: Duration::from_millis(number(source, "MODEL_NEXT_TOKEN_MS", MILLISECONDS)?),
        };
        let max_calls = number(source, "MAX_CALLS", "a number of calls")?;
        Ok(Self {
            listen,
            public_url: public_url(source)?,
            signatures: signatures(source, listen)?,
            twilio: TwilioSettings::read(source, listen)?,
            api_tokens: access::api_tokens(source)?,
            tools: ToolAccess::read(source, listen)?,
            table_name: required(source, "TABLE_NAME")?,
            default_use_case: required(source, "STACK_USE_CASE")?,
            default_model: optional(source, "MODEL_IDENTIFIER"),
            time_zone: time_zone(source)?,
            max_calls,
            connections: ConnectionSettings::read(source, max_calls)?,
            model_deadlines,
            model_hedge: model_hedge(source, model_deadlines.first_token)?,
            model_warm_up: parsed(source, "MODEL_WARM_UP", "true or false")?,
            keep_calls: Duration::from_hours(
                number::<u32>(source, "KEEP_CALLS_HOURS", "a number of hours")?.into(),
            ),
            drain: Duration::from_secs(parsed(source, "DRAIN_SECONDS", "a number of seconds")?),
            ecs_agent: ecs_agent(source)?,
            log: LogSettings::read(source)?,
            telemetry: TelemetrySettings::read(source)?,
        })
    }

    /// The port alone, for commands that need nothing else.
    pub fn read_port(source: Source<'_>) -> Result<u16, SettingError> {
        number(source, "PORT", "a port between 1 and 65535")
    }

    /// Where a running service is and what it wants to be shown, for commands that ask it for something.
    pub fn read_operator_api(source: Source<'_>) -> Result<(PublicUrl, Private<String>), SettingError> {
        let token = access::api_tokens(source)?.into_iter().next();
        Ok((public_url(source)?, token.ok_or_else(|| missing("API_TOKEN"))?))
    }

    /// What models cost alone, for commands that need nothing else.
    pub fn read_prices(source: Source<'_>) -> Result<Prices, SettingError> {
        telemetry::prices(source)
    }

    /// The name of the table alone, for commands that need nothing else.
    pub fn read_table_name(source: Source<'_>) -> Result<String, SettingError> {
        required(source, "TABLE_NAME")
    }
}

impl LogSettings {
    fn read(source: Source<'_>) -> Result<Self, SettingError> {
        let format = match required(source, "LOG_FORMAT")?.as_str() {
            "json" => LogFormat::Json,
            "pretty" => LogFormat::Pretty,
            other => return Err(wrong("LOG_FORMAT", other, "json or pretty")),
        };
        let filter = required(source, "RUST_LOG")?;
        if EnvFilter::try_new(&filter).is_err() {
            return Err(wrong("RUST_LOG", &filter, "a filter such as info,trunkline=debug"));
        }
        Ok(Self { format, filter })
    }
}

/// A hedge behind the deadline would never be asked.
fn model_hedge(source: Source<'_>, first_token: Duration) -> Result<Option<Duration>, SettingError> {
    const HEDGE: &str = "MODEL_HEDGE_MS";
    let hedge = optional_number(source, HEDGE, MILLISECONDS)?.map(Duration::from_millis);
    match hedge {
        Some(after) if after >= first_token => Err(wrong(
            HEDGE,
            after.as_millis(),
            &format!("less than MODEL_FIRST_TOKEN_MS, which is {}", first_token.as_millis()),
        )),
        hedge => Ok(hedge),
    }
}

const MILLISECONDS: &str = "a number of milliseconds";

fn public_url(source: Source<'_>) -> Result<PublicUrl, SettingError> {
    let (variable, value) = match (optional(source, "PUBLIC_URL"), optional(source, "WS_URL")) {
        (Some(value), _) => ("PUBLIC_URL", value),
        (None, Some(value)) => ("WS_URL", value),
        (None, None) => required(source, "PUBLIC_URL").map(|value| ("PUBLIC_URL", value))?,
    };
    PublicUrl::parse(&value).map_err(|problem| SettingError { variable, problem })
}

fn signatures(source: Source<'_>, listen: SocketAddr) -> Result<SignatureCheck, SettingError> {
    const DANGEROUS: &str = "DANGEROUS_SKIP_SIGNATURE_CHECK";
    let tokens: Vec<_> = list(source, "TWILIO_AUTH_TOKEN").into_iter().map(Private::new).collect();
    let skip: bool = parsed(source, DANGEROUS, "true or false")?;
    match (tokens.is_empty(), skip) {
        (false, false) => Ok(SignatureCheck::Tokens(tokens)),
        (_, true) if listen.ip().is_loopback() => Ok(SignatureCheck::Skipped),
        (_, true) => Err(SettingError {
            variable: DANGEROUS,
            problem: format!(
                "is refused unless LISTEN_ADDRESS is a loopback address, and it is {}",
                listen.ip()
            ),
        }),
        (true, false) => Err(missing("TWILIO_AUTH_TOKEN")),
    }
}

fn ecs_agent(source: Source<'_>) -> Result<Option<Url>, SettingError> {
    const VARIABLE: &str = "ECS_AGENT_URI";
    let Some(text) = optional(source, VARIABLE) else { return Ok(None) };
    let uri = Url::parse(&text).ok().filter(|uri| matches!(uri.scheme(), "http" | "https"));
    uri.map(Some).ok_or_else(|| wrong(VARIABLE, text, "an http:// address"))
}

fn time_zone(source: Source<'_>) -> Result<TimeZone, SettingError> {
    let name = required(source, "TIME_ZONE")?;
    TimeZone::get(&name).map_err(|_| wrong("TIME_ZONE", &name, "an IANA time zone such as Europe/Vienna"))
}

fn setting(variable: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.variable == variable)
}

fn optional(source: Source<'_>, variable: &'static str) -> Option<String> {
    let setting = setting(variable);
    let aliases = setting.map(|setting| setting.aliases).unwrap_or_default();
    let given = std::iter::once(&variable)
        .chain(aliases)
        .filter_map(|name| source(name))
        .find(|value| !value.is_empty());
    given.or_else(|| setting.and_then(|setting| setting.default).map(str::to_owned))
}

/// Values that are separated by commas.
fn list(source: Source<'_>, variable: &'static str) -> Vec<String> {
    let values = optional(source, variable).unwrap_or_default();
    values.split(',').map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

fn required(source: Source<'_>, variable: &'static str) -> Result<String, SettingError> {
    optional(source, variable).ok_or_else(|| missing(variable))
}

fn missing(variable: &'static str) -> SettingError {
    let help = setting(variable).map_or("required", |setting| setting.help);
    SettingError { variable, problem: format!("is not set; it is {help}") }
}

fn parsed<T: FromStr>(source: Source<'_>, variable: &'static str, wants: &str) -> Result<T, SettingError> {
    let value = required(source, variable)?;
    value.parse().map_err(|_| wrong(variable, &value, wants))
}

/// A number that is not zero.
fn number<T: FromStr + PartialEq + From<u8>>(
    source: Source<'_>,
    variable: &'static str,
    wants: &str,
) -> Result<T, SettingError> {
    let value: T = parsed(source, variable, wants)?;
    if value == T::from(0) {
        return Err(wrong(variable, "0", wants));
    }
    Ok(value)
}

/// A number that is not zero, if it is set.
fn optional_number<T: FromStr + PartialEq + From<u8>>(
    source: Source<'_>,
    variable: &'static str,
    wants: &str,
) -> Result<Option<T>, SettingError> {
    optional(source, variable).map(|_| number(source, variable, wants)).transpose()
}

fn wrong(variable: &'static str, value: impl fmt::Display, wants: &str) -> SettingError {
    SettingError { variable, problem: format!("wants {wants}, not {value:?}", value = value.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: &[(&str, &str)] = &[
        ("TABLE_NAME", "calls"),
        ("STACK_USE_CASE", "restaurant-ordering"),
        ("PUBLIC_URL", "https://voice.example.com"),
        ("TWILIO_AUTH_TOKEN", "old, new"),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<Settings, SettingError> {
        let value = |name: &str| {
            let found = changes.iter().rev().chain(COMPLETE).find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::read(&value)
    }

    #[test]
    fn a_complete_environment_is_read() {
        let settings = read(&[
            ("timeZone", "America/Los_Angeles"),
            ("INFERENCE_PROFILE_ARN", "us.amazon.nova-lite-v1:0"),
        ])
        .unwrap();
        assert_eq!(settings.listen, "0.0.0.0:3000".parse().unwrap());
        assert_eq!(settings.default_model.as_deref(), Some("us.amazon.nova-lite-v1:0"));
        assert_eq!(settings.model_hedge, None);
        assert!(settings.model_warm_up);
        assert_eq!(settings.time_zone.iana_name(), Some("America/Los_Angeles"));
        assert!(matches!(settings.signatures, SignatureCheck::Tokens(tokens) if tokens.len() == 2));
    }

    #[test]
    fn an_error_names_the_variable_and_what_it_wants() {
        for (changes, message) in [
            (("TABLE_NAME", ""), "TABLE_NAME: is not set; it is "),
            (("PORT", "http"), "PORT: wants a port between 1 and 65535, not \"http\""),
            (("PORT", "0"), "PORT: wants a port"),
            (("LISTEN_ADDRESS", "localhost"), "LISTEN_ADDRESS: wants an IP address"),
            (("TIME_ZONE", "Mars/Base"), "TIME_ZONE: wants an IANA time zone"),
            (("LOG_FORMAT", "xml"), "LOG_FORMAT: wants json or pretty, not \"xml\""),
            (("PUBLIC_URL", "voice.example.com"), "PUBLIC_URL: wants https://"),
            (("MAX_CALLS", "-1"), "MAX_CALLS: wants a number of calls"),
            (("MAX_CONNECTIONS", "500"), "MAX_CONNECTIONS: wants more connections than MAX_CALLS"),
            (("ECS_AGENT_URI", "169.254.170.2"), "ECS_AGENT_URI: wants an http:// address"),
            (("TWILIO_AUTH_TOKEN", ""), "TWILIO_AUTH_TOKEN: is not set"),
            (("TWILIO_AUTH_TOKEN", " , "), "TWILIO_AUTH_TOKEN: is not set"),
            (("KEEP_CALLS_HOURS", "99999999999999"), "KEEP_CALLS_HOURS: wants"),
            (("RUST_LOG", "trunkline=loud"), "RUST_LOG: wants"),
            (
                ("MODEL_HEDGE_MS", "3000"),
                "MODEL_HEDGE_MS: wants less than MODEL_FIRST_TOKEN_MS, which is 3000, not",
            ),
            (("MODEL_HEDGE_MS", "0"), "MODEL_HEDGE_MS: wants a number of milliseconds, not \"0\""),
            (("MODEL_WARM_UP", "yes"), "MODEL_WARM_UP: wants true or false"),
            (("DANGEROUS_SKIP_SIGNATURE_CHECK", "true"), "DANGEROUS_SKIP_SIGNATURE_CHECK: is refused unless"),
        ] {
            let error = read(&[changes]).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn signatures_are_skipped_only_on_loopback() {
        let settings = read(&[
            ("DANGEROUS_SKIP_SIGNATURE_CHECK", "true"),
            ("LISTEN_ADDRESS", "127.0.0.1"),
            ("TWILIO_AUTH_TOKEN", ""),
        ]);
        assert!(matches!(settings.unwrap().signatures, SignatureCheck::Skipped));
    }

    #[test]
    fn the_originals_socket_url_is_accepted() {
        let settings = read(&[("PUBLIC_URL", ""), ("WS_URL", "wss://voice.example.com/")]).unwrap();
        assert_eq!(settings.public_url.http("/twiml"), "https://voice.example.com/twiml");
    }

    #[test]
    fn tokens_are_never_printed() {
        assert!(!format!("{:?}", read(&[]).unwrap()).contains("old"));
    }
}
