//! Call more often at once than there are lines: exactly as many callers as there are lines must get one, and those must
//! not notice that others keep trying.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rehearsal::bedrock::{BedrockOptions, Pace};
use rehearsal::draws::Draws;
use rehearsal::load::{Distribution, LoadObserver};
use rehearsal::twilio::Carrier;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Verdict;
use super::caller::{Caller, Dialled};
use super::findings::Findings;
use super::script::{self, BUSY, Storyteller};
use crate::load::site::{Site, SiteOptions, Table};

const WORDS: usize = 20;
const PACE: Pace =
    Pace { first_token: Duration::from_millis(100), between_tokens: Duration::from_millis(10) };
const PATIENCE: Duration = Duration::from_secs(15);
/// Dialling and hanging up, besides the phases.
const SPARE: Duration = Duration::from_mins(3);

/// What can be set.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Lines of the service (`MAX_CALLS`)
    #[arg(long, default_value_t = 50)]
    lines: u32,
    /// Calls at once
    #[arg(long, default_value_t = 500)]
    calls: u32,
    /// Phases of talking, in turns without and with the others; each phase is compared with the one beside it
    #[arg(long, default_value_t = 6)]
    phases: u32,
    #[arg(long, default_value_t = 20)]
    phase_s: u64,
    /// Between an answer and the next line
    #[arg(long, default_value_t = 1000)]
    think_ms: u64,
    /// Who was turned away tries again after this time
    #[arg(long, default_value_t = 5000)]
    redial_ms: u64,
    /// Limit: how much the p99 of the added delay may be changed by the others, in percent
    #[arg(long, default_value_t = 20.0)]
    max_p99_change: f64,
}

/// # Errors
/// When the stage could not be set up, or the run did not come to an end.
pub(super) async fn run(args: Args) -> anyhow::Result<Verdict> {
    anyhow::ensure!(args.calls > args.lines && args.lines > 0, "there must be more calls than lines");
    let observer = Arc::new(LoadObserver::new());
    let table = Table::start().await?;
    script::load(&table.store, &[]).await?;
    let model = BedrockOptions {
        pace: PACE,
        brain: Arc::new(Storyteller { words: WORDS }),
        observer: Some(observer.clone()),
        ..BedrockOptions::default()
    };
    let settings = vec![("MAX_CALLS", args.lines.to_string()), ("RUST_LOG", "error".to_owned())];
    let site = Site::start(table, SiteOptions { model, settings, ..SiteOptions::default() }).await?;
    let longest = SPARE + Duration::from_secs(args.phase_s) * args.phases;
    let played = timeout(longest, Box::pin(play(&args, &site.carrier, &observer))).await;
    site.stop().await?;
    played.context("the calls did not end")?
}

/// Turns of one caller, with the phase in which they began.
#[derive(Debug, Default)]
struct Experience {
    added: Vec<(u32, Duration)>,
    incomplete: usize,
    troubles: Vec<String>,
}

/// What became of those who were turned away.
#[derive(Debug, Default)]
struct Siege {
    turned_away: usize,
    connected: usize,
    troubles: Vec<String>,
}

async fn play(args: &Args, carrier: &Carrier, observer: &Arc<LoadObserver>) -> anyhow::Result<Verdict> {
    // The first requests of a process are slow, and no call must be in progress when all call at once.
    warm_up(carrier).await?;
    let rush = rush(args, carrier).await?;
    let mut findings = Findings::default();
    findings.tell(format_args!(
        "{} calls at once for {} lines: {} connected, {} told that all lines are taken",
        args.calls,
        args.lines,
        rush.callers.len(),
        rush.turned_away
    ));
    let (lines, others) = (args.lines as usize, (args.calls - args.lines) as usize);
    findings.promise(rush.callers.len() == lines, format!("{} calls were connected", rush.callers.len()));
    findings.promise(rush.turned_away == others, format!("{} calls were turned away", rush.turned_away));
    findings.no_trouble("troubles of the rush", rush.troubles);

    // The number of the phase; none when all of them are over.
    let (tell, phase) = watch::channel(Some(0));
    let mut talking = JoinSet::new();
    for (caller, number) in rush.callers.into_iter().zip(0..) {
        let think = Duration::from_millis(args.think_ms);
        let talk =
            Talk { observer: observer.clone(), phase: phase.clone(), think, draws: Draws::of(1, number) };
        talking.spawn(talk.play(caller));
    }
    let siege = conduct(args, carrier, &tell).await?;
    let mut experiences = Vec::new();
    while let Some(experience) = talking.join_next().await {
        experiences.push(experience.context("a caller broke")?);
    }
    judge(&mut findings, args, &siege, &experiences);
    let troubles = siege.troubles.into_iter().chain(experiences.into_iter().flat_map(|one| one.troubles));
    findings.no_trouble("troubles of callers", troubles);
    Ok(findings.verdict())
}

