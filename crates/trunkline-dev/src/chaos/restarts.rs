//! Replace one process by the next under calls in progress, again and again.
//!
//! Callers come and go all the time. A new task is started, the oldest gets SIGTERM, drains, hands over what has not ended,
//! and ends by itself. Nobody is to notice.

mod judgement;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rehearsal::balancer::Policy;
use rehearsal::bedrock::Pace;
use rehearsal::twilio::CallOptions;

use super::Verdict;
use super::cluster::{Cluster, ClusterOptions};
use super::dialogue::{self, question, question_to_look_up};
use super::figures::seconds;
use super::talk::{Crowd, Direction, Line, Part, Stage};
use crate::service_process::ServiceProcess;
use judgement::Judgement;

/// What can be set.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Callers; each calls again when a call is over
    #[arg(long, default_value_t = 100)]
    calls: usize,
    /// How often a task is replaced
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Tasks at the same time; one more while one is replaced
    #[arg(long, default_value_t = 2)]
    tasks: usize,
    /// How long calls may go on after SIGTERM, in seconds
    #[arg(long, default_value_t = 2)]
    drain_seconds: u64,
    /// The longest silence that a caller may hear, in milliseconds
    #[arg(long, default_value_t = 4000)]
    max_silence_ms: u64,
    /// How many lines callers may have to say again because no answer came; the silence before that is then not held
    /// against the service
    #[arg(long, default_value_t = 0)]
    max_repeated: usize,
    /// Items to load
    #[arg(long, default_value = "configuration")]
    configuration: PathBuf,
}

const PACE: Pace =
    Pace { first_token: Duration::from_millis(400), between_tokens: Duration::from_millis(50) };
const TOOL_WORKS: Duration = Duration::from_millis(700);
const PATIENCE: Duration = Duration::from_secs(40);
const THINK: Duration = Duration::from_millis(500);
const BETWEEN_CALLS: Duration = Duration::from_secs(1);
/// The first calls begin within this time, so that calls are at different points ever after.
const RAMP: Duration = Duration::from_secs(10);
const CALLS_BEGIN: Duration = Duration::from_mins(1);
/// Behind the drain: sessions write their journals, and requests are answered.
const STOPPING: Duration = Duration::from_secs(30);
const CALLS_END: Duration = Duration::from_mins(3);

/// # Errors
/// When the stage could not be set up, or the run did not come to an end.
pub(super) async fn run(args: Args) -> anyhow::Result<Verdict> {
    ensure!(
        args.calls > 0 && args.tasks > 0 && args.rounds > 0,
        "there must be a caller, a task and a restart"
    );
    let options = ClusterOptions {
        members: args.tasks,
        settings: vec![("DRAIN_SECONDS", args.drain_seconds.to_string())],
        policy: Policy::LeastConnections,
        model: dialogue::model(PACE),
        configuration: args.configuration.clone(),
        ..ClusterOptions::default()
    };
    let mut cluster = Cluster::start(options).await?;
    let tool = dialogue::start_tool(&cluster.store, TOOL_WORKS).await?;
    let direction = Arc::new(Direction::free(args.calls));
    let parts = part(&direction).for_each(args.calls);
    let crowd = Crowd::call_again_and_again(&cluster.carrier, parts, RAMP, BETWEEN_CALLS);
    direction.all(CALLS_BEGIN, |stage| stage != Stage::Calling).await?;
    let mut text = format!("{:>7}  {:>11}  {:>10}\n", "restart", "connections", "ended in");
    for number in 1..=args.rounds {
        let drain = Duration::from_secs(args.drain_seconds);
        let (carried, ended_in) = replace_oldest(&mut cluster, drain).await?;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{number:>7}  {carried:>11}  {:>10}", seconds(ended_in));
    }
    let experiences = crowd.finish(CALLS_END).await?;
    let most_silence = Duration::from_millis(args.max_silence_ms);
    let mut judgement = Judgement::new(lines(), most_silence, args.max_repeated);
    let table = cluster.dynamodb.client().await;
    for experience in &experiences {
        judgement.hear(experience);
        judgement.look_up(experience, &table).await?;
    }
    cluster.stop().await?;
    tool.shutdown().await;
    Ok(judgement.verdict(text))
}

/// Returns how many connections the task had when it was told to go, and how long it took.
async fn replace_oldest(cluster: &mut Cluster, drain: Duration) -> anyhow::Result<(usize, Duration)> {
    cluster.add_member().await?;
    let oldest = cluster.members().first().map(ServiceProcess::address);
    let targets = cluster.balancer.targets();
    let connections = targets.iter().find(|target| Some(target.address) == oldest);
    let connections = connections.map_or(0, |target| target.connections);
    let told = Instant::now();
    cluster.retire_first(drain + STOPPING).await?;
    Ok((connections, told.elapsed()))
}

fn lines() -> Vec<Line> {
    vec![question("the sea"), question_to_look_up("the moon"), question("paper")]
}

fn part(direction: &Arc<Direction>) -> Part {
    Part {
        caller: 0,
        options: CallOptions { use_case: Some(dialogue::USE_CASE.to_owned()), ..CallOptions::default() },
        lines: lines(),
        bridge: dialogue::RESUMED,
        think: THINK,
        patience: PATIENCE,
        direction: Arc::clone(direction),
    }
}
