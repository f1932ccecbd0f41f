//! What a caller hears: words that come, words that were played, silence, and sessions that are lost in between.

use std::time::{Duration, Instant};

use super::{Outcome, Turn};

/// What happened since the caller spoke last.
#[derive(Debug, Default)]
pub(super) struct Ear {
    connected: bool,
    /// Of this session: letters that came, and letters that were played.
    letters: Letters,
    /// The last word that came ended a talk cycle.
    cycle_is_over: bool,
    speaking: bool,
    /// Since when nothing was played; none while something is.
    silent_since: Option<Instant>,
    longest_silence: Duration,
    first_token: Option<Instant>,
    told: String,
    heard: String,
    told_since_connected: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Letters {
    told: usize,
    heard: usize,
}

impl Ear {
    /// The caller has spoken; from now on everything belongs to the answer.
    pub(super) fn listen(&mut self, now: Instant) {
        *self = Self {
            connected: self.connected,
            letters: self.letters,
            silent_since: Some(now),
            ..Self::default()
        };
    }

    pub(super) fn connected(&mut self, now: Instant) {
        self.connected = true;
        self.silent_since.get_or_insert(now);
    }

    /// Text to be spoken has come. A greeting comes as a whole.
    pub(super) fn told(&mut self, text: &str, last: bool, at: Instant) {
        self.cycle_is_over = last;
        let letters = count(text);
        if letters > 0 {
            self.first_token.get_or_insert(at);
            self.told_since_connected = true;
        }
        self.letters.told += letters;
        self.told.push_str(text);
    }

    pub(super) fn heard(&mut self, text: &str) {
        self.letters.heard += count(text);
        self.heard.push_str(text);
    }

    pub(super) fn speaking(&mut self, speaking: bool, now: Instant) {
        self.speaking = speaking;
        if speaking {
            self.end_silence(now);
        } else {
            self.silent_since.get_or_insert(now);
        }
    }

    /// The session is gone, and with it whatever was not played.
    pub(super) fn lost(&mut self, now: Instant) {
        self.connected = false;
        self.speaking = false;
        self.letters = Letters::default();
        self.cycle_is_over = false;
        self.told_since_connected = false;
        self.silent_since.get_or_insert(now);
    }

    /// The agent has finished, and everything was heard.
    pub(super) fn is_quiet(&self) -> bool {
        self.connected && self.cycle_is_over && !self.speaking && self.letters.heard >= self.letters.told
    }

    /// Since when the agent has finished, and everything was heard.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        self.silent_since.filter(|_| self.is_quiet())
    }

    /// The caller speaks again.
    pub(super) fn forget_quiet(&mut self) {
        self.cycle_is_over = false;
    }

    pub(super) fn has_heard(&self, words: &str) -> bool {
        self.heard.contains(words)
    }

    pub(super) fn was_told(&self, words: &str) -> bool {
        self.told.contains(words)
    }

    pub(super) fn was_told_since_connected(&self) -> bool {
        self.told_since_connected
    }

    /// The answer as it was. Without last words to be expected, what was told is all there is.
    pub(super) fn turn(&mut self, said_at: Instant, until: Option<&str>, repeated: bool) -> Turn {
        let now = Instant::now();
        let is_whole = until.is_none_or(|until| self.has_heard(until)) && self.is_quiet();
        let outcome = match (count(&self.heard), is_whole) {
            (0, _) => Outcome::Unanswered,
            (_, true) => Outcome::Whole,
            (_, false) => Outcome::Cut,
        };
        if outcome == Outcome::Unanswered {
            self.end_silence(now);
        }
        Turn {
            said_at,
            first_token: self.first_token,
            told: self.told.clone(),
            heard: self.heard.clone(),
            longest_silence: self.longest_silence,
            outcome,
            repeated,
        }
    }

    fn end_silence(&mut self, now: Instant) {
        if let Some(since) = self.silent_since.take() {
            self.longest_silence = self.longest_silence.max(now.saturating_duration_since(since));
        }
    }
}

/// Letters, without the spaces that are lost between clauses.
fn count(text: &str) -> usize {
    text.chars().filter(|character| !character.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(beginning: Instant, milliseconds: u64) -> Instant {
        beginning + Duration::from_millis(milliseconds)
    }

    #[test]
    fn an_answer_is_whole_when_its_last_words_were_heard() {
        let beginning = Instant::now();
        let mut ear = Ear::default();
        ear.connected(beginning);
        ear.listen(beginning);
        ear.told("Here it", false, at(beginning, 300));
        ear.speaking(true, at(beginning, 400));
        ear.told(" is.", true, at(beginning, 500));
        assert!(!ear.is_quiet(), "words that came are not heard yet");
        ear.heard("Here it is.");
        ear.speaking(false, at(beginning, 900));
        assert!(ear.is_quiet());
        let turn = ear.turn(beginning, Some("it is."), false);
        assert_eq!(turn.outcome, Outcome::Whole);
        assert_eq!(turn.longest_silence, Duration::from_millis(400));
        assert_eq!(turn.first_token, Some(at(beginning, 300)));
        assert_eq!(ear.turn(beginning, Some("and more."), false).outcome, Outcome::Cut);
    }

    #[test]
    fn what_was_not_played_is_lost_with_the_session() {
        let beginning = Instant::now();
        let mut ear = Ear::default();
        ear.connected(beginning);
        ear.listen(beginning);
        ear.told("Half an answer.", true, at(beginning, 100));
        ear.lost(at(beginning, 200));
        assert!(!ear.is_quiet() && ear.was_told("answer.") && !ear.was_told_since_connected());
        ear.connected(at(beginning, 1300));
        ear.told("I'm back.", true, at(beginning, 1400));
        ear.speaking(true, at(beginning, 1500));
        ear.heard("I'm back.");
        ear.speaking(false, at(beginning, 2000));
        assert!(ear.is_quiet() && ear.was_told_since_connected());
        let turn = ear.turn(beginning, Some("answer."), false);
        assert_eq!((turn.outcome, turn.longest_silence), (Outcome::Cut, Duration::from_millis(1500)));
        assert_eq!(ear.turn(beginning, None, false).outcome, Outcome::Whole);
    }
}
