//! `[[model]]` entries: what the model stand-in answers when the service asks it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::bedrock::{Answer, Blocked};

/// One answer as a scenario writes it. Text comes first, then tool calls, then the fault.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ModelEntry {
    text: Option<String>,
    tool: Option<Tool>,
    tools: Vec<Tool>,
    refuse: Option<Refusal>,
    /// A guardrail refuses what the caller said or what the model would say; `text` is its message.
    blocked: Option<Blocked>,
    stall: Option<Stall>,
    exception: Option<Exception>,
    /// Milliseconds from the request to the first token.
    first_token_ms: Option<u64>,
    /// Milliseconds between the words of `text`. Without it, they come all at once.
    token_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    name: String,
    #[serde(default)]
    input: serde_json::Map<String, serde_json::Value>,
    id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    status: u16,
    error: String,
    #[serde(default)]
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stall {
    BeforeFirstToken,
    Mid,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    kind: String,
    #[serde(default)]
    message: String,
}

impl ModelEntry {
    /// The answer that this entry, the `number`th of its scenario, describes.
    pub(super) fn into_answer(self, number: usize) -> anyhow::Result<Answer> {
        let has_content = self.text.is_some() || self.tool.is_some() || !self.tools.is_empty();
        if let Some(refusal) = self.refuse {
            let is_alone =
                !has_content && self.blocked.is_none() && self.stall.is_none() && self.exception.is_none();
            ensure!(is_alone, "`refuse` stands alone: the stream does not begin");
            return Ok(Answer::refuse(refusal.status, refusal.error, refusal.message));
        }
        if let Some(blocked) = self.blocked {
            return self.into_refused(blocked);
        }
        ensure!(
            has_content || self.stall.is_some() || self.exception.is_some(),
            "an answer needs `text`, `tool`, `tools`, `blocked`, `refuse`, `stall` or `exception`"
        );
        if self.stall == Some(Stall::BeforeFirstToken) {
            ensure!(!has_content, "nothing comes after `stall = \"before_first_token\"`");
            return Ok(Answer::stall_before_first_token());
        }
        ensure!(
            self.token_ms.is_none() || self.text.is_some(),
            "`token_ms` paces a `text`, and there is none"
        );
        let mut answer = match (self.text, self.token_ms) {
            (None, _) => Answer::empty(),
            (Some(text), None) => Answer::text(text),
            (Some(text), Some(pause)) => paced(&text, Duration::from_millis(pause)),
        };
        for (index, tool) in self.tool.into_iter().chain(self.tools).enumerate() {
            let id = tool.id.unwrap_or_else(|| format!("tooluse_scenario_{number}_{index}"));
            answer = answer.then_tool(id, tool.name, serde_json::Value::Object(tool.input));
        }
        if self.stall.is_some() {
            answer = answer.stall();
        }
        if let Some(exception) = self.exception {
            answer = answer.exception(exception.kind, exception.message);
        }
        Ok(match self.first_token_ms {
            Some(delay) => answer.slow_first_token(Duration::from_millis(delay)),
            None => answer,
        })
    }
    fn into_refused(self, blocked: Blocked) -> anyhow::Result<Answer> {
        let has_tools = self.tool.is_some() || !self.tools.is_empty();
        let has_faults = self.stall.is_some() || self.exception.is_some() || self.token_ms.is_some();
        ensure!(!has_tools && !has_faults, "`blocked` goes with a `text` and a `first_token_ms` only");
        let message = self.text.context("`blocked` needs a `text`, the guardrail's message")?;
        let answer = Answer::empty().then_blocked(blocked, message);
        Ok(match self.first_token_ms {
            Some(delay) => answer.slow_first_token(Duration::from_millis(delay)),
            None => answer,
        })
    }
}

/// An answer that pauses before each of its words but the first.
fn paced(text: &str, pause: Duration) -> Answer {
    let mut words = text.split_inclusive(char::is_whitespace);
    let first = Answer::text(words.next().unwrap_or_default());
    words.fold(first, |answer, word| answer.pause(pause).then_text(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(entry: &str) -> anyhow::Result<Answer> {
        toml::from_str::<ModelEntry>(entry)?.into_answer(1)
    }

    #[test]
    fn a_guardrails_message_is_an_answer_of_its_own() {
        let expected = Answer::empty().then_blocked(Blocked::Input, "Sorry.");
        assert_eq!(answer("blocked = \"input\"\ntext = \"Sorry.\"").unwrap(), expected);
        for (entry, problem) in [
            ("blocked = \"output\"", "needs a `text`"),
            ("blocked = \"output\"\ntext = \"x\"\nstall = \"mid\"", "goes with a `text`"),
            ("blocked = \"maybe\"\ntext = \"x\"", "maybe"),
        ] {
            let error = format!("{:#}", answer(entry).unwrap_err());
            assert!(error.contains(problem), "{entry}: {error}");
        }
    }
}
