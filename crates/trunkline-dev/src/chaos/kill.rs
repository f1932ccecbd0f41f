//! Kill the process that carries the calls, in mid-sentence, again and again.
//!
//! Two tasks share one table. All calls of a round are with one of them when it is killed, at a moment that is the same
//! for all of them. The carrier loses its sockets, waits as long as Twilio does, asks what comes next, and is connected to
//! the other task. Afterwards the journal of every call is compared with that of a call which nobody disturbed.

mod moment;
mod round;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use aws_sdk_dynamodb::Client;
use rehearsal::bedrock::Pace;
use rehearsal::twilio::CallOptions;

use super::Verdict;
use super::cluster::{Cluster, ClusterOptions};
use super::dialogue::{self, question, question_to_look_up};
use super::figures::{Complaints, Delays, seconds};
use super::record::{self, Record};
use super::talk::{Crowd, Direction, Line, Outcome, Part};
use moment::Moment;
use round::Round;

/// What can be set.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Calls in progress when the process is killed
    #[arg(long, default_value_t = 50)]
    calls: usize,
    /// How often a process is killed
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// How long the first word may take from the carrier's asking what comes next, in milliseconds
    #[arg(long, default_value_t = 2000)]
    max_resume_ms: u64,
    /// How long after the callers' words the process is killed when it is killed before the first token, in milliseconds
    #[arg(long, default_value_t = 100)]
    after_words_ms: u64,
    /// Items to load
    #[arg(long, default_value = "configuration")]
    configuration: PathBuf,
}

const PACE: Pace =
    Pace { first_token: Duration::from_millis(400), between_tokens: Duration::from_millis(50) };
const TOOL_WORKS: Duration = Duration::from_millis(1500);
/// How long an answer may take until it is heard, a break in it included.
const PATIENCE: Duration = Duration::from_secs(40);
const CALLS_END: Duration = Duration::from_mins(3);
const JOURNALED: Duration = Duration::from_secs(30);
/// So many of the calls must be at the very moment when their process is killed.
const IN_THE_MOMENT_PERCENT: usize = 80;

/// # Errors
/// When the stage could not be set up, or the run did not come to an end.
pub(super) async fn run(args: Args) -> anyhow::Result<Verdict> {
    ensure!(args.calls > 0 && args.rounds > 0, "there must be a call and a round");
    let options = ClusterOptions {
        members: 2,
        model: dialogue::model(PACE),
        configuration: args.configuration.clone(),
        ..ClusterOptions::default()
    };
    let mut cluster = Cluster::start(options).await?;
    let tool = dialogue::start_tool(&cluster.store, TOOL_WORKS).await?;
    let table = cluster.dynamodb.client().await;
    let undisturbed = undisturbed(&cluster, &table).await?;
    let mut report = Report::new(args.max_resume_ms);
    for number in 0..args.rounds {
        let moment = Moment::of_round(number, Duration::from_millis(args.after_words_ms));
        let round = Round { number, calls: args.calls, moment, undisturbed: &undisturbed };
        report.add(round.play(&mut cluster, &tool, &table).await?);
        cluster.add_member().await?;
    }
    cluster.stop().await?;
    tool.shutdown().await;
    Ok(report.verdict())
}

/// What every caller says. The second and the third line are the ones in whose answers a process is killed.
fn lines() -> Vec<Line> {
    vec![question("the sea"), question("old bridges"), question_to_look_up("the moon"), question("paper")]
}

fn part(direction: &Arc<Direction>) -> Part {
    Part {
        caller: 0,
        options: CallOptions { use_case: Some(dialogue::USE_CASE.to_owned()), ..CallOptions::default() },
        lines: lines(),
        bridge: dialogue::RESUMED,
        think: Duration::ZERO,
        patience: PATIENCE,
        direction: Arc::clone(direction),
    }
}

/// The record of a call that nothing happened to.
async fn undisturbed(cluster: &Cluster, table: &Client) -> anyhow::Result<Record> {
    let part = part(&Arc::new(Direction::free(1)));
    let mut experiences = Crowd::call_once(&cluster.carrier, [part]).finish(CALLS_END).await?;
    let experience = experiences.pop().context("nobody called")?;
    let whole = experience.turns.iter().filter(|turn| turn.outcome == Outcome::Whole).count();
    ensure!(
        experience.error.is_none() && whole == lines().len() && experience.resumes.is_empty(),
        "a call that nothing happened to did not go well: {experience:?}"
    );
    let call_sid = experience.call_sid.context("the call has no id")?;
    record::ended(table, &call_sid, JOURNALED).await?;
    record::read(table, &call_sid).await
}

