//! Remembers when each model request of a call arrived at the stand-in and when each of its tokens left, and the same of
//! requests to a tool's endpoint.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bedrock::{Observation, Observer};

/// More tokens than this are not recorded, so that a run against a talkative brain cannot eat the memory.
const MAX_TOKENS: usize = 10_000_000;

/// The far side of a load run. Give it to the stand-ins of the model and of a tool's endpoint and to [`super::run`].
#[derive(Debug, Default)]
pub struct LoadObserver {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    calls: HashMap<String, Vec<Generation>>,
    visits: HashMap<String, Vec<Visit>>,
    tool_failures: u64,
    tokens: usize,
}

/// One run of the model for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) arrived: Instant,
    /// When each token left, by its index.
    pub(super) tokens: Vec<Instant>,
    /// When the last of it was handed over, tool calls included.
    pub(super) finished: Option<Instant>,
}

/// One request to a tool's endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Visit {
    pub(super) arrived: Instant,
    /// Right before the answer was given to the socket.
    pub(super) answered: Instant,
}

impl LoadObserver {
    pub fn new() -> Self {
        Self::default()
    }

    /// The generations of a call, in the order of their requests.
    pub(super) fn generations(&self, call: &str) -> Vec<Generation> {
        self.lock().calls.get(call).cloned().unwrap_or_default()
    }

    /// What the service added to a turn whose words were given to the socket at `asked` and whose answer began at
    /// `first_word`: on the way to the model, and back. None when the model saw no request for it, or answered nothing.
    pub fn added_delay(&self, call: &str, asked: Instant, first_word: Instant) -> Option<Duration> {
        let seen = self.lock();
        let generations = seen.calls.get(call)?;
        let since = generations.partition_point(|generation| generation.arrived < asked);
        let generation = generations.get(since)?;
        let left = generation.tokens.first().filter(|left| **left <= first_word)?;
        let there = generation.arrived.saturating_duration_since(asked);
        Some(there + first_word.saturating_duration_since(*left))
    }

    /// The requests to the tool's endpoint for a call, in order.
    pub(super) fn visits(&self, call: &str) -> Vec<Visit> {
        self.lock().visits.get(call).cloned().unwrap_or_default()
    }

    pub(super) fn visited(&self, call: &str, visit: Visit) {
        self.lock().visits.entry(call.to_owned()).or_default().push(visit);
    }

    pub(super) fn tool_failed(&self) {
        self.lock().tool_failures += 1;
    }

    /// How many runs of tools the model was told to have failed.
    pub(super) fn tool_failures(&self) -> u64 {
        self.lock().tool_failures
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
                let generation = Generation { arrived: at, tokens: Vec::new(), finished: None };
                self.lock().calls.entry(call).or_default().push(generation);
            }
            Observation::TokenSent { call: Some(call), at, .. } => self.lock().token(&call, at),
            Observation::Finished { call: Some(call), at } => {
                if let Some(generation) = self.lock().calls.get_mut(&call).and_then(|all| all.last_mut()) {
                    generation.finished = Some(at);
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_added_delay_is_that_of_the_turns_own_generation() {
        let (start, call) = (Instant::now(), || Some("CA1".to_owned()));
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let observer = LoadObserver::new();
        for (arrived, token) in [(3, 40), (105, 160)] {
            observer.observe(Observation::RequestArrived { call: call(), at: at(arrived) });
            observer.observe(Observation::TokenSent { call: call(), index: 0, at: at(token) });
        }
        let added = |asked, heard| observer.added_delay("CA1", at(asked), at(heard));
        assert_eq!(added(0, 50), Some(Duration::from_millis(3 + 10)));
        assert_eq!(added(100, 161), Some(Duration::from_millis(5 + 1)));
        assert_eq!(added(100, 150), None, "it was answered by somebody else");
        assert_eq!(added(200, 300), None);
        assert_eq!(observer.added_delay("CA2", at(0), at(50)), None);
    }
}
