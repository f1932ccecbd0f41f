//! What a load run does and which limits it must keep. A plan bounds itself: it refuses to be endless.

use std::time::Duration;

use anyhow::ensure;

use super::tools::ToolKind;

/// A turn that takes longer than this has failed, and its caller gives up.
pub(super) const TURN_TIMEOUT: Duration = Duration::from_secs(10);
/// The time for a webhook, a handshake and a `setup`.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

const MAX_CALLS: u32 = 20_000;
const MAX_TURNS: u64 = 1_000_000;
const MAX_TWIML_REQUESTS: u32 = 1_000_000;
const MAX_PAUSE: Duration = Duration::from_mins(10);

/// The load.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadPlan {
    /// Calls at the same time.
    pub calls: u32,
    /// Turns of each call.
    pub turns: u32,
    /// The calls start spread over this time.
    pub ramp: Duration,
    /// Between the agent's last token and the caller's next words.
    pub think: Duration,
    /// The callers' first words are spread over this time: telephones do not ring in step.
    pub stagger: Duration,
    /// How long all calls are held without a word before memory is read and the turns begin.
    pub idle: Duration,
    pub use_case: Option<String>,
    /// Voice webhooks besides those of the calls.
    pub twiml_requests: Option<TwimlRequests>,
    /// What kind of tool the model calls in every turn, if any.
    pub tools: Option<ToolKind>,
    pub limits: Limits,
}

/// Voice webhooks without a call behind them, at a steady rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwimlRequests {
    pub count: u32,
    /// Requests a second.
    pub rate: f64,
}

/// What must not be exceeded. An absent limit is not judged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Added delay of a turn: prompt to model request, plus first token from the model to the caller.
    pub added_p50_ms: Option<f64>,
    pub added_p99_ms: Option<f64>,
    /// Processor time of the service.
    pub cpu_per_turn_ms: Option<f64>,
    /// Growth of the service's resident memory with every idle call.
    pub memory_per_call_kb: Option<f64>,
    /// Always judged.
    pub errors: u64,
    pub twiml_p99_ms: Option<f64>,
    /// From the model's tool call to the next request to the model, less the tool's own time.
    pub dispatch_p99_ms: Option<f64>,
}

impl LoadPlan {
    pub(super) fn validate(&self) -> anyhow::Result<()> {
        let turns = u64::from(self.calls) * u64::from(self.turns);
        ensure!((1..=MAX_CALLS).contains(&self.calls), "calls must be between 1 and {MAX_CALLS}");
        ensure!(self.turns >= 1, "every call needs a turn at least");
        ensure!(turns <= MAX_TURNS, "{turns} turns are more than {MAX_TURNS}");
        for (name, pause) in
            [("ramp", self.ramp), ("think", self.think), ("stagger", self.stagger), ("idle", self.idle)]
        {
            ensure!(pause <= MAX_PAUSE, "{name} must be at most {MAX_PAUSE:?}");
        }
        if let Some(requests) = self.twiml_requests {
            ensure!(requests.count <= MAX_TWIML_REQUESTS, "at most {MAX_TWIML_REQUESTS} TwiML requests");
            ensure!(
                requests.rate.is_finite() && requests.rate >= 0.1,
                "the rate of TwiML requests is too low"
            );
        }
        Ok(())
    }

    /// When the run stops by itself, whatever the service does.
    pub(super) fn longest(&self) -> Duration {
        let talk = (self.think + TURN_TIMEOUT) * (self.turns + 1);
        let requests = self.twiml_requests.map_or(0.0, |requests| f64::from(requests.count) / requests.rate);
        // The first connect is the one of the warming call, the last is for hanging up.
        CONNECT_TIMEOUT * 4 + self.ramp + self.stagger + self.idle + talk + Duration::from_secs_f64(requests)
    }
}

impl Default for LoadPlan {
    fn default() -> Self {
        Self {
            calls: 10,
            turns: 5,
            ramp: Duration::from_secs(1),
            think: Duration::ZERO,
            stagger: Duration::from_secs(1),
            idle: Duration::ZERO,
            use_case: None,
            twiml_requests: None,
            tools: None,
            limits: Limits::default(),
        }
    }
}
