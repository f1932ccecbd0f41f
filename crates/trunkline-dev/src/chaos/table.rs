//! Take the table away for a while: calls that go on, end and begin meanwhile must not notice, and everything must be in
//! their journals afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::ValueEnum;
use rehearsal::bedrock::{BedrockOptions, Pace};
use rehearsal::dynamodb::{Behaviour, DynamoDbFront, Throttling};
use rehearsal::load::{Distribution, LoadObserver};
use rehearsal::twilio::Carrier;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::Verdict;
use super::caller::{Caller, Turn};
use super::findings::{Findings, ms};
use super::ledger::{Account, audit};
use super::script::{self, APOLOGY, Storyteller};
use crate::load::site::{Site, SiteOptions, Table};

const WORDS: usize = 20;
const PACE: Pace =
    Pace { first_token: Duration::from_millis(100), between_tokens: Duration::from_millis(10) };
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(15);
/// Dialling and hanging up, besides what the plan takes.
const SPARE: Duration = Duration::from_mins(2);

/// What can be set.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Calls that talk from before the outage until after it
    #[arg(long, default_value_t = 100)]
    calls: u32,
    /// Calls that end while the table is away
    #[arg(long, default_value_t = 10)]
    ending: u32,
    /// Calls that begin while the table is away
    #[arg(long, default_value_t = 10)]
    beginning: u32,
    #[arg(long, default_value_t = 60)]
    outage_s: u64,
    /// What the service meets with
    #[arg(long, default_value = "hang")]
    kind: Kind,
    /// Calm before the outage
    #[arg(long, default_value_t = 20)]
    before_s: u64,
    /// Calm behind the outage, before the calls end
    #[arg(long, default_value_t = 15)]
    after_s: u64,
    /// From one line of a caller to the next
    #[arg(long, default_value_t = 4000)]
    turn_every_ms: u64,
    /// How long the journals may take behind the last call
    #[arg(long, default_value_t = 120)]
    journal_s: u64,
    /// Limit: added delay of a turn during the outage
    #[arg(long, default_value_t = 50.0)]
    max_added_p99_ms: f64,
    /// Limit: added delay of any turn during the outage
    #[arg(long, default_value_t = 1000.0)]
    max_added_ms: f64,
    /// Limit: the longest silence of a turn, whenever it is
    #[arg(long, default_value_t = 4000)]
    max_silence_ms: u64,
    /// Limit: the voice webhook of a call that begins during the outage
    #[arg(long, default_value_t = 5000)]
    max_webhook_ms: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Requests are taken and never answered
    Hang,
    /// The table's throughput is used up
    Throttle,
    /// Connections are reset
    Refuse,
    /// Every request fails inside
    Fail,
}

impl Kind {
    fn behaviour(self) -> Behaviour {
        match self {
            Self::Hang => Behaviour::Hang,
            Self::Throttle => Behaviour::Throttle(Throttling::Table),
            Self::Refuse => Behaviour::Refuse,
            Self::Fail => Behaviour::Fail,
        }
    }
}

/// # Errors
/// When the stage could not be set up, or the run did not come to an end.
pub(super) async fn run(args: Args) -> anyhow::Result<Verdict> {
    let observer = Arc::new(LoadObserver::new());
    let table = Table::start().await?;
    script::load(&table.store, &[]).await?;
    let site = Site::start(
        table,
        SiteOptions {
            model: BedrockOptions {
                pace: PACE,
                brain: Arc::new(Storyteller { words: WORDS }),
                observer: Some(observer.clone()),
                ..BedrockOptions::default()
            },
            settings: vec![
                ("MAX_CALLS", (args.calls + args.ending + args.beginning + 1).to_string()),
                ("RUST_LOG", "error".to_owned()),
            ],
            with_front: true,
            ..SiteOptions::default()
        },
    )
    .await?;
    let result = play(&args, &site, &observer).await;
    site.stop().await?;
    result
}

/// When what happens.
#[derive(Clone, Copy, Debug)]
struct Timetable {
    begin: Instant,
    away: Instant,
    back: Instant,
    end: Instant,
}

impl Timetable {
    fn new(args: &Args) -> Self {
        let begin = Instant::now();
        let away = begin + Duration::from_secs(args.before_s);
        let back = away + Duration::from_secs(args.outage_s);
        Self { begin, away, back, end: back + Duration::from_secs(args.after_s) }
    }

