//! What a service says in its log about itself every minute, and what else of the log is worth showing.

use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::ChildStdout;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// How a summary is called in the log.
const MESSAGE: &str = "so far";
/// A log line that is longer is cut there; a summary is far shorter.
const LONGEST_LINE: usize = 64 * 1024;

/// What the service holds at a moment.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Summary {
    pub calls: u64,
    /// Of calls and of the process.
    pub tasks: u64,
}

/// The summaries of a service as they come, once a minute. Its log is read until it ends.
#[derive(Clone, Debug)]
pub struct Summaries {
    /// How many have come, and the last.
    last: watch::Receiver<(u64, Summary)>,
}

#[derive(Deserialize)]
struct Line {
    level: String,
    message: Option<String>,
    #[serde(flatten)]
    summary: Option<Summary>,
}

impl Summaries {
    pub(super) fn read(log: ChildStdout) -> Self {
        let (noted, last) = watch::channel((0, Summary::default()));
        TaskTracker::new().spawn(follow(log, noted));
        Self { last }
    }

    /// The next summary that is written from now on.
    ///
    /// # Errors
    /// When none comes `within` this time, or the service ends first.
    pub async fn next(&self, within: Duration) -> anyhow::Result<Summary> {
        let mut last = self.last.clone();
        let seen = last.borrow_and_update().0;
        let next = timeout(within, last.wait_for(|(number, _)| *number > seen)).await;
        let next = next.with_context(|| format!("the service told nothing of itself within {within:?}"))?;
        Ok(next.context("the service's log has ended")?.1)
    }
}

async fn follow(log: ChildStdout, noted: watch::Sender<(u64, Summary)>) {
    let mut log = BufReader::new(log);
    let (mut line, mut errors) = (Vec::new(), tokio::io::stderr());
    loop {
        line.clear();
        // A service whose log cannot be read any more has ended, or is about to.
        let Ok(1..) = log.read_until(b'\n', &mut line).await else { return };
        line.truncate(LONGEST_LINE);
        let Ok(Line { level, message, summary }) = serde_json::from_slice(&line) else { continue };
        if level == "WARN" || level == "ERROR" {
            // Nobody is left to tell when this fails.
            let _ = errors.write_all(&line).await;
        }
        if let (Some(MESSAGE), Some(summary)) = (message.as_deref(), summary) {
            noted.send_modify(|last| *last = (last.0 + 1, summary));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_found_among_other_lines() {
        let line: Line = serde_json::from_str(
            r#"{"timestamp":"t","level":"INFO","message":"so far","calls":3,"tasks":17,"counters":"calls=3"}"#,
        )
        .unwrap();
        assert_eq!(line.message.as_deref(), Some(MESSAGE));
        assert_eq!(line.summary, Some(Summary { calls: 3, tasks: 17 }));
        let line: Line = serde_json::from_str(r#"{"level":"WARN","message":"other","calls":3}"#).unwrap();
        assert_eq!(line.summary, None);
    }
}
