//! What Twilio posts about a call: voice webhooks, the actions of verbs, status and machine detection callbacks. Form
//! fields, in any order, with new ones at any time.
//!
//! Whether Twilio sent it is for [`crate::signature`] to say, over all fields, before any is believed.

mod call_status;
mod connect_ended;
mod machine;
mod verb_ended;

pub use call_status::{CallStatus, StatusCallback};
pub use connect_ended::{ConnectEnded, SessionStatus};
pub use machine::{MachineDetected, is_machine};
pub use verb_ended::{DialEnded, DialStatus, Gathered};

/// A call that asks what to do. A field that Twilio did not send is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoiceWebhook {
    pub call_sid: String,
    pub account_sid: String,
    /// An E.164 number, a SIP URI, `client:…`, or a word where the caller withheld the number.
    pub from: String,
    pub to: String,
    /// `inbound`, `outbound-api`, `outbound-dial`.
    pub direction: String,
    /// `ringing`, `in-progress`: lower case and hyphen, unlike on the socket.
    pub call_status: String,
    pub forwarded_from: String,
    pub caller_name: String,
    /// Who answered a call that we placed, when Twilio was to find out before it asks; see [`is_machine`].
    pub answered_by: Option<String>,
    /// All fields as they came, these included.
    pub params: Vec<(String, String)>,
}

/// Why a webhook cannot be used. It repeats nothing of what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    #[error("the request has no `CallSid`")]
    MissingCallSid,
    #[error("`CallSid` is not `CA` followed by 1 to 62 letters and digits")]
    InvalidCallSid,
}

/// Decodes an `application/x-www-form-urlencoded` body or a query string, keeping order and duplicates.
///
/// It cannot fail: what is no UTF-8 becomes U+FFFD.
pub fn parse_form(body: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(body).into_owned().collect()
}

impl VoiceWebhook {
    /// Takes the known fields out of the decoded parameters; of a repeated one the first.
    pub fn from_params(params: Vec<(String, String)>) -> Result<Self, WebhookError> {
        let text = |name| first(&params, name).unwrap_or_default().to_owned();
        Ok(Self {
            call_sid: call_sid(&params)?,
            account_sid: text("AccountSid"),
            from: text("From"),
            to: text("To"),
            direction: text("Direction"),
            call_status: text("CallStatus"),
            forwarded_from: text("ForwardedFrom"),
            caller_name: text("CallerName"),
            answered_by: non_empty(&params, "AnsweredBy"),
            params,
        })
    }

    /// Whether the call was placed through Twilio's API, so that `to` is the person and `from` is ours.
    pub fn is_outbound(&self) -> bool {
        self.direction.starts_with("outbound-api")
    }
}

/// Whether this is a telephone number in the form that Twilio uses: `+` and 2 to 15 digits, no leading zero.
pub fn is_e164(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else {
        return false;
    };
    (2..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this can be the id of a call: `CA` and 1 to 62 ASCII letters and digits.
///
/// Twilio's have 32 hexadecimal digits. The rule is wider for test calls, and narrow enough for a database
/// key and a segment of a URL.
pub fn is_call_sid(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("CA") else {
        return false;
    };
    (1..=62).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn first<'a>(params: &'a [(String, String)], name: &str) -> Option<&'a str> {
    params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn non_empty(params: &[(String, String)], name: &str) -> Option<String> {
    first(params, name).filter(|value| !value.is_empty()).map(str::to_owned)
}

fn call_sid(params: &[(String, String)]) -> Result<String, WebhookError> {
    let sid = first(params, "CallSid").ok_or(WebhookError::MissingCallSid)?;
    if is_call_sid(sid) { Ok(sid.to_owned()) } else { Err(WebhookError::InvalidCallSid) }
}

#[cfg(test)]
mod tests;
