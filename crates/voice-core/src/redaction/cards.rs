//! Finds numbers of payment cards in what people say, type and write.
//!
//! A card has 13 to 19 digits and passes the check of ISO/IEC 7812 (Luhn). So does every tenth number of that length,
//! which is why a part of a longer number is taken for a card only where a card would begin.

use std::ops::{Range, RangeInclusive};

const LENGTHS: RangeInclusive<usize> = 13..=19;
/// The first digits of the large networks.
const NETWORKS: RangeInclusive<u8> = 3..=6;
/// A written group of this many digits may be the first of a card, also behind other digits.
const FIRST_GROUP: usize = 3;
/// Marks and spaces between two digits; more of them separate two numbers.
const LONGEST_GAP: usize = 3;

/// One digit, as a figure or as an English word.
#[derive(Clone, Copy, Debug)]
struct Digit {
    value: u8,
    start: usize,
    end: usize,
    spoken: bool,
    gap: Gap,
}

/// What stands between a digit and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    None,
    /// A space, a hyphen or a dot.
    Single,
    /// Several of these, or a comma: perhaps the next number.
    Loose,
    /// Anything else, or the beginning of the text.
    Broken,
}

/// The bytes of each card's number, in order.
pub(super) fn find_all(text: &str) -> Vec<Range<usize>> {
    let mut cards = Vec::new();
    if longest_run(text) >= *LENGTHS.start() {
        let digits: Vec<Digit> = Digits::new(text).collect();
        for run in digits.chunk_by(|_, next| next.gap != Gap::Broken) {
            cards_in(run, &mut cards);
        }
    }
    cards
}

/// Luhn's check: from the right, every second digit counts twice.
pub(super) fn passes_check(digits: impl DoubleEndedIterator<Item = u8>) -> bool {
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit) {
            (0, digit) => u32::from(digit),
            (_, digit) => u32::from(digit) * 2 - if digit > 4 { 9 } else { 0 },
        })
        .sum();
    sum.is_multiple_of(10)
}

fn longest_run(text: &str) -> usize {
    let lengths = Digits::new(text).scan(0, |length, digit| {
        *length = if digit.gap == Gap::Broken { 1 } else { *length + 1 };
        Some(*length)
    });
    lengths.max().unwrap_or(0)
}

/// Finds the cards of a run. What is left before and behind one is a run of its own, because that is what remains when the
/// card is masked.
fn cards_in(mut run: &[Digit], cards: &mut Vec<Range<usize>>) {
    while let Some(card) = first_card(run) {
        cards_in(&run[..card.start], cards);
        cards.push(run[card.start].start..run[card.end - 1].end);
        run = &run[card.end..];
    }
}

/// Which digits of a run are a card's.
fn first_card(run: &[Digit]) -> Option<Range<usize>> {
    (0..run.len()).find_map(|start| {
        let lengths = LENGTHS.rev().filter(|length| start + length <= run.len());
        lengths.map(|length| start..start + length).find(|range| {
            (is_whole(run, range) || may_begin_a_longer_run(run, range))
                && passes_check(run[range.clone()].iter().map(|digit| digit.value))
        })
    })
}

/// Whether the digits are numbers from their beginning to their end.
fn is_whole(run: &[Digit], range: &Range<usize>) -> bool {
    begins_number(run, range.start) && begins_number(run, range.end)
}

/// Whether the digits could be a card with something behind it, such as the month in which it expires.
fn may_begin_a_longer_run(run: &[Digit], range: &Range<usize>) -> bool {
    let digits = &run[range.clone()];
    let starts = begins_number(run, range.start)
        || (begins_group(run, range.start) && group_length(run, range.start) >= FIRST_GROUP)
        || (range.start < FIRST_GROUP && digits[0].spoken);
    let one_number = digits[1..].iter().all(|digit| digit.gap != Gap::Loose);
    // Digits without any gap may go on; a group that was written as one is not torn apart.
    let ends = begins_group(run, range.end) || digits[1..].iter().all(|digit| digit.gap == Gap::None);
    starts && one_number && ends && NETWORKS.contains(&digits[0].value)
}

/// Whether another number begins at this place of the run, which may be its end. Somebody who changes from words to
/// figures begins another.
fn begins_number(run: &[Digit], index: usize) -> bool {
    match (index.checked_sub(1).map(|before| &run[before]), run.get(index)) {
        (Some(before), Some(digit)) => {
            matches!(digit.gap, Gap::Loose | Gap::Broken) || before.spoken != digit.spoken
        }
        (None, _) | (_, None) => true,
    }
}

fn begins_group(run: &[Digit], index: usize) -> bool {
    begins_number(run, index) || run[index].gap != Gap::None
}

fn group_length(run: &[Digit], start: usize) -> usize {
    (start + 1..run.len()).take_while(|&index| !begins_group(run, index)).count() + 1
}

/// The digits of a text, in order.
#[derive(Debug)]
struct Digits<'a> {
    text: &'a str,
    at: usize,
    gap: Gap,
    gap_length: usize,
}

impl<'a> Digits<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, gap: Gap::Broken, gap_length: 0 }
    }

    fn digit(&mut self, value: u8, length: usize, spoken: bool) -> Digit {
        let digit = Digit { value, start: self.at, end: self.at + length, spoken, gap: self.gap };
        self.at += length;
        (self.gap, self.gap_length) = (Gap::None, 0);
        digit
    }

    fn skip(&mut self, character: char) {
        self.at += character.len_utf8();
        self.gap_length += 1;
        self.gap = match (self.gap, character) {
            (Gap::Broken, _) => Gap::Broken,
            _ if self.gap_length > LONGEST_GAP => Gap::Broken,
            (Gap::None, ' ' | '-' | '.') => Gap::Single,
            (_, ' ' | '-' | '.' | ',' | '\t' | '\n' | '\u{a0}' | '–') => Gap::Loose,
            _ => Gap::Broken,
        };
    }
}

impl Iterator for Digits<'_> {
    type Item = Digit;

    fn next(&mut self) -> Option<Digit> {
        loop {
            let rest = &self.text[self.at..];
            let character = rest.chars().next()?;
            if let Some(value) = character.to_digit(10).and_then(|value| u8::try_from(value).ok()) {
                return Some(self.digit(value, 1, false));
            }
            if !character.is_alphabetic() {
                self.skip(character);
                continue;
            }
            let word = rest.split(|c: char| !c.is_alphabetic()).next().unwrap_or(rest);
            if let Some(value) = spoken_digit(word) {
                return Some(self.digit(value, word.len(), true));
            }
            self.at += word.len();
            self.gap = Gap::Broken;
        }
    }
}

fn spoken_digit(word: &str) -> Option<u8> {
    const WORDS: [(&str, u8); 12] = [
        ("zero", 0),
        ("oh", 0),
        ("o", 0),
        ("one", 1),
        ("two", 2),
        ("three", 3),
        ("four", 4),
        ("five", 5),
        ("six", 6),
        ("seven", 7),
        ("eight", 8),
        ("nine", 9),
    ];
    WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, value)| *value)
}
