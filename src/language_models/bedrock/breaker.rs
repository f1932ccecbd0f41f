//! Which models are worth asking: a circuit breaker for each, shared by all calls of the process.
//!
//! A circuit opens by ratio and not by failures in a row: of many calls at once, a model that throttles every tenth request
//! serves the other nine, while one that is down fails them all. A few requests say nothing, so there is a least number.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};
use voice_core::ports::ModelFailureKind;

use crate::metrics::{Counter, Metrics};

/// How many of the last requests are looked at, and how old they may be.
const RECENT: usize = 20;
const WINDOW: Duration = Duration::from_secs(30);
/// A circuit opens when at least so many of them failed, and at least half.
const FAILURES: usize = 5;
/// How long a model is left alone before one request finds out whether it answers again.
const COOL_DOWN: Duration = Duration::from_secs(10);

/// Who probed was interrupted, or another model was faster: the next one probes after this time.
const NEXT_PROBE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Breakers {
    circuits: Mutex<HashMap<String, Circuit>>,
    metrics: Metrics,
}

#[derive(Debug)]
enum Circuit {
    Closed {
        recent: VecDeque<Request>,
    },
    Open {
        since: Instant,
        until: Instant,
    },
    /// One request finds out whether the model answers again.
    Probing {
        since: Instant,
    },
}

#[derive(Clone, Copy, Debug)]
struct Request {
    at: Instant,
    failed: bool,
}

/// Leave to ask a model, to be given back with what came of it. Dropped without that, because the caller interrupted or
/// another model was faster, it says nothing about the model.
#[derive(Debug)]
pub(super) struct Ticket {
    breakers: Arc<Breakers>,
    model: String,
    kind: Kind,
    admitted_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Probe,
    Settled,
}

