//! A model that answers in text.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;

use super::{CallContext, FailedAttempt};
use crate::message::{GenerationId, Message};
use crate::use_case::UseCase;

/// Dropping it cancels the generation.
pub type ModelStream = Pin<Box<dyn Stream<Item = ModelEvent> + Send>>;

/// A model that answers in text, token by token.
pub trait LanguageModel: Send + Sync + fmt::Debug {
    /// Starts a generation. The stream ends with exactly one [`ModelEvent::Finished`] or [`ModelEvent::Failed`], within
    /// deadlines that the adapter keeps.
    fn generate(&self, request: GenerationRequest) -> ModelStream;
}

#[derive(Clone)]
pub struct GenerationRequest {
    pub call: Arc<CallContext>,
    pub generation: GenerationId,
    pub use_case: Arc<UseCase>,
    /// The rendered system prompt.
    pub system: Arc<str>,
    /// Asked in order.
    pub models: Arc<[String]>,
    pub history: Vec<Arc<Message>>,
}

impl fmt::Debug for GenerationRequest {
    /// Leaves out the prompt and the dialogue.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("GenerationRequest");
        shown
            .field("call_sid", &self.call.call_sid)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq)]
pub enum ModelEvent {
    Text(String),
    /// A complete tool call; `arguments` is JSON text as the model wrote it, possibly empty or broken.
    ToolCall {
        id: String,
        name: String,
        arguments: String,
    },
    /// One of the models that were asked did not answer, and another attempt goes on. For the record only.
    AttemptFailed(FailedAttempt),
    Finished(Completion),
    Failed(ModelFailure),
}

impl fmt::Debug for ModelEvent {
    /// Leaves out words and arguments.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => formatter.write_str("Text(..)"),
            Self::ToolCall { id, name, .. } => {
                let mut shown = formatter.debug_struct("ToolCall");
                shown.field("id", id).field("name", name).finish_non_exhaustive()
            }
            Self::AttemptFailed(attempt) => formatter.debug_tuple("AttemptFailed").field(attempt).finish(),
            Self::Finished(completion) => formatter.debug_tuple("Finished").field(completion).finish(),
            Self::Failed(failure) => formatter.debug_tuple("Failed").field(failure).finish(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Why the model stopped, in the vendor's word.
    pub stop_reason: String,
    pub usage: Option<Usage>,
    /// The model that answered; not always the one asked first.
    pub model: String,
    /// A guardrail stood in its way, and what it says instead was not passed on.
    pub blocked: Option<Blocked>,
}

/// What a guardrail refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// What the caller said.
    Input,
    /// What the model said.
    Output,
}

/// Tokens of one generation. `input` does not contain the cached ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
}

impl Usage {
    /// All that the model read, from the cache or not.
    pub const fn all_input(&self) -> u64 {
        self.input + self.cache_read + self.cache_write
    }
}

/// No model answered. Details were logged where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelFailure {
    pub kind: ModelFailureKind,
}

/// A closed set, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelFailureKind {
    Throttled,
    TimedOut,
    Refused,
    Unavailable,
    Broken,
}

impl ModelFailureKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::TimedOut => "timed_out",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Broken => "broken",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_says_is_not_printed() {
        let secret = || "secret".to_owned();
        let call = ModelEvent::ToolCall { id: "a".to_owned(), name: "order".to_owned(), arguments: secret() };
        let printed = format!("{call:?} {:?}", ModelEvent::Text(secret()));
        assert!(printed.contains("order") && !printed.contains("secret"), "{printed}");
    }
}