async fn warm_up(carrier: &Carrier) -> anyhow::Result<()> {
    let mut caller = Caller::connect(carrier, script::call_options(999_999)).await?;
    caller.turn(&script::line(0), PATIENCE).await?;
    caller.hang_up().await?;
    Ok(())
}

/// What came of calling all at once.
#[derive(Default)]
struct Rush {
    callers: Vec<Caller>,
    turned_away: usize,
    troubles: Vec<String>,
}

async fn rush(args: &Args, carrier: &Carrier) -> anyhow::Result<Rush> {
    let mut dialling = JoinSet::new();
    for number in 0..u64::from(args.calls) {
        let carrier = carrier.clone();
        dialling.spawn(async move { Caller::dial(&carrier, script::call_options(number)).await });
    }
    let mut rush = Rush::default();
    while let Some(dialled) = dialling.join_next().await {
        match dialled.context("a caller broke")? {
            Ok(Dialled::Connected(caller)) => rush.callers.push(*caller),
            Ok(Dialled::TurnedAway(said)) if said == BUSY => rush.turned_away += 1,
            Ok(Dialled::TurnedAway(said)) => rush.troubles.push(format!("turned away with {said:?}")),
            Err(error) => rush.troubles.push(without_ids(&error)),
        }
    }
    Ok(rush)
}

/// Leads through the phases, and lets the others call in every second one.
async fn conduct(args: &Args, carrier: &Carrier, tell: &watch::Sender<Option<u32>>) -> anyhow::Result<Siege> {
    let mut siege = Siege::default();
    for number in 0..args.phases {
        tell.send_replace(Some(number));
        let length = Duration::from_secs(args.phase_s);
        if number % 2 == 1 { besiege(args, carrier, length, &mut siege).await? } else { sleep(length).await }
    }
    tell.send_replace(None);
    Ok(siege)
}

/// Those for whom there is no line try again and again.
async fn besiege(args: &Args, carrier: &Carrier, length: Duration, siege: &mut Siege) -> anyhow::Result<()> {
    let (over, redial) = (CancellationToken::new(), Duration::from_millis(args.redial_ms));
    let mut others = JoinSet::new();
    for number in u64::from(args.lines)..u64::from(args.calls) {
        let (carrier, over) = (carrier.clone(), over.clone());
        others.spawn(async move {
            let mut part = Siege::default();
            over.run_until_cancelled(part.keep_calling(&carrier, number, redial)).await;
            part
        });
    }
    sleep(length).await;
    over.cancel();
    while let Some(part) = others.join_next().await {
        let part = part.context("a caller broke")?;
        siege.turned_away += part.turned_away;
        siege.connected += part.connected;
        siege.troubles.extend(part.troubles);
    }
    Ok(())
}

impl Siege {
    /// Another sentence than that for busy lines is an apology for something that went wrong.
    fn turn_away(&mut self, said: &str) {
        if said == BUSY {
            self.turned_away += 1;
        } else {
            self.troubles.push(format!("turned away with {said:?}"));
        }
    }

    async fn keep_calling(&mut self, carrier: &Carrier, number: u64, redial: Duration) {
        let mut draws = Draws::of(2, number);
        sleep(draws.between(Duration::ZERO, redial)).await;
        loop {
            match Caller::dial(carrier, script::call_options(number)).await {
                Ok(Dialled::Connected(_)) => self.connected += 1,
                Ok(Dialled::TurnedAway(said)) => self.turn_away(&said),
                Err(error) => self.troubles.push(without_ids(&error)),
            }
            sleep(draws.between(redial / 2, redial * 3 / 2)).await;
        }
    }
}

