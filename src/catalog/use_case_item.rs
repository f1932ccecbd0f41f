//! Reads the record of a use case into its checked form, and reports every mistake with its place.
//!
//! A record is one item of the table as plain JSON, its DynamoDB types already unwrapped. Fetching it, and
//! reading the files that people write, happens elsewhere.

mod handler;
mod handoff;
mod json_text;
mod keypad;
mod limits;
mod mcp_servers;
mod model;
mod outbound;
mod problem;
mod relay;
mod secrets;
mod section;
mod sentences;
mod storage;
mod template;
#[cfg(test)]
mod tests;
mod tool_list;
mod web_address;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use voice_core::use_case::{Channel, Handler, Sentences, UseCase};

use self::handler::Shared;
pub use self::problem::Problem;
use self::problem::Report;
use self::section::Section;

/// Attributes that this version acts on, or that belong to the table.
const KNOWN: [&str; 29] = [
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
    "toolsUrl",
    "toolsSecret",
    "mcpServers",
    "handoff",
    "silence",
    "maxDurationSeconds",
    "warnBeforeSeconds",
    "budget",
    "rateLimit",
    "outbound",
    "storage",
];
/// Attributes that are specified and that this version does not act on.
const WITHOUT_EFFECT: [&str; 1] = ["speech"];

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
    let servers = mcp_servers::read(record, report);
    let shared = Shared::read(record, servers, report);
    let tools = match record.value("tools") {
        Some(value) => tool_list::read(value, &shared, report),
        None => Vec::new(),
    };
    let mcp_servers = shared.servers;
    let keypad = match record.value("dtmfHandlers") {
        Some(value) => {
            let own = tools.iter().map(|tool| tool.name.clone());
            let remote = mcp_servers
                .iter()
                .flat_map(|server| server.allow.iter().map(|tool| format!("{}{tool}", server.prefix)));
            keypad::read(value, &own.chain(remote).collect::<Vec<_>>(), report)
        }
        None => BTreeMap::new(),
    };
    let owned = |text: &str| text.to_owned();
    let title = record.filled_text("title", report).map(owned);
    let description = record.filled_text("description", report).map(owned);
    let model = record.filled_text("llmModel", report).map(owned);
    let channel = read_channel(record, report);
    let relay_attributes = relay::read_attributes(record, report);
    let sentences = read_sentences(record, report);
    let languages = relay::read_languages(record, &sentences, report);
    let fallback_models = model::read_fallback_models(record, report);
    let inference = model::read_inference(record, report);
    let guardrail = model::read_guardrail(record, report);
    let (handoff, rescue) = handoff::read(record, report);
    let silence = limits::read_silence(record, report);
    let max_duration = limits::read_max_duration(record, report);
    let budget = limits::read_budget(record, report);
    let caller_limit = limits::read_caller_limit(record, report);
    let outbound = outbound::read(record, report);
    let storage = storage::read(record, report);
    let use_case = UseCase {
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
        mcp_servers,
        keypad,
        sentences,
        handoff,
        rescue,
        silence,
        max_duration,
        budget,
        caller_limit,
        outbound,
        storage,
    };
    warn_of_gaps(&use_case, report);
    Some(use_case)
}

/// Warns of tools that need what the record does not have.
fn warn_of_gaps(use_case: &UseCase, report: &mut Report) {
    let find = |handler: &Handler| use_case.tools.iter().find(|tool| tool.handler == *handler);
    if let Some(tool) = find(&Handler::TransferToHuman).filter(|_| use_case.handoff.is_empty()) {
        let reason = "is missing; without it, and without SIP_ENDPOINT, the tool has nobody to hand over to";
        report.warn("handoff", format!("{reason}: {}", tool.name));
    }
    if let Some(tool) = find(&Handler::SwitchLanguage).filter(|_| use_case.languages.is_empty()) {
        report.warn("languages", format!("is missing; without it there is none to switch to: {}", tool.name));
    }
}

fn read_name(record: &Section<'_>, report: &mut Report) -> Option<String> {
    if record.text("sk", report).is_some_and(|sk| sk != "configuration") {
        report.error("sk", "must be configuration, which is what marks a use case");
    }
    let name = record.value("pk").and_then(Value::as_str).filter(|name| !name.trim().is_empty());
    if name.is_none() {
        report.error("pk", "must be the name of the use case");
    }
    if name == Some("status") {
        report.warn(
            "pk",
            "cannot be reached as /twiml/status, which is where Twilio reports the status of calls",
        );
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

fn read_sentences(record: &Section<'_>, report: &mut Report) -> Sentences {
    let defaults = Sentences::default();
    match record.section("messages", report) {
        Some(section) => sentences::read(&section, &defaults, report),
        None => defaults,
    }
}

fn warn_of_attributes_without_effect(record: &Section<'_>, report: &mut Report) {
    for name in WITHOUT_EFFECT.iter().filter(|name| record.value(name).is_some()) {
        report.warn(*name, "has no effect yet");
    }
    record.warn_of_unknown(&[KNOWN.as_slice(), &WITHOUT_EFFECT].concat(), report);
}
