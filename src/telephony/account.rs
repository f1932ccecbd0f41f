//! Looks at the account at Twilio, for an operator who asks whether it is set up. It changes nothing there.
//!
//! It tells what Twilio has. What is wrong with that, and what to do, is said elsewhere.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use serde_json::Value;
use voice_core::ports::TelephonyError;
use voice_core::private::Private;

use super::requests::Requests;
use super::{TwilioAccount, TwilioSettings, not_configured};

/// The account of the settings.
#[derive(Debug)]
pub struct AccountInspection {
    settings: TwilioSettings,
    requests: Requests,
    /// In seconds; [`UNKNOWN`] before Twilio has answered.
    clock_ahead_by: AtomicI64,
}

/// What Twilio says of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `active`, `suspended` or `closed`.
    pub status: String,
    /// `Trial` or `Full`.
    pub kind: String,
}

/// A telephone number of the account, and what happens when somebody calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnNumber {
    pub number: Private<String>,
    pub voice_url: String,
    /// `POST` or `GET`.
    pub voice_method: String,
    /// An application or a trunk answers, and `voice_url` counts for nothing.
    pub is_answered_elsewhere: bool,
}

/// A page of them is as long as an answer may be.
const MOST_NUMBERS: usize = 100;
const UNKNOWN: i64 = i64::MIN;

impl AccountInspection {
    /// Fails when there is no TLS on this machine.
    pub fn new(settings: TwilioSettings) -> Result<Self, reqwest::Error> {
        Ok(Self { settings, requests: Requests::new()?, clock_ahead_by: AtomicI64::new(UNKNOWN) })
    }

    pub async fn account(&self) -> Result<Account, TelephonyError> {
        let account = self.configured()?;
        self.account_as(account).await
    }

    /// Whether Twilio takes this auth token for one of the account.
    pub async fn knows_token(&self, token: &Private<String>) -> Result<bool, TelephonyError> {
        let sid = self.configured()?.sid.clone();
        let by_token = TwilioAccount { user: sid.clone(), sid, password: token.clone() };
        match self.account_as(&by_token).await {
            Ok(_) => Ok(true),
            Err(error) if error.code == Some(NOT_AUTHENTIC) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The first hundred numbers of the account.
    pub async fn numbers(&self) -> Result<Vec<OwnNumber>, TelephonyError> {
        let account = self.configured()?;
        let base = &self.settings.api_url;
        let path = format!("Accounts/{}/IncomingPhoneNumbers.json?PageSize={MOST_NUMBERS}", account.sid);
        let page = self.get(account, &format!("{base}/2010-04-01/{path}")).await?;
        let numbers = page["incoming_phone_numbers"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(numbers.iter().map(own_number).collect())
    }

    /// The name of the Verify service.
    pub async fn verify_service(&self) -> Result<String, TelephonyError> {
        let account = self.configured()?;
        let service = self.settings.verify_service_sid.as_ref().ok_or_else(not_configured)?;
        let url = format!("{}/v2/Services/{service}", self.settings.verify_url);
        Ok(text(&self.get(account, &url).await?, "friendly_name"))
    }

    /// How far ahead of us Twilio's clock was in its last answer, in whole seconds; `None` before there was one.
    pub fn clock_ahead_by(&self) -> Option<i64> {
        Some(self.clock_ahead_by.load(Ordering::Relaxed)).filter(|seconds| *seconds != UNKNOWN)
    }

    fn configured(&self) -> Result<&TwilioAccount, TelephonyError> {
        self.settings.account.as_ref().ok_or_else(not_configured)
    }

    async fn account_as(&self, account: &TwilioAccount) -> Result<Account, TelephonyError> {
        let url = format!("{}/2010-04-01/Accounts/{}.json", self.settings.api_url, account.sid);
        let answer = self.get(account, &url).await?;
        Ok(Account { status: text(&answer, "status"), kind: text(&answer, "type") })
    }

    async fn get(&self, account: &TwilioAccount, url: &str) -> Result<Value, TelephonyError> {
        let (answer, date) = self.requests.get(account, url).await;
        if let Some(date) = date.and_then(|date| jiff::fmt::rfc2822::parse(&date).ok()) {
            let ahead_by = date.timestamp().as_second() - Timestamp::now().as_second();
            self.clock_ahead_by.store(ahead_by, Ordering::Relaxed);
        }
        Ok(answer?)
    }
}

/// Twilio's code for credentials that are not the account's.
pub const NOT_AUTHENTIC: u32 = 20003;

fn own_number(number: &Value) -> OwnNumber {
    let elsewhere = ["voice_application_sid", "trunk_sid"];
    OwnNumber {
        number: Private::new(text(number, "phone_number")),
        voice_url: text(number, "voice_url"),
        voice_method: text(number, "voice_method"),
        is_answered_elsewhere: elsewhere.iter().any(|name| !text(number, name).is_empty()),
    }
}

fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_answered_by_its_url_unless_something_goes_before_it() {
        let plain = json!({
            "phone_number": "+18005550199", "voice_url": "https://a.example/twiml", "voice_method": "POST",
            "voice_application_sid": "", "trunk_sid": null,
        });
        let number = own_number(&plain);
        assert_eq!(
            (number.voice_url.as_str(), number.is_answered_elsewhere),
            ("https://a.example/twiml", false)
        );
        assert!(!format!("{number:?}").contains("0199"), "{number:?}");
        assert!(own_number(&json!({ "trunk_sid": "TK1" })).is_answered_elsewhere);
        assert!(own_number(&json!({ "voice_application_sid": "AP1" })).is_answered_elsewhere);
    }
}
