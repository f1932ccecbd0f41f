//! One step of a scenario: what the caller does, when, and what has to follow.

use std::time::Duration;

use anyhow::{bail, ensure};
use serde::Deserialize;

use super::doing::Doing;
use super::want::{Want, WantedEvent};
use super::words::Words;
use crate::twilio::{CallerAct, Party};

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
    Act(Doing),
    /// Acts as soon as the cue has been heard.
    BargeIn {
        cue: String,
        doing: Doing,
    },
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
    /// The language in which `say` is said.
    lang: Option<String>,
    pieces: Option<Vec<String>>,
    partial: Option<String>,
    /// One key or several.
    press: Option<String>,
    /// A noise without words.
    noise: bool,
    hang_up: bool,
    /// The person whom the caller is connected with hangs up.
    hang_up_party: bool,
    drop_socket: bool,
    wait_ms: Option<u64>,
    expect: Words,
    absent: Words,
    heard: Words,
    dialled: Words,
    bridged: Words,
    person: Words,
    holding: bool,
    joined: bool,
    enqueued: Words,
    language: Option<String>,
    digits_sent: Option<String>,
    played: Words,
    sms: Option<SmsEntry>,
    status: Option<String>,
    ended: bool,
    ended_by: Option<EndedBy>,
    model_last_user: Words,
    model_history: Words,
    model_history_absent: Words,
    within_ms: Option<u64>,
}

/// A text message: words of it, with its recipient if need be.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "`sms` is a text or { to = …, body = … }")]
enum SmsEntry {
    Body(String),
    Addressed(AddressedSms),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressedSms {
    to: String,
    body: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EndedBy {
    Caller,
    Service,
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

fn wants(entry: &StepEntry) -> Vec<Want> {
    let said = entry.expect.all(Want::Said).chain(entry.heard.all(Want::Heard));
    let model = entry.model_last_user.all(Want::ModelLastUser);
    let model = model.chain(entry.model_history.all(Want::ModelHistory));
    let model = model.chain(entry.model_history_absent.all(Want::ModelHistoryAbsent));
    let sms = entry.sms.clone().map(|sms| match sms {
        SmsEntry::Body(body) => Want::Sms { to: None, body },
        SmsEntry::Addressed(AddressedSms { to, body }) => Want::Sms { to: Some(to), body },
    });
    let events = wanted_events(entry).into_iter().map(Want::Event);
    said.chain(events).chain(sms).chain(model).chain(entry.ended.then_some(Want::Ended)).collect()
}

fn wanted_events(entry: &StepEntry) -> Vec<WantedEvent> {
    let words = entry.dialled.all(WantedEvent::Dialled).chain(entry.bridged.all(WantedEvent::Bridged));
    let words = words.chain(entry.person.all(WantedEvent::Person));
    let words = words.chain(entry.enqueued.all(WantedEvent::Enqueued));
    let words = words.chain(entry.played.all(WantedEvent::Played));
    let single = [
        entry.holding.then_some(WantedEvent::Holding),
        entry.joined.then_some(WantedEvent::Joined),
        entry.language.clone().map(WantedEvent::Language),
        entry.digits_sent.clone().map(WantedEvent::DigitsSent),
        entry.status.clone().map(WantedEvent::Status),
        entry.ended_by.map(|by| WantedEvent::EndedBy(by.into())),
    ];
    words.chain(single.into_iter().flatten()).collect()
}

fn deed(entry: StepEntry) -> anyhow::Result<Deed> {
    let cue = entry.barge_in_after.clone();
    let wait = entry.wait_ms;
    let mut doings = doings(entry)?;
    match (doings.pop(), cue, wait) {
        _ if !doings.is_empty() => bail!(
            "a step has one act: say, pieces, partial, press, noise, hang_up, hang_up_party or drop_socket"
        ),
        (None, None, None) => Ok(Deed::Listen),
        (None, None, Some(wait)) if wait <= LONGEST_MS => Ok(Deed::Wait(Duration::from_millis(wait))),
        (None, None, Some(_)) => bail!("`wait_ms` is at most {LONGEST_MS}"),
        (Some(doing), None, None) => Ok(Deed::Act(doing)),
        (Some(doing), Some(cue), None) if !cue.trim().is_empty() => Ok(Deed::BargeIn { cue, doing }),
        (_, Some(_), _) => bail!("`barge_in_after` needs words to wait for and an act"),
        (Some(_), None, Some(_)) => bail!("`wait_ms` is a step of its own"),
    }
}

/// Each of the acts that the step names; a well-formed one names one.
fn doings(entry: StepEntry) -> anyhow::Result<Vec<Doing>> {
    ensure!(entry.lang.is_none() || entry.say.is_some(), "`lang` is the language of a `say`");
    let keys = entry.press.map(Doing::keys).transpose()?;
    let say = entry.say.map(|words| match entry.lang {
        Some(lang) => CallerAct::SayIn { words, lang },
        None => CallerAct::Say(words),
    });
    let one = [
        say,
        entry.pieces.map(CallerAct::SayInPieces),
        entry.partial.map(CallerAct::Partial),
        entry.noise.then_some(CallerAct::Interrupt),
        entry.hang_up.then_some(CallerAct::HangUp),
        entry.hang_up_party.then_some(CallerAct::HangUpParty),
        entry.drop_socket.then_some(CallerAct::DropSocket),
    ];
    Ok(one.into_iter().flatten().map(Doing::Once).chain(keys).collect())
}

impl From<EndedBy> for Party {
    fn from(by: EndedBy) -> Self {
        match by {
            EndedBy::Caller => Self::Caller,
            EndedBy::Service => Self::Service,
        }
    }
}
