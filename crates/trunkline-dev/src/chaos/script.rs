//! What callers and the model say to each other while things go wrong. The answer to a line depends on the line alone, so
//! that what was said and what was journaled can be compared with what the model wrote.

use rehearsal::bedrock::{Answer, Brain, ConverseRequest};
use rehearsal::scenario::Configuration;
use rehearsal::twilio::CallOptions;
use serde_json::json;
use trunkline::store::DynamoDbStore;

use crate::samples;

/// The use case that answers.
pub(super) const USE_CASE: &str = "chaos";
/// What callers hear when the model could not answer.
pub(super) const APOLOGY: &str = "Excuse me, I lost the thread. Please ask again.";
/// What callers hear when the model keeps them waiting.
pub(super) const WAITING: &str = "Bear with me.";
/// What callers hear when all lines are taken.
pub(super) const BUSY: &str = "All lines are taken.";

const ASKING: &str = "Tell me story number";
const FILLING: [&str; 7] = ["it", "goes", "on", "as", "such", "stories", "do"];

/// What a caller says in their turn of this number.
pub(super) fn line(number: u32) -> String {
    format!("{ASKING} {number}, please.")
}

/// What the model answers to that line.
pub(super) fn answer(number: u32, words: usize) -> String {
    let filling: Vec<&str> = FILLING.into_iter().cycle().take(words.saturating_sub(6)).collect();
    format!("Story {number} begins here: {}, end of it.", filling.join(" "))
}

/// A model that answers lines, with so many words.
#[derive(Debug)]
pub(super) struct Storyteller {
    pub(super) words: usize,
}

impl Brain for Storyteller {
    fn answer(&self, request: &ConverseRequest) -> Answer {
        let words = request.last_user_text();
        // Words that were not answered may stand before those that were said last.
        let asked = words.rsplit_once(ASKING).map_or(words.as_str(), |(_, number)| number);
        let number = asked.trim().split(|letter: char| !letter.is_ascii_digit()).next();
        match number.and_then(|number| number.parse().ok()) {
            Some(number) => Answer::text(answer(number, self.words)),
            None => Answer::text("I only know stories with a number."),
        }
    }
}

/// Writes the use case, which may name models to ask when the first does not answer.
pub(super) async fn load(store: &DynamoDbStore, fallback_models: &[&str]) -> anyhow::Result<()> {
    let attributes = json!({
        "prompt": "You tell stories.",
        "conversationRelayParams": {
            "welcomeGreeting": "Hello.",
            "interruptible": "any",
            "dtmfDetection": true,
            "events": "speaker-events tokens-played",
        },
        "messages": { "failure": APOLOGY, "busy": BUSY, "waiting": WAITING },
        "fallbackModels": fallback_models,
    });
    let attributes = attributes.as_object().cloned().unwrap_or_default();
    samples::change(&Configuration { use_case: USE_CASE.to_owned(), attributes }, store).await
}

/// The call of the caller of this number.
pub(super) fn call_options(caller: u64) -> CallOptions {
    CallOptions {
        from: format!("+1415{:07}", 5_550_000 + caller % 1_000_000),
        use_case: Some(USE_CASE.to_owned()),
        ..CallOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_answered_in_the_words_that_are_expected() {
        let text = format!("{} {}", line(3), line(12));
        let body = json!({ "messages": [{ "role": "user", "content": [{ "text": text }] }] });
        let told = Storyteller { words: 20 }.answer(&ConverseRequest::new("m", body)).full_text();
        assert_eq!(told, answer(12, 20));
        assert_ne!(told, answer(3, 20));
    }
}
