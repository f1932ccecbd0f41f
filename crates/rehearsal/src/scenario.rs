//! Scenarios: files that read like a call, played with the carrier and checked step by step.
//!
//! A scenario checks what a caller and the model would notice. Delays and cost under load are for [`crate::load`].

mod configuration;
mod doing;
mod endpoints;
mod file;
mod happenings;
mod history;
mod model;
mod party;
mod place;
mod player;
mod report;
mod run;
mod scene;
mod step;
mod table;
mod turn;
mod want;
mod words;

#[cfg(test)]
mod tests;

pub use configuration::Configuration;
pub use endpoints::Endpoints;
pub use file::Scenario;
pub use place::{OperatorApi, Placed};
pub use report::{Check, Outcome, Report, StepReport};
pub use run::{Stage, run};
pub use table::Table;

/// Stands for the address of the server for tools.
const HTTP: &str = "{http}";
