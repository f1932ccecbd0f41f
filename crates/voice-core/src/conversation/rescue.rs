//! What becomes of a caller whom no model answers: an apology, or a person who takes over.
//!
//! The caller's objection does not stop the handover. The agent has nothing more to offer, and another try would most
//! likely end in the same silence; who does not want a person can hang up. What they say meanwhile stays in the dialogue.

use std::time::Instant;

use super::{Action, Conversation, EndReason, Opening, Phase};
use crate::message::GenerationId;

/// Whether people can be asked to take over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rescuers {
    #[default]
    Unasked,
    /// They were asked, and none took the call. To ask them again at once would send the caller round in circles.
    Absent,
}

impl From<&Opening> for Rescuers {
    fn from(opening: &Opening) -> Self {
        match opening {
            Opening::Fresh | Opening::Resumed | Opening::Continued => Self::Unasked,
            Opening::Returned { .. } => Self::Absent,
        }
    }
}

impl Conversation {
    /// Every attempt has failed.
    pub(super) fn generation_failed(&mut self, now: Instant, id: GenerationId, actions: &mut Vec<Action>) {
        if !matches!(&self.phase, Phase::Generating(live) if live.id() == id) {
            return;
        }
        match self.use_case.rescue.model_fails.clone() {
            Some(target) if self.rescuers == Rescuers::Unasked => {
                let sentence = self.sentences().rescue.clone();
                self.answer_instead(now, sentence.clone(), actions);
                self.end_when_heard(now, EndReason::Rescued { target }, sentence);
            }
            _ => self.apologise(now, actions),
        }
    }
}
