//! A call that the service asked for through REST: it rings, somebody answers or does not, the service is told at every
//! step, and an answered call takes the course that the TwiML says.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::callbacks::{StatusCallbacks, ending, post};
use super::callee::{Answers, Callee};
use super::course::Course;
use super::event::{CallEvent, CallerAct, Party};
use super::form::{CallIdentity, fields};
use super::live_calls::{CallStatus, LiveCall, Update};
use super::reporter::Unheard;

/// Until it is heard whether a person answered.
const LISTENING: Duration = Duration::from_secs(3);
/// Until a machine has said its greeting and beeps.
const GREETING: Duration = Duration::from_secs(6);

/// What REST asked for, checked.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) to: String,
    pub(super) from: String,
    pub(super) first: Update,
    pub(super) status_callback: Option<String>,
    /// `initiated`, `ringing`, `answered`, `completed`.
    pub(super) status_events: Vec<String>,
    /// How long it rings at most, in human time.
    pub(super) timeout: Duration,
    pub(super) detection: Option<Detection>,
}

/// How the carrier finds out whether a machine answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Detection {
    /// Where it tells; without it, the TwiML is asked for only when it knows.
    pub(super) callback: Option<String>,
    /// Wait for the end of a machine's greeting.
    pub(super) until_greeting_ends: bool,
}

/// A request with the call that was made of it.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) identity: CallIdentity,
    pub(super) call: Arc<LiveCall>,
    pub(super) updates: mpsc::Receiver<Update>,
    pub(super) request: Request,
}

/// The call on its way.
pub(super) struct PlacedCall {
    pub(super) course: Course,
    pub(super) updates: mpsc::Receiver<Update>,
    pub(super) request: Request,
    pub(super) callee: Callee,
}

/// How the ringing ended.
enum Rung {
    Answered,
    Refused(CallStatus),
}

impl PlacedCall {
    /// From the first ring to the last callback.
    pub(super) async fn run(mut self) {
        if self.live().await.is_err() {
            self.course.forget();
        }
    }

    async fn live(&mut self) -> Result<(), Unheard> {
        let mut told = StatusCallbacks::new(&self.course, &self.request);
        told.tell("initiated", "initiated", &[]).await;
        self.enter(CallStatus::Ringing).await?;
        told.tell("ringing", "ringing", &[]).await;
        match self.ring().await {
            Rung::Answered => {
                self.enter(CallStatus::InProgress).await?;
                self.talk(&mut told).await?;
            }
            Rung::Refused(status) => {
                self.course.call.set(status);
                told.tell("completed", status.as_str(), &ending(&self.course.call.record())).await;
                let reason = format!("the call was not answered: {}", status.as_str());
                let by = if status == CallStatus::Canceled { Party::Service } else { Party::Caller };
                self.course.end(by, reason).await?;
            }
        }
        Ok(())
    }

    async fn enter(&self, status: CallStatus) -> Result<(), Unheard> {
        self.course.call.set(status);
        self.course.reporter.report(CallEvent::Status(status.as_str().to_owned())).await
    }

    /// Whoever is called can refuse by hanging up.
    async fn ring(&mut self) -> Rung {
        let ringing = sleep(self.callee.ringing(self.request.timeout, self.course.pace));
        tokio::pin!(ringing);
        loop {
            tokio::select! {
                () = &mut ringing => break,
                act = self.course.acts.next() => match act {
                    CallerAct::HangUp if self.course.acts.are_cut_by_service() => {
                        return Rung::Refused(CallStatus::Canceled);
                    }
                    CallerAct::HangUp => return Rung::Refused(CallStatus::Busy),
                    _ => {}
                },
            }
        }
        match self.callee.answers {
            Answers::Yes | Answers::Machine => Rung::Answered,
            Answers::Busy => Rung::Refused(CallStatus::Busy),
            Answers::NoAnswer => Rung::Refused(CallStatus::NoAnswer),
            Answers::Failed => Rung::Refused(CallStatus::Failed),
        }
    }

    async fn talk(&mut self, told: &mut StatusCallbacks) -> Result<(), Unheard> {
        let detected = self.detected();
        let told_apart = match &self.request.detection {
            Some(Detection { callback: None, .. }) => {
                sleep(detected.after).await;
                fields(&[("AnsweredBy", detected.answered_by)])
            }
            _ => Vec::new(),
        };
        let callback = self.request.detection.as_ref().and_then(|detection| detection.callback.clone());
        let listening = detected.tell(&self.course, callback);
        let first = self.request.first.clone();
        let (start, ()) =
            tokio::join!(self.course.begin(first, told_apart), told.tell("answered", "in-progress", &[]));
        let start = start?;
        let ended = {
            let following = self.course.follow(start, &mut self.updates);
            tokio::pin!(following, listening);
            tokio::select! {
                ended = &mut following => ended,
                () = &mut listening => following.await,
            }
        };
        // Twilio is told also when nobody listens to the call any more.
        self.course.call.set(CallStatus::Completed);
        told.tell("completed", "completed", &ending(&self.course.call.record())).await;
        let (by, reason) = ended?;
        self.course.end(by, reason).await
    }

    fn detected(&self) -> Detected {
        let waits = self.request.detection.as_ref().is_some_and(|detection| detection.until_greeting_ends);
        let (answered_by, after) = match (self.callee.answers, waits) {
            (Answers::Machine, true) => ("machine_end_beep", GREETING),
            (Answers::Machine, false) => ("machine_start", LISTENING),
            _ => ("human", LISTENING),
        };
        Detected { answered_by, after: self.course.pace.hasten(after) }
    }
}

/// What was found out about who answered.
#[derive(Clone, Copy)]
struct Detected {
    answered_by: &'static str,
    after: Duration,
}

impl Detected {
    /// Tells the service in time, if it wants to be told.
    fn tell(self, course: &Course, callback: Option<String>) -> impl Future<Output = ()> + use<> {
        let (line, reporter) = (Arc::clone(&course.line), course.reporter.clone());
        let milliseconds = self.after.as_millis().to_string();
        let form = fields(&[
            ("AccountSid", &course.identity.account_sid),
            ("CallSid", &course.identity.call_sid),
            ("AnsweredBy", self.answered_by),
            ("MachineDetectionDuration", &milliseconds),
        ]);
        async move {
            let Some(callback) = callback else { return };
            sleep(self.after).await;
            post(&line, &reporter, &callback, &form).await;
        }
    }
}
