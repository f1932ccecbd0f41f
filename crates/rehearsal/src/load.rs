//! Load with a verdict: many callers who talk for some turns each, what the service added to the delays, what it
//! cost, and whether the limits were kept.
//!
//! It needs a model stand-in that reports to the [`LoadObserver`], because only both ends together can tell the
//! service's own share of a delay. It is not for judging what is said.

mod caller;
mod delays;
mod observer;
mod percentile;
mod plan;
mod process;
mod report;
mod run;
mod tools;

#[cfg(test)]
mod tests;

pub use observer::LoadObserver;
pub use percentile::Distribution;
pub use plan::{Limits, LoadPlan, TwimlRequests};
pub use process::{Descriptors, Memory, Process};
pub use report::{LoadReport, ProcessCost, Verdict};
pub use run::run;
pub use tools::{ToolEndpoint, ToolEveryTurn, ToolKind};
