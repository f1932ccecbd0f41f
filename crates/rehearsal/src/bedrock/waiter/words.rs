//! A caller's utterance as plain words. What they mean is decided elsewhere.

/// Words in lower case, without punctuation; `that's` is the word `thats`.
pub(super) struct Words(Vec<String>);

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let spaced: String = text
            .to_lowercase()
            .chars()
            .filter(|character| !matches!(character, '\'' | '’'))
            .map(|character| if character.is_alphanumeric() { character } else { ' ' })
            .collect();
        Self(spaced.split_whitespace().map(str::to_owned).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&str> {
        self.0.get(index).map(String::as_str)
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.iter().any(|own| own == word)
    }

    pub(super) fn has_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.has(word))
    }

    /// Whether the words of `phrase` occur in a row.
    pub(super) fn has_phrase(&self, phrase: &str) -> bool {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        self.0.windows(phrase.len()).any(|window| window.iter().zip(&phrase).all(|(own, word)| own == word))
    }
}

/// A number as it is spoken or transcribed.
pub(super) fn number(word: &str) -> Option<u32> {
    const SPOKEN: [&str; 13] = [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
        "twelve",
    ];
    let spoken = SPOKEN.iter().position(|spoken| *spoken == word).and_then(|at| u32::try_from(at).ok());
    match word {
        "a" | "an" | "another" => Some(1),
        "couple" => Some(2),
        "dozen" => Some(12),
        _ => spoken.or_else(|| word.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_bare() {
        let words = Words::of("No, that’s ALL - thanks!");
        assert_eq!(words.iter().collect::<Vec<_>>(), ["no", "thats", "all", "thanks"]);
        assert!(words.has_phrase("thats all") && !words.has_phrase("all thats"));
    }

    #[test]
    fn numbers_are_spoken_or_written() {
        assert_eq!(
            ["two", "12", "dozen", "an", "pizza"].map(number),
            [Some(2), Some(12), Some(12), Some(1), None]
        );
    }
}
