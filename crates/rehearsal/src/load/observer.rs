//! Remembers when each model request of a call arrived at the stand-in and when each of its tokens left.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::bedrock::{Observation, Observer};

/// More tokens than this are not recorded, so that a run against a talkative brain cannot eat the memory.
const MAX_TOKENS: usize = 10_000_000;

/// The model's side of a load run. Give it to the model stand-in and to [`super::run`].
#[derive(Debug, Default)]
pub struct LoadObserver {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    calls: HashMap<String, Vec<Generation>>,
    tokens: usize,
}

/// One run of the model for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) arrived: Instant,
    /// When each token left, by its index.
    pub(super) tokens: Vec<Instant>,
}

impl LoadObserver {
    pub fn new() -> Self {
        Self::default()
    }

    /// The generations of a call, in the order of their requests.
    pub(super) fn generations(&self, call: &str) -> Vec<Generation> {
        self.lock().calls.get(call).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // What a panicking observer left behind is still a list of times.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for LoadObserver {
    fn observe(&self, observation: Observation) {
        match observation {
            Observation::RequestArrived { call: Some(call), at } => {
                let generation = Generation { arrived: at, tokens: Vec::new() };
                self.lock().calls.entry(call).or_default().push(generation);
            }
            Observation::TokenSent { call: Some(call), at, .. } => self.lock().token(&call, at),
            _ => {}
        }
    }
}

impl Seen {
    fn token(&mut self, call: &str, at: Instant) {
        let generation = self.calls.get_mut(call).and_then(|generations| generations.last_mut());
        if let Some(generation) = generation.filter(|_| self.tokens < MAX_TOKENS) {
            self.tokens += 1;
            generation.tokens.push(at);
        }
    }
}
