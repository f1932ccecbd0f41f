//! The agent's voice: what is sent to be spoken, and by when the caller has heard it.
//!
//! The carrier reports what was played; should its reports be lost, words count as heard after the time that the slowest
//! voice takes for them, so that nothing waits for a report for ever.

use std::time::{Duration, Instant};

use super::{Action, Conversation};
use crate::history::Sequence;
use crate::playback::{Cut, Playback};

#[derive(Debug, Default)]
pub(super) struct Voice {
    playback: Playback,
    /// When everything that was sent has been heard at the latest.
    heard_by: Option<Instant>,
    /// Text was sent since the talk cycle was last ended.
    talking: bool,
}

/// Slower than any voice speaks.
const SLOWEST_CHARACTERS_PER_SECOND: u64 = 8;
/// How long the first word takes to be heard, at most.
const SLOWEST_START: Duration = Duration::from_secs(4);
/// Recordings that agents play are shorter than this. The carrier does not report their end.
const LONGEST_RECORDING: Duration = Duration::from_mins(1);

impl Voice {
    pub(super) fn with_greeting(greeting: Option<&str>) -> Self {
        let mut voice = Self::default();
        if let Some(greeting) = greeting {
            voice.playback.push(None, greeting);
        }
        voice
    }

    /// The carrier starts with the greeting.
    pub(super) fn begin(&mut self, now: Instant) {
        self.expect_the_rest(now);
    }

    /// Whether the carrier has reported everything as heard. Of a recording it reports only the words behind it.
    pub(super) fn is_idle(&self) -> bool {
        self.playback.is_idle()
    }

    /// Whether a recording comes last, so that nothing will be reported from which its end could be told.
    pub(super) fn ends_with_recording(&self) -> bool {
        self.playback.ends_with_recording()
    }

    pub(super) fn push_recording(&mut self, now: Instant) {
        let start = self.heard_at_latest(now);
        self.playback.push_recording();
        self.heard_by = Some(start + LONGEST_RECORDING);
    }

    /// When everything that was sent has been heard at the latest; `now` when it has been.
    pub(super) fn heard_at_latest(&self, now: Instant) -> Instant {
        self.heard_by.filter(|_| !self.is_idle()).map_or(now, |heard_by| heard_by.max(now))
    }

    pub(super) fn played(&mut self, now: Instant, clause: &str) {
        let before = self.playback.remaining();
        self.playback.played(clause);
        if self.playback.remaining() != before {
            self.expect_the_rest(now);
        }
    }

    fn push(&mut self, now: Instant, message: Option<Sequence>, text: &str) {
        let start = now + SLOWEST_START;
        let start = self.heard_by.map_or(start, |heard_by| heard_by.max(start));
        self.playback.push(message, text);
        self.heard_by = Some(start + speaking_time(text.len()));
    }

    fn expect_the_rest(&mut self, now: Instant) {
        let words = SLOWEST_START + speaking_time(self.playback.remaining());
        let recordings = LONGEST_RECORDING * self.playback.recordings();
        self.heard_by = (!self.is_idle()).then(|| now + words + recordings);
    }

    fn interrupted(&mut self, fragment: &str) -> Vec<Cut> {
        self.heard_by = None;
        self.playback.interrupted(fragment)
    }
}

fn speaking_time(characters: usize) -> Duration {
    Duration::from_millis(characters as u64 * 1000 / SLOWEST_CHARACTERS_PER_SECOND)
}

impl Conversation {
    /// Speaks a piece of text; of a message of the dialogue, or of none.
    pub(super) fn say(
        &mut self,
        now: Instant,
        message: Option<Sequence>,
        text: String,
        actions: &mut Vec<Action>,
    ) {
        self.voice.push(now, message, &text);
        self.voice.talking = true;
        actions.push(Action::Say { text, last: false });
    }

    /// Speaks a whole sentence that is no part of the dialogue.
    pub(super) fn say_aside(&mut self, now: Instant, text: String, actions: &mut Vec<Action>) {
        self.voice.push(now, None, &text);
        self.voice.talking = false;
        actions.push(Action::Say { text, last: true });
    }

    pub(super) fn end_talk_cycle(&mut self, actions: &mut Vec<Action>) {
        if std::mem::take(&mut self.voice.talking) {
            actions.push(Action::Say { text: String::new(), last: true });
        }
    }

    /// The carrier drops what it has not played: history keeps what was heard.
    pub(super) fn cut_to(&mut self, heard: &str) {
        for cut in self.voice.interrupted(heard) {
            self.history.cut(cut.message, &cut.heard);
        }
    }
}
