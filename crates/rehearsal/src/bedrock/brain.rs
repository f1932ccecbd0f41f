//! Who decides what the stand-in answers when no script does. The waiter of the sample restaurant has its own file.

use std::fmt::Debug;

use super::answer::Answer;
use super::request::ConverseRequest;

/// Makes up an answer. The same request gets the same answer, so that rehearsals can be repeated.
pub trait Brain: Send + Sync + Debug {
    /// Answers a request that has passed the [`rules`](super::rules). It must return at once: it runs on the
    /// connection's task.
    fn answer(&self, request: &ConverseRequest) -> Answer;
}

/// Answers every request with the same number of tokens of text, for load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// How many tokens each answer has, one word each.
    pub tokens: u32,
}

/// Words that a voice could speak; the answer repeats them in order.
const WORDS: [&str; 8] = ["this", "answer", "has", "as", "many", "words", "as", "asked"];

impl Brain for Fixed {
    fn answer(&self, _request: &ConverseRequest) -> Answer {
        let words = WORDS.iter().copied().cycle().take(self.tokens as usize);
        Answer::text(words.collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::answer::Part;
    use super::*;

    #[test]
    fn fixed_answers_with_exactly_as_many_tokens_as_asked() {
        for tokens in [0, 1, 30, 200] {
            let answer = Fixed { tokens }.answer(&ConverseRequest::new("m", json!({})));
            let Some(Part::Text(sent)) = answer.parts.first() else { panic!("no text in {answer:?}") };
            assert_eq!(sent.len(), tokens as usize);
        }
    }
}
