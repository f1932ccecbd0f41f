//! What has been sent to be spoken, and how much of it the caller has heard.
//!
//! The carrier reports text, not positions: clauses that were played, and at an interruption a fragment of the clause
//! that was cut. They are found again in what was sent by comparing letters and digits only, because spacing and
//! punctuation are reported loosely. It does not know who speaks next.

use std::collections::VecDeque;
use std::fmt;

use crate::history::Sequence;

#[derive(Default)]
pub struct Playback {
    /// Sent and not completely heard, oldest first.
    pieces: VecDeque<Piece>,
    /// Letters and digits of the clause last reported as played.
    last_clause: String,
    /// The message that was added to last, and all of its text.
    last_message: Option<(Sequence, String)>,
}

enum Piece {
    Words(Words),
    /// It is over when something behind it was heard; its own end is not reported.
    Recording,
}

struct Words {
    /// The agent's message that they belong to; none for what is not part of the dialogue (greeting, filler).
    message: Option<Sequence>,
    /// What the message said before, when something else came in between.
    before: String,
    text: String,
    /// Bytes of `text` that were heard.
    heard: usize,
}

impl fmt::Debug for Playback {
    /// Leaves out the words.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Playback").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}

/// A message of which the caller heard only the beginning.
#[derive(Clone, PartialEq, Eq)]
pub struct Cut {
    pub message: Sequence,
    pub heard: String,
}

impl fmt::Debug for Cut {
    /// Leaves out the words.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cut").field("message", &self.message).finish_non_exhaustive()
    }
}

/// A fragment shorter than this many letters is not searched for beyond the place where it must be.
const SEARCHABLE: usize = 4;

impl Playback {
    /// Adds text that was sent to be spoken.
    pub fn push(&mut self, message: Option<Sequence>, text: &str) {
        match self.pieces.back_mut() {
            Some(Piece::Words(words)) if words.message == message => words.text.push_str(text),
            _ => {
                let said = self.last_message.as_ref().filter(|(last, _)| Some(*last) == message);
                let before = said.map(|(_, said)| said.clone()).unwrap_or_default();
                self.pieces.push_back(Piece::Words(Words {
                    message,
                    before,
                    text: text.to_owned(),
                    heard: 0,
                }));
            }
        }
        match (&mut self.last_message, message) {
            (_, None) => {}
            (Some((last, said)), Some(message)) if *last == message => said.push_str(text),
            (last, Some(message)) => *last = Some((message, text.to_owned())),
        }
    }

    /// Adds a recording, which is played behind what was sent before.
    pub fn push_recording(&mut self) {
        self.pieces.push_back(Piece::Recording);
    }

    /// Whether everything that was sent has been heard. A recording that comes last never has, as far as is known here.
    pub fn is_idle(&self) -> bool {
        self.pieces.iter().all(Piece::is_heard)
    }

    /// Characters not heard yet, in bytes; spaces around them do not count.
    pub fn remaining(&self) -> usize {
        self.pieces.iter().map(|piece| piece.unheard().trim().len()).sum()
    }

    /// How many recordings may not be over yet.
    pub fn recordings(&self) -> u32 {
        let recordings = self.pieces.iter().filter(|piece| matches!(piece, Piece::Recording)).count();
        u32::try_from(recordings).unwrap_or(u32::MAX)
    }

    /// Whether no words are behind a recording that may not be over yet.
    pub fn ends_with_recording(&self) -> bool {
        let last = self.pieces.iter().rev().find(|piece| !piece.is_heard());
        matches!(last, Some(Piece::Recording))
    }

    /// A clause was played to its end.
    pub fn played(&mut self, clause: &str) {
        let wanted: Vec<char> = letters(clause).map(|(_, letter)| letter).collect();
        if wanted.is_empty() {
            return;
        }
        if let Some(end) = self.find_here(&wanted).or_else(|| self.search(&wanted)) {
            self.advance(end);
            self.last_clause = wanted.into_iter().collect();
        }
    }

