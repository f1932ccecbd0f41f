//! Settings of what the service tells of itself: where traces and measurements go, and what tokens cost.
//!
//! The variables are those of OpenTelemetry, with its meanings. They are read here and nowhere else.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::{SettingError, Source, list, number, optional, parsed, required, wrong};
use crate::prices::Prices;

#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    /// Absent when nothing is to be exported.
    pub export: Option<ExportSettings>,
    pub prices: Prices,
}

/// Where traces and measurements go, and which.
#[derive(Clone, Debug)]
pub struct ExportSettings {
    /// The collector's base address, without a slash at its end.
    pub endpoint: String,
    /// Sent with every request. They may hold credentials, so that their values are marked as sensitive.
    pub headers: HeaderMap,
    pub service_name: String,
    /// What else is told of this process with everything that it exports.
    pub resource: Vec<(String, String)>,
    /// Which part of all calls is traced, between 0 and 1.
    pub traced: f64,
    /// Between two exports of measurements.
    pub interval: Duration,
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
const PRICES: &str = "PRICES";

impl TelemetrySettings {
    pub(super) fn read(source: Source<'_>) -> Result<Self, SettingError> {
        Ok(Self { export: ExportSettings::read(source)?, prices: prices(source)? })
    }
}

impl ExportSettings {
    /// The other settings are checked also when there is no endpoint, so that setting one brings no surprise.
    fn read(source: Source<'_>) -> Result<Option<Self>, SettingError> {
        let protocol = required(source, PROTOCOL)?;
        if protocol != "http/protobuf" {
            return Err(wrong(PROTOCOL, protocol, "http/protobuf, which collectors take at port 4318"));
        }
        let settings = Self {
            endpoint: String::new(),
            headers: headers(source)?,
            service_name: required(source, "OTEL_SERVICE_NAME")?,
            resource: pairs(source, "OTEL_RESOURCE_ATTRIBUTES")?,
            traced: traced(source)?,
            interval: Duration::from_millis(number(
                source,
                "OTEL_METRIC_EXPORT_INTERVAL",
                super::MILLISECONDS,
            )?),
        };
        Ok(endpoint(source)?.map(|endpoint| Self { endpoint, ..settings }))
    }
}

fn endpoint(source: Source<'_>) -> Result<Option<String>, SettingError> {
    let Some(value) = optional(source, ENDPOINT) else { return Ok(None) };
    let fits = |url: &Url| {
        ["http", "https"].contains(&url.scheme())
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    match Url::parse(&value) {
        Ok(url) if fits(&url) => Ok(Some(url.as_str().trim_end_matches('/').to_owned())),
        // It might hold a password.
        _ => Err(SettingError {
            variable: ENDPOINT,
            problem: "wants an address such as http://localhost:4318, without credentials".to_owned(),
        }),
    }
}

fn headers(source: Source<'_>) -> Result<HeaderMap, SettingError> {
    let header = |(name, value): (String, String)| {
        let name = HeaderName::try_from(&name).map_err(|_| wrong(HEADERS, &name, "names of headers"))?;
        let mut value = HeaderValue::try_from(value).map_err(|_| SettingError {
            variable: HEADERS,
            problem: format!("wants a value for {name} that a header can hold"),
        })?;
        value.set_sensitive(true);
        Ok((name, value))
    };
    pairs(source, HEADERS)?.into_iter().map(header).collect()
}

/// No call of ours has a parent that was sampled elsewhere, so that `parentbased_` changes nothing.
fn traced(source: Source<'_>) -> Result<f64, SettingError> {
    const RATIO: &str = "a ratio between 0 and 1";
    let sampler = required(source, SAMPLER)?;
    let ratio: f64 = parsed(source, SAMPLER_ARGUMENT, RATIO)?;
    if !(0.0..=1.0).contains(&ratio) {
        return Err(wrong(SAMPLER_ARGUMENT, ratio, RATIO));
    }
    match sampler.strip_prefix("parentbased_").unwrap_or(&sampler) {
        "always_on" => Ok(1.0),
        "always_off" => Ok(0.0),
        "traceidratio" => Ok(ratio),
        _ => Err(wrong(SAMPLER, sampler, "always_on, always_off or traceidratio, also with parentbased_")),
    }
}

/// `name=value,name=value`, whose values are percent-encoded. Complaints do not show values.
fn pairs(source: Source<'_>, variable: &'static str) -> Result<Vec<(String, String)>, SettingError> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let name = name.trim();
        let sound = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        sound.then(|| (name.to_owned(), value.into_owned()))
    };
    let pairs: Option<Vec<_>> = list(source, variable).iter().map(pair).collect();
    pairs.ok_or_else(|| SettingError {
        variable,
        problem: "wants name=value,name=value with percent-encoded values".to_owned(),
    })
}

