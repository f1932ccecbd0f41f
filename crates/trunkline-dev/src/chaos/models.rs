//! Throttle some requests to the model, break or stall some answers and let some begin late: every caller must get an
//! answer or an apology, and soon.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rehearsal::bedrock::{BedrockOptions, MisfortuneCounts, Misfortunes, Pace, Unlucky};
use rehearsal::draws::Draws;
use rehearsal::load::Distribution;
use rehearsal::twilio::Carrier;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Verdict;
use super::caller::{Caller, Turn};
use super::findings::{Findings, ms};
use super::script::{self, APOLOGY, Storyteller, WAITING};
use crate::load::site::{Site, SiteOptions, Table};

const WORDS: usize = 30;
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(20);
const LONGEST_THINKING: Duration = Duration::from_millis(1500);
/// So many of the turns must get their whole answer, whatever befalls the model.
const ANSWERED_PERCENT: usize = 80;
const SECOND_MODEL: &str = "stand-in.second";

/// What can be set.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[arg(long, default_value_t = 50)]
    calls: u32,
    /// Turns of each call
    #[arg(long, default_value_t = 20)]
    turns: u32,
    /// Percent of the requests that are throttled
    #[arg(long, default_value_t = 10.0)]
    throttled: f64,
    /// Percent of the answers that break off
    #[arg(long, default_value_t = 1.0)]
    broken: f64,
    /// Percent of the answers that begin late
    #[arg(long, default_value_t = 0.0)]
    slow: f64,
    /// By how much they are late
    #[arg(long, default_value_t = 3500)]
    late_ms: u64,
    /// Percent of the answers that fall silent for good
    #[arg(long, default_value_t = 0.0)]
    stalled: f64,
    /// The use case names a second model, which is as unlucky as the first
    #[arg(long)]
    fallback: bool,
    #[arg(long, default_value_t = 200)]
    first_token_ms: u64,
    #[arg(long, default_value_t = 20)]
    token_ms: u64,
    /// Which requests are hit; the same seed hits the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Limit: the longest silence of a turn
    #[arg(long, default_value_t = 4000)]
    max_silence_ms: u64,
}

/// # Errors
/// When the stage could not be set up, or the run did not come to an end.
pub(super) async fn run(args: Args) -> anyhow::Result<Verdict> {
    let misfortunes = Misfortunes {
        throttled: args.throttled,
        broken: args.broken,
        slow: args.slow,
        stalled: args.stalled,
        late_by: Duration::from_millis(args.late_ms),
    };
    let storyteller = Arc::new(Storyteller { words: WORDS });
    let unlucky = Arc::new(Unlucky::new(storyteller, misfortunes, args.seed));
    let table = Table::start().await?;
    let fallback: &[&str] = if args.fallback { &[SECOND_MODEL] } else { &[] };
    script::load(&table.store, fallback).await?;
    let pace = Pace {
        first_token: Duration::from_millis(args.first_token_ms),
        between_tokens: Duration::from_millis(args.token_ms),
    };
    let model = BedrockOptions { pace, brain: unlucky.clone(), ..BedrockOptions::default() };
    let settings = vec![("MAX_CALLS", args.calls.to_string()), ("RUST_LOG", "error".to_owned())];
    let site = Site::start(table, SiteOptions { model, settings, ..SiteOptions::default() }).await?;
    let experiences = play(&args, &site.carrier).await;
    site.stop().await?;
    Ok(judge(&args, &experiences?, unlucky.counts()))
}

/// What a caller experienced: turns in order, and what went wrong besides.
#[derive(Debug, Default)]
struct Experience {
    turns: Vec<Turn>,
    troubles: Vec<String>,
}

