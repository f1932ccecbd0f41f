//! The carrier: it brings calls to the service, places those that the service asks for, and owns their tasks. What
//! happens in a call is the business of its course.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::acts::Acts;
use super::call::{Call, CallOptions};
use super::callee::{Answers, Part, Script};
use super::course::{Course, Relays};
use super::event::CallEvent;
use super::form::{CallIdentity, sid};
use super::line::Line;
use super::live_calls::{CallStatus, LiveCall};
use super::person;
use super::placed::{Order, PlacedCall};
use super::playback::SpeechPace;
use super::reporter::Reporter;
use super::switchboard::Switchboard;

/// A reader may lie this many events behind before its call waits for it.
const EVENTS: usize = 1024;
const ACTS: usize = 64;
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Twilio, for one service. A cheap handle.
#[derive(Clone, Debug)]
pub struct Carrier {
    pub(crate) line: Arc<Line>,
    board: Switchboard,
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
            board: Switchboard::new(sid("AC")),
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

    /// The same carrier, which opens a connection for every webhook. A balancer in between that balances connections then
    /// balances requests, and no webhook goes to a target that takes no more merely because an old connection leads there.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn with_fresh_connections(self) -> anyhow::Result<Self> {
        let line = self.line.with_fresh_connections()?;
        Ok(Self { line: Arc::new(line), ..self })
    }

    /// Takes part in an account: its REST interface changes the calls of this carrier, and from now on this is the
    /// carrier that places the calls which REST asks for.
    #[must_use]
    pub fn with_switchboard(self, board: &Switchboard) -> Self {
        let carrier = Self { board: board.clone(), ..self };
        let mut orders = board.take_orders();
        let (placing, stop) = (carrier.clone(), carrier.stop.clone());
        carrier.tasks.spawn(stop.run_until_cancelled_owned(async move {
            while let Some(order) = orders.recv().await {
                placing.place(order);
            }
        }));
        carrier
    }

    /// The same carrier with another voice for the calls that are begun through this handle.
    #[must_use]
    pub fn with_pace(self, speech: SpeechPace) -> Self {
        Self { speech, ..self }
    }

    pub fn switchboard(&self) -> &Switchboard {
        &self.board
    }

    /// The calls that are placed from now on to those who are [`Part::Live`], each from before it rings, for whoever acts
    /// as the person called. The last who asked gets them; when 64 of them wait, further ones are played by the stand-in.
    pub fn placed_calls(&self) -> mpsc::Receiver<Call> {
        self.board.listen_to_placed_calls()
    }

    /// Posts the voice webhook. Returns once it was answered; everything later arrives as events.
    pub async fn call(&self, options: CallOptions) -> anyhow::Result<Call> {
        let identity = CallIdentity::of(&options).with_account(self.board.account_sid());
        let url = self.webhook_url(options.use_case.as_deref());
        let asked = Instant::now();
        let answer = self.line.post(&url, &identity.voice_webhook("ringing")).await.context("no call")?;
        let took = asked.elapsed();
        let (live, updates) = self.board.add_call(&identity, CallStatus::InProgress);
        let (course, call) = self.course(identity, live, None);
        self.spawn(async move { course.run(url, answer, took, updates).await });
        Ok(call)
    }

    /// Places a call that REST asked for.
    fn place(&self, order: Order) {
        let Order { identity, call: live, updates, request } = order;
        let callee = self.board.callee(&request.to);
        let (course, call) = self.course(identity, live, Some(request.to.clone()));
        let script = match &callee.part {
            Part::Scripted(script) => Some((script.clone(), call)),
            Part::Live => self.board.hand_out(call).err().map(|call| (Script::default(), call)),
        };
        if let Some((mut script, call)) = script {
            if callee.answers == Answers::Machine {
                // It records, whatever it is asked.
                script.presses.clear();
            }
            self.spawn(person::play(script, self.speech, call));
        }
        let placed = PlacedCall { course, updates, request, callee };
        self.spawn(async move { Box::pin(placed.run()).await });
    }

    /// A call's course, and the handle of whoever is to hold it.
    fn course(&self, identity: CallIdentity, live: Arc<LiveCall>, told: Option<String>) -> (Course, Call) {
        let (acts_in, acts) = mpsc::channel(ACTS);
        let (events_in, events) = mpsc::channel::<CallEvent>(EVENTS);
        let call = Call { sid: identity.call_sid.clone(), acts: acts_in, events };
        let reporter = Reporter::new(events_in);
        let course = Course {
            line: Arc::clone(&self.line),
            board: self.board.clone(),
            acts: Acts::new(acts, live.completed.clone()),
            call: live,
            identity,
            pace: self.speech,
            failure_delay: self.failure_delay,
            reporter: match told {
                Some(address) => reporter.with_ear(self.board.clone(), address),
                None => reporter,
            },
            relays: Relays::default(),
        };
        (course, call)
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

    fn spawn(&self, call: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(Box::pin(call)).await;
        });
    }
}
