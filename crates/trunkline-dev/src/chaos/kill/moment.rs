//! When a process is killed: the same point of the same answer in all calls.

use std::time::Duration;

use rehearsal::load::ToolEndpoint;
use tokio::time::sleep;

use super::super::cluster::{Cluster, until_count};
use super::super::talk::{Direction, Stage};

/// How long all callers may take to come to the moment.
const COMING: Duration = Duration::from_mins(1);

/// A point of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// The model was asked in every call, so long ago, and has not said a word.
    WordsSaid { since: Duration },
    /// Words come in every call.
    TokensComing,
    /// All words of the answer have come and are being heard.
    StillPlaying,
    /// The tool works for every call.
    ToolRunning,
}

/// What was counted before the line was said.
#[derive(Debug)]
pub(super) struct Before {
    model_requests: u64,
    pub(super) tool_requests: u64,
}

impl Moment {
    /// One after the other.
    pub(super) fn of_round(number: usize, since: Duration) -> Self {
        let moments = [Self::TokensComing, Self::StillPlaying, Self::ToolRunning, Self::WordsSaid { since }];
        moments[number % moments.len()]
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::WordsSaid { .. } => "the model was asked",
            Self::TokensComing => "words were coming",
            Self::StillPlaying => "the rest was playing",
            Self::ToolRunning => "a tool was running",
        }
    }

    /// In the answer to which line it comes.
    pub(super) fn line(self) -> usize {
        match self {
            Self::WordsSaid { .. } | Self::TokensComing | Self::StillPlaying => 1,
            Self::ToolRunning => 2,
        }
    }

    pub(super) fn before(cluster: &Cluster, tool: &ToolEndpoint) -> Before {
        let (model, tool) = (cluster.model_requests(), tool.arrived());
        let counts = (*model.borrow(), *tool.borrow());
        Before { model_requests: counts.0, tool_requests: counts.1 }
    }

    /// Waits until it has come in all calls.
    pub(super) async fn come(
        self,
        before: &Before,
        calls: usize,
        direction: &Direction,
        cluster: &Cluster,
        tool: &ToolEndpoint,
    ) -> anyhow::Result<()> {
        let calls = calls as u64;
        match self {
            Self::WordsSaid { since } => {
                until_count(cluster.model_requests(), before.model_requests + calls, COMING).await?;
                sleep(since).await;
                Ok(())
            }
            Self::TokensComing | Self::StillPlaying => {
                direction.all(COMING, |stage| self.has_come(stage) || self.is_past(stage)).await
            }
            Self::ToolRunning => until_count(tool.arrived(), before.tool_requests + calls, COMING).await,
        }
    }

    /// Whether a caller who is so far is at the moment.
    pub(super) fn has_come(self, stage: Stage) -> bool {
        let line = self.line();
        match self {
            Self::WordsSaid { .. } => stage == Stage::Waiting(line),
            Self::TokensComing => stage == Stage::Told(line),
            Self::StillPlaying => stage == Stage::WhollyTold(line),
            Self::ToolRunning => matches!(stage, Stage::Told(at) | Stage::WhollyTold(at) if at == line),
        }
    }

    fn is_past(self, stage: Stage) -> bool {
        let line = self.line();
        match stage {
            Stage::WhollyTold(at) => self == Self::TokensComing && at == line,
            Stage::Answered(at) => at == line,
            Stage::Over => true,
            _ => false,
        }
    }
}
