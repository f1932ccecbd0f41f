//! The record's `tools`: a Converse tool list, each entry with our own settings beside its `toolSpec`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use voice_core::use_case::{DEFAULT_TOOL_TIMEOUT, Handler, OnInterrupt, Tool};

use super::handler::{self, Owner, Shared};
use super::json_text::decoded;
use super::problem::Report;
use super::section::{Section, item_path, kind};

/// The longest time a tool may ask for: nobody stays on a silent line for longer.
pub(super) const LONGEST_TIMEOUT_MS: u32 = 120_000;
/// Converse accepts no longer tool name.
const LONGEST_NAME: usize = 64;

const SETTINGS: [&str; 7] =
    ["handler", "timeoutMs", "onInterrupt", "terminal", "filler", "requiresVerified", "idempotent"];
const SPECIFICATION: [&str; 3] = ["name", "description", "inputSchema"];

/// Reads every tool; what is wrong with one is reported and does not hide what is wrong with the next.
pub(super) fn read(value: &Value, shared: &Shared, report: &mut Report) -> Vec<Arc<Tool>> {
    let Some(value) = decoded(value, "tools", report) else {
        return Vec::new();
    };
    let Some(entries) = value.as_array() else {
        report.error("tools", format!("must be a list, not {}", kind(&value)));
        return Vec::new();
    };
    let mut names = BTreeSet::new();
    let mut tools = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let Some(entry) = Section::of(entry, item_path("tools", index), report) else {
            continue;
        };
        let Some(specification) = specification(&entry, report) else {
            continue;
        };
        let Some(tool) = read_tool(&entry, &specification, shared, report) else {
            continue;
        };
        if names.insert(tool.name.clone()) {
            tools.push(Arc::new(tool));
        } else {
            report.error(specification.path_of("name"), format!("there is another tool named {}", tool.name));
        }
    }
    tools
}

/// Where name, description and schema stand: under `toolSpec`, or in the entry itself.
fn specification<'a>(entry: &Section<'a>, report: &mut Report) -> Option<Section<'a>> {
    if entry.value("toolSpec").is_none() {
        entry.warn_of_unknown(&[SPECIFICATION.as_slice(), &SETTINGS].concat(), report);
        return Some(entry.clone());
    }
    entry.warn_of_unknown(&[["toolSpec"].as_slice(), &SETTINGS].concat(), report);
    let specification = entry.section("toolSpec", report)?;
    specification.warn_of_unknown(&SPECIFICATION, report);
    Some(specification)
}

fn read_tool(
    entry: &Section<'_>,
    specification: &Section<'_>,
    shared: &Shared,
    report: &mut Report,
) -> Option<Tool> {
    // All parts are read before the first missing one is given up on, so that all mistakes are reported.
    let name = read_name(specification, report);
    let input_schema = read_input_schema(specification, report);
    let description = specification.filled_text("description", report).map(str::to_owned);
    let timeout = entry.whole_number("timeoutMs", 1, LONGEST_TIMEOUT_MS, report);
    let on_interrupt = read_on_interrupt(entry, report);
    let terminal = entry.boolean("terminal", report).unwrap_or(false);
    let requires_verified = entry.boolean("requiresVerified", report).unwrap_or(false);
    let idempotent = entry.boolean("idempotent", report);
    let filler = entry.filled_text("filler", report).map(str::to_owned);
    let owner = Owner { name, path_of_name: specification.path_of("name"), schema: input_schema.as_ref() };
    let handler = handler::read(entry, &owner, shared, report)?;
    if let Some(schema) = &input_schema {
        handler::arguments::warn_of_missing(
            &handler,
            schema,
            &specification.path_of("inputSchema.json"),
            report,
        );
    }
    Some(Tool {
        name: name?.to_owned(),
        description,
        timeout: timeout.map_or_else(|| default_timeout(&handler), |ms| Duration::from_millis(ms.into())),
        on_interrupt,
        terminal,
        requires_verified,
        idempotent: idempotent.unwrap_or_else(|| handler::is_harmless(&handler)),
        filler,
        handler,
        input_schema: input_schema?,
    })
}

fn default_timeout(handler: &Handler) -> Duration {
    match handler {
        Handler::Mcp(tool) => tool.server.timeout,
        _ => DEFAULT_TOOL_TIMEOUT,
    }
}

fn read_name<'a>(specification: &Section<'a>, report: &mut Report) -> Option<&'a str> {
    let path = specification.path_of("name");
    if specification.value("name").is_none() {
        report.error(path, "is missing");
        return None;
    }
    let name = specification.text("name", report)?;
    if !is_part_of_a_name(name, LONGEST_NAME) {
        report.error(path, format!("must be 1 to {LONGEST_NAME} letters, digits, _ or -"));
        return None;
    }
    Some(name)
}

fn read_on_interrupt(entry: &Section<'_>, report: &mut Report) -> OnInterrupt {
    match entry.text("onInterrupt", report) {
        None | Some("finish") => OnInterrupt::Finish,
        Some("cancel") => OnInterrupt::Cancel,
        Some(_) => {
            report.error(entry.path_of("onInterrupt"), "must be finish or cancel");
            OnInterrupt::default()
        }
    }
}

/// The schema under `inputSchema.json`, which must be one that a validator understands and that wants an
/// object.
fn read_input_schema(specification: &Section<'_>, report: &mut Report) -> Option<Value> {
    let wrapper = specification.path_of("inputSchema");
    if specification.value("inputSchema").is_none() {
        report
            .error(wrapper, "is missing; a tool without arguments wants {\"json\": {\"type\": \"object\"}}");
        return None;
    }
    let input_schema = specification.section("inputSchema", report)?;
    let path = input_schema.path_of("json");
    let Some(schema) = input_schema.value("json") else {
        report.error(path, "is missing");
        return None;
    };
    input_schema.warn_of_unknown(&["json"], report);
    let schema = decoded(schema, &path, report)?.into_owned();
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        report.error(path, "must be an object schema: {\"type\": \"object\", ...}");
        return None;
    }
    if let Err(error) = jsonschema::validator_for(&schema) {
        report.error(path, format!("is not a JSON Schema: {error}"));
        return None;
    }
    Some(schema)
}

/// Whether it can stand in a tool's name: 1 to `longest` letters, digits, `_` or `-`.
pub(super) fn is_part_of_a_name(text: &str, longest: usize) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=longest).contains(&text.len()) && text.bytes().all(is_allowed)
}
