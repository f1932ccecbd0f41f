//! What an operator configures: the persona that answers, and what is known of a caller.
//!
//! These are the checked, ready-to-use forms. Reading them from records or files is not done here.

mod handoff;
mod policies;
mod tool;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use handoff::{
    DEFAULT_TARGET, DEFAULT_TIMEOUT, Destination, Dial, HandoffTarget, HandoffTargets, IfUnanswered, Party,
    Rescue,
};
pub use policies::{
    Budget, CallerLimit, CallingHours, Keep, MaxDuration, OnMachine, OutboundRules, Silence, Storage,
};
pub use tool::{
    DEFAULT_TOOL_TIMEOUT, Handler, HeaderSource, HttpBody, HttpTool, McpServer, McpTool, OWN_HEADERS,
    OnInterrupt, PlaceCall, RecordAction, RecordTool, ResponseMapping, RestaurantTool, SecretRef, SendSms,
    Tool, VerifyChannel,
};

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
    /// Their tools are added to `tools` when the use case is loaded.
    pub mcp_servers: Vec<Arc<McpServer>>,
    pub keypad: BTreeMap<char, KeypadHandler>,
    pub sentences: Sentences,
    pub handoff: HandoffTargets,
    pub rescue: Rescue,
    pub silence: Option<Silence>,
    pub max_duration: Option<MaxDuration>,
    pub budget: Budget,
    pub caller_limit: Option<CallerLimit>,
    pub outbound: OutboundRules,
    pub storage: Storage,
}

impl UseCase {
    /// A use case with a prompt and nothing else.
    pub fn new(name: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: None,
            description: None,
            prompt: prompt.into(),
            channel: Channel::default(),
            relay_attributes: BTreeMap::new(),
            languages: Vec::new(),
            model: None,
            fallback_models: Vec::new(),
            inference: InferenceSettings::default(),
            guardrail: None,
            tools: Vec::new(),
            mcp_servers: Vec::new(),
            keypad: BTreeMap::new(),
            sentences: Sentences::default(),
            handoff: BTreeMap::new(),
            rescue: Rescue::default(),
            silence: None,
            max_duration: None,
            budget: Budget::default(),
            caller_limit: None,
            outbound: OutboundRules::default(),
            storage: Storage::default(),
        }
    }

    /// The sentences in a language: those of its `<Language>` where it has them.
    pub fn sentences_in(&self, language: Option<&str>) -> &Sentences {
        let declared = language.and_then(|code| self.languages.iter().find(|known| known.code() == code));
        declared.and_then(|known| known.sentences.as_ref()).unwrap_or(&self.sentences)
    }
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
    /// Complete; what the record does not say in this language is said as in the use case.
    pub sentences: Option<Sentences>,
}

impl Language {
    pub fn code(&self) -> &str {
        self.attributes.get("code").map_or("", String::as_str)
    }
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
    /// The model could not answer, and the caller is put through to a person.
    pub rescue: String,
    /// There is no room for another call.
    pub busy: String,
    /// A tool is slow and has no filler of its own.
    pub waiting: String,
    /// The agent ends the call without words of its own.
    pub goodbye: String,
    /// The connection was lost while the agent spoke, and is there again.
    pub resumed: String,
    /// The call will soon have lasted as long as it may.
    pub time_warning: String,
    /// The call has lasted as long as it may, or cost as much.
    pub limit: String,
    /// Nothing was heard of the caller for too long.
    pub silence_goodbye: String,
    /// This number has called too often.
    pub too_many_calls: String,
    /// To a person who is called for a caller of whom nothing is told.
    pub whisper_caller: String,
    /// To that person, behind what the call is about.
    pub whisper_question: String,
    /// To a person who is too late.
    pub whisper_gone: String,
    /// The caller is put through because the service cannot answer.
    pub forwarding: String,
    /// A guardrail refused what the caller said.
    pub blocked_input: Option<String>,
    /// A guardrail refused what the model said.
    pub blocked_output: Option<String>,
}

impl Default for Sentences {
    fn default() -> Self {
        Self {
            failure: "I'm sorry, I'm having trouble answering right now. Could you say that again?"
                .to_owned(),
            rescue: "I'm sorry, I can't help you right now. One moment, I'm putting you through to someone who can."
                .to_owned(),
            busy: "All our lines are busy at the moment. Please call again in a few minutes.".to_owned(),
            waiting: "One moment, please.".to_owned(),
            goodbye: "Goodbye.".to_owned(),
            resumed: "I'm back. The line was gone for a moment. Please go on.".to_owned(),
            time_warning: "Just so you know, we have to finish this call soon.".to_owned(),
            limit:
                "I'm sorry, we have to end this call here. Please call again if you need anything. Goodbye."
                    .to_owned(),
            silence_goodbye: "I can't hear you, so I will hang up now. Please call again. Goodbye."
                .to_owned(),
            too_many_calls: "You have called us very often lately. Please try again later.".to_owned(),
            whisper_caller: "A caller would like to speak with you.".to_owned(),
            whisper_question: "Press any key to take the call.".to_owned(),
            whisper_gone: "The caller is no longer on the line.".to_owned(),
            forwarding: "Hang on for a moment while I forward the call to an agent.".to_owned(),
            blocked_input: None,
            blocked_output: None,
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