pub(super) fn prices(source: Source<'_>) -> Result<Prices, SettingError> {
    let Some(path) = optional(source, PRICES) else { return Ok(Prices::default()) };
    let refused = |problem: String| SettingError { variable: PRICES, problem: format!("{path}: {problem}") };
    let text = std::fs::read_to_string(&path).map_err(|error| refused(error.to_string()))?;
    Prices::parse(&text).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<TelemetrySettings, SettingError> {
        TelemetrySettings::read(&|name| {
            given.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_is_exported_unless_there_is_an_endpoint() {
        assert!(read(&[]).unwrap().export.is_none());
        let export = read(&[(ENDPOINT, "http://localhost:4318/")]).unwrap().export.unwrap();
        assert_eq!(export.endpoint, "http://localhost:4318");
        assert_eq!((export.service_name.as_str(), export.traced), ("trunkline", 1.0));
        assert_eq!(export.interval, Duration::from_mins(1));
    }

    #[test]
    fn the_standard_variables_are_honoured() {
        let export = read(&[
            (ENDPOINT, "https://otlp.example.com/otlp"),
            ("OTEL_SERVICE_NAME", "voice"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod, team=a%2Cb"),
            (HEADERS, "authorization=Bearer%20secret"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
            (SAMPLER, "parentbased_traceidratio"),
            (SAMPLER_ARGUMENT, "0.25"),
        ]);
        let export = export.unwrap().export.unwrap();
        assert_eq!(export.endpoint, "https://otlp.example.com/otlp");
        assert_eq!(export.resource[1], ("team".to_owned(), "a,b".to_owned()));
        assert_eq!(export.headers["authorization"], "Bearer secret");
        assert!(!format!("{export:?}").contains("secret"));
        assert_eq!((export.interval, export.traced), (Duration::from_secs(5), 0.25));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_also_without_an_endpoint() {
        for (variable, value, says) in [
            (ENDPOINT, "localhost:4318", "wants an address such as http://localhost:4318"),
            (ENDPOINT, "http://user:secret@host", "without credentials"),
            (PROTOCOL, "grpc", "wants http/protobuf"),
            (SAMPLER, "jaeger_remote", "wants always_on, always_off or traceidratio"),
            (SAMPLER_ARGUMENT, "2", "wants a ratio between 0 and 1"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "0", "wants a number of milliseconds"),
            ("OTEL_RESOURCE_ATTRIBUTES", "secret", "wants name=value"),
            (HEADERS, "=secret", "wants name=value"),
            (HEADERS, "a(b=secret", "wants names of headers, not \"a(b\""),
            (HEADERS, "a=secret%0A", "wants a value for a that a header can hold"),
            (PRICES, "/no/such/file.toml", "/no/such/file.toml: "),
        ] {
            let error = read(&[(variable, value)]).unwrap_err();
            assert!(error.variable == variable && error.problem.contains(says), "{error}");
            assert!(!error.problem.contains("secret"), "{error}");
        }
    }

    #[test]
    fn prices_come_from_the_file_that_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let list = "[[prices]]\nmodel = \"m\"\ninput = 1\noutput = 1\nsource = \"us\"\ndate = 2026-01-01";
        std::fs::write(file.path(), list).unwrap();
        let prices = read(&[(PRICES, &file.path().display().to_string())]).unwrap().prices;
        assert_eq!(prices, Prices::parse(list).unwrap());
        std::fs::write(file.path(), "[[prices]]\nmodel = \"m\"").unwrap();
        let error = read(&[(PRICES, &file.path().display().to_string())]).unwrap_err();
        assert!(error.problem.contains("missing field"), "{error}");
    }
}
