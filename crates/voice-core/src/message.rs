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
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    pub id: ToolCallId,
    pub name: String,
    /// Always a JSON object.
    pub input: Value,
}

/// What goes back to the model for one tool call.
#[derive(Clone, Debug, PartialEq)]
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