    fn phase(&self, at: Instant) -> Phase {
        if at < self.away {
            Phase::Before
        } else if at < self.back {
            Phase::Outage
        } else {
            Phase::After
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Before,
    Outage,
    After,
}

/// How a call lies to the outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kinship {
    Staying,
    Ending,
    Beginning,
}

/// What a caller experienced.
#[derive(Debug)]
struct Experience {
    kinship: Kinship,
    call_sid: String,
    webhook: Duration,
    turns: Vec<Turn>,
    resumes: u32,
    troubles: Vec<String>,
}

async fn play(args: &Args, site: &Site, observer: &LoadObserver) -> anyhow::Result<Verdict> {
    warm_up(&site.carrier).await?;
    let times = Timetable::new(args);
    let mut callers = JoinSet::new();
    for (number, part) in parts(args, &times).into_iter().enumerate() {
        callers.spawn(part.play(site.carrier.clone(), number as u64));
    }
    let front = site.front.as_ref().context("there is no front")?;
    let (whole, all) = (times.end + SPARE, async {
        let ((), experiences) = tokio::join!(misbehave(front, args.kind, &times), gather(&mut callers));
        experiences
    });
    let experiences = timeout(whole.saturating_duration_since(Instant::now()), all);
    let experiences = experiences.await.context("the calls did not end")??;
    let accounts = experiences.iter().map(Experience::account).collect();
    let over = Instant::now();
    let audit = audit(&site.store, accounts, over, Duration::from_secs(args.journal_s)).await?;
    let mut findings = Findings::default();
    findings.tell(format_args!(
        "the table was away for {} s ({:?}); {} calls went on, {} ended and {} began meanwhile",
        args.outage_s, args.kind, args.calls, args.ending, args.beginning
    ));
    judge_turns(&mut findings, args, &times, &experiences, observer);
    judge_calls(&mut findings, args, &experiences);
    promise_outage(&mut findings, front.held_back());
    findings.tell(format_args!(
        "journals: {} of {} hold every message in order, the last {:.1} s behind the last call",
        audit.complete,
        experiences.len(),
        audit.took.as_secs_f64()
    ));
    findings.no_trouble("journals that are not complete", audit.shortfalls);
    Ok(findings.verdict())
}

/// One call, so that a cold start is not taken for the calm.
async fn warm_up(carrier: &Carrier) -> anyhow::Result<()> {
    let mut caller = Caller::connect(carrier, script::call_options(999_999)).await?;
    caller.turn(&script::line(0), PATIENCE).await?;
    caller.hang_up().await?;
    Ok(())
}

async fn misbehave(front: &DynamoDbFront, kind: Kind, times: &Timetable) {
    sleep_until(times.away.into()).await;
    front.behave(kind.behaviour());
    sleep_until(times.back.into()).await;
    front.behave(Behaviour::Pass);
}

async fn gather(callers: &mut JoinSet<Experience>) -> anyhow::Result<Vec<Experience>> {
    let mut experiences = Vec::new();
    while let Some(experience) = callers.join_next().await {
        experiences.push(experience.context("a caller broke")?);
    }
    Ok(experiences)
}

/// What a caller is to do.
struct Part {
    kinship: Kinship,
    begin: Instant,
    end: Instant,
    every: Duration,
}

/// The parts of all callers: they do not speak in step, and those that come and go do so all over the outage.
fn parts(args: &Args, times: &Timetable) -> Vec<Part> {
    let every = Duration::from_millis(args.turn_every_ms.max(1));
    let outage = times.back - times.away;
    let spread = |over: Duration, number: u32, of: u32| over * (number + 1) / (of + 1);
    let staying = (0..args.calls).map(|number| Part {
        kinship: Kinship::Staying,
        begin: times.begin + spread(every, number, args.calls),
        end: times.end,
        every,
    });
    let ending = (0..args.ending).map(|number| Part {
        kinship: Kinship::Ending,
        begin: times.begin + spread(every, number, args.ending),
        end: times.away + spread(outage, number, args.ending),
        every,
    });
    let beginning = (0..args.beginning).map(|number| Part {
        kinship: Kinship::Beginning,
        begin: times.away + spread(outage, number, args.beginning),
        end: times.end,
        every,
    });
    staying.chain(ending).chain(beginning).collect()
}

impl Part {
    async fn play(self, carrier: Carrier, number: u64) -> Experience {
        let mut experience = Experience {
            kinship: self.kinship,
            call_sid: String::new(),
            webhook: Duration::ZERO,
            turns: Vec::new(),
            resumes: 0,
            troubles: Vec::new(),
        };
        if let Err(error) = self.attempt(&carrier, number, &mut experience).await {
            // Without the call's id, so that the same trouble of many calls counts as the same.
            experience.troubles.push(format!("{error:#}").replace(&experience.call_sid, "CA…"));
        }
        experience
    }

    async fn attempt(
        &self,
        carrier: &Carrier,
        number: u64,
        experience: &mut Experience,
    ) -> anyhow::Result<()> {
        sleep_until(self.begin.into()).await;
        let mut caller = Caller::connect(carrier, script::call_options(number)).await?;
        caller.sid().clone_into(&mut experience.call_sid);
        experience.webhook = caller.webhook;
        for line in 0.. {
            let next = Instant::now() + self.every;
            let turn = caller.turn(&script::line(line), PATIENCE).await?;
            experience.turns.push(turn);
            experience.resumes = caller.resumes;
            if next >= self.end {
                break;
            }
            caller.attend(next.saturating_duration_since(Instant::now())).await?;
        }
        experience.troubles.extend(caller.hang_up().await?);
        Ok(())
    }
}

impl Experience {
    /// What was said, and what the agent should have said to it.
    fn account(&self) -> Account {
        let turns = (0..).zip(&self.turns).map(|(line, turn)| (script::line(line), turn.text()));
        Account { call_sid: self.call_sid.clone(), turns: turns.collect() }
    }

