//! Counters of what happened, by closed kinds, and how far the journal is behind.
//!
//! They are written to the log now and then and when the service stops, and exported when there is a collector. Nothing
//! here knows who reads them, and counting costs one atomic addition.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use voice_core::ports::ModelFailureKind;

/// What can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    CallsAnswered,
    CallsBusy,
    /// The caller heard an apology instead of an agent.
    CallsApologised,
    CallsResumed,
    SignaturesRefused,
    SessionsStarted,
    SessionsTakenOver,
    /// A socket for a call that is not known, or whose `setup` does not fit.
    SessionsRefused,
    FramesMalformed,
    FramesUnknown,
    /// Messages with which Twilio complained about one of ours.
    FramesRejectedByTwilio,
    Generations,
    Interruptions,
    ToolRuns,
    ToolErrors,
    UseCasesBroken,
    RecordsStale,
    /// Whoever reads the log did not keep up.
    LogLinesDropped,
    /// Spans that the collector did not take, or that came faster than they could be sent.
    SpansDropped,
    /// Requests to the collector that came to nothing.
    ExportsFailed,
    JournalRetries,
    JournalLost,
    JournalFenced,
    ModelThrottled,
    ModelTimedOut,
    ModelRefused,
    ModelUnavailable,
    ModelBroken,
    ModelFallbacks,
    /// A generation of a model that the list of prices does not know.
    ModelUnpriced,
    /// Cached ones included.
    TokensIn,
    TokensOut,
    /// A server of tools did not tell what it has; the use case answers without its tools.
    McpUnreachable,
    /// A model wanted to transfer a call to a target that its use case does not list.
    TransfersRefused,
    ToolHttpRetries,
    /// A tool's service answered with what is no data, too much of it, or a redirect that leads nowhere.
    ToolResponsesRefused,
    SecretsFailed,
    SmsSent,
    /// A caller told a wrong code, or one that was never sent.
    VerificationsFailed,
    CallsPlaced,
    /// An outbound call that was forbidden, so that the carrier was not asked.
    CallsRefusedOutbound,
    /// A number has called more often than its use case allows.
    CallsRateLimited,
    TransfersStarted,
    /// A person has taken the call.
    TransfersJoined,
    /// Nobody took the call, and the caller is back with the agent.
    TransfersReturned,
    /// A request to the operator API without a valid token.
    ApiUnauthorized,
    /// An MCP server could not be reached, or did not answer as the protocol wants it.
    McpFailures,
    /// A second model was asked because the first was late.
    ModelHedged,
    /// The second model was the first to speak.
    ModelHedgeWon,
    /// A model failed so often that others are asked for a while.
    ModelBreakerOpened,
    /// A model was passed over because it had failed too often.
    ModelSkipped,
    /// No model answered, and the caller was handed over.
    RescuedByHandoff,
    /// Between two turns, to another task.
    CallsHandedOver,
    /// A new call that came while the service was draining, and was sent to another task.
    CallsRedirected,
    /// The sessions of a call broke too often; the caller heard an apology.
    ResumesRefused,
    /// A connection on which nobody had shown a valid signature or token had to make room for another one.
    ConnectionsRefused,
    /// A request without a valid signature or token from where too many of them come.
    RequestsThrottled,
    /// A message of a socket that brings more of them than any carrier would.
    FramesDropped,
    /// A caller for whom no line was free went to where their use case sends such callers.
    CallsOverflowed,
    /// The ECS agent did not change the protection of the task.
    ProtectionFailures,
    /// Nothing of a call is journaled, because it never could be claimed.
    JournalUnclaimed,
    /// How turns went, given up to make room for what callers and agents said.
    TelemetryShed,
    /// No model answered: the caller heard an apology, or was handed over.
    GenerationsFailed,
}

