//! What is wrong with a record, said so that its author can find the place, and the collector of such
//! findings.
//!
//! Nothing is judged here: the readers beside this file decide what is a problem and how grave it is.

use std::fmt;

/// One thing wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the record, for example `tools[1].toolSpec.name`.
    pub path: String,
    /// What is wrong and, where it is not plain, what is wanted.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.reason)
    }
}

/// Collects findings, so that an author hears of all mistakes at once.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) errors: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    pub(super) attribute_errors: Vec<Problem>,
}

impl Report {
    /// The record cannot be used.
    pub(super) fn error(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.errors.push(Problem { path: path.into(), reason: reason.into() });
    }

    /// The record can be used, though perhaps not as its author meant it.
    pub(super) fn warn(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.warnings.push(Problem { path: path.into(), reason: reason.into() });
    }

    /// Twilio documents that it refuses this; the record is usable, a check of it fails.
    pub(super) fn attribute_error(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.attribute_errors.push(Problem { path: path.into(), reason: reason.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_place_and_reason() {
        let problem = Problem { path: "tools[1].toolSpec.name".to_owned(), reason: "is missing".to_owned() };
        assert_eq!(problem.to_string(), "tools[1].toolSpec.name: is missing");
    }
}
