//! One step of a scenario: what the caller does, when, and what has to follow.

use std::time::Duration;

use anyhow::{bail, ensure};
use serde::Deserialize;

use crate::twilio::CallerAct;

const DEFAULT_WITHIN: Duration = Duration::from_secs(5);
const LONGEST_MS: u64 = 120_000;

/// A step that makes sense.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) deed: Deed,
    pub(super) wants: Vec<Want>,
    /// What must not occur in what the agent says from here to the end of the turn.
    pub(super) absent: Vec<String>,
    pub(super) within: Duration,
}

/// What the caller does in a step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Deed {
    Listen,
    Wait(Duration),
    /// Several acts are the keys of a number.
    Act(Vec<CallerAct>),
    /// Acts as soon as the cue has been heard.
    BargeIn {
        cue: String,
        acts: Vec<CallerAct>,
    },
}

/// Something that has to happen. Capitals and the kind of white space do not matter in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Said(String),
    Heard(String),
    Dialled(String),
    /// The call is over.
    Ended,
    /// In the user's last message of the last request to the model.
    ModelLastUser(String),
    /// Anywhere in the messages of that request.
    ModelHistory(String),
    ModelHistoryAbsent(String),
}

/// A step as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "this is the file's form; a step is made of it or an error"
)]
pub(super) struct StepEntry {
    barge_in_after: Option<String>,
    say: Option<String>,
    pieces: Option<Vec<String>>,
    partial: Option<String>,
    /// One key or several.
    press: Option<String>,
    /// A noise without words.
    noise: bool,
    hang_up: bool,
    drop_socket: bool,
    wait_ms: Option<u64>,
    expect: Words,
    absent: Words,
    heard: Words,
    dialled: Words,
    ended: bool,
    model_last_user: Words,
    model_history: Words,
    model_history_absent: Words,
    within_ms: Option<u64>,
}

/// A text or a list of texts.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<StepEntry> for Step {
    type Error = anyhow::Error;

    fn try_from(entry: StepEntry) -> anyhow::Result<Self> {
        let absent = entry.absent.list();
        let within = entry.within_ms.map_or(DEFAULT_WITHIN, Duration::from_millis);
        ensure!(within <= Duration::from_millis(LONGEST_MS), "`within_ms` is at most {LONGEST_MS}");
        let wants = wants(&entry);
        let is_blank = |word: &String| word.trim().is_empty();
        let has_blank = absent.iter().any(is_blank) || wants.iter().filter_map(Want::words).any(is_blank);
        ensure!(!has_blank, "an expectation without words is met by everything");
        Ok(Self { deed: deed(entry)?, wants, absent, within })
    }
}

impl Want {
    pub(super) fn words(&self) -> Option<&String> {
        match self {
            Self::Said(words)
            | Self::Heard(words)
            | Self::Dialled(words)
            | Self::ModelLastUser(words)
            | Self::ModelHistory(words)
            | Self::ModelHistoryAbsent(words) => Some(words),
            Self::Ended => None,
        }
    }

    /// Whether this is about the model's last request, and so can be judged only when the agent has spoken.
    pub(super) fn is_about_model(&self) -> bool {
        matches!(self, Self::ModelLastUser(_) | Self::ModelHistory(_) | Self::ModelHistoryAbsent(_))
    }
}

fn wants(entry: &StepEntry) -> Vec<Want> {
    let words = entry.expect.all(Want::Said);
    let words = words.chain(entry.heard.all(Want::Heard)).chain(entry.dialled.all(Want::Dialled));
    let words = words.chain(entry.model_last_user.all(Want::ModelLastUser));
    let words = words.chain(entry.model_history.all(Want::ModelHistory));
    let words = words.chain(entry.model_history_absent.all(Want::ModelHistoryAbsent));
    words.chain(entry.ended.then_some(Want::Ended)).collect()
}

fn deed(entry: StepEntry) -> anyhow::Result<Deed> {
    let cue = entry.barge_in_after.clone();
    let wait = entry.wait_ms;
    let mut acts = acts(entry)?;
    match (acts.pop(), cue, wait) {
        _ if !acts.is_empty() => {
            bail!("a step has one act: say, pieces, partial, press, noise, hang_up or drop_socket")
        }
        (None, None, None) => Ok(Deed::Listen),
        (None, None, Some(wait)) if wait <= LONGEST_MS => Ok(Deed::Wait(Duration::from_millis(wait))),
        (None, None, Some(_)) => bail!("`wait_ms` is at most {LONGEST_MS}"),
        (Some(acts), None, None) => Ok(Deed::Act(acts)),
        (Some(acts), Some(cue), None) if !cue.trim().is_empty() => Ok(Deed::BargeIn { cue, acts }),
        (_, Some(_), _) => bail!("`barge_in_after` needs words to wait for and an act"),
        (Some(_), None, Some(_)) => bail!("`wait_ms` is a step of its own"),
    }
}

/// Each of the acts that the step names; a well-formed one names one.
fn acts(entry: StepEntry) -> anyhow::Result<Vec<Vec<CallerAct>>> {
    let keys = entry.press.map(|keys| keys.chars().collect::<Vec<_>>());
    let is_key = |key: &char| key.is_ascii_digit() || matches!(key, '*' | '#');
    let are_keys = keys.as_ref().is_none_or(|keys| !keys.is_empty() && keys.iter().all(is_key));
    ensure!(are_keys, "`press` takes keys, each of them one of 0 to 9, * and #");
    let one = [
        entry.say.map(CallerAct::Say),
        entry.pieces.map(CallerAct::SayInPieces),
        entry.partial.map(CallerAct::Partial),
        entry.noise.then_some(CallerAct::Interrupt),
        entry.hang_up.then_some(CallerAct::HangUp),
        entry.drop_socket.then_some(CallerAct::DropSocket),
    ];
    let keys = keys.map(|keys| keys.into_iter().map(CallerAct::Press).collect());
    Ok(one.into_iter().flatten().map(|act| vec![act]).chain(keys).collect())
}

impl Words {
    fn all(&self, want: fn(String) -> Want) -> impl Iterator<Item = Want> {
        self.list().into_iter().map(want)
    }

    fn list(&self) -> Vec<String> {
        match self {
            Self::One(words) => vec![words.clone()],
            Self::Many(list) => list.clone(),
        }
    }
}

impl Default for Words {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}
