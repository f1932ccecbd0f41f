//! Who is at the other end of a number or a SIP address when the service calls it: whether they answer, when, and what
//! they do then. What happens to a call because of it is not decided here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::playback::SpeechPace;

/// How long people let a telephone ring.
const RINGING: Duration = Duration::from_secs(3);
/// How long somebody talks who has nothing to say.
const TALK: Duration = Duration::from_secs(20);

/// Somebody who can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callee {
    pub answers: Answers,
    /// How long it rings before that. Without it, three seconds, or as long as the call may ring at most when nobody
    /// answers; both pass faster when the voices are faster than people's.
    pub after: Option<Duration>,
    pub part: Part,
}

/// What comes of calling somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    #[default]
    Yes,
    Busy,
    NoAnswer,
    /// There is no such number.
    Failed,
    /// An answering machine, with a greeting and a beep.
    Machine,
}

/// Who plays the part of somebody who has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Whoever takes [`super::Carrier::placed_calls`].
    Live,
    Scripted(Script),
}

/// What somebody does who is played by the stand-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Said as soon as they are connected with the caller.
    pub says: Vec<String>,
    /// Pressed, key by key, when they are asked for keys.
    pub presses: String,
    /// They hang up when they have been connected for this long. Without it, after a while that passes faster when
    /// the voices are faster than people's.
    pub talks: Option<Duration>,
}

/// Everybody who can be called. Who is not in it answers politely.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory(BTreeMap<String, Callee>);

impl Callee {
    /// Ringing, at a carrier that gives up after `timeout` of human time.
    pub(super) fn ringing(&self, timeout: Duration, pace: SpeechPace) -> Duration {
        let usual = if self.answers == Answers::NoAnswer { timeout } else { RINGING.min(timeout) };
        self.after.unwrap_or_else(|| pace.hasten(usual))
    }
}

impl Script {
    pub(super) fn talk(&self, pace: SpeechPace) -> Duration {
        self.talks.unwrap_or_else(|| pace.hasten(TALK))
    }
}

impl Answers {
    /// Twilio's `CallStatus` and `DialCallStatus` when nobody can be talked to.
    pub(super) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Yes | Self::Machine => None,
            Self::Busy => Some("busy"),
            Self::NoAnswer => Some("no-answer"),
            Self::Failed => Some("failed"),
        }
    }
}

impl Directory {
    pub(super) fn add(&mut self, address: String, callee: Callee) {
        self.0.insert(address, callee);
    }

    pub(super) fn find(&self, address: &str) -> Callee {
        self.0.get(address).cloned().unwrap_or_default()
    }
}

impl Default for Callee {
    /// A polite person.
    fn default() -> Self {
        Self { answers: Answers::Yes, after: None, part: Part::Scripted(Script::default()) }
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            says: vec!["Hello. This is a stand-in for a person.".to_owned()],
            presses: "1".to_owned(),
            talks: None,
        }
    }
}