    /// The caller interrupted while `fragment` of a clause had been played. The carrier drops all that was not heard:
    /// returns each message that lost words, and forgets everything.
    pub fn interrupted(&mut self, fragment: &str) -> Vec<Cut> {
        let wanted: String = letters(fragment).map(|(_, letter)| letter).collect();
        // The carrier reports the fragment as played before it reports the interruption.
        let beyond = match wanted.strip_prefix(self.last_clause.as_str()) {
            _ if self.last_clause.starts_with(&wanted) => String::new(),
            Some(rest) if self.find_here(&rest.chars().collect::<Vec<_>>()).is_some() => rest.to_owned(),
            _ => wanted,
        };
        let beyond: Vec<char> = beyond.chars().collect();
        if !beyond.is_empty()
            && let Some(end) = self.find_here(&beyond).or_else(|| self.search(&beyond))
        {
            self.advance(end);
        }
        self.last_clause.clear();
        let pieces = std::mem::take(&mut self.pieces);
        let mut cuts: Vec<Cut> = Vec::new();
        for piece in pieces {
            if let Piece::Words(Words { message: Some(message), before, text, heard }) = &piece
                && !piece.is_heard()
                && cuts.last().is_none_or(|cut| cut.message != *message)
            {
                cuts.push(Cut { message: *message, heard: format!("{before}{}", &text[..*heard]) });
            }
        }
        cuts
    }

    /// Finds the letters right behind what was heard; returns the piece and the byte where they end.
    fn find_here(&self, wanted: &[char]) -> Option<(usize, usize)> {
        matches_at(self.unheard(), wanted)
    }

    /// Finds the letters at the beginning of any later word. Something before them was played and not reported.
    fn search(&self, wanted: &[char]) -> Option<(usize, usize)> {
        if wanted.len() < SEARCHABLE {
            return None;
        }
        let unheard: Vec<_> = self.unheard().collect();
        (1..unheard.len())
            .filter(|&index| {
                let ((piece, byte, _), (before, end, _)) = (unheard[index], unheard[index - 1]);
                piece != before || byte > end
            })
            .find_map(|index| matches_at(unheard[index..].iter().copied(), wanted))
    }

    /// Letters and digits not heard yet: piece, byte, lower-case letter.
    fn unheard(&self) -> impl Iterator<Item = (usize, usize, char)> {
        self.pieces.iter().enumerate().flat_map(|(index, piece)| {
            let heard = piece.heard();
            letters(piece.unheard()).map(move |(byte, letter)| (index, heard + byte, letter))
        })
    }

    /// Marks everything up to `end` as heard, with the punctuation that clings to it.
    fn advance(&mut self, (piece, byte): (usize, usize)) {
        self.pieces.drain(..piece);
        let Some(Piece::Words(first)) = self.pieces.front_mut() else {
            return;
        };
        let mut rest = first.text[byte..].char_indices().skip(1);
        let end = rest.find(|(_, character)| character.is_alphanumeric() || character.is_whitespace());
        first.heard = end.map_or(first.text.len(), |(offset, _)| byte + offset);
    }
}

impl Piece {
    /// Bytes of the text that were heard.
    const fn heard(&self) -> usize {
        match self {
            Self::Words(words) => words.heard,
            Self::Recording => 0,
        }
    }

    fn unheard(&self) -> &str {
        match self {
            Self::Words(words) => &words.text[words.heard..],
            Self::Recording => "",
        }
    }

    fn is_heard(&self) -> bool {
        match self {
            Self::Words(_) => letters(self.unheard()).next().is_none(),
            Self::Recording => false,
        }
    }
}

/// Follows `wanted` along `letters`; returns the place of the last letter when all match.
fn matches_at(
    mut letters: impl Iterator<Item = (usize, usize, char)>,
    wanted: &[char],
) -> Option<(usize, usize)> {
    let mut end = None;
    for expected in wanted {
        let (piece, byte, letter) = letters.next()?;
        if letter != *expected {
            return None;
        }
        end = Some((piece, byte));
    }
    end
}

