//! The record's `mcpServers`: servers whose tools the model may use. Asking them what they have happens elsewhere.

use std::sync::Arc;
use std::time::Duration;

use voice_core::use_case::McpServer;

use super::problem::Report;
use super::section::{Section, item_path};
use super::tool_list::{LONGEST_TIMEOUT_MS, is_part_of_a_name};
use super::{secrets, web_address};

const SETTINGS: [&str; 6] = ["url", "headers", "allow", "prefix", "timeoutMs", "idempotent"];
const DEFAULT_TIMEOUT_MS: u32 = 10_000;
/// A name and a prefix leave room for the tool's own name.
const LONGEST_NAME: usize = 32;

/// Reads every server; what is wrong with one does not hide what is wrong with the next.
pub(super) fn read(record: &Section<'_>, report: &mut Report) -> Vec<Arc<McpServer>> {
    let Some(section) = record.section("mcpServers", report) else {
        return Vec::new();
    };
    let mut servers = Vec::new();
    for (name, value) in section.fields().filter(|(_, value)| !value.is_null()) {
        let path = section.path_of(name);
        if !is_part_of_a_name(name, LONGEST_NAME) {
            report.error(path, format!("must be named with 1 to {LONGEST_NAME} letters, digits, _ or -"));
        } else if let Some(server) = Section::of(value, path, report) {
            servers.extend(read_server(name, &server, report).map(Arc::new));
        }
    }
    servers
}

fn read_server(name: &str, section: &Section<'_>, report: &mut Report) -> Option<McpServer> {
    section.warn_of_unknown(&SETTINGS, report);
    let url = section.demanded_text("url", report).map(str::trim);
    let url = url.filter(|url| web_address::check(url, &section.path_of("url"), report));
    let headers = secrets::read_headers(section, refuse_templates, report);
    let allow = section.demanded_texts("allow", report);
    let allow = allow?;
    let prefix = section.text("prefix", report).map_or_else(|| format!("{name}_"), str::to_owned);
    if !prefix.is_empty() && !is_part_of_a_name(&prefix, LONGEST_NAME) {
        let reason = format!("must be at most {LONGEST_NAME} letters, digits, _ or -");
        report.error(section.path_of("prefix"), reason);
    }
    let timeout =
        section.whole_number("timeoutMs", 1, LONGEST_TIMEOUT_MS, report).unwrap_or(DEFAULT_TIMEOUT_MS);
    let idempotent = section.texts("idempotent", report).unwrap_or_default();
    for (index, tool) in idempotent.iter().enumerate().filter(|(_, tool)| !allow.contains(tool)) {
        let path = item_path(&section.path_of("idempotent"), index);
        report.warn(path, format!("{tool} is not among the allowed tools"));
    }
    Some(McpServer {
        name: name.to_owned(),
        url: url?.to_owned(),
        headers,
        allow,
        prefix,
        timeout: Duration::from_millis(timeout.into()),
        idempotent,
    })
}

/// The connection outlives the call that opened it, so there is nothing to fill in.
fn refuse_templates(text: &str, path: &str, report: &mut Report) {
    if text.contains("{{") {
        report.error(path, "must be a text without templates: the connection is shared by all calls");
    }
}
