//! One generation: models are asked until one answers, and then that one is listened to.
//!
//! One is asked at a time, or two when the first is late and a hedge is wanted. Nothing is passed on before one of them has
//! something to say or to do; then the other is dropped, so nobody ever hears two of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};
use tracing::warn;
use voice_core::ports::{
    Completion, FailedAttempt, GenerationRequest, ModelEvent, ModelFailure, ModelFailureKind,
};

use super::attempt::{self, Asking, Attempt, Begun, Part};
use super::breaker::Ticket;
use super::failure::{Failure, Remedy};
use super::streaming::{Progress, Streaming, Waits};
use super::{ATTEMPTS, Models};
use crate::metrics::Counter;

const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(100);
/// Nobody is asked who would have less time than this.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(50);

pub(super) struct Generation {
    models: Arc<Models>,
    request: Arc<GenerationRequest>,
    began: Instant,
    /// Who is still to be asked, by their place in the request; each as often as may be.
    plan: VecDeque<usize>,
    /// Those who are being asked: none once one has answered, one, or two with a hedge.
    asking: FuturesUnordered<Asking>,
    hedge: Hedge,
    /// Who was asked last, and where.
    last: Option<usize>,
    hops: usize,
    credentials: Credentials,
    answer: Answer,
    ready: VecDeque<ModelEvent>,
}

/// A second model is asked at most once in a generation: it costs what the first one costs.
enum Hedge {
    Unused,
    /// At this moment, unless the model that is being asked has shown itself.
    Due {
        at: Instant,
        at_work: Arc<AtomicBool>,
    },
    Used,
}

/// Credentials are fetched anew at most once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Credentials {
    AsTheyWere,
    New,
}

enum Answer {
    Awaited,
    Coming { streaming: Box<Streaming>, model: usize, asked_at: Instant },
    Over,
}

impl Generation {
    pub(super) fn new(models: Arc<Models>, request: GenerationRequest) -> Self {
        let plan = (0..request.models.len()).flat_map(|model| (0..ATTEMPTS).map(move |_| model));
        Self {
            models,
            began: Instant::now(),
            plan: plan.collect(),
            request: Arc::new(request),
            asking: FuturesUnordered::new(),
            hedge: Hedge::Unused,
            last: None,
            hops: 0,
            credentials: Credentials::AsTheyWere,
            answer: Answer::Awaited,
            ready: VecDeque::new(),
        }
    }