async fn play(args: &Args, carrier: &Carrier) -> anyhow::Result<Vec<Experience>> {
    let mut callers = JoinSet::new();
    for number in 0..u64::from(args.calls) {
        let (carrier, turns) = (carrier.clone(), args.turns);
        let draws = Draws::of(args.seed, number);
        callers.spawn(async move { talk(&carrier, number, turns, draws).await });
    }
    let longest = (PATIENCE + LONGEST_THINKING) * (args.turns + 2);
    let all = async {
        let mut experiences = Vec::new();
        while let Some(experience) = callers.join_next().await {
            experiences.push(experience.context("a caller broke")?);
        }
        anyhow::Ok(experiences)
    };
    timeout(longest, all).await.context("the calls did not end")?
}

async fn talk(carrier: &Carrier, number: u64, turns: u32, draws: Draws) -> Experience {
    let mut experience = Experience::default();
    if let Err(error) = converse(carrier, number, turns, draws, &mut experience).await {
        experience.troubles.push(format!("{error:#}"));
    }
    experience
}

async fn converse(
    carrier: &Carrier,
    number: u64,
    turns: u32,
    mut draws: Draws,
    experience: &mut Experience,
) -> anyhow::Result<()> {
    sleep(draws.between(Duration::ZERO, LONGEST_THINKING)).await;
    let mut caller = Caller::connect(carrier, script::call_options(number)).await?;
    for line in 0..turns {
        let turn = caller.turn(&script::line(line), PATIENCE).await?;
        experience.turns.push(turn);
        caller.attend(draws.between(Duration::ZERO, LONGEST_THINKING)).await?;
    }
    let resumes = caller.resumes;
    experience.troubles.extend(caller.hang_up().await?);
    anyhow::ensure!(resumes == 0, "the call was connected again");
    Ok(())
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The whole answer, once.
    Answered,
    /// The apology and nothing else.
    Apologised,
    /// The beginning of the answer, and then the apology.
    BrokenOff,
    /// Nothing, or nothing that ended.
    Unanswered,
    /// Something that was said already was said again.
    Repeated,
    /// Something else.
    Garbled,
}

impl Outcome {
    fn of(turn: &Turn, answer: &str) -> Self {
        // Being asked for patience is part of no answer.
        let told = turn.text().replace(WAITING, " ");
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        let begun = told.strip_suffix(APOLOGY).map(str::trim_end);
        match begun {
            _ if !turn.is_complete => Self::Unanswered,
            None if told == answer => Self::Answered,
            Some("") => Self::Apologised,
            Some(begun) if answer.starts_with(begun) => Self::BrokenOff,
            _ if repeats(&told, answer) => Self::Repeated,
            _ => Self::Garbled,
        }
    }
}

/// Whether the beginning of the answer stands in what was told more than once, or not at its beginning.
fn repeats(told: &str, answer: &str) -> bool {
    let first: Vec<&str> = answer.split_whitespace().take(2).collect();
    told.rfind(&first.join(" ")).is_some_and(|at| at > 0)
}

fn judge(args: &Args, experiences: &[Experience], met: MisfortuneCounts) -> Verdict {
    let turns = || experiences.iter().flat_map(|experience| (0..).zip(&experience.turns));
    let outcomes: Vec<Outcome> =
        turns().map(|(line, turn)| Outcome::of(turn, &script::answer(line, WORDS))).collect();
    let count = |outcome| outcomes.iter().filter(|other| **other == outcome).count();
    let silences: Vec<Duration> = turns().map(|(_, turn)| turn.longest_silence()).collect();
    let longest = silences.iter().max().copied().unwrap_or_default();
    let expected = args.calls as usize * args.turns as usize;
    let mut findings = Findings::default();
    findings.tell(format_args!("{} calls, {} of {expected} turns", args.calls, outcomes.len()));
    let MisfortuneCounts { requests, throttled, broken, slow, stalled } = &met;
    findings.tell(format_args!(
        "model: {requests} requests; {throttled} throttled, {broken} broken off, {slow} late, {stalled} stalled"
    ));
    findings.tell(format_args!(
        "turns: {} answered, {} apologised for, {} broken off with an apology",
        count(Outcome::Answered),
        count(Outcome::Apologised),
        count(Outcome::BrokenOff)
    ));
    findings.tell(format_args!("{:<28}{:>10}{:>10}{:>10}{:>10}", "ms", "p50", "p90", "p99", "max"));
    findings.tell(format_args!("{:<28}{}", "longest silence of a turn", Distribution::of(silences)));
    findings.none_of("turns missing", expected.saturating_sub(outcomes.len()));
    findings.none_of("turns unanswered", count(Outcome::Unanswered));
    findings.none_of("turns repeated from the start", count(Outcome::Repeated));
    findings.none_of("turns with other words than the model's", count(Outcome::Garbled));
    promise_misfortunes(&mut findings, args, &met);
    promise_answers(&mut findings, count(Outcome::Answered), expected);
    let limit = Duration::from_millis(args.max_silence_ms);
    findings.promise(longest <= limit, format!("a silence of {}", ms(longest)));
    let troubles = experiences.iter().flat_map(|experience| experience.troubles.iter().cloned());
    findings.no_trouble("troubles of callers", troubles);
    findings.verdict()
}

