//! How a scenario went, as a transcript with verdicts.

use std::fmt;
use std::time::Duration;

/// The result of a scenario.
#[derive(Clone, Debug)]
pub struct Report {
    pub title: String,
    pub steps: Vec<StepReport>,
    /// What went wrong outside any expectation: broken protocol, a call that could not be placed.
    pub problems: Vec<String>,
}

/// The result of one step.
#[derive(Clone, Debug, Default)]
pub struct StepReport {
    pub(super) lines: Vec<Line>,
    pub checks: Vec<Check>,
}

/// One expectation with what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub expectation: String,
    pub outcome: Outcome,
}

/// Whether an expectation was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// After this time from the beginning of the step.
    Met {
        after: Duration,
    },
    Missed {
        expected: String,
        got: String,
    },
}

/// A line of the transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Caller(String),
    Agent(String),
    /// Whoever else is at the other end.
    Person(String),
    Note(String),
}

impl Report {
    /// Whether every expectation was met and nothing else went wrong.
    pub fn passed(&self) -> bool {
        let mut checks = self.steps.iter().flat_map(|step| &step.checks);
        self.problems.is_empty() && checks.all(|check| matches!(check.outcome, Outcome::Met { .. }))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}  {}", if self.passed() { "PASS" } else { "FAIL" }, self.title)?;
        for step in &self.steps {
            for line in &step.lines {
                writeln!(formatter, "  {line}")?;
            }
            for check in &step.checks {
                writeln!(formatter, "    {check}")?;
            }
        }
        for problem in &self.problems {
            writeln!(formatter, "  problem: {problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(text) => write!(formatter, "caller: {text}"),
            Self::Agent(text) => write!(formatter, "agent:  {}", text.trim()),
            Self::Person(text) => write!(formatter, "person: {}", text.trim()),
            Self::Note(text) => write!(formatter, "        ({text})"),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Met { after } => {
                write!(formatter, "met    {} ({} ms)", self.expectation, after.as_millis())
            }
            Outcome::Missed { expected, got } => {
                write!(formatter, "MISSED {}: expected {expected}, got \"{}\"", self.expectation, got.trim())
            }
        }
    }
}
