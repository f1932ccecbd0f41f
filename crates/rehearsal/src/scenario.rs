//! Scenarios: files that read like a call, played with the carrier and checked step by step.
//!
//! A scenario checks what a caller and the model would notice. Delays and cost under load are for [`crate::load`].

mod file;
mod history;
mod model;
mod player;
mod report;
mod step;
mod table;
mod turn;

#[cfg(test)]
mod tests;

pub use file::Scenario;
pub use player::{Stage, run};
pub use report::{Check, Outcome, Report, StepReport};
pub use table::Table;
