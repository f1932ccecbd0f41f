//! Hears of turns and sessions from the calls, and makes spans and measurements of them. Holds up nobody: what it makes is
//! put into a bounded queue and into counters.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use voice_core::ports::{CallContext, GenerationTrace, TurnEnd, TurnTrace};

use super::call_spans::{session_spans, turn_spans};
use super::instruments::Instruments;
use super::span_queue::SpanQueue;
use super::trace_id::TraceId;
use crate::metrics::{Counter, Metrics};
use crate::prices::Prices;
use crate::session::{CallObserver, SessionTrace};

/// More calls than one process carries.
const MOST_TALLIES: usize = 10_000;

#[derive(Debug)]
pub(super) struct Observer {
    spans: SpanQueue,
    /// The part of all calls that is traced. All are measured.
    traced: f64,
    instruments: Instruments,
    prices: Prices,
    metrics: Metrics,
    /// Of sessions in progress, by `CallSid`.
    tallies: Mutex<HashMap<String, Tally>>,
}

/// What a session came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) turns: u64,
    pub(super) interruptions: u64,
    /// In USD; absent when nothing had a price.
    pub(super) cost: Option<f64>,
}

/// A turn with what its generations cost.
#[derive(Debug)]
pub(super) struct PricedTurn<'a> {
    pub(super) turn: &'a TurnTrace,
    /// In USD, one for each generation.
    costs: Vec<Option<f64>>,
}

#[derive(Debug)]
pub(super) struct PricedGeneration<'a> {
    pub(super) generation: &'a GenerationTrace,
    /// In USD.
    pub(super) cost: Option<f64>,
}

impl<'a> PricedTurn<'a> {
    pub(super) fn new(turn: &'a TurnTrace, prices: &Prices) -> Self {
        let cost = |generation: &GenerationTrace| {
            prices.cost(generation.model.as_deref()?, generation.usage.as_ref()?)
        };
        Self { turn, costs: turn.generations.iter().map(cost).collect() }
    }

    pub(super) fn generations(&self) -> impl Iterator<Item = PricedGeneration<'a>> {
        let generations = self.turn.generations.iter().zip(&self.costs);
        generations.map(|(generation, cost)| PricedGeneration { generation, cost: *cost })
    }

    /// Of all generations that have a price.
    pub(super) fn cost(&self) -> Option<f64> {
        self.costs.iter().flatten().copied().reduce(|sum, cost| sum + cost)
    }

    /// Generations whose model has no price.
    fn unpriced(&self) -> usize {
        let has_usage =
            |generation: &&GenerationTrace| generation.model.is_some() && generation.usage.is_some();
        let with_usage = self.turn.generations.iter().filter(has_usage).count();
        with_usage - self.costs.iter().flatten().count()
    }
}

impl Observer {
    pub(super) fn new(
        spans: SpanQueue,
        traced: f64,
        instruments: Instruments,
        prices: Prices,
        metrics: Metrics,
    ) -> Self {
        Self { spans, traced, instruments, prices, metrics, tallies: Mutex::default() }
    }

    fn is_traced(&self, call: &CallContext) -> bool {
        TraceId::of_call(&call.call_sid).is_traced(self.traced)
    }

    fn add_to_tally(&self, call: &CallContext, turn: &PricedTurn<'_>) {
        let mut tallies = self.tallies();
        // A session whose end is never told must not cost memory for ever.
        if tallies.len() >= MOST_TALLIES && !tallies.contains_key(&call.call_sid) {
            return;
        }
        let tally = tallies.entry(call.call_sid.clone()).or_default();
        tally.turns += 1;
        tally.interruptions += u64::from(turn.turn.end == TurnEnd::Interrupted);
        if let Some(cost) = turn.cost() {
            tally.cost = Some(tally.cost.unwrap_or_default() + cost);
        }
    }

    fn tallies(&self) -> MutexGuard<'_, HashMap<String, Tally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallObserver for Observer {
    fn turn_ended(&self, call: &CallContext, turn: &TurnTrace) {
        let priced = PricedTurn::new(turn, &self.prices);
        self.metrics.add(Counter::ModelUnpriced, priced.unpriced() as u64);
        self.instruments.turn(&priced);
        self.add_to_tally(call, &priced);
        if self.is_traced(call) {
            self.spans.push(turn_spans(call, &priced));
        }
    }

    fn session_ended(&self, call: &CallContext, session: &SessionTrace) {
        let tally = self.tallies().remove(&call.call_sid).unwrap_or_default();
        self.instruments.session(call, session, &tally);
        if self.is_traced(call) {
            self.spans.push(session_spans(call, session, &tally));
        }
    }
}
