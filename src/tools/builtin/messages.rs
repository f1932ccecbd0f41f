//! Text messages: to the caller, or to numbers that the record names.

use serde_json::json;
use voice_core::ports::{Sms, ToolRequest};
use voice_core::private::Private;
use voice_core::use_case::SendSms;
use voice_protocols::webhook::is_e164;

use super::{carrier, listed};
use crate::metrics::Counter;
use crate::tools::arguments::text;
use crate::tools::{Answer, Handled, ToolsParts};

/// Twilio documents this as the longest body.
const LONGEST_BODY: usize = 1600;

/// Sends the argument `message` to the caller, or to the number that the argument `to` names.
pub(super) async fn send_sms(parts: &ToolsParts, settings: &SendSms, request: &ToolRequest) -> Handled {
    let body = text(request, "message").ok_or("The argument message must be the text to send.")?;
    if body.chars().count() > LONGEST_BODY {
        return Err(format!("The message is longer than {LONGEST_BODY} characters. Make it shorter."));
    }
    let to = recipient(settings, request)?;
    let from = sender(settings, request)?;
    let sms = Sms { to, from, body: Private::new(body.to_owned()) };
    match parts.telephony.send_sms(sms).await {
        Ok(_) => {
            parts.metrics.count(Counter::SmsSent);
            Ok(Answer::from(json!({ "sent": true })))
        }
        Err(error) => Err(carrier::failed(request, "The message was not sent", &error)),
    }
}

fn recipient(settings: &SendSms, request: &ToolRequest) -> Result<Private<String>, String> {
    match text(request, "to") {
        None => carrier::person(request).cloned(),
        // Models like to say whom they talk to.
        Some(to) if to == request.call.person().expose() => carrier::person(request).cloned(),
        Some(to) => settings.numbers.get(to).cloned().map(Private::new).ok_or_else(|| {
            let names = listed(settings.numbers.keys());
            let others =
                if names.is_empty() { "to nobody else".to_owned() } else { format!("to one of: {names}") };
            format!("Messages go to the caller, when the argument to is left out, or {others}.")
        }),
    }
}

fn sender(settings: &SendSms, request: &ToolRequest) -> Result<String, String> {
    let own = || Some(request.call.own_number().expose()).filter(|number| is_e164(number));
    settings
        .from
        .as_ref()
        .or_else(own)
        .cloned()
        .ok_or_else(|| "No message can be sent from this line.".to_owned())
}
