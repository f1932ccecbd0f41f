//! What the stand-in is to say: a script of text, tool calls and faults. Not how it goes on the wire.

use std::time::Duration;

use serde_json::Value;

/// One answer of the model, built in the order in which it is streamed.
///
/// ```
/// use rehearsal::bedrock::Answer;
/// use serde_json::json;
///
/// let answer = Answer::text("One moment.").then_tool("tool-1", "CheckStock", json!({"item": "cola"}));
/// # let _ = answer;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an answer does nothing until it is scripted or returned by a brain"]
pub struct Answer {
    pub(super) opening: Opening,
    pub(super) first_token: Option<Duration>,
    pub(super) parts: Vec<Part>,
    pub(super) stop_reason: Option<String>,
    /// What a guardrail stood up against.
    pub(super) blocked: Option<Blocked>,
}

/// What a guardrail refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocked {
    /// What the user said.
    Input,
    /// What the model was about to say, or had begun to say.
    Output,
}

/// What happens before the first event of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// Status 200, then the parts.
    Stream,
    /// An HTTP error instead of a stream.
    Refuse { status: u16, error: String, message: String },
    /// Neither a status nor a byte, ever.
    Silence,
}

/// One thing that happens in the stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// Text, already split into tokens. Texts that follow each other are one content block.
    Text(Vec<String>),
    /// A tool call; `input` is sent as it is, be it valid JSON or not.
    Tool { id: String, name: String, input: String },
    /// Silence for a while.
    Pause(Duration),
    /// Silence until the client leaves.
    Stall,
    /// A modeled exception inside the stream, which ends it.
    Exception { name: String, message: String },
    /// The connection is aborted inside the body.
    Cut,
}

impl Answer {
    /// An answer that says `text`, a token for each word.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::empty().then_text(text)
    }

    /// An answer that says nothing yet, to begin with a tool call or a fault.
    pub fn empty() -> Self {
        Self {
            opening: Opening::Stream,
            first_token: None,
            parts: Vec::new(),
            stop_reason: None,
            blocked: None,
        }
    }

    /// An HTTP error before the stream: `error` is the exception's name in Bedrock's spelling, for example
    /// `(429, "ThrottlingException")`. A status that HTTP does not know becomes 500.
    pub fn refuse(status: u16, error: impl Into<String>, message: impl Into<String>) -> Self {
        let opening = Opening::Refuse { status, error: error.into(), message: message.into() };
        Self { opening, ..Self::empty() }
    }

    /// Status 200 and then nothing, until the client leaves.
    pub fn stall_before_first_token() -> Self {
        Self::empty().stall()
    }

    /// Not even a status, until the client leaves.
    pub fn stall_before_response() -> Self {
        Self { opening: Opening::Silence, ..Self::empty() }
    }

    /// Says `text` next, a token for each word.
    pub fn then_text(self, text: impl AsRef<str>) -> Self {
        self.then(Part::Text(tokens(text.as_ref())))
    }

    /// Calls a tool next. Bedrock's ids match `[a-zA-Z0-9_.:-]{1,64}`; the stand-in does not check its own script.
    pub fn then_tool(self, id: impl Into<String>, name: impl Into<String>, input: impl Into<Value>) -> Self {
        let input: Value = input.into();
        self.then_raw_tool(id, name, input.to_string())
    }

    /// Calls a tool next with an input that is sent as it is, for example the beginning of a JSON text.
    pub fn then_raw_tool(
        self,
        id: impl Into<String>,
        name: impl Into<String>,
        input: impl Into<String>,
    ) -> Self {
        self.then(Part::Tool { id: id.into(), name: name.into(), input: input.into() })
    }

    /// Takes `delay` from the request to the first token, whatever the pace.
    pub fn slow_first_token(mut self, delay: Duration) -> Self {
        self.first_token = Some(delay);
        self
    }

    /// Is silent for `length`, then goes on.
    pub fn pause(self, length: Duration) -> Self {
        self.then(Part::Pause(length))
    }

    /// Falls silent for good, with the connection open.
    pub fn stall(self) -> Self {
        self.then(Part::Stall)
    }

    /// Ends the stream with an exception, for example `modelStreamErrorException`.
    pub fn exception(self, name: impl Into<String>, message: impl Into<String>) -> Self {
        self.then(Part::Exception { name: name.into(), message: message.into() })
    }

    /// Aborts the connection inside the body.
    pub fn cut(self) -> Self {
        self.then(Part::Cut)
    }

    /// Stops for this reason instead of the one that follows from the content (`tool_use` or `end_turn`).
    pub fn stop_reason(mut self, reason: impl Into<String>) -> Self {
        self.stop_reason = Some(reason.into());
        self
    }

    /// Ends with the message of a guardrail, in one piece as Bedrock sends it, and its stop reason. Who asked for a
    /// trace learns what was refused.
    pub fn then_blocked(mut self, blocked: Blocked, message: impl Into<String>) -> Self {
        self.blocked = Some(blocked);
        self.then(Part::Text(vec![message.into()])).stop_reason("guardrail_intervened")
    }

    /// The text of the answer, without its tool calls.
    pub fn full_text(&self) -> String {
        self.parts
            .iter()
            .filter_map(|part| match part {
                Part::Text(tokens) => Some(tokens.concat()),
                _ => None,
            })
            .collect()
    }

    /// The tool calls of the answer: id, name and input as JSON text.
    pub fn tool_calls(&self) -> Vec<(&str, &str, &str)> {
        self.parts
            .iter()
            .filter_map(|part| match part {
                Part::Tool { id, name, input } => Some((id.as_str(), name.as_str(), input.as_str())),
                _ => None,
            })
            .collect()
    }

    /// The tokens of text and the tool calls, of which each counts as one token.
    pub(super) fn token_count(&self) -> usize {
        self.parts.iter().map(Part::token_count).sum()
    }

    /// Only the beginning, up to so many tokens, as [`token_count`](Self::token_count) counts them.
    pub(super) fn up_to_token(mut self, tokens: u64) -> Self {
        let mut left = usize::try_from(tokens).unwrap_or(usize::MAX);
        self.parts.retain_mut(|part| {
            if let Part::Text(tokens) = part {
                tokens.truncate(left);
            }
            let is_kept = left > 0 && part.token_count() <= left;
            left = left.saturating_sub(part.token_count());
            is_kept
        });
        self
    }

    fn then(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }
}

