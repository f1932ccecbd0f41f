//! Sends a request: signs it, repeats it where that is harmless, follows redirects as far as they may lead.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{self, HeaderMap};
use reqwest::{Client, Method, Response, StatusCode, Url};
use tokio::time::{Instant, sleep};
use voice_core::private::Private;

use super::failure::{Failure, Redirected};
use super::guard::Guard;
use super::response::{Body, Received};
use super::signature;
use crate::metrics::{Counter, Metrics};

/// Before the second attempt and before the third, plus up to half as much.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];
/// A service that asks for more patience than this is not asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const MOST_REDIRECTS: usize = 3;

/// A request, ready to leave. `Debug` would show what the caller said, and there is none.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    /// Those of the record: they may hold keys, and are only for the host that the record names.
    pub(super) record_headers: HeaderMap,
    /// Only for that host, too.
    pub(super) signing_secret: Option<Private<String>>,
    pub(super) body: Option<Vec<u8>>,
}

impl Outgoing {
    /// Whether what is secret about both is the same.
    pub(super) fn has_the_secrets_of(&self, other: &Self) -> bool {
        self.record_headers == other.record_headers && self.signing_secret == other.signing_secret
    }
}

/// What a request may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Within {
    pub(super) deadline: Instant,
    /// Doing it twice does no harm.
    pub(super) may_repeat: bool,
    /// Of an answer, no more bytes than these are read.
    pub(super) largest_response: usize,
}

#[derive(Debug)]
pub(super) struct Sender {
    client: Client,
    guard: Guard,
    metrics: Metrics,
}

impl Sender {
    pub(super) const fn new(client: Client, guard: Guard, metrics: Metrics) -> Self {
        Self { client, guard, metrics }
    }

    /// The service's answer, whatever its status, unless that is a redirect. Whoever waits keeps the deadline; it is
    /// told here so that nothing is begun that cannot end in time.
    pub(super) async fn send(&self, outgoing: Outgoing, within: Within) -> Result<Received, Failure> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let answer = match self.follow(outgoing.clone(), within).await {
                Ok(response) => Ok(Received::read(response, within.largest_response).await),
                Err(failure) => Err(failure),
            };
            let pause = pauses.next().filter(|_| within.may_repeat);
            match pause.and_then(|pause| pause_before_repeating(&answer, pause)) {
                Some(pause) if Instant::now() + pause < within.deadline => {
                    self.metrics.count(Counter::ToolHttpRetries);
                    sleep(pause).await;
                }
                _ => return answer,
            }
        }
    }

    async fn follow(&self, mut outgoing: Outgoing, within: Within) -> Result<Response, Failure> {
        for _ in 0..=MOST_REDIRECTS {
            self.guard.check(&outgoing.url).map_err(Failure::OutOfReach)?;
            let response = self.ask(&outgoing).await?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            if !within.may_repeat {
                return Err(Failure::Redirected(Redirected::NotFollowed));
            }
            outgoing = redirected(outgoing, &response).ok_or(Failure::Redirected(Redirected::Nowhere))?;
        }
        Err(Failure::Redirected(Redirected::TooOften))
    }

    async fn ask(&self, outgoing: &Outgoing) -> Result<Response, Failure> {
        let body = outgoing.body.as_deref().unwrap_or_default();
        let mut request = self
            .client
            .request(outgoing.method.clone(), outgoing.url.clone())
            .headers(outgoing.headers.clone())
            .headers(outgoing.record_headers.clone());
        if let Some(secret) = &outgoing.signing_secret {
            let now = Timestamp::now().as_second();
            let signature = signature::sign(secret, now, &outgoing.method, &outgoing.url, body)
                .map_err(|_| Failure::Secret("a request could not be signed".to_owned()))?;
            request = request.header(signature::HEADER, signature);
        }
        if outgoing.body.is_some() {
            request = request.body(body.to_vec());
        }
        request.send().await.map_err(Failure::of)
    }
}

/// How long to wait before the request is sent again, if it is.
fn pause_before_repeating(answer: &Result<Received, Failure>, pause: Duration) -> Option<Duration> {
    let pause = pause + pause.mul_f64(random_half());
    match answer {
        // A service closes an idle connection when it likes, also while a request is on its way.
        Err(Failure::Unreachable(_) | Failure::BrokenOff(_)) => Some(pause),
        Ok(received) if matches!(received.status.as_u16(), 429 | 502 | 503 | 504) => {
            let asked = retry_after(&received.headers).unwrap_or_default();
            (asked <= LONGEST_PAUSE).then_some(pause.max(asked))
        }
        Ok(Received { status, body: Body::BrokenOff, .. }) if status.is_success() => Some(pause),
        _ => None,
    }
}

/// Only the form in seconds; a date counts as absent.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Between 0 and 0.5, so that calls that failed together do not come back together.
fn random_half() -> f64 {
    let random = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(random).unwrap_or_default()) / f64::from(u32::MAX) / 2.0
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The request that a redirect asks for. Like browsers, it becomes a GET where the status says so; what is secret stays
/// with the origin that it was meant for.
fn redirected(mut outgoing: Outgoing, response: &Response) -> Option<Outgoing> {
    let target = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let target = outgoing.url.join(target).ok()?;
    let becomes_get = match response.status().as_u16() {
        303 => outgoing.method != Method::GET,
        301 | 302 => outgoing.method == Method::POST,
        _ => false,
    };
    if becomes_get {
        outgoing.method = Method::GET;
        outgoing.body = None;
        outgoing.headers.remove(header::CONTENT_TYPE);
        outgoing.record_headers.remove(header::CONTENT_TYPE);
    }
    if target.origin() != outgoing.url.origin() {
        outgoing.record_headers = HeaderMap::new();
        outgoing.signing_secret = None;
    }
    outgoing.url = target;
    Some(outgoing)
}
