//! Turns a model's text stream into text that can be spoken.
//!
//! Hidden reasoning (`<thinking>…</thinking>`) is dropped and markdown loses its marks, however the stream is cut into
//! pieces. A character is held back only while it could still be the beginning of something that must not be spoken.

/// Elements whose content is never spoken.
const HIDDEN: [&str; 4] = ["thinking", "think", "reasoning", "scratchpad"];
/// Elements that only wrap what is to be spoken.
const WRAPPERS: [&str; 4] = ["output", "response", "answer", "speech"];
/// No tag of the above is longer; what is longer is text.
const LONGEST_TAG: usize = "</scratchpad>".len();

/// One per generation.
#[derive(Clone, Debug)]
pub struct SpeechFilter {
    mode: Mode,
    /// What has been read of something that is not decided yet.
    held: String,
    /// Only marks and spaces have been seen on this line.
    at_line_start: bool,
    /// The last character that was let through.
    previous: Option<char>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Text,
    /// `<` was read, and `held` has the tag so far.
    Tag,
    /// Inside an element of [`HIDDEN`], by index; `held` has what could be its end tag.
    Hidden(usize),
    /// `]` was read: a `(` makes it the end of a link's text.
    AfterBracket,
    /// Inside the address of a link.
    Address,
    /// A run of one mark at the beginning of a line, or of asterisks or underscores anywhere, is in `held`.
    Marks,
}

impl Default for SpeechFilter {
    fn default() -> Self {
        Self { mode: Mode::Text, held: String::new(), at_line_start: true, previous: None }
    }
}

impl SpeechFilter {
    /// Takes the next piece of the stream and returns what of it can be spoken now.
    pub fn push(&mut self, piece: &str) -> String {
        let mut spoken = String::with_capacity(piece.len() + self.held.len());
        for character in piece.chars() {
            self.read(character, &mut spoken);
        }
        spoken
    }

    /// Ends the stream and returns what was held back and turned out to be text.
    pub fn finish(&mut self) -> String {
        let mut spoken = String::new();
        match self.mode {
            Mode::Tag => self.release(&mut spoken),
            Mode::Marks => self.end_marks(None, &mut spoken),
            Mode::Text | Mode::Hidden(_) | Mode::AfterBracket | Mode::Address => self.held.clear(),
        }
        self.mode = Mode::Text;
        spoken
    }

    fn read(&mut self, character: char, spoken: &mut String) {
        match self.mode {
            Mode::Text => self.read_text(character, spoken),
            Mode::Tag => self.read_tag(character, spoken),
            Mode::Hidden(element) => self.read_hidden(element, character),
            Mode::AfterBracket if character == '(' => self.mode = Mode::Address,
            Mode::AfterBracket => {
                self.mode = Mode::Text;
                self.read_text(character, spoken);
            }
            Mode::Address if matches!(character, ')' | '\n') => self.mode = Mode::Text,
            Mode::Address => {}
            Mode::Marks if self.held.starts_with(character) => self.held.push(character),
            Mode::Marks => {
                self.mode = Mode::Text;
                self.end_marks(Some(character), spoken);
                if !(self.at_line_start && character == ' ') {
                    self.read_text(character, spoken);
                }
            }
        }
    }

    fn read_text(&mut self, character: char, spoken: &mut String) {
        match character {
            '<' => self.hold(Mode::Tag, character),
            '*' | '_' => self.hold(Mode::Marks, character),
            '#' | '-' | '+' | '>' | '=' | '•' if self.at_line_start => self.hold(Mode::Marks, character),
            '`' | '[' => {}
            ']' => self.mode = Mode::AfterBracket,
            '|' => self.emit(' ', spoken),
            _ => self.emit(character, spoken),
        }
    }

    fn read_tag(&mut self, character: char, spoken: &mut String) {
        self.held.push(character);
        if character == '>' {
            let name = self
                .held
                .trim_start_matches(['<', '/'])
                .trim_end_matches(['>', '/'])
                .trim()
                .to_ascii_lowercase();
            let closing = self.held.starts_with("</");
            if let Some(element) = HIDDEN.iter().position(|hidden| *hidden == name) {
                self.held.clear();
                self.mode = if closing { Mode::Text } else { Mode::Hidden(element) };
            } else if WRAPPERS.contains(&name.as_str()) {
                self.held.clear();
                self.mode = Mode::Text;
            } else {
                self.mode = Mode::Text;
                self.release(spoken);
            }
        } else if self.held.len() >= LONGEST_TAG || !(character.is_ascii_alphabetic() || character == '/') {
            self.mode = Mode::Text;
            let last = self.held.pop();
            self.release(spoken);
            if let Some(last) = last {
                self.read_text(last, spoken);
            }
        }
    }

    fn read_hidden(&mut self, element: usize, character: char) {
        if character == '<' {
            self.held.clear();
        }
        if character == '<' || !self.held.is_empty() {
            self.held.push(character);
        }
        if character == '>' {
            let end = self.held.strip_prefix("</").and_then(|rest| rest.strip_suffix('>'));
            if end.is_some_and(|name| name.trim().eq_ignore_ascii_case(HIDDEN[element])) {
                self.mode = Mode::Text;
            }
            self.held.clear();
        } else if self.held.len() > LONGEST_TAG {
            self.held.clear();
        }
    }

    fn hold(&mut self, mode: Mode, character: char) {
        self.mode = mode;
        self.held.clear();
        self.held.push(character);
    }

