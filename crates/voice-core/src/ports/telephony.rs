//! The carrier's own services: messages, codes, calls.

use std::error::Error;
use std::fmt;

use super::BoxFuture;
use crate::private::Private;
use crate::use_case::VerifyChannel;

/// What the carrier does when asked.
pub trait Telephony: Send + Sync + fmt::Debug {
    /// Sends a text message; returns the carrier's id of it.
    fn send_sms(&self, sms: Sms) -> BoxFuture<'_, Result<String, TelephonyError>>;
    /// Sends a code to a number.
    fn start_verification<'a>(
        &'a self,
        to: &'a Private<String>,
        channel: VerifyChannel,
    ) -> BoxFuture<'a, Result<(), TelephonyError>>;
    /// Checks a code that was sent to a number.
    fn check_verification<'a>(
        &'a self,
        to: &'a Private<String>,
        code: &'a Private<String>,
    ) -> BoxFuture<'a, Result<Verification, TelephonyError>>;
    /// Places a call; returns its `CallSid`.
    fn place_call(&self, call: NewCall) -> BoxFuture<'_, Result<String, TelephonyError>>;
    /// Changes a call in progress.
    fn update_call<'a>(
        &'a self,
        call_sid: &'a str,
        update: CallUpdate,
    ) -> BoxFuture<'a, Result<(), TelephonyError>>;
}

#[derive(Clone, Debug)]
pub struct Sms {
    /// E.164.
    pub to: Private<String>,
    /// E.164, or the SID of a messaging service.
    pub from: String,
    pub body: Private<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    Approved,
    /// The code is wrong, and may be tried again.
    Wrong,
    /// There is no code to compare with: none was sent, it expired, or was tried too often.
    NothingPending,
}

#[derive(Clone, Debug)]
pub struct NewCall {
    /// E.164, or a SIP address.
    pub to: Private<String>,
    /// E.164.
    pub from: String,
    /// Where the carrier asks what to do once it is answered.
    pub url: String,
    /// Where the carrier tells what becomes of it.
    pub status_callback: Option<String>,
    /// Seconds of ringing.
    pub timeout: Option<u32>,
    pub machine_detection: Option<MachineDetection>,
}

/// The carrier listens whether a machine answered while the call goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineDetection {
    /// Where it tells what it found.
    pub callback: String,
    /// Wait until the machine's greeting is over, so that a message can be left.
    pub until_greeting_ends: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallUpdate {
    /// Go on with the TwiML at this URL.
    Redirect(String),
    /// Go on with this TwiML.
    Twiml(String),
    /// Hang up, also when it only rings.
    End,
}

/// The carrier did not do it.
#[derive(Debug, thiserror::Error)]
#[error("the carrier: {kind}{}{message}", code.map(|code| format!(" (code {code})")).unwrap_or_default())]
pub struct TelephonyError {
    pub kind: TelephonyErrorKind,
    /// The carrier's own code, such as 21211.
    pub code: Option<u32>,
    /// The carrier's words, without what they may quote of a caller; empty, or begins with `: `.
    pub message: String,
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// A closed set, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TelephonyErrorKind {
    /// No credentials, or no service, are configured for it.
    NotConfigured,
    /// The carrier refuses the request as it is.
    Refused,
    /// Too many requests, also after retries.
    Throttled,
    /// Out of reach: there was no connection, so nothing was done.
    NotSent,
    /// Out of reach, or broken. Whether it was done is not known.
    Unavailable,
}

impl fmt::Display for TelephonyErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotConfigured => "is not configured for this",
            Self::Refused => "refused",
            Self::Throttled => "is asked too often",
            Self::NotSent => "could not be connected to",
            Self::Unavailable => "out of reach",
        })
    }
}
