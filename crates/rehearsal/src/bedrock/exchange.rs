//! One request from its arrival to its outcome: whatever becomes of it is recorded and observed exactly once.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::observer::Observation;
use super::record::Outcome;
use super::stand_in::Shared;

/// A request that is being answered. Dropping it unsettled means that the client left.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) shared: Arc<Shared>,
    number: u64,
    call: Option<String>,
    settled: bool,
}

impl Exchange {
    /// Records and observes the arrival. `call` is the request's metadata entry `callSid`.
    pub(super) fn arrived(shared: &Arc<Shared>, model: &str, body: Value, call: Option<String>) -> Self {
        let at = Instant::now();
        let number = shared.records.arrived(model, body, at);
        let exchange = Self { shared: Arc::clone(shared), number, call, settled: false };
        exchange.observe(|call| Observation::RequestArrived { call, at });
        exchange
    }

    /// Observes a token whose bytes are about to be handed to the socket.
    pub(super) fn token_sent(&self, index: u32) {
        self.observe(|call| Observation::TokenSent { call, index, at: Instant::now() });
    }

    /// All that the answer holds has been handed over.
    pub(super) fn complete(&mut self) {
        self.settle(Outcome::Completed);
    }

    /// The answer is an HTTP error.
    pub(super) fn refuse(&mut self, error: &str, message: &str) {
        self.settle(Outcome::Refused { error: error.to_owned(), message: message.to_owned() });
    }

    fn settle(&mut self, outcome: Outcome) {
        if self.settled {
            return;
        }
        self.settled = true;
        let cancelled = outcome == Outcome::Cancelled;
        // Observed before it is recorded, so that whoever waits for the outcome finds it observed.
        self.observe(|call| {
            let at = Instant::now();
            if cancelled { Observation::Cancelled { call, at } } else { Observation::Finished { call, at } }
        });
        self.shared.records.settle(self.number, outcome);
    }

    fn observe(&self, observation: impl FnOnce(Option<String>) -> Observation) {
        if let Some(observer) = &self.shared.observer {
            observer.observe(observation(self.call.clone()));
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.settle(Outcome::Cancelled);
    }
}
