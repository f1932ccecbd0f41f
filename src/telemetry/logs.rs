//! The log of the process: which lines are written, where they go and how they look.

use std::io::IsTerminal;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::line_queue::{LineQueue, writer_thread};
use crate::config::{LogFormat, LogSettings};
use crate::metrics::Metrics;

/// How long the end of the process waits for a reader of the log that does not read.
const FLUSHING: Duration = Duration::from_secs(1);

/// A log that could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("there is a log already")]
    Taken(#[from] TryInitError),
    #[error("the thread that writes lines did not start")]
    NoThread(#[from] std::io::Error),
}

/// The log that was installed. When this is dropped, what waits to be written is written, if somebody reads it.
#[derive(Debug)]
#[must_use = "lines that wait are lost when the process ends without dropping this"]
pub struct Log {
    /// Absent where every line is written at once.
    lines: Option<LineQueue>,
}

impl Log {
    /// Has lines that nobody read counted here, those of the past too.
    pub fn count_in(&self, metrics: &Metrics) {
        if let Some(lines) = &self.lines {
            lines.count_in(metrics);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(lines) = &self.lines {
            lines.flush(FLUSHING);
        }
    }
}

/// Installs the process's log. Lines for machines (JSON, standard output) are written by a thread of their own, so that a
/// reader who stalls stalls nothing else; lines for people (standard error) are written as they come.
pub fn init(settings: &LogSettings) -> Result<Log, LogError> {
    let registry = tracing_subscriber::registry().with(filter(&settings.filter));
    match settings.format {
        LogFormat::Json => {
            let lines = LineQueue::default();
            let layer = tracing_subscriber::fmt::layer().json().flatten_event(true);
            registry.with(layer.with_writer(lines.clone())).try_init()?;
            writer_thread(lines.clone(), std::io::stdout())?;
            Ok(Log { lines: Some(lines) })
        }
        LogFormat::Pretty => {
            let layer = tracing_subscriber::fmt::layer().compact().with_writer(std::io::stderr);
            registry.with(layer.with_ansi(std::io::stderr().is_terminal())).try_init()?;
            Ok(Log { lines: None })
        }
    }
}

fn filter(directives: &str) -> EnvFilter {
    let mut filter = EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"));
    // Below this level these print what callers say.
    for quiet in [
        "aws_smithy_runtime=info",
        "aws_smithy_http=info",
        "aws_smithy_eventstream=info",
        "hyper=info",
        // It quotes what servers answer even in its warnings; what went wrong is told by who uses it.
        "rmcp=off",
    ] {
        if let Ok(directive) = quiet.parse() {
            filter = filter.add_directive(directive);
        }
    }
    filter
}
