//! Counters of what happened, by closed kinds.
//!
//! They are written to the log now and then and when the service stops. Nothing here knows who reads them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    JournalRetries,
    JournalLost,
    JournalFenced,
    ModelThrottled,
    ModelTimedOut,
    ModelRefused,
    ModelUnavailable,
    ModelBroken,
    ModelFallbacks,
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
    /// Nothing of a call is journaled, because it never could be claimed.
    JournalUnclaimed,
    /// How turns went, given up to make room for what callers and agents said.
    TelemetryShed,
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
    (Counter::JournalRetries, "journal.retries"),
    (Counter::JournalLost, "journal.lost"),
    (Counter::JournalFenced, "journal.fenced"),
    (Counter::ModelThrottled, "model.throttled"),
    (Counter::ModelTimedOut, "model.timed_out"),
    (Counter::ModelRefused, "model.refused"),
    (Counter::ModelUnavailable, "model.unavailable"),
    (Counter::ModelBroken, "model.broken"),
    (Counter::ModelFallbacks, "model.fallbacks"),
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
    (Counter::JournalUnclaimed, "journal.unclaimed"),
    (Counter::TelemetryShed, "telemetry.shed"),
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

/// A handle to the counters of one service; clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<[AtomicU64; NAMES.len()]>);

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(std::array::from_fn(|_| AtomicU64::default())))
    }
}

impl Metrics {
    pub fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    pub fn add(&self, counter: Counter, amount: u64) {
        self.0[counter as usize].fetch_add(amount, Ordering::Relaxed);
    }

    pub fn value(&self, counter: Counter) -> u64 {
        self.0[counter as usize].load(Ordering::Relaxed)
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
}
