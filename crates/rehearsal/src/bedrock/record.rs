//! What the stand-in was asked and what became of it, with waiting that is notified rather than polled.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::sync::watch;

/// How many requests are remembered; older ones are forgotten.
const CAPACITY: usize = 1_000;

/// A request as it arrived, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedRequest {
    /// Counted from 1 since the stand-in started.
    pub number: u64,
    /// The model id of the path, percent-decoded.
    pub model: String,
    /// The JSON body; a string with the raw text when it was not JSON.
    pub body: Value,
    /// When the whole request had been read.
    pub received: Instant,
    /// What became of it so far.
    pub outcome: Outcome,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer is on its way, or stalled.
    Answering,
    /// All that the answer holds was handed over, its exception or cut included when it was scripted to have one.
    Completed,
    /// The client left before the end of the answer, or the stand-in was shut down.
    Cancelled,
    /// An HTTP error was the answer, be it by the rules or by the script: the exception's name and its message.
    Refused { error: String, message: String },
}

/// The recorded requests, and a signal on each change.
#[derive(Debug)]
pub(super) struct Records {
    ring: Mutex<Ring>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Ring {
    last_number: u64,
    requests: VecDeque<RecordedRequest>,
}

impl Default for Records {
    fn default() -> Self {
        Self { ring: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl Records {
    /// Records an arrival and returns its number.
    pub(super) fn arrived(&self, model: &str, body: Value, received: Instant) -> u64 {
        let number = self.with(|ring| {
            ring.last_number += 1;
            if ring.requests.len() == CAPACITY {
                ring.requests.pop_front();
            }
            ring.requests.push_back(RecordedRequest {
                number: ring.last_number,
                model: model.to_owned(),
                body,
                received,
                outcome: Outcome::Answering,
            });
            ring.last_number
        });
        self.changed.send_replace(());
        number
    }

    /// Records what became of a request, unless it has been forgotten.
    pub(super) fn settle(&self, number: u64, outcome: Outcome) {
        self.with(|ring| {
            if let Some(request) = ring.requests.iter_mut().find(|request| request.number == number) {
                request.outcome = outcome;
            }
        });
        self.changed.send_replace(());
    }

    /// What is remembered, oldest first.
    pub(super) fn all(&self) -> Vec<RecordedRequest> {
        self.with(|ring| ring.requests.iter().cloned().collect())
    }

    /// Waits until the request of this number has come and `ready` accepts it.
    pub(super) async fn wait_for(
        &self,
        number: u64,
        within: Duration,
        ready: impl Fn(&RecordedRequest) -> bool,
    ) -> anyhow::Result<RecordedRequest> {
        let mut changes = self.changed.subscribe();
        let waiting = async {
            loop {
                changes.borrow_and_update();
                if let Some(request) = self.look_up(number)?
                    && ready(&request)
                {
                    return Ok(request);
                }
                changes.changed().await?;
            }
        };
        let waited = tokio::time::timeout(within, waiting).await;
        waited.with_context(|| format!("request {number}: waited {within:?}, {}", self.describe(number)))?
    }

    /// The request of this number; none when it has not come yet.
    fn look_up(&self, number: u64) -> anyhow::Result<Option<RecordedRequest>> {
        self.with(|ring| {
            let found = ring.requests.iter().find(|request| request.number == number).cloned();
            if found.is_none() && number <= ring.last_number {
                bail!("request {number} is not remembered: numbers start at 1, and {CAPACITY} are kept");
            }
            Ok(found)
        })
    }

    fn describe(&self, number: u64) -> String {
        match self.look_up(number) {
            Ok(Some(request)) => format!("it is {:?}", request.outcome),
            Ok(None) => format!("only {} have come", self.with(|ring| ring.last_number)),
            Err(error) => error.to_string(),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Ring) -> T) -> T {
        // A panic elsewhere leaves the ring whole, since each change to it is one push or one assignment.
        work(&mut self.ring.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn waits_for_an_arrival_and_its_outcome() {
        let records = Records::default();
        let wait = records.wait_for(1, SOON, |request| request.outcome != Outcome::Answering);
        let act = async {
            let number = records.arrived("m", Value::Null, Instant::now());
            tokio::task::yield_now().await;
            records.settle(number, Outcome::Completed);
        };
        let (waited, ()) = tokio::join!(wait, act);
        assert_eq!(waited.unwrap().outcome, Outcome::Completed);
    }

    #[tokio::test]
    async fn says_what_it_waited_for_in_vain() {
        let records = Records::default();
        let error = records.wait_for(1, Duration::ZERO, |_| true).await.unwrap_err();
        assert_eq!(error.to_string(), "request 1: waited 0ns, only 0 have come");
        records.arrived("m", Value::Null, Instant::now());
        let error = records.wait_for(1, Duration::ZERO, |_| false).await.unwrap_err();
        assert_eq!(error.to_string(), "request 1: waited 0ns, it is Answering");
    }

    #[tokio::test]
    async fn forgets_the_oldest_and_says_so() {
        let records = Records::default();
        for _ in 0..=CAPACITY {
            records.arrived("m", Value::Null, Instant::now());
        }
        assert_eq!(records.all().len(), CAPACITY);
        assert_eq!(records.all()[0].number, 2);
        assert!(
            records.wait_for(1, SOON, |_| true).await.unwrap_err().to_string().contains("not remembered")
        );
    }
}