    pub(super) async fn next(&mut self) -> Option<ModelEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match &mut self.answer {
                Answer::Over => return None,
                Answer::Awaited => self.await_answer().await,
                Answer::Coming { streaming, .. } => {
                    let progress = streaming.read(&mut self.ready).await;
                    self.go_on(progress);
                }
            }
        }
    }

    /// Waits for whoever is asked, and asks whoever is next.
    async fn await_answer(&mut self) {
        if self.asking.is_empty() && !self.ask_next() {
            return self.give_up();
        }
        let hedge_at = match &self.hedge {
            Hedge::Due { at, .. } => Some(*at),
            Hedge::Unused | Hedge::Used => None,
        };
        tokio::select! {
            biased;
            Some((attempt, begun)) = self.asking.next() => match begun {
                Ok(begun) => self.answered(attempt, begun),
                Err(failure) => self.failed(attempt, &failure),
            },
            () = sleep_until(hedge_at.unwrap_or(self.began)), if hedge_at.is_some() => self.ask_a_second(),
        }
    }

    /// Asks the next model; false when there is none or no time.
    fn ask_next(&mut self) -> bool {
        let Some((model, ticket)) = self.choose() else { return false };
        let begins = if self.last == Some(model) && self.credentials == Credentials::AsTheyWere {
            Instant::now() + BETWEEN_ATTEMPTS
        } else {
            Instant::now()
        };
        if self.last.is_some_and(|last| last != model) {
            self.models.metrics.count(Counter::ModelFallbacks);
        }
        self.ask(model, ticket, Part::First, begins)
    }

    /// The model that was asked is late: another one is asked beside it, or the same one when there is no other.
    fn ask_a_second(&mut self) {
        let hedge = std::mem::replace(&mut self.hedge, Hedge::Unused);
        if matches!(&hedge, Hedge::Due { at_work, .. } if at_work.load(Ordering::Relaxed)) {
            return;
        }
        let other = self.plan.iter().position(|model| Some(*model) != self.last);
        let candidates = other.into_iter().chain((!self.plan.is_empty()).then_some(0));
        let admitted = candidates.into_iter().find_map(|place| {
            let model = *self.plan.get(place)?;
            let ticket = self.models.breakers.admit(self.request.models.get(model)?)?;
            Some((place, model, ticket))
        });
        if let Some((place, model, ticket)) = admitted {
            self.plan.remove(place);
            self.hedge = Hedge::Used;
            // The first may be waiting on a connection that is dead.
            self.hops += 1;
            if self.ask(model, ticket, Part::Hedge, Instant::now()) {
                self.models.metrics.count(Counter::ModelHedged);
            }
        }
    }

    /// The next model that is worth asking, or the next one when none is.
    fn choose(&mut self) -> Option<(usize, Ticket)> {
        let first = *self.plan.front()?;
        let mut skipped = Vec::new();
        let mut candidate = Some(first);
        while let Some(model) = candidate {
            if let Some(ticket) = self.models.breakers.admit(self.request.models.get(model)?) {
                self.models.metrics.add(Counter::ModelSkipped, skipped.len() as u64);
                // They are asked when all others have failed as well.
                let (mut plan, last): (VecDeque<_>, VecDeque<_>) =
                    self.plan.drain(..).partition(|planned| !skipped.contains(planned));
                plan.pop_front();
                plan.extend(last);
                self.plan = plan;
                return Some((model, ticket));
            }
            skipped.push(model);
            candidate = self.plan.iter().copied().find(|planned| !skipped.contains(planned));
        }
        self.plan.pop_front();
        Some((first, self.models.breakers.insist(self.request.models.get(first)?)))
    }

    fn ask(&mut self, model: usize, ticket: Ticket, part: Part, begins: Instant) -> bool {
        let deadlines = self.models.deadlines;
        let give_up = self.began + deadlines.asking();
        if begins + SHORTEST_ATTEMPT > give_up {
            return false;
        }
        let Some(pool) = self.models.clients.pool_for(&self.request.call.call_sid, self.hops) else {
            return false;
        };
        let attempt = Attempt {
            model,
            ticket,
            part,
            credentials: self.models.clients.credentials.generation(),
            asked_at: begins,
            at_work: Arc::default(),
        };
        if let (Some(after), Hedge::Unused, Part::First) = (self.models.hedge_after, &self.hedge, part) {
            self.hedge = Hedge::Due { at: begins + after, at_work: Arc::clone(&attempt.at_work) };
        }
        let waits = Waits {
            first_token: give_up.min(begins + deadlines.first_token),
            answer: self.began + deadlines.answering(),
            next_token: deadlines.next_token,
        };
        self.last = Some(model);
        self.asking.push(attempt::ask(attempt, pool, Arc::clone(&self.request), waits));
        true
    }

    fn answered(&mut self, attempt: Attempt, begun: Begun) {
        let Attempt { model, ticket, part, asked_at, .. } = attempt;
        ticket.answered();
        // Whoever else was asked is not needed any more.
        self.asking.clear();
        self.hedge = Hedge::Used;
        if part == Part::Hedge {
            self.models.metrics.count(Counter::ModelHedgeWon);
        }
        self.ready.extend(begun.ready);
        self.last = Some(model);
        self.answer = Answer::Coming { streaming: Box::new(begun.streaming), model, asked_at };
        if let Some(stopped) = begun.stopped {
            self.go_on(Ok(stopped));
        }
    }

    /// Listens on to the model that answers.
    fn go_on(&mut self, progress: Result<Progress, Failure>) {
        let Answer::Coming { streaming, model, asked_at } = &self.answer else { return };
        let (model, asked_at, has_spoken) = (*model, *asked_at, streaming.has_spoken());
        match progress {
            Ok(Progress::Going) => {}
            Ok(Progress::Stopped { reason: stop_reason, usage, blocked }) => {
                let model = self.name(model).to_owned();
                self.ready.push_back(ModelEvent::Finished(Completion { stop_reason, usage, model, blocked }));
                self.answer = Answer::Over;
            }
            Err(failure) => {
                self.models.breakers.broke_off(self.name(model), failure.kind);
                self.note(model, asked_at, &failure);
                self.answer = Answer::Awaited;
                // To begin again would say something twice.
                if has_spoken { self.fail(&failure) } else { self.prepare_next(model, &failure) }
            }
        }
    }

    fn failed(&mut self, attempt: Attempt, failure: &Failure) {
        let Attempt { model, ticket, asked_at, credentials, .. } = attempt;
        if failure.blames_model {
            ticket.failed(failure.kind);
        }
        self.note(model, asked_at, failure);
        if failure.remedy == Remedy::NewCredentials {
            self.models.clients.credentials.give_up(credentials);
        }
        if let Hedge::Due { .. } = self.hedge {
            self.hedge = Hedge::Unused;
        }
        self.prepare_next(model, failure);
    }

    /// Crosses out who need not be asked any more. Whoever else is being asked goes on.
    fn prepare_next(&mut self, model: usize, failure: &Failure) {
        let others = self.plan.iter().any(|planned| *planned != model);
        // A model that is slow now is slow in a moment.
        let too_slow = failure.kind == ModelFailureKind::TimedOut && others;
        match failure.remedy {
            Remedy::NewCredentials if self.credentials == Credentials::New => self.plan.clear(),
            Remedy::NewCredentials => self.credentials = Credentials::New,
            Remedy::AnotherModel => self.plan.retain(|planned| *planned != model),
            Remedy::AskAgain if too_slow => self.plan.retain(|planned| *planned != model),
            Remedy::AskAgain => {}
        }
        if matches!(failure.kind, ModelFailureKind::TimedOut | ModelFailureKind::Unavailable) {
            self.hops += 1;
        }
        if self.asking.is_empty() && self.plan.is_empty() {
            self.fail(failure);
        }
    }

    /// Tells of a failed attempt: a number, a log line and an event.
    fn note(&mut self, model: usize, asked_at: Instant, failure: &Failure) {
        self.models.metrics.count(failure.kind.into());
        warn!(
            call.sid = %self.request.call.call_sid,
            generation = %self.request.generation,
            gen_ai.request.model = self.name(model),
            error.kind = failure.kind.as_str(),
            error.detail = %failure.detail,
            attempts_left = self.plan.len(),
            "the model did not answer"
        );
        self.ready.push_back(ModelEvent::AttemptFailed(FailedAttempt {
            model: self.name(model).to_owned(),
            kind: failure.kind,
            after: asked_at.elapsed(),
        }));
    }

    /// Nobody is left, or no time to ask them.
    fn give_up(&mut self) {
        if self.request.models.is_empty() {
            warn!(call.sid = %self.request.call.call_sid, generation = %self.request.generation, "no model is configured");
            return self.fail(&Failure::refused("no model is configured"));
        }
        self.fail(&Failure::timed_out("no time is left to ask anybody"));
    }

    fn name(&self, model: usize) -> &str {
        self.request.models.get(model).map(String::as_str).unwrap_or_default()
    }

    fn fail(&mut self, failure: &Failure) {
        self.asking.clear();
        self.answer = Answer::Over;
        self.ready.push_back(ModelEvent::Failed(ModelFailure { kind: failure.kind }));
    }
}
