//! Calls that come and go for a long time; memory, tasks, sockets and files are watched, and at the end nothing may be
//! left over.

mod visit;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rehearsal::bedrock::{BedrockOptions, Pace};
use rehearsal::draws::Draws;
use rehearsal::twilio::{Carrier, SpeechPace};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use self::visit::{Diary, Visit};
use self::watch::{Gauge, Sample, write_csv};
use super::Verdict;
use super::findings::Findings;
use super::script::{self, Storyteller};
use crate::load::site::{Site, SiteOptions, Table};
use crate::service_process::{Output, Summary};

const WORDS: usize = 12;
const PACE: Pace =
    Pace { first_token: Duration::from_millis(300), between_tokens: Duration::from_millis(30) };
const VOICE: SpeechPace = SpeechPace { chars_per_second: 15.0, tts_delay: Duration::from_millis(200) };
/// Twilio asks what comes next about so long after a socket was lost.
const FAILURE_DELAY: Duration = Duration::from_millis(1200);
/// The calls in progress at the end end within this time.
const GOING: Duration = Duration::from_mins(3);
/// The service tells of itself every minute.
const TELLING: Duration = Duration::from_secs(90);
/// Idle connections to table and model are kept for a minute and a half.
const QUIET: Duration = Duration::from_mins(4);
const BETWEEN_SAMPLES: Duration = Duration::from_secs(10);
const WARMING_CALLS: u64 = 10;

/// What can be set.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Calls in progress at any time, about
    #[arg(long, default_value_t = 100)]
    calls: u32,
    /// What callers do when; the same seed draws the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write what was read every ten seconds to this file
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Limit: growth of resident memory in the second half, between the medians of its first and last quarter
    #[arg(long, default_value_t = 1024)]
    max_growth_kb: i64,
}

/// # Errors
/// When the stage could not be set up, or the run did not come to an end.
pub(super) async fn run(args: Args) -> anyhow::Result<Verdict> {
    let table = Table::start().await?;
    script::load(&table.store, &[]).await?;
    let options = SiteOptions {
        model: BedrockOptions {
            pace: PACE,
            brain: Arc::new(Storyteller { words: WORDS }),
            ..BedrockOptions::default()
        },
        speech: VOICE,
        failure_delay: FAILURE_DELAY,
        settings: vec![
            ("MAX_CALLS", (args.calls + 10).to_string()),
            ("RUST_LOG", "error,trunkline::lifecycle=info".to_owned()),
        ],
        output: Output::Summarised,
        ..SiteOptions::default()
    };
    let site = Site::start(table, options).await?;
    let played = play(&args, &site).await;
    site.stop().await?;
    played
}

/// What the service holds while nobody calls.
#[derive(Debug)]
struct AtRest {
    sample: Sample,
    summary: Summary,
}

async fn play(args: &Args, site: &Site) -> anyhow::Result<Verdict> {
    let gauge = Gauge::of(&site.service)?;
    for number in 0..WARMING_CALLS {
        let mut diary = Diary::default();
        Visit::short(Draws::of(args.seed, number)).pay(&site.carrier, number, &mut diary).await;
    }
    let before = at_rest(site, &gauge, None).await?;
    let length = Duration::from_secs(60 * args.minutes);
    let (samples, diary) = come_and_go(args, &site.carrier, &gauge, length).await?;
    if let Some(csv) = &args.csv {
        write_csv(csv, &samples)?;
    }
    let after = at_rest(site, &gauge, Some(&before.sample)).await?;
    Ok(judge(args, &samples, &diary, &before, &after))
}

