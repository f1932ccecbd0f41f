//! The terminal of the phone: the agent's words as they come, and notes between them. What the caller types is echoed by
//! the terminal itself. What happens in the call is not known here.

use std::io::Write;
use std::time::Duration;

/// Where the cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Empty,
    /// The agent's words are appearing.
    Agent,
}

#[derive(Debug)]
pub(super) struct Screen {
    line: Line,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { line: Line::Empty }
    }

    /// Words of the agent; `latency` is how long the caller waited for the first of them.
    pub(super) fn token(&mut self, text: &str, latency: Option<Duration>, last: bool) {
        if !text.is_empty() && self.line == Line::Empty {
            let latency = latency.map(|latency| format!(" ({} ms)", latency.as_millis())).unwrap_or_default();
            show(&format!("agent:{latency}  "));
            self.line = Line::Agent;
        }
        show(text);
        if last {
            self.end_line();
        }
    }

    /// A line of its own.
    pub(super) fn own(&mut self, text: &str) {
        self.end_line();
        show(&format!("{text}\n"));
    }

    pub(super) fn note(&mut self, text: &str) {
        self.own(&format!("-- {text}"));
    }

    /// The caller pressed return, and the terminal has begun a new line.
    pub(super) fn entered(&mut self) {
        self.line = Line::Empty;
    }

    pub(super) fn end_line(&mut self) {
        if self.line == Line::Agent {
            show("\n");
            self.line = Line::Empty;
        }
    }
}

/// Writes at once, so that tokens appear as they come.
fn show(text: &str) {
    let mut out = std::io::stdout();
    // A terminal that is gone shows nothing.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