impl Breakers {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { circuits: Mutex::default(), metrics }
    }

    /// Leave to ask a model; none while its circuit is open, but for one request after the cool-down.
    pub(super) fn admit(self: &Arc<Self>, model: &str) -> Option<Ticket> {
        let kind = match self.lock().get_mut(model) {
            None | Some(Circuit::Closed { .. }) => Kind::Plain,
            Some(circuit) => {
                let Circuit::Open { since, until } = *circuit else { return None };
                if until > Instant::now() {
                    return None;
                }
                *circuit = Circuit::Probing { since };
                Kind::Probe
            }
        };
        Some(self.ticket(model, kind))
    }

    /// Leave to ask a model although it fails, because nobody else is left: a try serves a caller better than a refusal.
    pub(super) fn insist(self: &Arc<Self>, model: &str) -> Ticket {
        self.admit(model).unwrap_or_else(|| self.ticket(model, Kind::Plain))
    }

    /// A model broke off after its answer had begun.
    pub(super) fn broke_off(&self, model: &str, kind: ModelFailureKind) {
        self.failed(model, kind, Kind::Plain);
    }

    fn ticket(self: &Arc<Self>, model: &str, kind: Kind) -> Ticket {
        Ticket { breakers: Arc::clone(self), model: model.to_owned(), kind, admitted_at: Instant::now() }
    }

    fn answered(&self, model: &str, admitted_at: Instant) {
        let mut circuits = self.lock();
        let circuit = circuits.entry(model.to_owned()).or_default();
        match circuit {
            Circuit::Closed { recent } => return note(recent, false),
            // An answer to what was asked before the circuit opened says nothing of the model as it is now.
            Circuit::Open { since, .. } | Circuit::Probing { since } if admitted_at < *since => return,
            Circuit::Open { .. } | Circuit::Probing { .. } => {}
        }
        *circuit = Circuit::default();
        drop(circuits);
        info!(gen_ai.request.model = model, "a model answers again");
    }

    fn failed(&self, model: &str, error: ModelFailureKind, kind: Kind) {
        let mut circuits = self.lock();
        let circuit = circuits.entry(model.to_owned()).or_default();
        let now = Instant::now();
        let opened = Circuit::Open { since: now, until: now + COOL_DOWN };
        match circuit {
            Circuit::Closed { recent } => {
                note(recent, true);
                if !is_failing(recent) {
                    return;
                }
                *circuit = opened;
                drop(circuits);
                self.metrics.count(Counter::ModelBreakerOpened);
                warn!(
                    gen_ai.request.model = model,
                    error.kind = error.as_str(),
                    "a model fails too often, and others are asked for a while"
                );
            }
            Circuit::Probing { .. } if kind == Kind::Probe => *circuit = opened,
            // Begun before the circuit opened, or asked for want of others.
            Circuit::Open { .. } | Circuit::Probing { .. } => {}
        }
    }

    /// The probe came to nothing, so that another request may be one; not at once, or a model that hangs would be asked
    /// all the time.
    fn probe_was_dropped(&self, model: &str) {
        if let Some(circuit) = self.lock().get_mut(model)
            && let Circuit::Probing { since } = *circuit
        {
            *circuit = Circuit::Open { since, until: Instant::now() + NEXT_PROBE };
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Circuit>> {
        self.circuits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Circuit {
    fn default() -> Self {
        Self::Closed { recent: VecDeque::new() }
    }
}

impl Ticket {
    pub(super) fn answered(mut self) {
        self.kind = Kind::Settled;
        self.breakers.answered(&self.model, self.admitted_at);
    }

    pub(super) fn failed(mut self, error: ModelFailureKind) {
        let kind = std::mem::replace(&mut self.kind, Kind::Settled);
        self.breakers.failed(&self.model, error, kind);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.kind == Kind::Probe {
            self.breakers.probe_was_dropped(&self.model);
        }
    }
}

fn note(recent: &mut VecDeque<Request>, failed: bool) {
    let now = Instant::now();
    while recent.front().is_some_and(|oldest| recent.len() >= RECENT || now - oldest.at > WINDOW) {
        recent.pop_front();
    }
    recent.push_back(Request { at: now, failed });
}

fn is_failing(recent: &VecDeque<Request>) -> bool {
    let failed = recent.iter().filter(|request| request.failed).count();
    failed >= FAILURES && failed * 2 >= recent.len()
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MODEL: &str = "a-model";

    fn breakers() -> (Arc<Breakers>, Metrics) {
        let metrics = Metrics::default();
        (Arc::new(Breakers::new(metrics.clone())), metrics)
    }

    fn fail(breakers: &Arc<Breakers>, times: usize) {
        for _ in 0..times {
            breakers.insist(MODEL).failed(ModelFailureKind::Throttled);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_that_fails_every_request_is_left_alone_and_others_are_not() {
        let (breakers, metrics) = breakers();
        fail(&breakers, FAILURES - 1);
        assert!(breakers.admit(MODEL).is_some());
        fail(&breakers, 3);
        assert!(breakers.admit(MODEL).is_none());
        assert!(breakers.admit("another").is_some());
        assert_eq!(metrics.value(Counter::ModelBreakerOpened), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_that_throttles_now_and_then_stays() {
        let (breakers, metrics) = breakers();
        for request in 0..200 {
            let ticket = breakers.admit(MODEL).expect("it is never left alone");
            if request % 3 == 0 { ticket.failed(ModelFailureKind::Throttled) } else { ticket.answered() }
        }
        assert_eq!(metrics.value(Counter::ModelBreakerOpened), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_of_long_ago_do_not_count() {
        let (breakers, _) = breakers();
        for _ in 0..20 {
            fail(&breakers, 1);
            advance(WINDOW / 4).await;
        }
        assert!(breakers.admit(MODEL).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_while_one_request_finds_out_and_its_success_closes_the_circuit() {
        let (breakers, metrics) = breakers();
        fail(&breakers, FAILURES);
        advance(COOL_DOWN).await;
        let probe = breakers.admit(MODEL).expect("one may ask");
        assert!(breakers.admit(MODEL).is_none(), "one is enough");
        probe.failed(ModelFailureKind::TimedOut);
        assert!(breakers.admit(MODEL).is_none());
        advance(COOL_DOWN).await;
        breakers.admit(MODEL).expect("one may ask again").answered();
        assert!(breakers.admit(MODEL).is_some() && breakers.admit(MODEL).is_some());
        assert_eq!(metrics.value(Counter::ModelBreakerOpened), 1, "once for one bad time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_was_dropped_makes_room_for_another() {
        let (breakers, _) = breakers();
        fail(&breakers, FAILURES);
        advance(COOL_DOWN).await;
        drop(breakers.admit(MODEL));
        assert!(breakers.admit(MODEL).is_none(), "a model that hangs would be asked all the time");
        advance(NEXT_PROBE).await;
        assert!(breakers.admit(MODEL).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_from_before_it_opened_does_not_close_the_circuit() {
        let (breakers, _) = breakers();
        let straggler = breakers.admit(MODEL).expect("it is closed");
        advance(Duration::from_millis(500)).await;
        fail(&breakers, FAILURES);
        straggler.answered();
        assert!(breakers.admit(MODEL).is_none());
        advance(Duration::from_secs(1)).await;
        breakers.insist(MODEL).answered();
        assert!(breakers.admit(MODEL).is_some(), "this one was asked since");
    }
}