/// Waits until nothing but what was `expected` is open, if that comes to pass, and reads what the service tells then.
async fn at_rest(site: &Site, gauge: &Gauge, expected: Option<&Sample>) -> anyhow::Result<AtRest> {
    let began = Instant::now();
    let summaries = site.service.summaries().context("the service's log is not read")?;
    let mut summary = summaries.next(TELLING).await?;
    let mut sample = gauge.read(began)?;
    while let Some(expected) = expected
        && !sample.is_at_rest(expected)
        && began.elapsed() < QUIET
    {
        summary = summaries.next(TELLING).await?;
        sample = gauge.read(began)?;
    }
    Ok(AtRest { sample, summary })
}

/// Keeps all seats taken for as long as `length`, and then waits for the last to leave.
async fn come_and_go(
    args: &Args,
    carrier: &Carrier,
    gauge: &Gauge,
    length: Duration,
) -> anyhow::Result<(Vec<Sample>, Diary)> {
    let began = Instant::now();
    let over = began + length;
    let mut seats = JoinSet::new();
    for seat in 0..args.calls {
        // Nobody comes in step.
        let arrives = began + Duration::from_secs(30).min(length / 4) * seat / args.calls;
        seats.spawn(sit(carrier.clone(), seat, args.seed, arrives, over));
    }
    let mut samples = Vec::new();
    while began.elapsed() < length {
        sleep(BETWEEN_SAMPLES.min(length / 12)).await;
        samples.push(gauge.read(began)?);
    }
    let mut diary = Diary::default();
    let gathering = async {
        while let Some(seat) = seats.join_next().await {
            diary.add(seat.context("a caller broke")?);
        }
        anyhow::Ok(())
    };
    timeout(GOING, gathering).await.context("the calls did not end")??;
    Ok((samples, diary))
}

/// One caller after the other.
async fn sit(carrier: Carrier, seat: u32, seed: u64, arrives: Instant, over: Instant) -> Diary {
    let mut diary = Diary::default();
    let mut draws = Draws::of(seed, WARMING_CALLS + u64::from(seat));
    sleep_until(arrives.into()).await;
    while Instant::now() < over {
        let visit = Visit::drawn(&mut draws, over);
        visit.pay(&carrier, u64::from(seat), &mut diary).await;
        sleep(draws.between(Duration::ZERO, Duration::from_secs(2))).await;
    }
    diary
}

fn judge(args: &Args, samples: &[Sample], diary: &Diary, before: &AtRest, after: &AtRest) -> Verdict {
    let mut findings = Findings::default();
    findings.tell(format_args!("{} minutes with about {} calls: {diary}", args.minutes, args.calls));
    findings.tell(Sample::HEADING);
    findings.tell(format_args!("{:<8}{}", "before", before.sample));
    let quarters = samples.chunks(samples.len().div_ceil(4).max(1));
    for (number, quarter) in quarters.enumerate() {
        if let Some(last) = quarter.last() {
            findings.tell(format_args!("{:<8}{last}", format!("{}/4", number + 1)));
        }
    }
    findings.tell(format_args!("{:<8}{}", "after", after.sample));
    findings.tell(format_args!("tasks: {} before, {} after", before.summary.tasks, after.summary.tasks));
    let growth = watch::growth_kb(samples);
    let told = growth.map_or_else(|| "not measured".to_owned(), |growth| format!("{growth:+} kB"));
    findings.tell(format_args!("resident memory in the second half: {told}"));
    findings.promise(growth.is_some_and(|growth| growth <= args.max_growth_kb), format!("memory: {told}"));
    let left = usize::try_from(after.summary.calls).unwrap_or(usize::MAX);
    findings.none_of("calls left over", left);
    let tasks = after.summary.tasks.saturating_sub(before.summary.tasks);
    findings.none_of("tasks left over", usize::try_from(tasks).unwrap_or(usize::MAX));
    for (what, number) in after.sample.left_over(&before.sample) {
        findings.none_of(&format!("{what} left over"), number);
    }
    findings.none_of("turns without an answer", diary.unanswered);
    findings.none_of("lost sockets without a new one", diary.not_connected_again);
    findings.no_trouble("troubles of callers", diary.troubles.iter().cloned());
    findings.verdict()
}
