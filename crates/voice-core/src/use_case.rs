//! What an operator configures: the persona that answers, and what is known of a caller.
//!
//! These are the checked, ready-to-use forms. Reading them from records or files is not done here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::private::Private;

/// One configured persona.
#[derive(Clone, Debug, PartialEq)]
pub struct UseCase {
    /// The record's `pk`.
    pub name: String,
    pub title: Option<String>,
    pub description: Option<String>,
    /// The system prompt with its placeholders and templates still in it.
    pub prompt: String,
    pub channel: Channel,
    /// Attributes of `<ConversationRelay>` in `camelCase`, already as the text that goes into the XML.
    pub relay_attributes: BTreeMap<String, String>,
    pub languages: Vec<Language>,
    /// Asked first; the service's default when absent.
    pub model: Option<String>,
    /// Asked in order when [`Self::model`] fails.
    pub fallback_models: Vec<String>,
    pub inference: InferenceSettings,
    pub guardrail: Option<Guardrail>,
    pub tools: Vec<Arc<Tool>>,
    pub keypad: BTreeMap<char, KeypadHandler>,
    pub sentences: Sentences,
}

/// How the call is carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channel {
    #[default]
    ConversationRelay,
    MediaStreams,
    OpenAiSip,
}

impl Channel {
    /// The value of the record's `channel` attribute.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConversationRelay => "conversationRelay",
            Self::MediaStreams => "mediaStreams",
            Self::OpenAiSip => "openaiSip",
        }
    }
}

/// One `<Language>` element: attribute names in `camelCase`; `code` is always among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Language {
    pub attributes: BTreeMap<String, String>,
}

/// How the model is asked to sample.
#[derive(Clone, Debug, PartialEq)]
pub struct InferenceSettings {
    /// Output tokens of one generation. Bedrock reserves quota for it when a request starts.
    pub max_tokens: u32,
    /// Some models take either this or `top_p`.
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub stop_sequences: Vec<String>,
}

impl Default for InferenceSettings {
    fn default() -> Self {
        Self { max_tokens: 1600, temperature: Some(0.3), top_p: None, stop_sequences: Vec::new() }
    }
}

/// A Bedrock guardrail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guardrail {
    pub identifier: String,
    pub version: String,
    /// `sync` holds tokens back until they are scanned, `async` lets them pass meanwhile.
    pub stream_processing: Option<String>,
    pub trace: bool,
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// JSON Schema of the arguments: an object schema.
    pub input_schema: Value,
    /// What runs when the model calls it. A tool that names nothing runs the built-in handler of its own name.
    pub handler: String,
    /// Past it the run's outcome is an error that the model sees.
    pub timeout: Duration,
    pub on_interrupt: OnInterrupt,
    /// Runs only when the turn that called it was completed and heard.
    pub terminal: bool,
    /// Spoken when the run is slow.
    pub filler: Option<String>,
}

/// What becomes of a tool run when the caller interrupts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnInterrupt {
    /// It goes on, and its outcome enters history.
    #[default]
    Finish,
    /// It is dropped, and history says so.
    Cancel,
}

/// What a key of the keypad does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeypadHandler {
    Reply { text: String },
    Run { tool: String },
    ReplyAndRun { text: String, tool: String },
}

/// What the service itself says, outside the model's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentences {
    /// The model could not answer.
    pub failure: String,
    /// There is no room for another call.
    pub busy: String,
    /// A tool is slow and has no filler of its own.
    pub waiting: String,
    /// The agent ends the call without words of its own.
    pub goodbye: String,
    /// The connection was lost while the agent spoke, and is there again.
    pub resumed: String,
}

impl Default for Sentences {
    fn default() -> Self {
        Self {
            failure: "I'm sorry, I'm having trouble answering right now. Could you say that again?"
                .to_owned(),
            busy: "All our lines are busy at the moment. Please call again in a few minutes.".to_owned(),
            waiting: "One moment, please.".to_owned(),
            goodbye: "Goodbye.".to_owned(),
            resumed: "I'm back. The line was gone for a moment. Please go on.".to_owned(),
        }
    }
}

/// What is known of a phone number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallerProfile {
    /// The record's `pk`: a number in E.164 form.
    pub number: Private<String>,
    pub first_name: Option<Private<String>>,
    pub last_name: Option<Private<String>>,
    /// The use case that answers this caller.
    pub use_case: Option<String>,
    /// The whole record, for templates.
    pub attributes: Private<Map<String, Value>>,
}
