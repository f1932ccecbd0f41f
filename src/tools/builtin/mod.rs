//! Tools that are the service's own: what it can do to a call, through the carrier, and with what it knows.

mod calls;
mod carrier;
mod customer;
mod language;
mod line;
mod messages;
mod time;
mod transfer;
mod use_case;
mod verification;

use jiff::Zoned;
use voice_core::ports::ToolRequest;
use voice_core::redaction::Redactor;
use voice_core::use_case::Handler;

use super::arguments::{shortened, text};
use super::{Handled, NOT_AVAILABLE, ToolsParts};

pub(super) async fn handle(parts: &ToolsParts, request: &ToolRequest) -> Handled {
    match &request.tool.handler {
        Handler::EndCall => Ok(transfer::end_call(request)),
        Handler::TransferToHuman => transfer::to_human(&parts.metrics, request),
        Handler::SendSms(settings) => messages::send_sms(parts, settings, request).await,
        Handler::SendDigits => line::send_digits(request),
        Handler::PlayAudio { sources } => line::play_audio(sources, request),
        Handler::SwitchLanguage => language::switch(request),
        Handler::GetCustomer => customer::get(&*parts.records, request).await,
        Handler::PlaceCall(settings) => calls::place(parts, settings, request).await,
        Handler::VerifySend { channel } => verification::send(parts, *channel, request).await,
        Handler::VerifyCode => verification::check(parts, request).await,
        Handler::CurrentTime => time::current(&Zoned::now().with_time_zone(parts.time_zone.clone()), request),
        Handler::SetUseCase { use_cases } => use_case::set(parts, use_cases, request).await,
        // These have their own ways before this one.
        Handler::Http(_)
        | Handler::Mcp(_)
        | Handler::Record(_)
        | Handler::Restaurant(_)
        | Handler::Unknown(_) => Err(NOT_AVAILABLE.to_owned()),
    }
}

/// The names that may be chosen, for a model that chose another.
fn listed<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// A text among the arguments that leaves the call, to a person or to another call. It is masked before it is cut: half a
/// card number is still one.
fn outgoing_text(request: &ToolRequest, argument: &str, longest: usize) -> Option<String> {
    let text = Redactor::new(&request.use_case.storage).text(text(request, argument)?).into_owned();
    Some(shortened(&text, longest).to_owned())
}

#[cfg(test)]
mod tests;