    fn wrong_answers(&self) -> usize {
        let right = |(line, turn): &(u32, &Turn)| turn.text() == script::answer(*line, WORDS);
        (0..).zip(&self.turns).filter(|turn| !right(turn)).count()
    }
}

fn judge_turns(
    findings: &mut Findings,
    args: &Args,
    times: &Timetable,
    experiences: &[Experience],
    observer: &LoadObserver,
) {
    findings.tell(format_args!(
        "{:<10}{:>8}{:>12}{:>10}{:>10}{:>10}",
        "added, ms", "turns", "p50", "p90", "p99", "max"
    ));
    for (phase, name) in [(Phase::Before, "before"), (Phase::Outage, "outage"), (Phase::After, "after")] {
        let turns = experiences
            .iter()
            .flat_map(|experience| experience.turns.iter().map(|turn| (experience.call_sid.as_str(), turn)));
        let turns: Vec<_> = turns.filter(|(_, turn)| times.phase(turn.asked) == phase).collect();
        let added = turns
            .iter()
            .filter_map(|(call, turn)| observer.added_delay(call, turn.asked, turn.first_word()?));
        let added = Distribution::of(added.collect());
        findings.tell(format_args!("{name:<10}{:>8}  {added}", turns.len()));
        if phase == Phase::Outage {
            let p99 = added.percentile_ms(99);
            let kept = p99.is_some_and(|p99| p99 <= args.max_added_p99_ms);
            let measured = p99.map_or_else(|| "not measured".to_owned(), |p99| format!("{p99:.1} ms"));
            findings.promise(kept, format!("the delay added in the outage at p99 is {measured}"));
            let most = added.percentile_ms(100).unwrap_or_default();
            findings.promise(
                most <= args.max_added_ms,
                format!("the longest delay added in the outage is {most:.1} ms"),
            );
        }
    }
}

/// An outage that nobody met with proves nothing.
fn promise_outage(findings: &mut Findings, held_back: u64) {
    findings.tell(format_args!("{held_back} requests or connections of the service met with it"));
    findings.promise(held_back > 0, "the service did not meet with the outage");
}

fn promise_silence<'a>(findings: &mut Findings, args: &Args, turns: impl Iterator<Item = &'a Turn>) {
    let longest = turns.map(Turn::longest_silence).max().unwrap_or_default();
    findings.tell(format_args!("longest silence of a turn: {}", ms(longest)));
    let limit = Duration::from_millis(args.max_silence_ms);
    findings.promise(longest <= limit, format!("a silence of {}", ms(longest)));
}

fn judge_calls(findings: &mut Findings, args: &Args, experiences: &[Experience]) {
    let turns = || experiences.iter().flat_map(|experience| &experience.turns);
    let apologies = turns().filter(|turn| turn.text().contains(APOLOGY)).count();
    let resumes: u32 = experiences.iter().map(|experience| experience.resumes).sum();
    let webhooks = |kinship| {
        let of = experiences.iter().filter(move |experience| experience.kinship == kinship);
        of.map(|experience| experience.webhook).max().unwrap_or_default()
    };
    let slowest = webhooks(Kinship::Beginning);
    findings.tell(format_args!(
        "voice webhooks: {} at most in the calm, {} in the outage",
        ms(webhooks(Kinship::Staying)),
        ms(slowest)
    ));
    findings.tell(format_args!("{apologies} apologies, {resumes} resumes"));
    promise_silence(findings, args, turns());
    findings.none_of("turns without a whole answer", turns().filter(|turn| !turn.is_complete).count());
    findings.none_of("wrong answers", experiences.iter().map(Experience::wrong_answers).sum());
    findings.none_of("apologies", apologies);
    findings.none_of("resumes", resumes as usize);
    let limit = Duration::from_millis(args.max_webhook_ms);
    findings.promise(slowest <= limit, format!("a call that began in the outage waited {}", ms(slowest)));
    let troubles = experiences.iter().flat_map(|experience| experience.troubles.iter().cloned());
    findings.no_trouble("troubles of callers", troubles);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn passes(silence: Duration, held_back: u64) -> bool {
        let args = <Command as clap::Parser>::parse_from(["table"]).args;
        let asked = Instant::now();
        let turn = Turn { asked, told: vec![(asked + silence, "word".to_owned())], is_complete: true };
        let mut findings = Findings::default();
        promise_silence(&mut findings, &args, std::iter::once(&turn));
        promise_outage(&mut findings, held_back);
        findings.verdict().passed
    }

    #[test]
    fn one_long_silence_or_an_outage_that_nobody_met_fails_the_run() {
        assert!(passes(Duration::from_secs(4), 1));
        assert!(!passes(Duration::from_millis(4001), 1));
        assert!(!passes(Duration::from_secs(1), 0));
    }
}
