//! Joins the tokens of a talk cycle into the clauses that a voice speaks in one breath.
//! It has no clock: when an unfinished clause is given up waiting for is decided by the playback.

/// A clause without punctuation is spoken after this many words.
const MAX_WORDS: usize = 12;

/// The text that waits for the rest of its clause.
#[derive(Clone, Debug, Default)]
pub(super) struct ClauseBuffer {
    open: String,
}

impl ClauseBuffer {
    /// Adds a token and takes out every clause that it completed, each with its white space.
    pub(super) fn push(&mut self, token: &str) -> Vec<String> {
        self.open.push_str(token);
        let mut clauses = Vec::new();
        while let Some(end) = clause_end(&self.open) {
            let rest = self.open.split_off(end);
            clauses.push(std::mem::replace(&mut self.open, rest));
        }
        clauses
    }

    /// Takes what is there, as a clause of its own; nothing when it has no words.
    pub(super) fn flush(&mut self) -> Option<String> {
        let open = std::mem::take(&mut self.open);
        (!open.trim().is_empty()).then_some(open)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.trim().is_empty()
    }
}

/// Where the first complete clause of `text` ends, in bytes.
fn clause_end(text: &str) -> Option<usize> {
    let mut words = 0;
    let mut previous = ' ';
    let mut characters = text.char_indices().peekable();
    while let Some((_, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        let end = characters.peek().map_or(text.len(), |(at, _)| *at);
        if !previous.is_whitespace() && character.is_whitespace() {
            words += 1;
        }
        let is_end_of_word = words >= MAX_WORDS && next.is_some_and(|next| !next.is_whitespace());
        if is_end_of_word || ends_clause(previous, character, next) {
            return Some(end);
        }
        previous = character;
    }
    None
}

/// Punctuation ends a clause unless it may stand inside a number or a word, as in "3.50" or "a.m".
fn ends_clause(previous: char, character: char, next: Option<char>) -> bool {
    let terminates = matches!(character, '.' | ',' | '!' | '?' | ';' | ':');
    terminates && !previous.is_whitespace() && next.map_or(!previous.is_ascii_digit(), char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn punctuation_ends_a_clause() {
        let mut buffer = ClauseBuffer::default();
        assert_eq!(buffer.push("Sure, one"), ["Sure,"]);
        assert_eq!(buffer.push(" pizza."), [" one pizza."]);
        assert_eq!(buffer.push(" Any"), Vec::<String>::new());
        assert_eq!(buffer.flush().as_deref(), Some(" Any"));
        assert_eq!(buffer.flush(), None);
    }

    #[test]
    fn a_number_stays_whole() {
        let mut buffer = ClauseBuffer::default();
        assert_eq!(buffer.push("That is 3."), Vec::<String>::new());
        assert_eq!(buffer.push("50 dollars."), ["That is 3.50 dollars."]);
    }

    #[test]
    fn a_long_stretch_without_punctuation_is_broken() {
        let mut buffer = ClauseBuffer::default();
        let text = "word ".repeat(13);
        assert_eq!(buffer.push(&text), ["word ".repeat(12)]);
        assert_eq!(buffer.flush().as_deref(), Some("word "));
    }

    proptest! {
        #[test]
        fn clauses_add_up_to_the_tokens(tokens in proptest::collection::vec("[a-z0-9 .,!?;:é]{0,9}", 0..30)) {
            let mut buffer = ClauseBuffer::default();
            let mut spoken: String = tokens.iter().flat_map(|token| buffer.push(token)).collect();
            let rest = buffer.flush();
            spoken.push_str(rest.as_deref().unwrap_or_default());
            let sent = tokens.concat();
            prop_assert_eq!(spoken.trim_end(), sent.trim_end());
        }
    }
}
