//! What a run found, line by line, and what of it breaks a promise. It knows nothing of calls.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use super::Verdict;

/// How many kinds of trouble are shown.
const SHOWN: usize = 12;

/// A report that grows, and the reasons why the run has failed.
#[derive(Debug, Default)]
pub(super) struct Findings {
    text: String,
    broken: Vec<String>,
}

impl Findings {
    /// Something that is told and not judged.
    pub(super) fn tell(&mut self, line: impl Display) {
        let _ = writeln!(self.text, "{line}");
    }

    /// Something that was promised; `broken` tells how it was broken if it was.
    pub(super) fn promise(&mut self, kept: bool, broken: impl Into<String>) {
        if !kept {
            self.broken.push(broken.into());
        }
    }

    /// A number that must be nought.
    pub(super) fn none_of(&mut self, what: &str, number: usize) {
        self.promise(number == 0, format!("{number} {what}"));
    }

    /// Troubles that must not be, each told once with how often it was.
    pub(super) fn no_trouble(&mut self, what: &str, troubles: impl IntoIterator<Item = String>) {
        let mut counted = std::collections::BTreeMap::<String, usize>::new();
        for trouble in troubles {
            *counted.entry(trouble).or_default() += 1;
        }
        for (trouble, times) in counted.iter().take(SHOWN) {
            self.tell(format_args!("{what}, {times} times: {trouble}"));
        }
        if counted.len() > SHOWN {
            self.tell(format_args!("{what}: {} more kinds", counted.len() - SHOWN));
        }
        self.none_of(what, counted.values().sum());
    }

    pub(super) fn verdict(mut self) -> Verdict {
        let passed = self.broken.is_empty();
        if passed {
            self.tell("PASSED");
        } else {
            let reasons = self.broken.join("; ");
            self.tell(format_args!("FAILED: {reasons}"));
        }
        Verdict { text: self.text, passed }
    }
}

/// A time in milliseconds, for a table.
pub(super) fn ms(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_passed_when_no_promise_is_broken() {
        let mut findings = Findings::default();
        findings.tell("3 calls");
        findings.none_of("calls dropped", 0);
        findings.no_trouble("error", Vec::new());
        let verdict = findings.verdict();
        assert!(verdict.passed);
        assert_eq!(verdict.text, "3 calls\nPASSED\n");
    }

    #[test]
    fn every_broken_promise_is_named() {
        let mut findings = Findings::default();
        findings.none_of("calls dropped", 2);
        findings.no_trouble("errors", ["x".to_owned(), "x".to_owned(), "y".to_owned()]);
        let verdict = findings.verdict();
        assert!(!verdict.passed);
        assert_eq!(
            verdict.text,
            "errors, 2 times: x\nerrors, 1 times: y\nFAILED: 2 calls dropped; 3 errors\n"
        );
    }
}
