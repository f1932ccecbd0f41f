//! `cargo dev chaos`: what can go wrong goes wrong on purpose, and a verdict says whether callers noticed.

mod burst;
mod cluster;
mod dialogue;
mod figures;
mod kill;
mod models;
mod record;
mod restarts;
mod soak;
mod table;
mod talk;

mod caller;
mod findings;
mod ledger;
mod script;

use clap::Subcommand;

/// Which misfortune.
#[derive(Clone, Debug, Subcommand)]
pub enum Chaos {
    /// Kill the process that carries the calls, in mid-sentence, again and again
    Kill(kill::Args),
    /// Replace one process by the next under calls in progress, again and again
    Restarts(restarts::Args),
    /// Take the table away for a while
    Table(table::Args),
    /// Throttle some requests to the model and break some answers
    Models(models::Args),
    /// Call more often at once than there are lines
    Burst(burst::Args),
    /// Calls that come and go for a long time; memory, tasks, sockets and files are watched
    Soak(soak::Args),
}

/// What came of it, to be printed, and whether everything was as promised.
#[derive(Debug)]
pub struct Verdict {
    pub text: String,
    pub passed: bool,
}

/// # Errors
/// When the stage could not be set up, or a run did not come to an end.
pub async fn run(chaos: Chaos) -> anyhow::Result<Verdict> {
    match chaos {
        Chaos::Kill(args) => kill::run(args).await,
        Chaos::Restarts(args) => restarts::run(args).await,
        Chaos::Table(args) => table::run(args).await,
        Chaos::Models(args) => models::run(args).await,
        Chaos::Burst(args) => burst::run(args).await,
        Chaos::Soak(args) => soak::run(args).await,
    }
}
