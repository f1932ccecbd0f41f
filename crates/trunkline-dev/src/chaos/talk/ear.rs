//! What a caller hears: words that come, words that were played, silence, and sessions that are lost in between.

use std::time::{Duration, Instant};

use super::{Outcome, Turn};

/// What happened since the caller spoke last.
#[derive(Debug, Default)]
pub(super) struct Ear {
    /// None while the line is dead.
    session: Option<Session>,
    /// Since when nothing was played; none while something is.
    silent_since: Option<Instant>,
    longest_silence: Duration,
    first_token: Option<Instant>,
    told: String,
    heard: String,
}

/// What came in this session, also before the caller spoke last.
#[derive(Clone, Copy, Debug, Default)]
struct Session {
    letters_told: usize,
    letters_heard: usize,
    /// The last word that came ended a talk cycle, and the caller has not spoken since.
    cycle_is_over: bool,
    speaking: bool,
}

impl Ear {
    /// The caller has spoken; from now on everything belongs to the answer.
    pub(super) fn listen(&mut self, now: Instant) {
        let session = self.session.map(|session| Session { cycle_is_over: false, ..session });
        *self = Self { session, silent_since: Some(now), ..Self::default() };
    }

    /// The caller speaks again, and waits on. The silence until then was one.
    pub(super) fn listen_again(&mut self, now: Instant) {
        self.end_silence(now);
        self.silent_since = Some(now);
        if let Some(session) = &mut self.session {
            session.cycle_is_over = false;
        }
    }

    /// A session begins. Where one was handed over, the agent may have nothing to say at first.
    pub(super) fn connected(&mut self, handed_over: bool, now: Instant) {
        self.session = Some(Session { cycle_is_over: handed_over, ..Session::default() });
        self.silent_since.get_or_insert(now);
    }

    /// Text to be spoken has come. A greeting comes as a whole.
    pub(super) fn told(&mut self, text: &str, last: bool, at: Instant) {
        let letters = count(text);
        if letters > 0 {
            self.first_token.get_or_insert(at);
        }
        self.told.push_str(text);
        if let Some(session) = &mut self.session {
            session.letters_told += letters;
            session.cycle_is_over = last;
        }
    }

    pub(super) fn heard(&mut self, text: &str) {
        self.heard.push_str(text);
        if let Some(session) = &mut self.session {
            session.letters_heard += count(text);
        }
    }

    pub(super) fn speaking(&mut self, speaking: bool, now: Instant) {
        if let Some(session) = &mut self.session {
            session.speaking = speaking;
        }
        if speaking {
            self.end_silence(now);
        } else {
            self.silent_since.get_or_insert(now);
        }
    }

    /// The session is gone, and with it whatever was not played.
    pub(super) fn lost(&mut self, now: Instant) {
        self.session = None;
        self.silent_since.get_or_insert(now);
    }

    /// The agent has finished, and everything was heard.
    pub(super) fn is_quiet(&self) -> bool {
        self.session.is_some_and(|session| {
            session.cycle_is_over && !session.speaking && session.letters_heard >= session.letters_told
        })
    }

    /// Since when the agent has finished, and everything was heard.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        self.silent_since.filter(|_| self.is_quiet())
    }

    pub(super) fn has_heard(&self, words: &str) -> bool {
        self.heard.contains(words)
    }

    pub(super) fn was_told(&self, words: &str) -> bool {
        self.told.contains(words)
    }

    /// Whether words have come in this session.
    pub(super) fn was_told_in_this_session(&self) -> bool {
        self.session.is_some_and(|session| session.letters_told > 0)
    }

    /// The answer as it was.
    pub(super) fn turn(&mut self, said_at: Instant, now: Instant, last_words: &str, repeated: bool) -> Turn {
        let is_whole = self.has_heard(last_words) && self.is_quiet();
        let outcome = match (count(&self.heard), is_whole) {
            (0, _) => Outcome::Unanswered,
            (_, true) => Outcome::Whole,
            (_, false) => Outcome::Cut,
        };
        // Behind a whole answer the agent has the right to be silent.
        if outcome != Outcome::Whole {
            self.end_silence(now);
        }
        Turn {
            waited: self.first_token.map(|token| token.saturating_duration_since(said_at)),
            told: self.told.clone(),
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
        ear.connected(false, beginning);
        ear.listen(beginning);
        ear.told("Here it", false, at(beginning, 300));
        ear.speaking(true, at(beginning, 400));
        ear.told(" is.", true, at(beginning, 500));
        assert!(!ear.is_quiet(), "words that came are not heard yet");
        ear.heard("Here it is.");
        ear.speaking(false, at(beginning, 900));
        assert!(ear.is_quiet());
        let turn = ear.turn(beginning, at(beginning, 9000), "it is.", false);
        assert_eq!(turn.outcome, Outcome::Whole);
        assert_eq!(turn.longest_silence, Duration::from_millis(400));
        assert_eq!(turn.waited, Some(Duration::from_millis(300)));
        assert_eq!(ear.turn(beginning, at(beginning, 9000), "and more.", false).outcome, Outcome::Cut);
    }

    #[test]
    fn what_was_not_played_is_lost_with_the_session() {
        let beginning = Instant::now();
        let mut ear = Ear::default();
        ear.connected(false, beginning);
        ear.listen(beginning);
        ear.told("Half an answer.", true, at(beginning, 100));
        ear.lost(at(beginning, 200));
        assert!(!ear.is_quiet() && ear.was_told("answer.") && !ear.was_told_in_this_session());
        ear.connected(false, at(beginning, 1300));
        ear.told("I'm back.", true, at(beginning, 1400));
        ear.speaking(true, at(beginning, 1500));
        ear.heard("I'm back.");
        ear.speaking(false, at(beginning, 2000));
        assert!(ear.is_quiet() && ear.was_told_in_this_session());
        let turn = ear.turn(beginning, at(beginning, 2000), "half an answer.", false);
        assert_eq!((turn.outcome, turn.longest_silence), (Outcome::Cut, Duration::from_millis(1500)));
    }

    #[test]
    fn silence_counts_also_before_words_said_again_and_behind_a_part_of_an_answer() {
        let beginning = Instant::now();
        let mut ear = Ear::default();
        ear.connected(false, beginning);
        ear.listen(beginning);
        ear.listen_again(at(beginning, 6000));
        ear.speaking(true, at(beginning, 6500));
        ear.heard("Here it");
        ear.speaking(false, at(beginning, 7000));
        let turn = ear.turn(beginning, at(beginning, 8000), "it is.", true);
        assert_eq!((turn.outcome, turn.longest_silence), (Outcome::Cut, Duration::from_secs(6)));
        ear.listen(at(beginning, 9000));
        ear.speaking(true, at(beginning, 9100));
        ear.heard("Here it");
        ear.speaking(false, at(beginning, 9500));
        let turn = ear.turn(beginning, at(beginning, 15500), "it is.", false);
        assert_eq!((turn.outcome, turn.longest_silence), (Outcome::Cut, Duration::from_secs(6)));
    }
}
