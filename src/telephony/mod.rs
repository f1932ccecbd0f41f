//! Twilio's REST API: messages, codes, calls. Implements the `Telephony` port.
//!
//! It asks for what it is told and says what came of it. What a call is for, and what to do when it fails, is decided
//! elsewhere.

mod account;
mod reach;
mod refusal;
mod requests;

use voice_core::ports::{
    BoxFuture, CallUpdate, NewCall, Sms, Telephony, TelephonyError, TelephonyErrorKind, Verification,
};
use voice_core::private::Private;
use voice_core::use_case::VerifyChannel;
use voice_protocols::webhook::is_call_sid;

pub use self::account::{Account, AccountInspection, NOT_AUTHENTIC, OwnNumber};
pub use self::reach::{Health, PublicReach, Unreached};
use self::requests::{Form, Requests};

/// Where Twilio's API is, and who asks it.
#[derive(Clone, Debug)]
pub struct TwilioSettings {
    /// Without a slash at the end, such as `https://api.twilio.com`.
    pub api_url: String,
    /// Of Twilio Verify, such as `https://verify.twilio.com`.
    pub verify_url: String,
    /// Without one, everything is refused as not configured.
    pub account: Option<TwilioAccount>,
    /// `VA…`; without one, no codes are sent or checked.
    pub verify_service_sid: Option<String>,
}

/// An account and what proves that it is ours.
#[derive(Clone, Debug)]
pub struct TwilioAccount {
    /// `AC…`.
    pub sid: String,
    /// An API key (`SK…`), or the account itself.
    pub user: String,
    /// The key's secret, or the account's auth token.
    pub password: Private<String>,
}

/// Twilio's REST API. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct TwilioRest {
    settings: TwilioSettings,
    requests: Requests,
}

/// Twilio reports on each of them.
const STATUS_EVENTS: [&str; 4] = ["initiated", "ringing", "answered", "completed"];
/// Twilio knows no code for this number, or no longer: none was sent, it was used, or it expired.
const NOT_FOUND: u16 = 404;
/// Twilio's code for a code that was tried too often.
const MAX_CHECK_ATTEMPTS: u32 = 60202;

impl TwilioRest {
    /// Fails when there is no TLS on this machine.
    pub fn new(settings: TwilioSettings) -> Result<Self, reqwest::Error> {
        Ok(Self { settings, requests: Requests::new()? })
    }

    fn account(&self) -> Result<&TwilioAccount, TelephonyError> {
        self.settings.account.as_ref().ok_or_else(not_configured)
    }

    /// A resource of the account; `path` has no slash at the beginning.
    async fn post(&self, path: &str, form: Form) -> Result<serde_json::Value, TelephonyError> {
        let account = self.account()?;
        let url = format!("{}/2010-04-01/Accounts/{}/{path}", self.settings.api_url, account.sid);
        Ok(self.requests.post(account, &url, &form).await?)
    }

    fn verify_url(&self, resource: &str) -> Result<String, TelephonyError> {
        let service = self.settings.verify_service_sid.as_ref().ok_or_else(not_configured)?;
        Ok(format!("{}/v2/Services/{service}/{resource}", self.settings.verify_url))
    }
}

