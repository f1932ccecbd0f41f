//! What a session must know so that another one, or the same one after a moment without a line, can go on with the call:
//! whether anything would be lost, and what to do about what was.

use std::time::Instant;

use super::{Action, Conversation, Keypad, Phase};
use crate::message::Message;

impl Conversation {
    /// Whether it is nobody's turn, as far as can be known: the agent was heard to its end and owes no answer, no tool
    /// runs, no keys wait, and the caller is not speaking. A session that ends here loses nothing.
    pub fn is_at_rest(&self, now: Instant) -> bool {
        matches!(self.phase, Phase::Listening)
            && matches!(self.keypad, Keypad::Clear)
            && self.voice.heard_at_latest(now) <= now
            && self.quiet.words_come_by(now).is_none()
            && !self.owes_an_answer()
    }

    /// Goes on over a line that was lost for a moment. What was said and is not known to be heard counts as unheard: the
    /// model may say it again.
    pub(super) fn reconnected(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let cut_off = !self.voice.is_idle();
        self.stop_generation(actions);
        self.end_talk_cycle(actions);
        self.cut_to("");
        self.interrupted_at = None;
        match self.phase {
            Phase::Listening if self.owes_an_answer() => self.generate(now, 0, actions),
            Phase::Listening if cut_off => {
                self.say_aside(now, self.sentences().resumed.clone(), actions);
            }
            Phase::RunningTools(_) if cut_off => self.drop_terminal_runs(now, actions),
            Phase::Listening
            | Phase::Generating(_)
            | Phase::RunningTools(_)
            | Phase::Closing(_)
            | Phase::Ended => {}
        }
    }

    /// Whether the dialogue ends with the caller's words, or with outcomes that the caller has not heard of.
    pub(super) fn owes_an_answer(&self) -> bool {
        self.history.last().is_some_and(Message::is_callers)
    }
}
