//! What runs when the model calls a tool: the entry's `handler`, or the handler that has the tool's own name.
//!
//! A handler is a name, or a map of `type` and the handler's options. Several names stand for one handler, because
//! records of the replaced systems work as they are.

pub(super) mod arguments;
mod builtins;
mod functions;
mod http;
mod record;

use std::sync::Arc;

use serde_json::Value;
use voice_core::use_case::{Handler, McpServer, RestaurantTool};

use self::functions::Functions;
use super::problem::Report;
use super::section::{Section, kind};
use super::template::Templates;

/// What the tools of one record share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) servers: Vec<Arc<McpServer>>,
    functions: Option<Functions>,
}

impl Shared {
    /// `servers` are those of the same record.
    pub(super) fn read(record: &Section<'_>, servers: Vec<Arc<McpServer>>, report: &mut Report) -> Self {
        Self { servers, functions: functions::read(record, report) }
    }
}

/// The tool that a handler is for. Name and schema are absent when something is wrong with them.
#[derive(Debug)]
pub(super) struct Owner<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) path_of_name: String,
    pub(super) schema: Option<&'a Value>,
}

/// Reads the handler of a tool's entry; nothing when its mistakes were reported.
pub(super) fn read(
    entry: &Section<'_>,
    tool: &Owner<'_>,
    shared: &Shared,
    report: &mut Report,
) -> Option<Handler> {
    let path = entry.path_of("handler");
    let templates = Templates::of_schema(tool.schema);
    match entry.value("handler") {
        None => by_own_name(tool, path, shared, &templates, report),
        Some(Value::String(text)) if text.trim().is_empty() => {
            by_own_name(tool, path, shared, &templates, report)
        }
        Some(Value::String(name)) => match kind_of(name) {
            Some(kind) => with_options(kind, &Section::empty(path), shared, &templates, report),
            None => Some(unknown(name, path, report)),
        },
        Some(value @ Value::Object(_)) => {
            let options = Section::of(value, path, report)?;
            let name = options.demanded_text("type", report)?;
            match kind_of(name) {
                Some(kind) => with_options(kind, &options, shared, &templates, report),
                None => Some(unknown(name, options.path_of("type"), report)),
            }
        }
        Some(other) => {
            report.error(path, format!("must be a name or a map, not {}", kind(other)));
            None
        }
    }
}

/// Running it twice does no harm, as far as the handler itself tells.
pub(super) fn is_harmless(handler: &Handler) -> bool {
    match handler {
        Handler::GetCustomer | Handler::CurrentTime => true,
        Handler::Http(tool) => tool.method == "GET",
        Handler::Mcp(tool) => tool.server.idempotent.contains(&tool.name),
        Handler::Record(tool) => record::only_reads(tool),
        _ => false,
    }
}

fn by_own_name(
    tool: &Owner<'_>,
    path: String,
    shared: &Shared,
    templates: &Templates<'_>,
    report: &mut Report,
) -> Option<Handler> {
    let name = tool.name?;
    // These three say nothing without their options, so a tool that is called so means something else.
    let by_name = kind_of(name).filter(|kind| !matches!(kind, Kind::Http | Kind::Mcp | Kind::Record));
    match (by_name, &shared.functions) {
        (Some(kind), _) => with_options(kind, &Section::empty(path), shared, templates, report),
        (None, Some(functions)) => Some(Handler::Http(Arc::new(functions.request(name)))),
        (None, None) => Some(unknown(name, tool.path_of_name.clone(), report)),
    }
}

fn kind_of(name: &str) -> Option<Kind> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// Only a warning: the tool answers the model with an error, and the rest of the persona works.
fn unknown(name: &str, path: String, report: &mut Report) -> Handler {
    report.warn(path, format!("no handler is named {name}; every call of the tool will fail"));
    Handler::Unknown(name.to_owned())
}

fn with_options(
    kind: Kind,
    options: &Section<'_>,
    shared: &Shared,
    templates: &Templates<'_>,
    report: &mut Report,
) -> Option<Handler> {
    options.warn_of_unknown(&[&["type"], options_of(kind)].concat(), report);
    match kind {
        Kind::EndCall => Some(Handler::EndCall),
        Kind::TransferToHuman => Some(Handler::TransferToHuman),
        Kind::SendSms => Some(builtins::send_sms(options, report)),
        Kind::SendDigits => Some(Handler::SendDigits),
        Kind::SwitchLanguage => Some(Handler::SwitchLanguage),
        Kind::PlayAudio => builtins::play_audio(options, report),
        Kind::GetCustomer => Some(Handler::GetCustomer),
        Kind::PlaceCall => builtins::place_call(options, report),
        Kind::VerifySend => Some(builtins::verify_send(options, report)),
        Kind::VerifyCode => Some(Handler::VerifyCode),
        Kind::CurrentTime => Some(Handler::CurrentTime),
        Kind::SetUseCase => builtins::set_use_case(options, report),
        Kind::Http => http::read(options, templates, report).map(|tool| Handler::Http(Arc::new(tool))),
        Kind::Mcp => builtins::mcp(options, &shared.servers, report),
        Kind::Record => record::read(options, templates, report).map(|tool| Handler::Record(Arc::new(tool))),
        Kind::Restaurant(tool) => Some(Handler::Restaurant(tool)),
    }
}

const fn options_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::SendSms => &["numbers", "from"],
        Kind::PlayAudio => &["sources"],
        Kind::PlaceCall => &["numbers", "useCase"],
        Kind::VerifySend => &["channel"],
        Kind::SetUseCase => &["useCases"],
        Kind::Http => &http::OPTIONS,
        Kind::Mcp => &["server", "tool"],
        Kind::Record => &record::OPTIONS,
        _ => &[],
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    EndCall,
    TransferToHuman,
    SendSms,
    SendDigits,
    SwitchLanguage,
    PlayAudio,
    GetCustomer,
    PlaceCall,
    VerifySend,
    VerifyCode,
    CurrentTime,
    SetUseCase,
    Http,
    Mcp,
    Record,
    Restaurant(RestaurantTool),
}

const NAMES: [(&str, Kind); 25] = [
    ("end_call", Kind::EndCall),
    ("transfer_to_human", Kind::TransferToHuman),
    ("live-agent-handoff", Kind::TransferToHuman),
    ("support", Kind::TransferToHuman),
    ("send_sms", Kind::SendSms),
    ("send_digits", Kind::SendDigits),
    ("switch_language", Kind::SwitchLanguage),
    ("play_audio", Kind::PlayAudio),
    ("get_customer", Kind::GetCustomer),
    ("get-customer", Kind::GetCustomer),
    ("place_call", Kind::PlaceCall),
    ("verify_send", Kind::VerifySend),
    ("verify-send", Kind::VerifySend),
    ("verify_code", Kind::VerifyCode),
    ("verify-code", Kind::VerifyCode),
    ("current_time", Kind::CurrentTime),
    ("getDateTool", Kind::CurrentTime),
    ("getTimeTool", Kind::CurrentTime),
    ("set_use_case", Kind::SetUseCase),
    ("http", Kind::Http),
    ("mcp", Kind::Mcp),
    ("record", Kind::Record),
    ("PlaceOrderFunction", Kind::Restaurant(RestaurantTool::PlaceOrder)),
    ("CheckRestaurantPickUpTime", Kind::Restaurant(RestaurantTool::PickUpTime)),
    ("CheckRestaurantDeliveryTime", Kind::Restaurant(RestaurantTool::DeliveryTime)),
];
