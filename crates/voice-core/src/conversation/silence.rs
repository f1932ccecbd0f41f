//! Who holds the floor, and what is said when nobody takes it.
//!
//! The clock of silence runs only while nobody speaks: not while the agent's words are still being heard, not while a
//! model or a tool works, not while keys are collected or the caller is heard.

use std::time::Instant;

use super::{Action, Conversation, EndReason, LONGEST_UTTERANCE, Phase, WORDS_FOLLOW};

#[derive(Debug, Default)]
pub(super) struct Quiet {
    floor: Floor,
    /// Prompts said since the caller last did anything.
    prompts: usize,
    caller: CallerVoice,
}

/// What is known of the caller's voice.
#[derive(Clone, Copy, Debug, Default)]
enum CallerVoice {
    #[default]
    Silent,
    /// Heard, until then at the latest.
    Speaking { at_latest: Instant },
    /// Not heard any more. What was said may still come as words.
    Paused { since: Instant },
}

/// Looked at after each event, while something waits for it to be free.
#[derive(Clone, Copy, Debug, Default)]
enum Floor {
    #[default]
    Taken,
    /// Only the agent's words and recordings are to be heard to their end.
    Playing {
        until: Instant,
    },
    Free {
        since: Instant,
    },
}

impl Quiet {
    /// The caller said or did something: they are there.
    pub(super) const fn caller_acted(&mut self) {
        self.prompts = 0;
        self.floor = Floor::Taken;
    }

    /// The caller talked over the agent, and the carrier dropped what it had not played.
    pub(super) fn interrupted(&mut self, now: Instant) {
        let words = now + WORDS_FOLLOW;
        let at_latest = self.caller_speaks_until().map_or(words, |until| until.max(words));
        self.caller = CallerVoice::Speaking { at_latest };
        self.caller_acted();
    }

    pub(super) fn caller_speaks(&mut self, now: Instant) {
        self.caller = CallerVoice::Speaking { at_latest: now + LONGEST_UTTERANCE };
    }

    pub(super) const fn caller_paused(&mut self, now: Instant) {
        self.caller = CallerVoice::Paused { since: now };
    }

    /// What the caller said has come as words.
    pub(super) const fn caller_was_understood(&mut self) {
        self.caller = CallerVoice::Silent;
    }

    /// By when it is known whether the caller, who was heard, has said anything.
    pub(super) fn words_come_by(&self, now: Instant) -> Option<Instant> {
        let by = match self.caller {
            CallerVoice::Speaking { at_latest } => Some(at_latest),
            CallerVoice::Paused { since } => Some(since + WORDS_FOLLOW),
            CallerVoice::Silent => None,
        };
        by.filter(|by| *by > now)
    }

    const fn caller_speaks_until(&self) -> Option<Instant> {
        match self.caller {
            CallerVoice::Speaking { at_latest } => Some(at_latest),
            CallerVoice::Paused { .. } | CallerVoice::Silent => None,
        }
    }

    /// Forgets what must be over by now.
    fn pass(&mut self, now: Instant) {
        if self.caller_speaks_until().is_some_and(|until| until <= now) {
            self.caller = CallerVoice::Silent;
        }
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
            || self.quiet.caller_speaks_until().is_some()
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
            // Nobody reports the caller's pause in every case.
            Floor::Taken if self.floor_is_watched() && matches!(self.phase, Phase::Listening) => {
                self.quiet.caller_speaks_until()
            }
            Floor::Taken => None,
            Floor::Playing { until } => Some(until),
            Floor::Free { since } => {
                self.use_case.silence.as_ref().and_then(|silence| since.checked_add(silence.after))
            }
        }
    }
}
