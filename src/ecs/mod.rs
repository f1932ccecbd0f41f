//! Keeps ECS from stopping a task that has calls.
//!
//! ECS protects a task from deployments and from scaling in while it is told to; the task tells it through an agent beside
//! it. Whether calls are there is asked of somebody else.

mod agent;
mod protection;

use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::agent::AgentError;
use self::protection::{Protection, Situation, Wish};
use crate::metrics::{Counter, Metrics};
use crate::telemetry::causes;

pub use self::agent::EcsAgent;

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// The process waits for its last calls and for this for a little longer.
const LEAVING: Duration = Duration::from_secs(10);
const BETWEEN_LAST_LOOKS: Duration = Duration::from_millis(100);

/// Protects the task while `calls` says that there are some. Ends soon after `leaving` is cancelled, with the protection
/// given up once the last call is over.
pub async fn keep_protected(
    agent: EcsAgent,
    calls: impl Fn() -> usize,
    leaving: CancellationToken,
    metrics: Metrics,
) {
    let mut keeper = Keeper { protection: Protection::new(), told: Vec::new(), metrics };
    let mut looks = interval(BETWEEN_LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = leaving.cancelled() => break,
            _ = looks.tick() => {}
        }
        keeper.look(&agent, Situation { calls: calls(), leaving: false }).await;
    }
    let deadline = Instant::now() + LEAVING;
    while !keeper.protection.is_off() && Instant::now() < deadline {
        keeper.look(&agent, Situation { calls: calls(), leaving: true }).await;
        sleep(BETWEEN_LAST_LOOKS).await;
    }
}

struct Keeper {
    protection: Protection,
    /// Kinds of failures that were told since the last success.
    told: Vec<Discriminant<AgentError>>,
    metrics: Metrics,
}

impl Keeper {
    async fn look(&mut self, agent: &EcsAgent, situation: Situation) {
        let Some(wish) = self.protection.wish(Instant::now(), situation) else { return };
        match agent.ask(wish).await {
            Ok(()) => {
                self.protection.granted(Instant::now(), wish);
                self.told.clear();
                let protected = wish == Wish::Protect;
                info!(protected, calls = situation.calls, "the protection of the task was changed");
            }
            Err(error) => {
                self.protection.failed(Instant::now());
                self.metrics.count(Counter::ProtectionFailures);
                self.tell(&error);
            }
        }
    }

    /// Each kind once: it is tried again for as long as there are calls.
    fn tell(&mut self, error: &AgentError) {
        let kind = discriminant(error);
        if !self.told.contains(&kind) {
            self.told.push(kind);
            warn!(error = %causes(error), "the protection of the task was not changed");
        }
    }
}
