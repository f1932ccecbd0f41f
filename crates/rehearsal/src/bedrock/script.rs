//! The answers that are to be given before the brain is asked, in order, some for one model only.

use std::collections::VecDeque;

use super::answer::Answer;

/// How many answers may wait. A test that scripts more has a mistake in a loop.
const CAPACITY: usize = 10_000;

/// Scripted answers, first in first out.
#[derive(Debug, Default)]
pub(super) struct Script {
    waiting: VecDeque<Scripted>,
}

#[derive(Debug)]
struct Scripted {
    /// The only model that may take it; any may when there is none.
    model: Option<String>,
    answer: Answer,
}

impl Script {
    /// Adds an answer, unless too many wait already; then it says so in the log, because a script has no caller to
    /// tell.
    pub(super) fn push(&mut self, model: Option<String>, answer: Answer) {
        if self.waiting.len() >= CAPACITY {
            tracing::error!(capacity = CAPACITY, "the stand-in's script is full, an answer was dropped");
            return;
        }
        self.waiting.push_back(Scripted { model, answer });
    }

    /// Takes the first answer meant for `model` alone, or else the first meant for any.
    pub(super) fn take(&mut self, model: &str) -> Option<Answer> {
        let own = self.waiting.iter().position(|scripted| scripted.model.as_deref() == Some(model));
        let index = own.or_else(|| self.waiting.iter().position(|scripted| scripted.model.is_none()))?;
        self.waiting.remove(index).map(|scripted| scripted.answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_own_answers_come_first_and_others_never() {
        let mut script = Script::default();
        script.push(None, Answer::text("any 1"));
        script.push(Some("a".into()), Answer::text("only a"));
        script.push(Some("b".into()), Answer::text("only b"));
        script.push(None, Answer::text("any 2"));
        let mut take = |model: &str| script.take(model).map(|answer| answer.full_text());
        assert_eq!(take("a").as_deref(), Some("only a"));
        assert_eq!(take("a").as_deref(), Some("any 1"));
        assert_eq!(take("c").as_deref(), Some("any 2"));
        assert_eq!(take("a"), None);
        assert_eq!(take("b").as_deref(), Some("only b"));
    }

    #[test]
    fn holds_no_more_than_its_capacity() {
        let mut script = Script::default();
        for _ in 0..=CAPACITY {
            script.push(None, Answer::empty());
        }
        assert_eq!(script.waiting.len(), CAPACITY);
    }
}
