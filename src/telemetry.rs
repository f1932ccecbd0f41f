//! Log lines: where they go and how they look.

use std::error::Error;
use std::fmt;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::util::TryInitError;

use crate::config::{LogFormat, LogSettings};

/// Installs the process's subscriber. Fails when there is one already.
pub fn init(settings: &LogSettings) -> Result<(), TryInitError> {
    let mut filter = EnvFilter::try_new(&settings.filter).unwrap_or_else(|_| EnvFilter::new("info"));
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
    let registry = tracing_subscriber::registry().with(filter);
    match settings.format {
        LogFormat::Json => {
            registry.with(tracing_subscriber::fmt::layer().json().flatten_event(true)).try_init()
        }
        LogFormat::Pretty => {
            let layer = tracing_subscriber::fmt::layer().compact().with_writer(std::io::stderr);
            registry.with(layer.with_ansi(std::io::stderr().is_terminal())).try_init()
        }
    }
}

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
