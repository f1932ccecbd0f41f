//! What a run came to: delays, and reasons why it was not as promised.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::Verdict;

/// Delays of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Delays(Vec<Duration>);

impl Delays {
    pub(super) fn add(&mut self, delay: Duration) {
        self.0.push(delay);
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// The delay that so many percent of all do not exceed; none when there is none.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(place).copied().unwrap_or_default()
    }

    pub(super) fn longest(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }
}

/// Why a run failed, each reason with how often it applied.
#[derive(Debug, Default)]
pub(super) struct Complaints(BTreeMap<String, usize>);

impl Complaints {
    /// The same words count as the same reason, so they name no call.
    pub(super) fn add(&mut self, reason: impl Into<String>) {
        *self.0.entry(reason.into()).or_default() += 1;
    }

    /// The text with a line that tells whether the run passed, and why it did not.
    pub(super) fn verdict(&self, mut text: String) -> Verdict {
        let passed = self.0.is_empty();
        if passed {
            text.push_str("PASSED\n");
        } else {
            let reasons: Vec<String> =
                self.0.iter().map(|(reason, times)| format!("{reason} ({times} times)")).collect();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "FAILED: {}", reasons.join("; "));
        }
        Verdict { text, passed }
    }
}

/// In seconds, as a table shows it.
pub(super) fn seconds(delay: Duration) -> String {
    format!("{:.2} s", delay.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_delays_that_occurred() {
        let mut delays = Delays::default();
        assert_eq!((delays.percentile(50), delays.longest()), (Duration::ZERO, Duration::ZERO));
        for milliseconds in [30, 10, 20, 40] {
            delays.add(Duration::from_millis(milliseconds));
        }
        assert_eq!(delays.percentile(50), Duration::from_millis(20));
        assert_eq!(delays.percentile(99), Duration::from_millis(40));
        assert_eq!(delays.longest(), Duration::from_millis(40));
    }

    #[test]
    fn one_reason_is_enough_to_fail() {
        let mut complaints = Complaints::default();
        assert!(complaints.verdict(String::new()).passed);
        complaints.add("a call was lost");
        complaints.add("a call was lost");
        let verdict = complaints.verdict("Table\n".to_owned());
        assert!(!verdict.passed);
        assert_eq!(verdict.text, "Table\nFAILED: a call was lost (2 times)\n");
    }
}
