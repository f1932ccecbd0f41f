//! The carrier: it places calls and owns their tasks. What happens in a call is the business of its course.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::call::{Call, CallEvent, CallOptions};
use super::course::{Course, Reporter};
use super::form::CallIdentity;
use super::line::{Answer, Line};
use super::playback::SpeechPace;

/// A reader may lie this many events behind before its call waits for it.
const EVENTS: usize = 1024;
const ACTS: usize = 64;
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Twilio, for one service. A cheap handle.
#[derive(Clone, Debug)]
pub struct Carrier {
    pub(crate) line: Arc<Line>,
    speech: SpeechPace,
    failure_delay: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Where the service is and how the carrier behaves towards it.
#[derive(Clone, Debug)]
pub struct CarrierOptions {
    /// Where webhooks are posted, for example `http://127.0.0.1:3000`.
    pub service: Url,
    /// What signatures are computed over; often the same.
    pub public_url: String,
    /// Without it nothing is signed.
    pub auth_token: Option<String>,
    /// Where sockets of the public host really go. Without it they go to `service` when that is plain HTTP.
    pub connect_to: Option<SocketAddr>,
    pub speech: SpeechPace,
}

impl Carrier {
    /// Fails when an address cannot be used.
    pub fn new(options: CarrierOptions) -> anyhow::Result<Self> {
        let line = Line::new(options.service, &options.public_url, options.auth_token, options.connect_to)?;
        Ok(Self {
            line: Arc::new(line),
            speech: options.speech,
            failure_delay: Duration::ZERO,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// The time from a lost socket to the `action` callback: none by default, about 1.2 s at Twilio.
    #[must_use]
    pub fn with_failure_delay(self, failure_delay: Duration) -> Self {
        Self { failure_delay, ..self }
    }

    /// Posts the voice webhook. Returns once it was answered; everything later arrives as events.
    pub async fn call(&self, options: CallOptions) -> anyhow::Result<Call> {
        let identity = CallIdentity::of(&options);
        let url = self.webhook_url(options.use_case.as_deref());
        let asked = Instant::now();
        let answer = self.line.post(&url, &identity.voice_webhook("ringing")).await.context("no call")?;
        let took = asked.elapsed();
        let (acts_in, acts) = mpsc::channel(ACTS);
        let (events_in, events) = mpsc::channel(EVENTS);
        let sid = identity.call_sid.clone();
        let course = Course {
            line: Arc::clone(&self.line),
            identity,
            pace: self.speech,
            failure_delay: self.failure_delay,
            sessions_before: 0,
            acts,
            reporter: Reporter::new(events_in),
        };
        self.spawn(course, url, answer, took);
        Ok(Call { sid, acts: acts_in, events })
    }

    /// Ends every call without ceremony and waits for their tasks.
    pub async fn shutdown(&self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.tasks.close();
        let stopped = timeout(SHUTDOWN_TIMEOUT, self.tasks.wait()).await;
        stopped.map_err(|_| anyhow!("{} calls did not end within {SHUTDOWN_TIMEOUT:?}", self.tasks.len()))
    }

    pub(crate) fn webhook_url(&self, use_case: Option<&str>) -> String {
        match use_case {
            Some(use_case) => self.line.public_url(&["twiml", use_case]),
            None => self.line.public_url(&["twiml"]),
        }
    }

    fn spawn(&self, course: Course, url: String, answer: Answer, took: Duration) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let first = if answer.status == 200 {
                CallEvent::Answered { twiml: answer.body.clone(), took }
            } else {
                CallEvent::Refused { status: answer.status }
            };
            stop.run_until_cancelled(Box::pin(course.run(url, answer, first))).await;
        });
    }
}
