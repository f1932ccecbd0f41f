//! Directs callers: which lines they may say, and how far each of them is.

use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::timeout;

/// How far a caller is. Numbers are those of the lines, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Stage {
    Calling,
    /// Has said nothing of this line yet.
    Listening(usize),
    /// Has said the line, and waits for the first word of the answer.
    Waiting(usize),
    /// Words come.
    Told(usize),
    /// The last word of a talk cycle has come; it may not have been heard yet.
    WhollyTold(usize),
    Answered(usize),
    /// The call is over.
    Over,
}

/// Shared by the callers and whoever directs them.
#[derive(Debug)]
pub(in super::super) struct Direction {
    allowed: watch::Sender<usize>,
    stages: watch::Sender<Vec<Stage>>,
}

impl Direction {
    /// For callers who wait to be told before each line.
    pub(in super::super) fn strict(callers: usize) -> Self {
        let stages = watch::Sender::new(vec![Stage::Calling; callers]);
        Self { allowed: watch::Sender::new(0), stages }
    }

    /// For callers who talk as they like.
    pub(in super::super) fn free(callers: usize) -> Self {
        let direction = Self::strict(callers);
        direction.allow(usize::MAX);
        direction
    }

    /// The first so many lines may be said.
    pub(in super::super) fn allow(&self, lines: usize) {
        self.allowed.send_replace(lines);
    }

    /// Waits until every caller is as far as `wanted` wants. Those whose calls are over count as far enough.
    ///
    /// # Errors
    /// When somebody is not within this time; the error tells how far all are.
    pub(in super::super) async fn all(
        &self,
        within: Duration,
        wanted: impl Fn(Stage) -> bool,
    ) -> anyhow::Result<()> {
        let mut stages = self.stages.subscribe();
        let far_enough = |stage: &Stage| *stage == Stage::Over || wanted(*stage);
        let all = stages.wait_for(|stages| stages.iter().all(far_enough));
        let reached = timeout(within, all).await.map(|stages| stages.map(drop));
        reached.with_context(|| format!("not all callers came as far: {:?}", self.stages()))??;
        Ok(())
    }

    pub(in super::super) fn stages(&self) -> Vec<Stage> {
        self.stages.borrow().clone()
    }

    /// Waits until the line may be said.
    pub(super) async fn allowed(&self, line: usize) {
        let mut allowed = self.allowed.subscribe();
        // The sender is ours, so it is there.
        let _ = allowed.wait_for(|lines| *lines > line).await;
    }

    pub(super) fn set(&self, caller: usize, stage: Stage) {
        self.stages.send_modify(|stages| {
            if let Some(known) = stages.get_mut(caller) {
                *known = stage;
            }
        });
    }

    /// A word has come, the last of a cycle or another.
    pub(super) fn advance(&self, caller: usize, last: bool) {
        self.stages.send_if_modified(|stages| {
            let Some(known) = stages.get_mut(caller) else { return false };
            let next = match *known {
                Stage::Waiting(line) | Stage::Told(line) | Stage::WhollyTold(line) => {
                    if last {
                        Stage::WhollyTold(line)
                    } else {
                        Stage::Told(line)
                    }
                }
                Stage::Calling | Stage::Listening(_) | Stage::Answered(_) | Stage::Over => return false,
            };
            std::mem::replace(known, next) != next
        });
    }
}
