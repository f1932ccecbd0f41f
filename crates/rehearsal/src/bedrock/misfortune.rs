//! A brain with misfortunes: of the answers of another brain, given shares are throttled, broken off, late or stuck. Which
//! request is hit follows from a seed and the order of the requests. It makes up no words of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::answer::Answer;
use super::brain::Brain;
use super::request::ConverseRequest;
use crate::draws::Draws;

/// Draws have this many outcomes, so shares are kept to a hundredth of a percent.
const OUTCOMES: u64 = 10_000;

/// How often each misfortune happens, in percent of the requests. No request has more than one; of shares that are more
/// than 100 % together, the last ones are cut short.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Misfortunes {
    /// Refused with a `ThrottlingException` (HTTP 429).
    pub throttled: f64,
    /// Ended inside the stream, after any number of tokens but the last: by an exception or by a cut connection.
    pub broken: f64,
    /// Late with the first token, by [`late_by`](Self::late_by).
    pub slow: f64,
    /// Silent for good after at least one token, with the connection open.
    pub stalled: f64,
    /// From the request to the first token of a slow answer.
    pub late_by: Duration,
}

/// A brain whose answers meet with misfortunes. Scripted answers meet with none.
#[derive(Debug)]
pub struct Unlucky {
    brain: Arc<dyn Brain>,
    misfortunes: Misfortunes,
    seed: u64,
    counters: Counters,
}

/// How many requests met with what so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MisfortuneCounts {
    /// All requests, those without a misfortune included.
    pub requests: u64,
    pub throttled: u64,
    pub broken: u64,
    pub slow: u64,
    pub stalled: u64,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    throttled: AtomicU64,
    broken: AtomicU64,
    slow: AtomicU64,
    stalled: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misfortune {
    Throttled,
    Broken,
    Slow,
    Stalled,
}

impl Unlucky {
    /// The same seed hits the same requests, counted in the order of their arrival.
    pub fn new(brain: Arc<dyn Brain>, misfortunes: Misfortunes, seed: u64) -> Self {
        Self { brain, misfortunes, seed, counters: Counters::default() }
    }

    pub fn counts(&self) -> MisfortuneCounts {
        let Counters { requests, throttled, broken, slow, stalled } = &self.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MisfortuneCounts {
            requests: read(requests),
            throttled: read(throttled),
            broken: read(broken),
            slow: read(slow),
            stalled: read(stalled),
        }
    }

