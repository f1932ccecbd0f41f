//! What has happened since a step began, as its expectations need it.

use std::time::{Duration, Instant};

use super::happenings;
use super::report::Line;
use super::want::Want;
use crate::twilio::CallEvent;

/// After the agent's last word, more may follow when tools were called; this long nothing must.
const SETTLED: Duration = Duration::from_millis(300);

/// The agent's side of a step.
#[derive(Debug)]
pub(super) struct Turn {
    said: String,
    heard: String,
    floor: Floor,
    is_speaking: bool,
    /// Words came since the agent was last silent, so that it will be heard.
    is_to_be_heard: bool,
    is_call_over: bool,
    pub(super) problems: Vec<String>,
    pub(super) lines: Vec<Line>,
}

/// What became of the agent's speech when something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    GoesOn,
    Interrupted,
    /// The session is over, and with it whatever was still to be heard.
    BrokenOff,
}

/// Whether the agent is through with what it says.
#[derive(Clone, Copy, Debug)]
enum Floor {
    Untouched,
    Open,
    /// It has said its last word, which is still to be heard.
    Finishing,
    ClosedAt(Instant),
}

impl Turn {
    pub(super) fn new(is_speaking: bool, is_call_over: bool) -> Self {
        Self {
            said: String::new(),
            heard: String::new(),
            floor: Floor::Untouched,
            is_speaking,
            is_to_be_heard: false,
            is_call_over,
            problems: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Takes an event. Tells what it did to the agent's speech.
    pub(super) fn add(&mut self, event: CallEvent) -> Speech {
        self.lines.extend(happenings::line_of(&event));
        match event {
            CallEvent::Greeting(text) => self.say(&text, true, Instant::now()),
            CallEvent::Spoken(text) => {
                self.say(&text, true, Instant::now());
                // A <Say> is over before the next verb; no event tells.
                self.floor = Floor::ClosedAt(Instant::now());
            }
            CallEvent::Token { text, last, at } => self.say(&text, last, at),
            CallEvent::Heard(text) => self.heard.push_str(&text),
            CallEvent::AgentSpeaking(true) => self.is_speaking = true,
            CallEvent::AgentSpeaking(false) => self.fall_silent(),
            CallEvent::Interrupted { heard } => {
                self.lines.push(Line::Note(format!("interrupted after \"{}\"", heard.trim())));
                self.heard.push_str(&heard);
                self.forget_said();
                return Speech::Interrupted;
            }
            CallEvent::HungUp { .. } => self.is_call_over = true,
            CallEvent::Refused { status } => {
                self.problems.push(format!("the call was refused with {status}"));
            }
            CallEvent::Protocol(problem) => self.problems.push(problem),
            CallEvent::Ignored(words) => {
                self.lines.push(Line::Note(format!("the session does not let the service hear \"{words}\"")));
            }
            CallEvent::SocketLost => {
                self.lines.push(Line::Note("the carrier connects again by itself".to_owned()));
                self.silence();
                return Speech::BrokenOff;
            }
            CallEvent::SessionEnded { status, .. } => {
                self.lines.push(Line::Note(format!("the session {status}")));
                self.silence();
                return Speech::BrokenOff;
            }
            _ => {}
        }
        Speech::GoesOn
    }

    /// Starts anew after the agent was cut short: what it said before is not looked at.
    pub(super) fn forget_said(&mut self) {
        self.said.clear();
        self.silence();
    }

    /// Whether this has happened. Only what is said and heard, and the end, is known here.
    pub(super) fn has(&self, want: &Want) -> bool {
        match want {
            Want::Said(words) => contains(&self.said, words),
            Want::Heard(words) => contains(&self.heard, words),
            Want::Ended => self.is_call_over,
            Want::Event(_)
            | Want::Sms { .. }
            | Want::ModelLastUser(_)
            | Want::ModelHistory(_)
            | Want::ModelHistoryAbsent(_) => false,
        }
    }

    pub(super) fn said(&self) -> &str {
        &self.said
    }

    pub(super) fn heard(&self) -> &str {
        &self.heard
    }

    pub(super) fn is_speaking(&self) -> bool {
        self.is_speaking
    }

    /// Speech has begun and will come to its end by itself.
    pub(super) fn is_finishing(&self) -> bool {
        self.is_speaking || matches!(self.floor, Floor::Finishing)
    }

    /// Nothing was said and nothing is being heard.
    pub(super) fn is_quiet(&self) -> bool {
        !self.is_speaking && matches!(self.floor, Floor::Untouched)
    }

    pub(super) fn is_call_over(&self) -> bool {
        self.is_call_over
    }

    /// When the agent will count as through with its turn if nothing more comes; none while that is not in sight.
    pub(super) fn settles_at(&self) -> Option<Instant> {
        match self.floor {
            Floor::ClosedAt(at) if !self.is_speaking => Some(at + SETTLED),
            Floor::Untouched | Floor::Open | Floor::Finishing | Floor::ClosedAt(_) => None,
        }
    }

    fn silence(&mut self) {
        (self.is_speaking, self.is_to_be_heard, self.floor) = (false, false, Floor::Untouched);
    }

    /// The agent's voice stopped; unless its talk cycle is open, so did its turn.
    fn fall_silent(&mut self) {
        let was_speaking = std::mem::take(&mut self.is_speaking);
        self.is_to_be_heard = false;
        if was_speaking && !matches!(self.floor, Floor::Open) {
            self.floor = Floor::ClosedAt(Instant::now());
        }
    }

    fn say(&mut self, text: &str, last: bool, at: Instant) {
        let goes_on = matches!(self.floor, Floor::Open);
        if !goes_on && !self.said.is_empty() {
            self.said.push(' ');
        }
        self.said.push_str(text);
        self.is_to_be_heard |= !text.trim().is_empty();
        self.floor = match last {
            false => Floor::Open,
            true if self.is_to_be_heard || self.is_speaking => Floor::Finishing,
            true => Floor::ClosedAt(at),
        };
        match self.lines.last_mut() {
            Some(Line::Agent(line)) if goes_on => line.push_str(text),
            _ if text.trim().is_empty() => {}
            _ => self.lines.push(Line::Agent(text.to_owned())),
        }
    }
}

/// Whether `text` contains `words`, whatever the capitals and the kind of white space.
pub(super) fn contains(text: &str, words: &str) -> bool {
    plain(text).contains(&plain(words))
}

fn plain(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}
