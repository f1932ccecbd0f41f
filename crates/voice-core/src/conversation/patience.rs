//! How long a caller bears the silence of a model that was asked, before it says anything, in the middle of its answer, and
//! while tools run that it has asked for.

use std::time::{Duration, Instant};

use super::{Conversation, Phase};
use crate::conversation::Action;

/// Silence of a model that a caller bears without a word.
const MODEL_SILENCE: Duration = Duration::from_millis(3500);

/// When the caller is told to wait; again and again, as long as nothing else is to be heard.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// Nothing was said yet.
    Fresh { until: Instant },
    /// The last words are not told to wait over: they may still be playing.
    Tried { until: Instant },
}

impl Patience {
    pub(super) fn new(now: Instant) -> Self {
        Self::Fresh { until: now + MODEL_SILENCE }
    }

    /// The caller hears something.
    pub(super) fn renew(&mut self, now: Instant) {
        *self = Self::Tried { until: now + MODEL_SILENCE };
    }

    pub(super) const fn ends(self) -> Instant {
        match self {
            Self::Fresh { until } | Self::Tried { until } => until,
        }
    }

    /// Whether the caller is to be told to wait; `silent` when nothing is playing.
    pub(super) fn is_over(&mut self, now: Instant, silent: bool) -> bool {
        if self.ends() > now {
            return false;
        }
        let is_over = silent || matches!(self, Self::Fresh { .. });
        self.renew(now);
        is_over
    }
}

impl Conversation {
    /// Tells the caller to wait when a model has kept them waiting for too long.
    pub(super) fn break_models_silence(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let silent = self.voice.heard_at_latest(now) <= now;
        if let Phase::Generating(generation) = &mut self.phase
            && generation.patience_mut().is_over(now, silent)
        {
            self.end_talk_cycle(actions);
            self.say_aside(now, self.sentences().waiting.clone(), actions);
        }
    }
}