/// Letters and digits with the byte where their character begins. A character that becomes several in lower case
/// counts by its first.
fn letters(text: &str) -> impl Iterator<Item = (usize, char)> {
    text.char_indices()
        .filter(|(_, character)| character.is_alphanumeric())
        .map(|(byte, character)| (byte, character.to_lowercase().next().unwrap_or(character)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(message: Sequence, heard: &str) -> Cut {
        Cut { message, heard: heard.to_owned() }
    }

    #[test]
    fn a_fragment_reported_twice_counts_once() {
        let mut playback = Playback::default();
        playback.push(Some(1), "Sentence one is here. Sentence two of many.");
        playback.played("Sentence one is here. ");
        playback.played("Sentence two");
        assert_eq!(playback.interrupted("Sentence two"), [cut(1, "Sentence one is here. Sentence two")]);
        assert!(playback.is_idle());
    }

    #[test]
    fn an_interruption_may_reach_further_than_the_fragment_reported_before_it() {
        let mut playback = Playback::default();
        playback.push(Some(1), "Sentence two of many words.");
        playback.played("Sentence two");
        assert_eq!(playback.interrupted("Sentence two of"), [cut(1, "Sentence two of")]);
    }

    #[test]
    fn without_reports_of_clauses_the_fragment_is_searched_for() {
        let mut playback = Playback::default();
        playback.push(Some(1), "We open at nine. We close at five. Come in.");
        assert_eq!(playback.interrupted("We close"), [cut(1, "We open at nine. We close")]);
    }

    #[test]
    fn nothing_heard_of_a_message_cuts_all_of_it() {
        let mut playback = Playback::default();
        playback.push(None, "Welcome.");
        playback.push(Some(4), "Let me look.");
        playback.push(Some(6), "Here it is.");
        playback.played("Welcome.");
        playback.played("Let me look.");
        assert_eq!(playback.interrupted(""), [cut(6, "")]);
    }

    #[test]
    fn spacing_case_and_punctuation_are_loose() {
        let mut playback = Playback::default();
        playback.push(Some(1), "Nine to five,");
        playback.push(Some(1), "  daily. ÉTÉ!");
        playback.played("nine  to five");
        playback.played("Daily");
        assert!(!playback.is_idle());
        playback.played("été");
        assert!(playback.is_idle());
        assert_eq!(playback.interrupted("five"), []);
    }

    #[test]
    fn a_recording_is_over_when_something_behind_it_was_heard() {
        let mut playback = Playback::default();
        playback.push(Some(1), "Listen.");
        playback.push_recording();
        playback.played("Listen.");
        assert_eq!(
            (playback.is_idle(), playback.remaining(), playback.ends_with_recording()),
            (false, 0, true)
        );
        playback.push(Some(2), "That was it.");
        assert!(!playback.ends_with_recording());
        playback.played("That");
        assert_eq!(playback.recordings(), 0);
        playback.push_recording();
        assert_eq!(playback.interrupted(""), [cut(2, "That")]);
        assert!(playback.is_idle(), "the carrier drops recordings too");
    }

    #[test]
    fn a_message_that_something_came_between_is_cut_as_a_whole() {
        let with_a_filler = || {
            let mut playback = Playback::default();
            playback.push(Some(1), "We have ");
            playback.push(None, "One moment.");
            playback.push(Some(1), "three left.");
            playback
        };
        let cut = |heard: &str| vec![Cut { message: 1, heard: heard.to_owned() }];
        let mut playback = with_a_filler();
        playback.played("We have");
        playback.played("One moment.");
        assert_eq!(playback.interrupted("three"), cut("We have three"));
        let mut playback = with_a_filler();
        assert_eq!(playback.interrupted("We"), cut("We"));
        let mut playback = with_a_filler();
        playback.played("We have");
        assert_eq!(playback.interrupted("One"), cut("We have "));
    }

    #[test]
    fn a_clause_may_span_pieces_and_unknown_text_moves_nothing() {
        let mut playback = Playback::default();
        playback.push(None, "One moment");
        playback.push(Some(2), "please hold the line");
        playback.played("1234#");
        playback.played("One moment please hold");
        assert_eq!(playback.interrupted("quite other words"), [cut(2, "please hold")]);
    }
}
