//! What the service's own handlers read of a model's arguments, held against the schema that the model goes by.

use serde_json::Value;
use voice_core::use_case::Handler;

use crate::catalog::use_case_item::problem::Report;
use crate::catalog::use_case_item::template::declared_arguments;

/// Warns when a schema does not declare what the handler cannot do without: the model would never send it.
pub(in crate::catalog::use_case_item) fn warn_of_missing(
    handler: &Handler,
    schema: &Value,
    path: &str,
    report: &mut Report,
) {
    let Some(declared) = declared_arguments(schema) else { return };
    let read = read_by(handler);
    if !read.is_empty() && !read.iter().any(|name| declared.contains(name)) {
        let names = read.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
        report.warn(path, format!("the schema has no property {names}, which the handler reads"));
    }
}

/// One of these, at least, has to be among the arguments.
fn read_by(handler: &Handler) -> &'static [&'static str] {
    match handler {
        // The person who takes the call is told them.
        Handler::TransferToHuman => &["reason", "summary"],
        Handler::SendSms(_) => &["message"],
        Handler::SendDigits => &["digits"],
        Handler::SwitchLanguage => &["language"],
        // The only recording needs no name.
        Handler::PlayAudio { sources } if sources.len() > 1 => &["name"],
        Handler::PlaceCall(_) => &["to"],
        Handler::VerifyCode => &["code"],
        Handler::SetUseCase { .. } => &["useCase"],
        _ => &[],
    }
}
