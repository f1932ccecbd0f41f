//! Many callers at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rehearsal::twilio::Carrier;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Experience, Part, talk};

/// Callers in tasks of their own. Who drops this leaves them behind.
#[derive(Debug)]
pub(in super::super) struct Crowd {
    callers: Vec<JoinHandle<Vec<Experience>>>,
    enough: CancellationToken,
}

impl Crowd {
    /// Has every part played once.
    pub(in super::super) fn call_once(carrier: &Carrier, parts: impl IntoIterator<Item = Part>) -> Self {
        let play = |part: Part| {
            let carrier = carrier.clone();
            async move { vec![talk(&carrier, part).await] }
        };
        let tasks = TaskTracker::new();
        let callers = parts.into_iter().map(|part| tasks.spawn(play(part))).collect();
        Self { callers, enough: CancellationToken::new() }
    }

    /// Has every part played again and again until it is enough, the first time after its place's share of `ramp`, and
    /// then a `pause` after each call.
    pub(in super::super) fn call_again_and_again(
        carrier: &Carrier,
        parts: Vec<Part>,
        ramp: Duration,
        pause: Duration,
    ) -> Self {
        let (tasks, enough) = (TaskTracker::new(), CancellationToken::new());
        let number = u32::try_from(parts.len()).unwrap_or(u32::MAX).max(1);
        let callers = (0..).zip(parts).map(|(place, part)| {
            let (carrier, enough) = (carrier.clone(), enough.clone());
            tasks.spawn(async move {
                let mut experiences = Vec::new();
                let mut wait = ramp * place / number;
                while enough.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
                    experiences.push(talk(&carrier, part.clone()).await);
                    wait = pause;
                }
                experiences
            })
        });
        let callers = callers.collect();
        Self { callers, enough }
    }

    /// Lets the calls that are in progress end, begins no more, and returns what all callers experienced.
    ///
    /// # Errors
    /// When they do not end in time.
    pub(in super::super) async fn finish(self, within: Duration) -> anyhow::Result<Vec<Experience>> {
        self.enough.cancel();
        let deadline = Instant::now() + within;
        let mut experiences = Vec::new();
        for caller in self.callers {
            let ended = timeout_at(deadline.into(), caller).await;
            experiences.extend(ended.with_context(|| format!("calls did not end within {within:?}"))??);
        }
        Ok(experiences)
    }
}

impl Part {
    /// The same part for so many callers, each in a place of its own.
    pub(in super::super) fn for_each(&self, callers: usize) -> Vec<Self> {
        let part = |caller| Self { caller, direction: Arc::clone(&self.direction), ..self.clone() };
        (0..callers).map(part).collect()
    }
}
