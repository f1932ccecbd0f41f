//! One request to Twilio, repeated only where repeating does no harm.

use std::time::Duration;

use serde_json::Value;
use tracing::warn;
use url::form_urlencoded::Serializer;
use voice_core::ports::{TelephonyError, TelephonyErrorKind};

use super::TwilioAccount;
use super::refusal::{Refusal, TOO_MANY_REQUESTS, refusal};

const CONNECTING: Duration = Duration::from_secs(2);
/// From the first byte sent to the last one received.
const ANSWERING: Duration = Duration::from_secs(10);
/// Connections wait this long for their next request.
const IDLE: Duration = Duration::from_mins(1);
/// Answers are a few kilobytes.
const LARGEST_ANSWER: usize = 256 * 1024;
/// How often a request is sent again that Twilio did not process because there were too many.
const REPEATS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Names and values; a name may come several times.
#[derive(Default)]
pub(super) struct Form(Vec<(&'static str, String)>);

impl Form {
    pub(super) fn add(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, value.into()));
    }

    fn body(&self) -> String {
        Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

/// Sends requests over connections that are kept.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    client: reqwest::Client,
}

impl Requests {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECTING)
            .timeout(ANSWERING)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            // Credentials go where the settings say, and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client })
    }

    /// Posts a form and reads the answer's JSON.
    ///
    /// Nothing is repeated whose outcome is not known: a second request could place a second call.
    pub(super) async fn post(
        &self,
        account: &TwilioAccount,
        url: &str,
        form: &Form,
    ) -> Result<Value, Refusal> {
        let body = form.body();
        let (mut repeats, mut unconnected) = (0, 0);
        loop {
            match self.post_once(account, url, body.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::NotSent(refused)) if unconnected == 0 => {
                    unconnected += 1;
                    warn!(error = %refused.error, "Twilio could not be reached; trying once more");
                }
                Err(Failed::NotProcessed(_)) if repeats < REPEATS => {
                    tokio::time::sleep(pause(repeats)).await;
                    repeats += 1;
                }
                Err(Failed::NotSent(refused) | Failed::NotProcessed(refused) | Failed::Answered(refused)) => {
                    return Err(refused);
                }
            }
        }
    }

    /// Reads the JSON of a resource, and with it the `Date` of the answer. Who asks for it can ask again.
    pub(super) async fn get(
        &self,
        account: &TwilioAccount,
        url: &str,
    ) -> (Result<Value, Refusal>, Option<String>) {
        let request = self.client.get(url).basic_auth(&account.user, Some(account.password.expose()));
        let response = match request.header("accept", "application/json").send().await {
            Ok(response) => response,
            Err(error) => match not_answered(error) {
                Failed::NotSent(refused) | Failed::NotProcessed(refused) | Failed::Answered(refused) => {
                    return (Err(refused), None);
                }
            },
        };
        let date = response.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
        let status = response.status();
        let answer = read(response).await;
        if status.is_success() {
            return (answer, date);
        }
        (Err(refusal(status.as_u16(), &answer.unwrap_or_default())), date)
    }

    async fn post_once(&self, account: &TwilioAccount, url: &str, body: String) -> Result<Value, Failed> {
        let request = self
            .client
            .post(url)
            .basic_auth(&account.user, Some(account.password.expose()))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(body);
        let response = request.send().await.map_err(not_answered)?;
        let status = response.status();
        let answer = read(response).await;
        if status.is_success() {
            return answer.map_err(Failed::Answered);
        }
        let refused = refusal(status.as_u16(), &answer.unwrap_or_default());
        let too_many = refused.error.code.is_none_or(|code| code == TOO_MANY_REQUESTS);
        // Other codes with this status, such as for too many codes sent to a number, stay as they are.
        if status.as_u16() == 429 && too_many {
            return Err(Failed::NotProcessed(refused));
        }
        Err(Failed::Answered(refused))
    }
}

/// How far a request came that failed.
enum Failed {
    /// There was no connection, so nothing was done.
    NotSent(Refusal),
    /// Twilio says that it did nothing.
    NotProcessed(Refusal),
    /// It was refused, or its outcome is not known.
    Answered(Refusal),
}

fn not_answered(error: reqwest::Error) -> Failed {
    if error.is_connect() {
        let kind = TelephonyErrorKind::NotSent;
        let source = Some(error.without_url().into());
        let error = TelephonyError { kind, code: None, message: String::new(), source };
        return Failed::NotSent(Refusal { status: None, error });
    }
    Failed::Answered(unavailable(error))
}

async fn read(mut response: reqwest::Response) -> Result<Value, Refusal> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST_ANSWER {
            return Err(broken(": the answer is too long", None));
        }
    }
    serde_json::from_slice(&body).map_err(|error| broken(": the answer is not JSON", Some(error)))
}

fn unavailable(error: reqwest::Error) -> Refusal {
    let message = if error.is_timeout() { ": no answer in time" } else { ": the connection failed" };
    let source = Some(error.without_url().into());
    let kind = TelephonyErrorKind::Unavailable;
    Refusal { status: None, error: TelephonyError { kind, code: None, message: message.to_owned(), source } }
}

fn broken(message: &str, source: Option<serde_json::Error>) -> Refusal {
    let kind = TelephonyErrorKind::Unavailable;
    let source = source.map(Into::into);
    Refusal { status: None, error: TelephonyError { kind, code: None, message: message.to_owned(), source } }
}

/// Anything up to the longest pause of this repeat, so that those who were refused together do not come back together.
fn pause(repeat: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << repeat).min(LONGEST_PAUSE);
    let [first, second, ..] = *uuid::Uuid::new_v4().as_bytes();
    longest.mul_f64(f64::from(u16::from_be_bytes([first, second])) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_below_their_limit() {
        for repeat in 0..REPEATS {
            for _ in 0..50 {
                assert!(pause(repeat) <= FIRST_PAUSE * (1 << repeat));
            }
        }
        assert!((0..50).all(|_| pause(20) <= LONGEST_PAUSE));
    }

    #[test]
    fn a_form_keeps_what_comes_several_times() {
        let mut form = Form::default();
        for (name, value) in [("To", "+1415 5550100"), ("E", "a&b"), ("E", "ü")] {
            form.add(name, value);
        }
        assert_eq!(form.body(), "To=%2B1415+5550100&E=a%26b&E=%C3%BC");
    }
}