    fn count(&self, misfortune: Misfortune) {
        let counter = match misfortune {
            Misfortune::Throttled => &self.counters.throttled,
            Misfortune::Broken => &self.counters.broken,
            Misfortune::Slow => &self.counters.slow,
            Misfortune::Stalled => &self.counters.stalled,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Brain for Unlucky {
    fn answer(&self, request: &ConverseRequest) -> Answer {
        let answer = self.brain.answer(request);
        let number = self.counters.requests.fetch_add(1, Ordering::Relaxed);
        let mut draws = Draws::of(self.seed, number);
        let Some(misfortune) = self.misfortunes.drawn(draws.number()) else { return answer };
        self.count(misfortune);
        let tokens = u64::try_from(answer.token_count()).unwrap_or(u64::MAX);
        // Between `first` and all but one of the tokens.
        let mut some = |first: u64| first + draws.below(tokens.saturating_sub(first));
        match misfortune {
            Misfortune::Throttled => Answer::refuse(429, "ThrottlingException", "Too many requests, wait."),
            Misfortune::Slow => answer.slow_first_token(self.misfortunes.late_by),
            Misfortune::Stalled => answer.up_to_token(some(1)).stall(),
            Misfortune::Broken => {
                let begun = answer.up_to_token(some(0));
                if draws.percent(50) {
                    begun.cut()
                } else {
                    begun.exception("modelStreamErrorException", "The model broke off.")
                }
            }
        }
    }
}

impl Misfortunes {
    fn drawn(&self, draw: u64) -> Option<Misfortune> {
        let drawn = draw % OUTCOMES;
        let shares = [
            (Misfortune::Throttled, self.throttled),
            (Misfortune::Broken, self.broken),
            (Misfortune::Slow, self.slow),
            (Misfortune::Stalled, self.stalled),
        ];
        let mut below = 0;
        shares.into_iter().find_map(|(misfortune, percent)| {
            below += outcomes_of(percent);
            (drawn < below).then_some(misfortune)
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a percentage is brought between 0 and 100 first, and has at most 10,000 hundredths"
)]
fn outcomes_of(percent: f64) -> u64 {
    (percent.clamp(0.0, 100.0) * 100.0).round() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::answer::{Opening, Part};
    use super::super::brain::Fixed;
    use super::*;

    const TOKENS: u32 = 8;

    fn answers(misfortunes: Misfortunes, seed: u64, number: usize) -> (Vec<Answer>, MisfortuneCounts) {
        let brain = Unlucky::new(Arc::new(Fixed { tokens: TOKENS }), misfortunes, seed);
        let request = ConverseRequest::new("m", json!({}));
        let answers = (0..number).map(|_| brain.answer(&request)).collect();
        (answers, brain.counts())
    }

    fn all_kinds() -> Misfortunes {
        let late_by = Duration::from_secs(3);
        Misfortunes { throttled: 10.0, broken: 1.0, slow: 2.0, stalled: 0.5, late_by }
    }

    #[test]
    fn the_shares_are_kept_roughly_and_counted_exactly() {
        let (answers, counts) = answers(all_kinds(), 1, 20_000);
        let refused =
            answers.iter().filter(|answer| matches!(answer.opening, Opening::Refuse { status: 429, .. }));
        assert_eq!(refused.count() as u64, counts.throttled);
        let slow = answers.iter().filter(|answer| answer.first_token == Some(Duration::from_secs(3)));
        assert_eq!(slow.count() as u64, counts.slow);
        let ends = |fits: fn(&Part) -> bool| {
            answers.iter().filter(|answer| answer.parts.last().is_some_and(fits)).count() as u64
        };
        assert_eq!(ends(|part| matches!(part, Part::Stall)), counts.stalled);
        let (cut, exceptions) =
            (ends(|part| matches!(part, Part::Cut)), ends(|part| matches!(part, Part::Exception { .. })));
        assert_eq!(cut + exceptions, counts.broken);
        assert!(cut > 0 && exceptions > 0, "{cut} {exceptions}");
        let expected =
            [(counts.throttled, 2000), (counts.broken, 200), (counts.slow, 400), (counts.stalled, 100)];
        for (number, expected) in expected {
            assert!((expected * 7 / 10..=expected * 13 / 10).contains(&number), "{number} of {expected}");
        }
        assert_eq!(counts.requests, 20_000);
    }

    #[test]
    fn a_seed_hits_the_same_requests_again() {
        let (first, _) = answers(all_kinds(), 7, 1000);
        assert_eq!(first, answers(all_kinds(), 7, 1000).0);
        assert_ne!(first, answers(all_kinds(), 8, 1000).0);
    }

    #[test]
    fn nothing_is_broken_when_it_is_complete_or_stalled_before_it_began() {
        let words = |answer: &Answer| answer.full_text().split_whitespace().count();
        let (broken, _) = answers(Misfortunes { broken: 100.0, ..Misfortunes::default() }, 1, 200);
        let lengths: Vec<usize> = broken.iter().map(words).collect();
        assert_eq!((lengths.iter().min(), lengths.iter().max()), (Some(&0), Some(&(TOKENS as usize - 1))));
        let (stalled, _) = answers(Misfortunes { stalled: 100.0, ..Misfortunes::default() }, 1, 200);
        let lengths: Vec<usize> = stalled.iter().map(words).collect();
        assert_eq!((lengths.iter().min(), lengths.iter().max()), (Some(&1), Some(&(TOKENS as usize - 1))));
    }

    #[test]
    fn without_misfortunes_answers_are_the_brains() {
        let (answers, counts) = answers(Misfortunes::default(), 1, 500);
        let plain = Answer::text(answers[0].full_text());
        assert!(answers.iter().all(|answer| *answer == plain));
        assert_eq!(counts, MisfortuneCounts { requests: 500, ..MisfortuneCounts::default() });
    }
}
