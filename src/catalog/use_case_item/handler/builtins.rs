//! Options of the handlers that need no more than a list or a name.

use std::collections::BTreeMap;
use std::sync::Arc;

use voice_core::use_case::{Handler, McpServer, McpTool, PlaceCall, SendSms, VerifyChannel};
use voice_protocols::webhook::is_e164;

use crate::catalog::use_case_item::problem::Report;
use crate::catalog::use_case_item::section::Section;
use crate::catalog::use_case_item::web_address;

pub(super) fn send_sms(options: &Section<'_>, report: &mut Report) -> Handler {
    let numbers = numbers(options, report);
    let from = options.filled_text("from", report).map(str::to_owned);
    if from.as_deref().is_some_and(|from| !is_e164(from) && !is_messaging_service(from)) {
        let reason =
            "must be a number in E.164 form, or the SID of a messaging service: MG and 32 hexadecimal digits";
        report.error(options.path_of("from"), reason);
    }
    Handler::SendSms(SendSms { numbers, from })
}

pub(super) fn play_audio(options: &Section<'_>, report: &mut Report) -> Option<Handler> {
    options.demanded("sources", report)?;
    let mut sources = BTreeMap::new();
    for (name, url) in options.named_texts("sources", report)? {
        if web_address::check_https(url, &format!("{}.{name}", options.path_of("sources")), report) {
            sources.insert(name.to_owned(), url.to_owned());
        }
    }
    refuse_empty(options, "sources", report);
    Some(Handler::PlayAudio { sources })
}

pub(super) fn place_call(options: &Section<'_>, report: &mut Report) -> Option<Handler> {
    let use_case = options.filled_text("useCase", report).map(str::to_owned);
    options.demanded("numbers", report)?;
    refuse_empty(options, "numbers", report);
    Some(Handler::PlaceCall(PlaceCall { numbers: numbers(options, report), use_case }))
}

pub(super) fn verify_send(options: &Section<'_>, report: &mut Report) -> Handler {
    let channel = match options.filled_text("channel", report) {
        None => VerifyChannel::default(),
        Some("sms") => VerifyChannel::Sms,
        Some("call") => VerifyChannel::Call,
        Some(_) => {
            report.error(options.path_of("channel"), "must be sms or call");
            VerifyChannel::default()
        }
    };
    Handler::VerifySend { channel }
}

pub(super) fn set_use_case(options: &Section<'_>, report: &mut Report) -> Option<Handler> {
    let use_cases = options.demanded_texts("useCases", report)?;
    Some(Handler::SetUseCase { use_cases })
}

pub(super) fn mcp(options: &Section<'_>, servers: &[Arc<McpServer>], report: &mut Report) -> Option<Handler> {
    let name = options.demanded_text("tool", report);
    let server = options.demanded_text("server", report)?;
    let Some(server) = servers.iter().find(|known| known.name == server) else {
        report.error(options.path_of("server"), format!("mcpServers has no usable server named {server}"));
        return None;
    };
    let name = name?;
    if !server.allow.iter().any(|allowed| allowed == name) {
        report.error(
            options.path_of("tool"),
            format!("{name} is not among the tools that {} allows", server.name),
        );
    }
    Some(Handler::Mcp(McpTool { server: Arc::clone(server), name: name.to_owned() }))
}

fn numbers(options: &Section<'_>, report: &mut Report) -> BTreeMap<String, String> {
    let mut numbers = BTreeMap::new();
    for (name, number) in options.named_texts("numbers", report).unwrap_or_default() {
        if is_e164(number) {
            numbers.insert(name.to_owned(), number.to_owned());
        } else {
            let path = format!("{}.{name}", options.path_of("numbers"));
            report.error(path, "must be a number in E.164 form, such as +14155550100");
        }
    }
    numbers
}

fn refuse_empty(options: &Section<'_>, name: &str, report: &mut Report) {
    let map = options.value(name).and_then(|value| value.as_object());
    if map.is_some_and(serde_json::Map::is_empty) {
        report.error(options.path_of(name), "is empty");
    }
}

fn is_messaging_service(text: &str) -> bool {
    text.strip_prefix("MG")
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}