impl Part {
    fn token_count(&self) -> usize {
        match self {
            Self::Text(tokens) => tokens.len(),
            Self::Tool { .. } => 1,
            Self::Pause(_) | Self::Stall | Self::Exception { .. } | Self::Cut => 0,
        }
    }
}

/// Splits before each run of spaces, so that the tokens joined are the text again.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut inside_word = false;
    for character in text.chars() {
        let starts_token = tokens.is_empty() || (character.is_whitespace() && inside_word);
        if starts_token {
            tokens.push(String::new());
        }
        if let Some(token) = tokens.last_mut() {
            token.push(character);
        }
        inside_word = !character.is_whitespace();
    }
    tokens
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_beginning_of_an_answer_has_as_many_tokens_as_asked() {
        let answer = Answer::text("one two").then_tool("t", "f", "").then_text("three four");
        assert_eq!(answer.token_count(), 5);
        for (tokens, text, tools) in
            [(0, "", 0), (1, "one", 0), (2, "one two", 0), (3, "one two", 1), (4, "one twothree", 1)]
        {
            let begun = answer.clone().up_to_token(tokens);
            assert_eq!((begun.full_text().as_str(), begun.tool_calls().len()), (text, tools), "{tokens}");
        }
        assert_eq!(answer.clone().up_to_token(9), answer);
    }

    #[test]
    fn a_token_is_a_word_with_the_space_before_it() {
        assert_eq!(tokens("Hello there,  you"), ["Hello", " there,", "  you"]);
        assert_eq!(tokens(" lead"), [" lead"]);
        assert!(tokens("").is_empty());
    }

    proptest! {
        #[test]
        fn tokens_joined_are_the_text(text in any::<String>()) {
            prop_assert_eq!(tokens(&text).concat(), text);
        }
    }
}
