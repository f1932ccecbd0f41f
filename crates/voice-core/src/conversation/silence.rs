//! Who holds the floor, and what is said when nobody takes it.
//!
//! The clock of silence runs only while nobody speaks: not while the agent's words are still being heard, not while a
//! model or a tool works, not while keys are collected or the caller is heard.

use std::time::{Duration, Instant};

use super::{Action, Conversation, EndReason, Phase, WORDS_FOLLOW};

#[derive(Debug, Default)]
pub(super) struct Quiet {
    floor: Floor,
    /// Prompts said since the caller last did anything.
    prompts: usize,
    /// The caller is heard speaking, until then at the latest.
    caller_speaks: Option<Instant>,
    /// A recording plays, until then at the latest: the carrier does not report its end.
    recording: Option<Instant>,
}

/// Looked at after each event, while something waits for it to be free.
#[derive(Clone, Copy, Debug, Default)]
enum Floor {
    #[default]
    Taken,
    /// Only the agent's words are to be heard to their end.
    Playing {
        until: Instant,
    },
    Free {
        since: Instant,
    },
}

/// Recordings that agents play are shorter than this.
const LONGEST_RECORDING: Duration = Duration::from_mins(1);

impl Quiet {
    /// The caller said or did something: they are there.
    pub(super) const fn caller_acted(&mut self) {
        self.prompts = 0;
        self.floor = Floor::Taken;
    }

    /// The caller talked over the agent, and the carrier dropped what it had not played.
    pub(super) fn interrupted(&mut self, now: Instant) {
        let words = now + WORDS_FOLLOW;
        self.caller_speaks = Some(self.caller_speaks.map_or(words, |until| until.max(words)));
        self.recording = None;
        self.caller_acted();
    }

    pub(super) const fn caller_speaks_until(&mut self, at_latest: Instant) {
        self.caller_speaks = Some(at_latest);
    }

    pub(super) const fn caller_paused(&mut self) {
        self.caller_speaks = None;
    }

    pub(super) fn recording_plays(&mut self, now: Instant) {
        self.recording = Some(now + LONGEST_RECORDING);
    }

    /// Forgets what must be over by now.
    fn pass(&mut self, now: Instant) {
        self.caller_speaks = self.caller_speaks.filter(|until| *until > now);
        self.recording = self.recording.filter(|until| *until > now);
    }
}

impl Conversation {
    /// Since when nobody has spoken, if nobody does. Nothing is looked at when nothing depends on it.
    pub(super) fn floor_is_free_since(&mut self, now: Instant) -> Option<Instant> {
        self.quiet.pass(now);
        let heard_by = self.voice.heard_at_latest(now);
        let known = self.quiet.floor;
        self.quiet.floor = match known {
            _ if self.floor_is_taken() => Floor::Taken,
            _ if heard_by > now => Floor::Playing { until: heard_by },
            Floor::Free { since } => Floor::Free { since },
            Floor::Playing { .. } | Floor::Taken => Floor::Free { since: now },
        };
        match self.quiet.floor {
            Floor::Free { since } => Some(since),
            Floor::Taken | Floor::Playing { .. } => None,
        }
    }

    fn floor_is_watched(&self) -> bool {
        self.use_case.silence.is_some() || self.limits_want_the_floor()
    }

    fn floor_is_taken(&self) -> bool {
        !self.floor_is_watched()
            || !matches!(self.phase, Phase::Listening)
            || self.keypad.due().is_some()
            || self.quiet.caller_speaks.is_some()
            || self.quiet.recording.is_some()
            || self.unanswered_until().is_some()
    }

    /// Asks whether the caller is still there, or gives up.
    pub(super) fn keep_silence(&mut self, now: Instant, free_since: Instant, actions: &mut Vec<Action>) {
        let Some(silence) = &self.use_case.silence else { return };
        if free_since.checked_add(silence.after).is_none_or(|due| due > now) {
            return;
        }
        if let Some(prompt) = silence.prompts.get(self.quiet.prompts).cloned() {
            self.quiet.prompts += 1;
            self.say_prompt(now, prompt, actions);
        } else {
            let goodbye = self.sentences().silence_goodbye.clone();
            self.close(now, EndReason::CallerSilent, goodbye, actions);
        }
    }

    /// Says something into the silence, which begins anew when it was heard.
    pub(super) fn say_prompt(&mut self, now: Instant, prompt: String, actions: &mut Vec<Action>) {
        self.say_aside(now, prompt, actions);
        self.quiet.floor = Floor::Taken;
        self.floor_is_free_since(now);
    }

    pub(super) fn silence_deadline(&self) -> Option<Instant> {
        match self.quiet.floor {
            // Nobody reports the end of these in every case.
            Floor::Taken if self.floor_is_watched() && matches!(self.phase, Phase::Listening) => {
                [self.quiet.caller_speaks, self.quiet.recording].into_iter().flatten().min()
            }
            Floor::Taken => None,
            Floor::Playing { until } => Some(until),
            Floor::Free { since } => {
                self.use_case.silence.as_ref().and_then(|silence| since.checked_add(silence.after))
            }
        }
    }
}
