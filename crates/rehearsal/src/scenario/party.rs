//! `[[party]]`: who answers when the service calls a number, a SIP address or a queue, and what they have to be told.

use std::time::Duration;

use anyhow::{bail, ensure};
use serde::Deserialize;

use super::words::Words;
use crate::twilio::{Answers, Callee, Part, Script};

const LONGEST_MS: u64 = 120_000;

/// Somebody whom the service may call.
#[derive(Clone, Debug)]
pub(super) struct CalledParty {
    /// The number, the SIP address, or the queue's name.
    pub(super) address: String,
    pub(super) callee: Callee,
    /// What has to be among what they are told until the scenario is over.
    pub(super) hears: Vec<String>,
    /// The file says what they do themselves.
    pub(super) is_scripted: bool,
}

/// The entry as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartyEntry {
    number: Option<String>,
    sip: Option<String>,
    queue: Option<String>,
    #[serde(default)]
    answers: AnswersEntry,
    after_ms: Option<u64>,
    says: Option<Words>,
    presses: Option<String>,
    talks_ms: Option<u64>,
    #[serde(default)]
    hears: Words,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AnswersEntry {
    #[default]
    Yes,
    Busy,
    NoAnswer,
    Failed,
    Machine,
}

impl TryFrom<PartyEntry> for CalledParty {
    type Error = anyhow::Error;

    fn try_from(entry: PartyEntry) -> anyhow::Result<Self> {
        let answers = Answers::from(entry.answers);
        let hears = entry.hears.list();
        ensure!(
            hears.iter().all(|words| !words.trim().is_empty()),
            "`hears` without words is met by everything"
        );
        let is_scripted = entry.says.is_some() || entry.presses.is_some() || entry.talks_ms.is_some();
        ensure!(
            !is_scripted || answers == Answers::Yes,
            "`says`, `presses` and `talks_ms` are of somebody who answers"
        );
        ensure!(
            hears.is_empty() || matches!(answers, Answers::Yes | Answers::Machine),
            "nobody hears what is said to a telephone that is not answered"
        );
        let polite = Script::default();
        let script = Script {
            says: entry.says.map_or(polite.says, |says| says.list()),
            presses: entry.presses.unwrap_or(polite.presses),
            talks: time("talks_ms", entry.talks_ms)?,
        };
        let address = match (entry.number, entry.sip, entry.queue) {
            (Some(number), None, None) if number.starts_with('+') => number,
            (None, Some(sip), None) if sip.starts_with("sip:") => sip,
            (None, None, Some(queue)) if !queue.is_empty() => queue,
            _ => bail!("a party has one address: `number` (+1…), `sip` (sip:…) or `queue`"),
        };
        let callee =
            Callee { answers, after: time("after_ms", entry.after_ms)?, part: Part::Scripted(script) };
        Ok(Self { address, callee, hears, is_scripted })
    }
}

impl From<AnswersEntry> for Answers {
    fn from(answers: AnswersEntry) -> Self {
        match answers {
            AnswersEntry::Yes => Self::Yes,
            AnswersEntry::Busy => Self::Busy,
            AnswersEntry::NoAnswer => Self::NoAnswer,
            AnswersEntry::Failed => Self::Failed,
            AnswersEntry::Machine => Self::Machine,
        }
    }
}

fn time(name: &str, milliseconds: Option<u64>) -> anyhow::Result<Option<Duration>> {
    ensure!(milliseconds.is_none_or(|time| time <= LONGEST_MS), "`{name}` is at most {LONGEST_MS}");
    Ok(milliseconds.map(Duration::from_millis))
}