    /// Decides on a run of marks once the character behind it is known.
    fn end_marks(&mut self, next: Option<char>, spoken: &mut String) {
        let Some(mark) = self.held.chars().next() else {
            return;
        };
        let single = self.held.chars().nth(1).is_none();
        let next_is_space = next.is_none_or(char::is_whitespace);
        let is_structure = match mark {
            // A bullet or a rule at the beginning of a line; emphasis elsewhere; but "press * now" is a key.
            '*' => {
                self.at_line_start
                    || !single
                    || !next_is_space
                    || self.previous.is_some_and(|c| !c.is_whitespace())
            }
            // Emphasis stands at the edge of a word, an underscore of a name inside it.
            '_' => {
                !(self.previous.is_some_and(char::is_alphanumeric) && next.is_some_and(char::is_alphanumeric))
            }
            '-' | '+' => next_is_space || !single,
            '=' => !single,
            _ => next_is_space,
        };
        if is_structure {
            self.held.clear();
        } else {
            self.release(spoken);
        }
    }

    fn release(&mut self, spoken: &mut String) {
        for character in std::mem::take(&mut self.held).chars() {
            self.emit(character, spoken);
        }
    }

    fn emit(&mut self, character: char, spoken: &mut String) {
        if character == '\n' {
            self.at_line_start = true;
        } else if !character.is_whitespace() {
            self.at_line_start = false;
        }
        let follows_space = self.previous.is_none_or(char::is_whitespace);
        if follows_space && character.is_whitespace() {
            return;
        }
        self.previous = Some(character);
        spoken.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter_whole(text: &str) -> String {
        let mut filter = SpeechFilter::default();
        let mut spoken = filter.push(text);
        spoken.push_str(&filter.finish());
        spoken
    }

    fn filter_by_characters(text: &str) -> String {
        let mut filter = SpeechFilter::default();
        let mut spoken: String = text.chars().map(|character| filter.push(&character.to_string())).collect();
        spoken.push_str(&filter.finish());
        spoken
    }

    #[test]
    fn what_is_spoken() {
        for (text, spoken) in [
            ("Hello there.", "Hello there."),
            ("<thinking>The caller wants pizza.</thinking>\n\nSure!", "Sure!"),
            ("Yes. <thinking>2 < 3 and a </b> tag</thinking>No.", "Yes. No."),
            ("<think>never closed", ""),
            ("<THINKING>x</Thinking >Hi", "Hi"),
            ("</thinking>Stray", "Stray"),
            ("<output>Spoken.</output>", "Spoken."),
            ("I <3 you, 2 < 3, a<b>c", "I <3 you, 2 < 3, a<b>c"),
            ("Say <break time=\"1s\"/> now", "Say <break time=\"1s\"/> now"),
            ("This is **very** *nice* and __bold__ and _soft_.", "This is very nice and bold and soft."),
            ("the file snake_case_name stays", "the file snake_case_name stays"),
            ("# Menu\n- Pizza\n* Salad\n+ Cola\n1. First", "Menu\nPizza\nSalad\nCola\n1. First"),
            ("## Hours ##\n---\n> quoted", "Hours ##\nquoted"),
            ("Press # or * now. Call #5.", "Press # or * now. Call #5."),
            ("Use `code` and ```rust```", "Use code and rust"),
            ("See [our menu](https://x.example/a_b) today", "See our menu today"),
            ("an array[0] of (things)", "an array0 of (things)"),
            ("| Size | Price |\n|---|---|\n| Large | 20 |", "Size Price Large 20 "),
            ("It costs -5 degrees; a well-known thing", "It costs -5 degrees; a well-known thing"),
            ("-5 degrees", "-5 degrees"),
            ("***", ""),
            ("ends with <", "ends with <"),
            ("ends with <thinkin", "ends with <thinkin"),
            ("Größe 5 °C, naïve façade", "Größe 5 °C, naïve façade"),
        ] {
            assert_eq!(filter_whole(text), spoken, "whole: {text}");
            assert_eq!(filter_by_characters(text), spoken, "by characters: {text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn pieces_do_not_matter(text in r"([a-z *_#<>/`\[\]()|\n-]|<thinking>|</thinking>|<output>|\*\*){0,40}", cuts in prop::collection::vec(0usize..6, 0..40)) {
            let mut filter = SpeechFilter::default();
            let mut spoken = String::new();
            let characters: Vec<char> = text.chars().collect();
            let mut rest = characters.as_slice();
            for cut in cuts {
                let (piece, later) = rest.split_at(cut.min(rest.len()));
                spoken.push_str(&filter.push(&piece.iter().collect::<String>()));
                rest = later;
            }
            spoken.push_str(&filter.push(&rest.iter().collect::<String>()));
            spoken.push_str(&filter.finish());
            prop_assert_eq!(spoken, filter_whole(&text));
        }

        #[test]
        fn hidden_words_are_never_spoken(before in "[a-z *]{0,12}", hidden in "[a-z<>/ ]{0,20}", after in "[a-z *]{0,12}") {
            prop_assume!(!hidden.contains("</thinking"));
            let spoken = filter_whole(&format!("{before}<thinking>{hidden}SECRET</thinking>{after}"));
            prop_assert!(!spoken.contains("SECRET"), "{}", spoken);
        }

        #[test]
        fn any_text_is_survived(text in any::<String>()) {
            let spoken = filter_whole(&text);
            prop_assert!(spoken.len() <= text.len());
        }
    }
}