const NAMES: &[(Counter, &str)] = &[
    (Counter::CallsAnswered, "calls.answered"),
    (Counter::CallsBusy, "calls.busy"),
    (Counter::CallsApologised, "calls.apologised"),
    (Counter::CallsResumed, "calls.resumed"),
    (Counter::SignaturesRefused, "signatures.refused"),
    (Counter::SessionsStarted, "sessions.started"),
    (Counter::SessionsTakenOver, "sessions.taken_over"),
    (Counter::SessionsRefused, "sessions.refused"),
    (Counter::FramesMalformed, "frames.malformed"),
    (Counter::FramesUnknown, "frames.unknown"),
    (Counter::FramesRejectedByTwilio, "frames.rejected_by_twilio"),
    (Counter::Generations, "generations"),
    (Counter::Interruptions, "interruptions"),
    (Counter::ToolRuns, "tools.runs"),
    (Counter::ToolErrors, "tools.errors"),
    (Counter::UseCasesBroken, "use_cases.broken"),
    (Counter::RecordsStale, "records.stale"),
    (Counter::LogLinesDropped, "log.lines_dropped"),
    (Counter::SpansDropped, "telemetry.spans_dropped"),
    (Counter::ExportsFailed, "telemetry.exports_failed"),
    (Counter::JournalRetries, "journal.retries"),
    (Counter::JournalLost, "journal.lost"),
    (Counter::JournalFenced, "journal.fenced"),
    (Counter::ModelThrottled, "model.throttled"),
    (Counter::ModelTimedOut, "model.timed_out"),
    (Counter::ModelRefused, "model.refused"),
    (Counter::ModelUnavailable, "model.unavailable"),
    (Counter::ModelBroken, "model.broken"),
    (Counter::ModelFallbacks, "model.fallbacks"),
    (Counter::ModelUnpriced, "model.unpriced"),
    (Counter::TokensIn, "model.tokens_in"),
    (Counter::TokensOut, "model.tokens_out"),
    (Counter::McpUnreachable, "mcp.unreachable"),
    (Counter::TransfersRefused, "transfers.refused"),
    (Counter::ToolHttpRetries, "tools.http_retries"),
    (Counter::ToolResponsesRefused, "tools.responses_refused"),
    (Counter::SecretsFailed, "secrets.failed"),
    (Counter::SmsSent, "sms.sent"),
    (Counter::VerificationsFailed, "verifications.failed"),
    (Counter::CallsPlaced, "calls.placed"),
    (Counter::CallsRefusedOutbound, "calls.refused_outbound"),
    (Counter::CallsRateLimited, "calls.rate_limited"),
    (Counter::TransfersStarted, "transfers.started"),
    (Counter::TransfersJoined, "transfers.joined"),
    (Counter::TransfersReturned, "transfers.returned"),
    (Counter::ApiUnauthorized, "api.unauthorized"),
    (Counter::McpFailures, "mcp.failures"),
    (Counter::ModelHedged, "model.hedged"),
    (Counter::ModelHedgeWon, "model.hedge_won"),
    (Counter::ModelBreakerOpened, "model.breaker_opened"),
    (Counter::ModelSkipped, "model.skipped"),
    (Counter::RescuedByHandoff, "calls.rescued_by_handoff"),
    (Counter::CallsHandedOver, "calls.handed_over"),
    (Counter::CallsRedirected, "calls.redirected"),
    (Counter::ResumesRefused, "resumes.refused"),
    (Counter::ConnectionsRefused, "connections.refused"),
    (Counter::RequestsThrottled, "requests.throttled"),
    (Counter::FramesDropped, "frames.dropped"),
    (Counter::CallsOverflowed, "calls.overflowed"),
    (Counter::ProtectionFailures, "protection.failures"),
    (Counter::JournalUnclaimed, "journal.unclaimed"),
    (Counter::TelemetryShed, "telemetry.shed"),
    (Counter::GenerationsFailed, "generations.failed"),
];

impl From<ModelFailureKind> for Counter {
    fn from(kind: ModelFailureKind) -> Self {
        match kind {
            ModelFailureKind::Throttled => Self::ModelThrottled,
            ModelFailureKind::TimedOut => Self::ModelTimedOut,
            ModelFailureKind::Refused => Self::ModelRefused,
            ModelFailureKind::Unavailable => Self::ModelUnavailable,
            ModelFailureKind::Broken => Self::ModelBroken,
        }
    }
}

impl Counter {
    /// Every counter with the name under which it is told.
    pub fn all() -> impl Iterator<Item = (Self, &'static str)> {
        NAMES.iter().copied()
    }
}

/// A handle to the counters of one service; clones count together.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Shared>);

struct Shared {
    counters: [AtomicU64; NAMES.len()],
    journal_waiting: AtomicI64,
    /// In microseconds.
    journal_lag: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            counters: std::array::from_fn(|_| AtomicU64::default()),
            journal_waiting: AtomicI64::default(),
            journal_lag: AtomicU64::default(),
        }
    }
}

impl Metrics {
    pub fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    pub fn add(&self, counter: Counter, amount: u64) {
        self.0.counters[counter as usize].fetch_add(amount, Ordering::Relaxed);
    }

    pub fn value(&self, counter: Counter) -> u64 {
        self.0.counters[counter as usize].load(Ordering::Relaxed)
    }

    /// Entries of the journal have begun to wait for the table (`change` is positive), or wait no longer, because they
    /// were written or given up (negative). Every entry that is added must be taken away again.
    pub fn journal_waiting(&self, change: i64) {
        self.0.journal_waiting.fetch_add(change, Ordering::Relaxed);
    }

    /// An entry of the journal was written, or could not be written again, that long after what it tells had happened.
    pub fn journal_lag(&self, lag: Duration) {
        let micros = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        self.0.journal_lag.fetch_max(micros, Ordering::Relaxed);
    }

    /// Entries of the journal that wait for the table now, over all calls.
    pub fn journal_depth(&self) -> i64 {
        self.0.journal_waiting.load(Ordering::Relaxed)
    }

    /// The longest lag of the journal since this was asked last; there is one who asks.
    pub fn take_longest_journal_lag(&self) -> Duration {
        Duration::from_micros(self.0.journal_lag.swap(0, Ordering::Relaxed))
    }

    /// All counters that are not zero, as one line.
    pub fn summary(&self) -> String {
        let counted =
            NAMES.iter().map(|(counter, name)| (name, self.value(*counter))).filter(|(_, value)| *value > 0);
        counted.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Metrics({})", self.summary())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_own_name_and_place() {
        for (index, (counter, name)) in NAMES.iter().enumerate() {
            assert_eq!(*counter as usize, index, "{name}");
        }
        let metrics = Metrics::default();
        metrics.clone().count(Counter::ModelFallbacks);
        metrics.add(Counter::Generations, 2);
        assert_eq!(metrics.summary(), "generations=2 model.fallbacks=1");
    }

    #[test]
    fn the_journal_tells_how_far_it_is_behind() {
        let metrics = Metrics::default();
        metrics.journal_waiting(3);
        metrics.clone().journal_waiting(-1);
        assert_eq!(metrics.journal_depth(), 2);
        metrics.journal_lag(Duration::from_millis(70));
        metrics.journal_lag(Duration::from_millis(20));
        assert_eq!(metrics.take_longest_journal_lag(), Duration::from_millis(70));
        assert_eq!(metrics.take_longest_journal_lag(), Duration::ZERO);
    }
}