/// A caller who has a line.
struct Talk {
    observer: Arc<LoadObserver>,
    phase: watch::Receiver<Option<u32>>,
    think: Duration,
    draws: Draws,
}

impl Talk {
    async fn play(mut self, mut caller: Caller) -> Experience {
        let mut experience = Experience::default();
        if let Err(error) = self.converse(&mut caller, &mut experience).await {
            experience.troubles.push(without_ids(&error));
        }
        match caller.hang_up().await {
            Ok(problems) => experience.troubles.extend(problems),
            Err(error) => experience.troubles.push(without_ids(&error)),
        }
        experience
    }

    async fn converse(&mut self, caller: &mut Caller, experience: &mut Experience) -> anyhow::Result<()> {
        for line in 0.. {
            caller.attend(self.draws.between(self.think / 2, self.think * 3 / 2)).await?;
            let Some(number) = *self.phase.borrow() else { break };
            let turn = caller.turn(&script::line(line), PATIENCE).await?;
            experience.incomplete += usize::from(!turn.is_complete);
            let added = turn
                .first_word()
                .and_then(|first| self.observer.added_delay(caller.sid(), turn.asked, first));
            // A turn that reaches into another phase says nothing about either.
            let is_within = *self.phase.borrow() == Some(number);
            experience.added.extend(added.filter(|_| is_within).map(|added| (number, added)));
        }
        Ok(())
    }
}

fn judge(findings: &mut Findings, args: &Args, siege: &Siege, experiences: &[Experience]) {
    findings.tell(format_args!(
        "{:<24}{:>8}{:>10}{:>10}{:>10}{:>10}",
        "added, ms", "turns", "p50", "p90", "p99", "max"
    ));
    let samples = |wanted: &dyn Fn(u32) -> bool| {
        let all = experiences.iter().flat_map(|experience| &experience.added);
        Distribution::of(all.filter(|(number, _)| wanted(*number)).map(|(_, added)| *added).collect())
    };
    for number in 0..args.phases {
        let name = if number % 2 == 1 { "others keep calling" } else { "lines alone" };
        let added = samples(&|other| other == number);
        findings.tell(format_args!("{number} {name:<22}{:>8}{added}", added.len()));
    }
    let (alone, besieged) = (samples(&|number| number % 2 == 0), samples(&|number| number % 2 == 1));
    findings.tell(format_args!("{:<24}{:>8}{alone}", "alone, together", alone.len()));
    findings.tell(format_args!("{:<24}{:>8}{besieged}", "with the others", besieged.len()));
    findings.tell(format_args!(
        "the others called {} times and were turned away, {} times not",
        siege.turned_away, siege.connected
    ));
    findings.none_of("calls connected beyond the lines", siege.connected);
    findings.none_of(
        "turns without a whole answer",
        experiences.iter().map(|experience| experience.incomplete).sum(),
    );
    match (alone.percentile_ms(99), besieged.percentile_ms(99)) {
        (Some(alone), Some(besieged)) => {
            let change = (besieged / alone - 1.0) * 100.0;
            findings.tell(format_args!("p99 changed by {change:+.1} %"));
            findings.promise(change <= args.max_p99_change, format!("p99 changed by {change:+.1} %"));
        }
        _ => findings.promise(args.phases < 2, "the delays were not measured"),
    }
}

/// Without the ids of calls, so that the same trouble of many calls counts as the same.
fn without_ids(error: &anyhow::Error) -> String {
    let words = format!("{error:#}");
    let words: Vec<&str> = words.split(' ').filter(|word| !word.starts_with("CA")).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sentence_for_busy_lines_turns_away_well() {
        let mut siege = Siege::default();
        siege.turn_away(BUSY);
        siege.turn_away("Something went wrong.");
        assert_eq!((siege.turned_away, siege.troubles.len()), (1, 1));
    }
}
