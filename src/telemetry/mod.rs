//! What the service tells of itself: log lines, and traces and measurements for a collector.
//!
//! Nothing here holds up a call. Whoever does not keep up, be it the reader of the log or the collector, loses something,
//! which is counted. No words of callers and no numbers of theirs are told.

mod attributes;
mod call_spans;
mod collector;
mod export;
mod instruments;
mod line_queue;
mod logs;
mod metric_export;
mod observer;
mod span_queue;
mod trace_id;

#[cfg(test)]
mod call_spans_tests;

use std::error::Error;
use std::fmt;

pub use export::{Telemetry, Watched};
pub use logs::{Log, LogError, init};

/// An error with all its sources, on one line.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl fmt::Display + 'a {
    Causes(error)
}

struct Causes<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut error = Some(self.0);
        let mut separator = "";
        while let Some(current) = error {
            write!(formatter, "{separator}{current}")?;
            separator = ": ";
            error = current.source();
        }
        Ok(())
    }
}