impl Telephony for TwilioRest {
    fn send_sms(&self, sms: Sms) -> BoxFuture<'_, Result<String, TelephonyError>> {
        Box::pin(async move {
            let sender = if sms.from.starts_with("MG") { "MessagingServiceSid" } else { "From" };
            let mut form = Form::default();
            form.add("To", sms.to.expose().as_str());
            form.add(sender, sms.from);
            form.add("Body", sms.body.expose().as_str());
            sid(&self.post("Messages.json", form).await?)
        })
    }

    fn start_verification<'a>(
        &'a self,
        to: &'a Private<String>,
        channel: VerifyChannel,
    ) -> BoxFuture<'a, Result<(), TelephonyError>> {
        Box::pin(async move {
            let (account, url) = (self.account()?, self.verify_url("Verifications")?);
            let mut form = Form::default();
            form.add("To", to.expose().as_str());
            form.add("Channel", channel.as_str());
            Ok(self.requests.post(account, &url, &form).await.map(drop)?)
        })
    }

    fn check_verification<'a>(
        &'a self,
        to: &'a Private<String>,
        code: &'a Private<String>,
    ) -> BoxFuture<'a, Result<Verification, TelephonyError>> {
        Box::pin(async move {
            let (account, url) = (self.account()?, self.verify_url("VerificationCheck")?);
            let mut form = Form::default();
            form.add("To", to.expose().as_str());
            form.add("Code", code.expose().as_str());
            match self.requests.post(account, &url, &form).await {
                Ok(answer) => Ok(verification(answer["status"].as_str().unwrap_or_default())),
                Err(refusal)
                    if refusal.status == Some(NOT_FOUND)
                        || refusal.error.code == Some(MAX_CHECK_ATTEMPTS) =>
                {
                    Ok(Verification::NothingPending)
                }
                Err(refusal) => Err(refusal.into()),
            }
        })
    }

    fn place_call(&self, call: NewCall) -> BoxFuture<'_, Result<String, TelephonyError>> {
        Box::pin(async move { sid(&self.post("Calls.json", new_call(call)).await?) })
    }

    fn update_call<'a>(
        &'a self,
        call_sid: &'a str,
        update: CallUpdate,
    ) -> BoxFuture<'a, Result<(), TelephonyError>> {
        Box::pin(async move {
            if !is_call_sid(call_sid) {
                return Err(failure(TelephonyErrorKind::Refused, ": this is no id of a call"));
            }
            let mut form = Form::default();
            match update {
                CallUpdate::Redirect(url) => {
                    form.add("Url", url);
                    form.add("Method", "POST");
                }
                CallUpdate::Twiml(twiml) => form.add("Twiml", twiml),
                // Unlike `canceled`, this also ends a call that somebody has just answered.
                CallUpdate::End => form.add("Status", "completed"),
            }
            self.post(&format!("Calls/{call_sid}.json"), form).await.map(drop)
        })
    }
}

fn new_call(call: NewCall) -> Form {
    let mut form = Form::default();
    form.add("To", call.to.into_inner());
    form.add("From", call.from);
    form.add("Url", call.url);
    form.add("Method", "POST");
    if let Some(callback) = call.status_callback {
        form.add("StatusCallback", callback);
        form.add("StatusCallbackMethod", "POST");
        for event in STATUS_EVENTS {
            form.add("StatusCallbackEvent", event);
        }
    }
    if let Some(seconds) = call.timeout {
        form.add("Timeout", seconds.to_string());
    }
    if let Some(detection) = call.machine_detection {
        let mode = if detection.until_greeting_ends { "DetectMessageEnd" } else { "Enable" };
        form.add("MachineDetection", mode);
        // Else Twilio asks what to do only once it has found out, and a person hears silence until then.
        form.add("AsyncAmd", "true");
        form.add("AsyncAmdStatusCallback", detection.callback);
    }
    form
}

/// Only what was approved counts; a check that tells something new is no proof.
fn verification(status: &str) -> Verification {
    match status {
        "approved" => Verification::Approved,
        "max_attempts_reached" | "expired" | "canceled" | "deleted" | "failed" => {
            Verification::NothingPending
        }
        _ => Verification::Wrong,
    }
}

fn sid(answer: &serde_json::Value) -> Result<String, TelephonyError> {
    let sid = answer["sid"].as_str().filter(|sid| !sid.is_empty());
    sid.map(str::to_owned)
        .ok_or_else(|| failure(TelephonyErrorKind::Unavailable, ": the answer names nothing that was made"))
}

fn not_configured() -> TelephonyError {
    failure(TelephonyErrorKind::NotConfigured, "")
}

fn failure(kind: TelephonyErrorKind, message: &str) -> TelephonyError {
    TelephonyError { kind, code: None, message: message.to_owned(), source: None }
}
