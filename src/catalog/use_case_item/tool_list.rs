//! The record's `tools`: a Converse tool list, each entry with our own settings beside its `toolSpec`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use voice_core::use_case::{Handler, OnInterrupt, RestaurantTool, Tool};

use super::json_text::decoded;
use super::problem::Report;
use super::section::{Section, item_path, kind};

/// How long a tool may run when its entry does not say.
const DEFAULT_TIMEOUT_MS: u32 = 10_000;
/// The longest time a tool may ask for: nobody stays on a silent line for longer.
const LONGEST_TIMEOUT_MS: u32 = 120_000;
/// Converse accepts no longer tool name.
const LONGEST_NAME: usize = 64;

const SETTINGS: [&str; 5] = ["handler", "timeoutMs", "onInterrupt", "terminal", "filler"];
const SPECIFICATION: [&str; 3] = ["name", "description", "inputSchema"];

/// Reads every tool; what is wrong with one is reported and does not hide what is wrong with the next.
pub(super) fn read(value: &Value, report: &mut Report) -> Vec<Arc<Tool>> {
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
        let Some(tool) = read_tool(&entry, &specification, report) else {
            continue;
        };
        warn_of_unknown_handler(&tool, &entry, &specification, report);
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

fn read_tool(entry: &Section<'_>, specification: &Section<'_>, report: &mut Report) -> Option<Tool> {
    // All parts are read before the first missing one is given up on, so that all mistakes are reported.
    let name = read_name(specification, report);
    let input_schema = read_input_schema(specification, report);
    let description = specification.filled_text("description", report).map(str::to_owned);
    let timeout =
        entry.whole_number("timeoutMs", 1, LONGEST_TIMEOUT_MS, report).unwrap_or(DEFAULT_TIMEOUT_MS);
    let on_interrupt = read_on_interrupt(entry, report);
    let terminal = entry.boolean("terminal", report).unwrap_or(false);
    let filler = entry.filled_text("filler", report).map(str::to_owned);
    let handler = entry.filled_text("handler", report);
    let name = name?;
    Some(Tool {
        handler: named(handler.unwrap_or(name)),
        requires_verified: false,
        idempotent: false,
        name: name.to_owned(),
        description,
        input_schema: input_schema?,
        timeout: Duration::from_millis(timeout.into()),
        on_interrupt,
        terminal,
        filler,
    })
}

fn read_name<'a>(specification: &Section<'a>, report: &mut Report) -> Option<&'a str> {
    let path = specification.path_of("name");
    if specification.value("name").is_none() {
        report.error(path, "is missing");
        return None;
    }
    let name = specification.text("name", report)?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_allowed) {
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

/// Only a warning: the tool answers the model with an error, and the rest of the persona works.
fn warn_of_unknown_handler(
    tool: &Tool,
    entry: &Section<'_>,
    specification: &Section<'_>,
    report: &mut Report,
) {
    let Handler::Unknown(handler) = &tool.handler else { return };
    let named = entry.value("handler").is_some();
    let path = if named { entry.path_of("handler") } else { specification.path_of("name") };
    report.warn(path, format!("no handler is named {handler}; every call of the tool will fail"));
}

fn named(name: &str) -> Handler {
    match name {
        "PlaceOrderFunction" => Handler::Restaurant(RestaurantTool::PlaceOrder),
        "CheckRestaurantPickUpTime" => Handler::Restaurant(RestaurantTool::PickUpTime),
        "CheckRestaurantDeliveryTime" => Handler::Restaurant(RestaurantTool::DeliveryTime),
        "end_call" => Handler::EndCall,
        other => Handler::Unknown(other.to_owned()),
    }
}
