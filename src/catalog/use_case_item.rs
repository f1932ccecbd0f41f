//! Reads the record of a use case into its checked form, and reports every mistake with its place.
//!
//! A record is one item of the table as plain JSON, its DynamoDB types already unwrapped. Fetching it, and
//! reading the files that people write, happens elsewhere.

mod json_text;
mod keypad;
mod model;
mod problem;
mod relay;
mod section;
#[cfg(test)]
mod tests;
mod tool_list;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use voice_core::use_case::{Budget, Channel, OutboundRules, Sentences, Storage, UseCase};

pub use self::problem::Problem;
use self::problem::Report;
use self::section::Section;

/// Attributes that this version acts on, or that belong to the table.
const KNOWN: [&str; 18] = [
    "pk",
    "sk",
    "pk1",
    "sk1",
    "expireAt",
    "title",
    "description",
    "prompt",
    "channel",
    "conversationRelayParams",
    "languages",
    "llmModel",
    "fallbackModels",
    "inferenceConfig",
    "guardrail",
    "tools",
    "dtmfHandlers",
    "messages",
];
/// Attributes that are specified and that this version does not act on.
const WITHOUT_EFFECT: [&str; 4] = ["speech", "silence", "maxDurationSeconds", "handoff"];

/// A use case that can answer calls, and what its author should know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedUseCase {
    pub use_case: UseCase,
    /// What has no effect, or perhaps not the one that was meant.
    pub warnings: Vec<Problem>,
    /// Attributes that Twilio documents it refuses. A check of the record fails on them; a call is still
    /// tried.
    pub attribute_errors: Vec<Problem>,
}

/// Reads one record.
///
/// # Errors
///
/// Every reason for which the record cannot be used, in no particular order and never empty.
pub fn parse_use_case(item: &Map<String, Value>) -> Result<ParsedUseCase, Vec<Problem>> {
    let record = Section::root(item);
    let mut report = Report::default();
    warn_of_attributes_without_effect(&record, &mut report);
    let use_case = read(&record, &mut report);
    match use_case {
        Some(use_case) if report.errors.is_empty() => Ok(ParsedUseCase {
            use_case,
            warnings: report.warnings,
            attribute_errors: report.attribute_errors,
        }),
        _ => Err(report.errors),
    }
}

fn read(record: &Section<'_>, report: &mut Report) -> Option<UseCase> {
    let name = read_name(record, report);
    let prompt = read_prompt(record, report);
    let tools = match record.value("tools") {
        Some(value) => tool_list::read(value, report),
        None => Vec::new(),
    };
    let keypad = match record.value("dtmfHandlers") {
        Some(value) => keypad::read(value, &tools, report),
        None => BTreeMap::new(),
    };
    let owned = |text: &str| text.to_owned();
    let title = record.filled_text("title", report).map(owned);
    let description = record.filled_text("description", report).map(owned);
    let model = record.filled_text("llmModel", report).map(owned);
    let channel = read_channel(record, report);
    let relay_attributes = relay::read_attributes(record, report);
    let languages = relay::read_languages(record, report);
    let fallback_models = model::read_fallback_models(record, report);
    let inference = model::read_inference(record, report);
    let guardrail = model::read_guardrail(record, report);
    let sentences = read_sentences(record, report);
    Some(UseCase {
        name: name?,
        title,
        description,
        prompt: prompt?,
        channel,
        relay_attributes,
        languages,
        model,
        fallback_models,
        inference,
        guardrail,
        tools,
        mcp_servers: Vec::new(),
        keypad,
        sentences,
        handoff: BTreeMap::new(),
        silence: None,
        max_duration: None,
        budget: Budget::default(),
        caller_limit: None,
        outbound: OutboundRules::default(),
        storage: Storage::default(),
    })
}

fn read_name(record: &Section<'_>, report: &mut Report) -> Option<String> {
    if record.text("sk", report).is_some_and(|sk| sk != "configuration") {
        report.error("sk", "must be configuration, which is what marks a use case");
    }
    let name = record.value("pk").and_then(Value::as_str).filter(|name| !name.trim().is_empty());
    if name.is_none() {
        report.error("pk", "must be the name of the use case");
    }
    name.map(str::to_owned)
}

fn read_prompt(record: &Section<'_>, report: &mut Report) -> Option<String> {
    if record.value("prompt").is_none() {
        report.error("prompt", "is missing");
        return None;
    }
    let prompt = json_text::plain_text(record.text("prompt", report)?);
    if prompt.trim().is_empty() {
        report.error("prompt", "is empty");
        return None;
    }
    Some(prompt.into_owned())
}

fn read_channel(record: &Section<'_>, report: &mut Report) -> Channel {
    let Some(text) = record.filled_text("channel", report) else {
        return Channel::default();
    };
    let channels = [Channel::ConversationRelay, Channel::MediaStreams, Channel::OpenAiSip];
    let channel = channels.into_iter().find(|channel| channel.as_str() == text);
    match channel {
        Some(Channel::ConversationRelay) => {}
        Some(_) => report.warn("channel", "has no effect yet: the call is carried by conversationRelay"),
        None => report.error("channel", "must be conversationRelay, mediaStreams or openaiSip"),
    }
    channel.unwrap_or_default()
}

/// Reads `messages`; a sentence that is left out or blank keeps its default, because silence is never an
/// answer.
fn read_sentences(record: &Section<'_>, report: &mut Report) -> Sentences {
    let mut sentences = Sentences::default();
    let Some(section) = record.section("messages", report) else {
        return sentences;
    };
    section.warn_of_unknown(&["failure", "busy", "waiting", "goodbye", "resumed"], report);
    for (name, sentence) in [
        ("failure", &mut sentences.failure),
        ("busy", &mut sentences.busy),
        ("waiting", &mut sentences.waiting),
        ("goodbye", &mut sentences.goodbye),
        ("resumed", &mut sentences.resumed),
    ] {
        match section.text(name, report) {
            Some(text) if text.trim().is_empty() => {
                report.warn(section.path_of(name), "is empty; the default is said instead");
            }
            Some(text) => text.clone_into(sentence),
            None => {}
        }
    }
    sentences
}

fn warn_of_attributes_without_effect(record: &Section<'_>, report: &mut Report) {
    for name in WITHOUT_EFFECT.iter().filter(|name| record.value(name).is_some()) {
        report.warn(*name, "has no effect yet");
    }
    record.warn_of_unknown(&[KNOWN.as_slice(), &WITHOUT_EFFECT].concat(), report);
}
