//! The polite end of a call: a last sentence, heard out, and then the end.

use std::time::{Duration, Instant};

use super::{Action, Conversation, EndReason, Event, Keypad, Phase};

/// The last sentence has been sent.
#[derive(Debug)]
pub(super) struct Closing {
    reason: EndReason,
    sentence: String,
    /// When the call ends, although the sentence was not reported as heard.
    release: Instant,
}

/// What the caller has to object to the agent's last words comes within this time.
pub(super) const LAST_WORD: Duration = Duration::from_millis(300);

impl Closing {
    pub(super) const fn release(&self) -> Instant {
        self.release
    }

    /// Whether the call goes on after all: a caller who was thought to be gone is there.
    pub(super) fn yields_to(&self, event: &Event) -> bool {
        let from_caller = match event {
            Event::CallerSaid { text, .. } => !text.trim().is_empty(),
            Event::CallerSpeaking | Event::CallerInterrupted { .. } | Event::KeyPressed { .. } => true,
            _ => false,
        };
        from_caller && self.reason == EndReason::CallerSilent
    }
}

impl Conversation {
    /// Stops everything, says `sentence`, and ends the call once that was heard.
    pub(super) fn close(
        &mut self,
        now: Instant,
        reason: EndReason,
        sentence: String,
        actions: &mut Vec<Action>,
    ) {
        self.stop_generation(actions);
        self.end_talk_cycle(actions);
        self.abandon_tools(actions);
        self.say_aside(now, sentence.clone(), actions);
        self.end_when_heard(now, reason, sentence);
    }

    /// `sentence` was said last; the call ends once it was heard.
    pub(super) fn end_when_heard(&mut self, now: Instant, reason: EndReason, sentence: String) {
        self.keypad = Keypad::Clear;
        self.interrupted_at = None;
        self.phase = Phase::Closing(Closing { reason, sentence, release: self.when_heard(now) });
    }

    /// Applies an event that does not keep the call from ending.
    pub(super) fn handle_closing(&mut self, now: Instant, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::CallerSaid { text, .. } => self.history.push_caller(&text),
            Event::CallerInterrupted { heard } => {
                self.cut_to(&heard);
                self.hasten_closing(now);
            }
            Event::Played { text } => {
                self.voice.played(now, &text);
                self.hasten_closing(now);
            }
            // A caller who was thought to be gone may come back.
            Event::TokensSpent { tokens } => self.limits.count_tokens(tokens),
            Event::Reconnected => self.close_again(now, actions),
            Event::CallerHungUp => self.end(EndReason::CallerHungUp, actions),
            Event::DeadlineReached => {
                if let Phase::Closing(closing) = &self.phase
                    && closing.release <= now
                {
                    let reason = closing.reason.clone();
                    self.end(reason, actions);
                }
            }
            Event::CallerSpeaking
            | Event::CallerPaused
            | Event::KeyPressed { .. }
            | Event::GenerationText { .. }
            | Event::GenerationToolCall { .. }
            | Event::GenerationFinished { .. }
            | Event::GenerationFailed { .. }
            | Event::ToolFinished { .. } => {}
        }
    }

    /// The carrier has dropped what was left of the last sentence: it is said once more.
    fn close_again(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.voice.is_idle() {
            return;
        }
        let Phase::Closing(closing) = &self.phase else { return };
        let sentence = closing.sentence.clone();
        self.cut_to("");
        self.say_aside(now, sentence, actions);
        let release = self.when_heard(now);
        if let Phase::Closing(closing) = &mut self.phase {
            closing.release = release;
        }
    }

    /// When what waits for the agent's words to be heard may happen, at the latest.
    pub(super) fn when_heard(&self, now: Instant) -> Instant {
        self.voice.heard_at_latest(now).max(now + LAST_WORD)
    }

    /// The last sentence may have been heard, or never will be.
    fn hasten_closing(&mut self, now: Instant) {
        let heard = self.voice.is_idle();
        if let Phase::Closing(closing) = &mut self.phase
            && heard
        {
            closing.release = closing.release.min(now + LAST_WORD);
        }
    }
}
