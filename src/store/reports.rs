//! How generations went, as the table keeps it: usage and times, and back.

use std::time::Duration;

use serde_json::{Map, Value, json};
use voice_core::ports::{GenerationReport, Usage};

/// What a message of the agent says of the generation behind it.
pub(super) fn from_report(report: &GenerationReport) -> Value {
    let value = json!({
        "model": report.model,
        "stopReason": report.stop_reason,
        "usage": report.usage.as_ref().map(from_usage),
        "usageEstimated": report.estimated.then_some(true),
        "firstTextMs": report.first_text.map(milliseconds),
        "durationMs": milliseconds(report.duration),
    });
    without_nulls(value)
}

pub(super) fn to_report(report: &Value) -> GenerationReport {
    GenerationReport {
        model: text(report, "model"),
        stop_reason: text(report, "stopReason"),
        usage: report.get("usage").map(to_usage),
        estimated: report.get("usageEstimated") == Some(&Value::Bool(true)),
        first_text: duration(report, "firstTextMs"),
        duration: duration(report, "durationMs").unwrap_or_default(),
    }
}

pub(super) fn from_usage(usage: &Usage) -> Value {
    json!({
        "inputTokens": usage.input,
        "outputTokens": usage.output,
        "cacheReadInputTokens": usage.cache_read,
        "cacheWriteInputTokens": usage.cache_write,
    })
}

pub(super) fn to_usage(usage: &Value) -> Usage {
    let tokens = |name: &str| usage.get(name).and_then(whole).unwrap_or_default();
    Usage {
        input: tokens("inputTokens"),
        output: tokens("outputTokens"),
        cache_read: tokens("cacheReadInputTokens"),
        cache_write: tokens("cacheWriteInputTokens"),
    }
}

/// Absent fields are left out rather than written as nothing.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<String, Value>>(),
        ),
        other => other,
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn duration(value: &Value, name: &str) -> Option<Duration> {
    value.get(name).and_then(whole).map(Duration::from_millis)
}

pub(super) fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

/// Numbers of the table come back as whole ones or as fractions.
pub(super) fn whole(value: &Value) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts and milliseconds, which are small and not negative"
    )]
    value.as_u64().or_else(|| value.as_f64().filter(|number| *number >= 0.0).map(|number| number as u64))
}