/// All rounds.
struct Report {
    text: String,
    resumed: Delays,
    silences: Delays,
    most: Duration,
    complaints: Complaints,
    calls: usize,
}

/// What a round came to.
#[derive(Debug)]
struct RoundReport {
    number: usize,
    killed_while: &'static str,
    calls: usize,
    /// How many of the calls were at that very moment.
    in_the_moment: usize,
    /// From the carrier's question to the first words.
    resumed: Delays,
    /// The longest silence of each call.
    silences: Delays,
    /// Tool runs of which the model was told that they failed, or that nobody knows.
    tool_runs_lost: usize,
    complaints: Vec<String>,
}

impl RoundReport {
    /// A kill that hits most calls at another moment tries something else.
    fn promise_the_moment(&mut self) {
        if self.in_the_moment * 100 < self.calls * IN_THE_MOMENT_PERCENT {
            let reason = format!(
                "fewer than {IN_THE_MOMENT_PERCENT} % of the calls were in the moment, while {}",
                self.killed_while
            );
            self.complaints.push(reason);
        }
    }

    /// What may have run is not run again, and what has not is run once.
    fn promise_tool_runs(&mut self, runs: u64) {
        if runs != self.calls as u64 {
            self.complaints.push(format!(
                "the tool ran {runs} times for {} calls, while {}",
                self.calls, self.killed_while
            ));
        }
    }
}

impl Report {
    fn new(most_ms: u64) -> Self {
        Self {
            text: format!(
                "{:>5}  {:<24} {:>6} {:>7} {:>12} {:>12} {:>16} {:>10}\n",
                "round",
                "killed while",
                "calls",
                "exactly",
                "resumed p50",
                "longest",
                "longest silence",
                "tools lost"
            ),
            resumed: Delays::default(),
            silences: Delays::default(),
            most: Duration::from_millis(most_ms),
            complaints: Complaints::default(),
            calls: 0,
        }
    }

    fn add(&mut self, round: RoundReport) {
        let RoundReport { number, killed_while, calls, in_the_moment, resumed, .. } = &round;
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.text,
            "{:>5}  {killed_while:<24} {calls:>6} {in_the_moment:>7} {:>12} {:>12} {:>16} {:>10}",
            number + 1,
            seconds(resumed.percentile(50)),
            seconds(resumed.longest()),
            seconds(round.silences.longest()),
            round.tool_runs_lost,
        );
        if round.resumed.longest() > self.most {
            self.complaints.add(format!("a call took longer than {} to go on", seconds(self.most)));
        }
        self.calls += round.calls;
        self.resumed.extend(&round.resumed);
        self.silences.extend(&round.silences);
        round.complaints.into_iter().for_each(|reason| self.complaints.add(reason));
    }

    fn verdict(mut self) -> Verdict {
        let _ = writeln!(
            self.text,
            "\n{} calls; from the carrier's question to the first words p50 {}, p99 {}, longest {}; longest silence {}",
            self.calls,
            seconds(self.resumed.percentile(50)),
            seconds(self.resumed.percentile(99)),
            seconds(self.resumed.longest()),
            seconds(self.silences.longest()),
        );
        self.complaints.verdict(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(in_the_moment: usize, tool_runs: u64) -> usize {
        let mut report = RoundReport {
            number: 0,
            killed_while: "a tool was running",
            calls: 10,
            in_the_moment,
            resumed: Delays::default(),
            silences: Delays::default(),
            tool_runs_lost: 0,
            complaints: Vec::new(),
        };
        report.promise_the_moment();
        report.promise_tool_runs(tool_runs);
        report.complaints.len()
    }

    #[test]
    fn a_round_fails_beside_the_moment_and_when_the_tool_did_not_run_once_for_each_call() {
        assert_eq!(complaints(8, 10), 0);
        assert_eq!(complaints(7, 10), 1);
        assert_eq!(complaints(10, 11), 1);
        assert_eq!(complaints(10, 9), 1);
    }
}
