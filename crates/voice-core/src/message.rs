//! What a conversation is made of: messages, tool calls and their outcomes.
//!
//! The shape is the one that every model API wants (roles alternate, outcomes answer calls), in our own words.

use std::fmt;

use serde_json::{Value, json};

/// Identifies one run of the model within a call. Events of a cancelled generation are stale and are dropped, which is
/// what makes an interruption free of races.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GenerationId(pub u32);

impl fmt::Display for GenerationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The model's id of a tool call. Unique within a generation, not within a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolCallId(pub String);

/// Identifies one tool run within a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId {
    pub generation: GenerationId,
    pub call: ToolCallId,
}

/// One message of the dialogue.
#[derive(Clone, PartialEq)]
pub enum Message {
    Caller {
        text: String,
    },
    /// `text` holds what the caller heard, or is about to hear. It is empty when the model called tools without a word.
    Agent {
        text: String,
        tool_calls: Vec<ToolCall>,
    },
    /// The outcomes of all tool calls of the agent's message before it, and what the caller said meanwhile.
    Outcomes {
        outcomes: Vec<ToolOutcome>,
        text: String,
    },
}

impl Message {
    /// Whether it stands on the caller's side of the dialogue (`user` in model APIs).
    pub const fn is_callers(&self) -> bool {
        matches!(self, Self::Caller { .. } | Self::Outcomes { .. })
    }
}

/// The model's request to run a tool.
#[derive(Clone, PartialEq)]
pub struct ToolCall {
    pub id: ToolCallId,
    pub name: String,
    /// Always a JSON object.
    pub input: Value,
}

/// What goes back to the model for one tool call.
#[derive(Clone, PartialEq)]
pub struct ToolOutcome {
    pub id: ToolCallId,
    pub status: OutcomeStatus,
    /// Always a JSON object.
    pub content: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeStatus {
    Success,
    Error,
}

/// The field of an outcome that says whether it is known what the run has done. No text, so that no pattern masks it.
const KNOWN: &str = "outcomeKnown";

impl ToolOutcome {
    pub fn success(id: ToolCallId, content: Value) -> Self {
        Self { id, status: OutcomeStatus::Success, content }
    }

    /// An outcome that tells the model, in words, why there is no result.
    pub fn error(id: ToolCallId, reason: impl Into<String>) -> Self {
        Self { id, status: OutcomeStatus::Error, content: json!({ "error": reason.into() }) }
    }

    /// An outcome that tells the model, in words, why nobody knows what the run has done. Whoever learns it later may put
    /// the true outcome in its place.
    pub fn unknown(id: ToolCallId, reason: impl Into<String>) -> Self {
        let content = json!({ "error": reason.into(), KNOWN: false });
        Self { id, status: OutcomeStatus::Error, content }
    }

    /// Whether it was made by [`Self::unknown`], in this process or another.
    pub fn is_unknown(&self) -> bool {
        self.status == OutcomeStatus::Error && self.content.get(KNOWN) == Some(&Value::Bool(false))
    }
}

// Nothing of a dialogue is printed, wherever it is nested: not what was said, nor what tools were given and told.

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller { .. } => formatter.debug_struct("Caller").finish_non_exhaustive(),
            Self::Agent { tool_calls, .. } => {
                formatter.debug_struct("Agent").field("tool_calls", tool_calls).finish_non_exhaustive()
            }
            Self::Outcomes { outcomes, .. } => {
                formatter.debug_struct("Outcomes").field("outcomes", outcomes).finish_non_exhaustive()
            }
        }
    }
}

impl fmt::Debug for ToolCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("ToolCall");
        shown.field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for ToolOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("ToolOutcome");
        shown.field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialogue_is_never_printed() {
        let id = || ToolCallId("a".to_owned());
        let call = ToolCall { id: id(), name: "look_up".to_owned(), input: json!({ "number": "secret" }) };
        let outcomes = vec![ToolOutcome::success(id(), json!({ "balance": "secret" }))];
        let text = || "secret".to_owned();
        for message in [
            Message::Caller { text: text() },
            Message::Agent { text: text(), tool_calls: vec![call] },
            Message::Outcomes { outcomes, text: text() },
        ] {
            let printed = format!("{message:?} {message:#?}");
            assert!(!printed.contains("secret"), "{printed}");
        }
    }
}