/// What was to happen has happened; otherwise the run says nothing about it.
fn promise_misfortunes(findings: &mut Findings, args: &Args, met: &MisfortuneCounts) {
    let kinds = [
        (args.throttled, met.throttled, "throttled"),
        (args.broken, met.broken, "broken off"),
        (args.slow, met.slow, "late"),
        (args.stalled, met.stalled, "stalled"),
    ];
    for (percent, number, name) in kinds {
        let has_happened = percent <= 0.0 || number > 0;
        findings.promise(has_happened, format!("nothing was {name}, so that was not tried; have more calls"));
    }
}

/// An apology is an answer only where there is no other.
fn promise_answers(findings: &mut Findings, answered: usize, expected: usize) {
    let is_most = answered * 100 >= expected * ANSWERED_PERCENT;
    findings.promise(is_most, format!("only {answered} of {expected} turns were answered"));
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn outcomes_are_told_apart() {
        let answer = "Story 1 begins here: on and on, end of it.";
        let outcome = |told: &str, is_complete| {
            let now = Instant::now();
            Outcome::of(&Turn { asked: now, told: vec![(now, told.to_owned())], is_complete }, answer)
        };
        assert_eq!(outcome(answer, true), Outcome::Answered);
        assert_eq!(outcome(answer, false), Outcome::Unanswered);
        assert_eq!(outcome(APOLOGY, true), Outcome::Apologised);
        assert_eq!(outcome(&format!("Story 1 begins {APOLOGY}"), true), Outcome::BrokenOff);
        assert_eq!(outcome(&format!("Story 1 begins {answer}"), true), Outcome::Repeated);
        assert_eq!(outcome(&format!("{APOLOGY} {answer}"), true), Outcome::Repeated);
        assert_eq!(outcome(&format!("{WAITING} {answer}"), true), Outcome::Answered);
        assert_eq!(outcome(&format!("Story 1 begins {WAITING} {APOLOGY}"), true), Outcome::BrokenOff);
        assert_eq!(outcome("Story 1 begins", true), Outcome::Garbled);
        assert_eq!(outcome("", true), Outcome::Garbled);
    }

    #[test]
    fn a_run_without_the_misfortunes_or_without_answers_fails() {
        #[derive(Debug, clap::Parser)]
        struct Command {
            #[command(flatten)]
            args: Args,
        }
        let args =
            <Command as clap::Parser>::parse_from(["models", "--throttled", "10", "--broken", "1"]).args;
        let passes = |broken, answered| {
            let mut findings = Findings::default();
            let met = MisfortuneCounts { requests: 100, throttled: 9, broken, slow: 0, stalled: 0 };
            promise_misfortunes(&mut findings, &args, &met);
            promise_answers(&mut findings, answered, 100);
            findings.verdict().passed
        };
        assert!(passes(1, 80));
        assert!(!passes(0, 80), "nothing was broken off");
        assert!(!passes(1, 79), "too few answers");
    }
}
