//! What a record says about the model: which ones, how they sample, and the guardrail.

use serde_json::Value;
use voice_core::use_case::{Guardrail, InferenceSettings};

use super::problem::Report;
use super::section::Section;

/// More output than any telephone turn has; past it the number is a mistake.
const MOST_TOKENS: u32 = 100_000;

/// Reads `inferenceConfig`; what it leaves out keeps its default.
pub(super) fn read_inference(record: &Section<'_>, report: &mut Report) -> InferenceSettings {
    let mut settings = InferenceSettings::default();
    let Some(section) = record.section("inferenceConfig", report) else {
        return settings;
    };
    section.warn_of_unknown(&["maxTokens", "temperature", "topP", "stopSequences"], report);
    if let Some(max_tokens) = section.whole_number("maxTokens", 1, MOST_TOKENS, report) {
        settings.max_tokens = max_tokens;
    }
    let temperature = section.fraction("temperature", report);
    settings.top_p = section.fraction("topP", report);
    // Some models refuse both, so the default of one is not sent beside the other.
    if temperature.is_some() || settings.top_p.is_some() {
        settings.temperature = temperature;
    }
    settings.stop_sequences = section.texts("stopSequences", report).unwrap_or_default();
    settings
}

/// Reads `fallbackModels`: a list, or one model id alone.
pub(super) fn read_fallback_models(record: &Section<'_>, report: &mut Report) -> Vec<String> {
    match record.value("fallbackModels") {
        Some(Value::String(model)) if !model.trim().is_empty() => vec![model.clone()],
        _ => record.texts("fallbackModels", report).unwrap_or_default(),
    }
}

/// Reads `guardrail`.
pub(super) fn read_guardrail(record: &Section<'_>, report: &mut Report) -> Option<Guardrail> {
    let section = record.section("guardrail", report)?;
    section.warn_of_unknown(&["identifier", "version", "streamProcessingMode", "trace"], report);
    let identifier = section.filled_text("identifier", report).map(str::to_owned);
    let version = read_version(&section, report);
    let stream_processing = section.filled_text("streamProcessingMode", report).map(str::to_owned);
    if stream_processing.as_deref().is_some_and(|mode| mode != "sync" && mode != "async") {
        report.error(section.path_of("streamProcessingMode"), "must be sync or async");
    }
    let trace = read_trace(&section, report);
    for (name, is_missing) in [("identifier", identifier.is_none()), ("version", version.is_none())] {
        if is_missing {
            report.error(section.path_of(name), "is missing");
        }
    }
    Some(Guardrail { identifier: identifier?, version: version?, stream_processing, trace })
}

/// A version is `DRAFT` or a number, and people write the number as one.
fn read_version(section: &Section<'_>, report: &mut Report) -> Option<String> {
    let version = match section.value("version")? {
        Value::Number(number) => number.to_string(),
        _ => section.filled_text("version", report)?.to_owned(),
    };
    let is_number =
        version.len() <= 8 && !version.starts_with('0') && version.bytes().all(|b| b.is_ascii_digit());
    if version != "DRAFT" && !is_number {
        report.error(section.path_of("version"), "must be DRAFT or the number of a version");
    }
    Some(version)
}

/// `true`, `false`, or Bedrock's own words for them.
fn read_trace(section: &Section<'_>, report: &mut Report) -> bool {
    match section.value("trace").and_then(Value::as_str) {
        Some("enabled" | "enabled_full") => true,
        Some("disabled") => false,
        _ => section.boolean("trace", report).unwrap_or(false),
    }
}
