//! The attributes that Twilio documents and the values that each takes, as data. Those that only its own library for
//! Python knows (9.13.0) take any value, because their values are not documented.

use super::values::Rule;

pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) rule: Rule,
}

const fn attribute(name: &'static str, rule: Rule) -> Attribute {
    Attribute { name, rule }
}

const TTS_PROVIDERS: Rule = Rule::Provider(&["Google", "Amazon", "ElevenLabs"]);
const STT_PROVIDERS: Rule = Rule::Provider(&["Google", "Deepgram"]);

/// `<ConversationRelay>` without its `url`, which the service sets itself.
pub(super) const RELAY: &[Attribute] = &[
    attribute("asrSmartFormat", Rule::Text),
    attribute("backgroundNoiseReduction", Rule::Text),
    attribute("conversationConfiguration", Rule::Text),
    attribute("customerName", Rule::Text),
    attribute("debug", Rule::Words(&["debugging", "speaker-events", "tokens-played"])),
    attribute("deepgramSmartFormat", Rule::Bool),
    attribute("dtmfDetection", Rule::Bool),
    attribute("eagerEotThreshold", Rule::Text),
    attribute("echoPromptFiltering", Rule::Bool),
    attribute("elevenlabsLanguageTextNormalization", Rule::Text),
    attribute("elevenlabsTextNormalization", Rule::OneOf(&["on", "auto", "off"])),
    attribute("eotThreshold", Rule::Number { from: 0.5, to: 0.9 }),
    attribute("events", Rule::Words(&["speaker-events", "tokens-played", "config-updated"])),
    attribute("hints", Rule::Text),
    attribute("ignoreBackchannel", Rule::Bool),
    attribute("includeInPrompt", Rule::Text),
    attribute("intelligenceService", Rule::Text),
    attribute("interruptSensitivity", Rule::OneOf(&["low", "medium", "high"])),
    attribute("interruptible", Rule::Interruptible),
    attribute("language", Rule::LanguageOrMulti),
    attribute("partialPromptOnHangup", Rule::Text),
    attribute("partialPrompts", Rule::Bool),
    attribute("preemptible", Rule::Bool),
    attribute("profanityFilter", Rule::Bool),
    attribute("reportInputDuringAgentSpeech", Rule::Interruptible),
    attribute("applicationReconnect", Rule::Bool),
    attribute("speechModel", Rule::Text),
    attribute("speechTimeout", Rule::AutoOrMilliseconds { from: 600, to: 5000 }),
    attribute("transcriptionLanguage", Rule::LanguageOrMulti),
    attribute("transcriptionProvider", STT_PROVIDERS),
    attribute("ttsLanguage", Rule::LanguageOrMulti),
    attribute("ttsLanguageTextNormalization", Rule::Text),
    attribute("ttsProvider", TTS_PROVIDERS),
    attribute("ttsTextNormalization", Rule::Text),
    attribute("turnDetection", Rule::Text),
    attribute("voice", Rule::Text),
    attribute("welcomeGreeting", Rule::Text),
    attribute("welcomeGreetingInterruptible", Rule::Interruptible),
];

/// `<Language>`.
pub(super) const LANGUAGE: &[Attribute] = &[
    attribute("asrSmartFormat", Rule::Text),
    attribute("code", Rule::LanguageOrMulti),
    attribute("hints", Rule::Text),
    attribute("speechModel", Rule::Text),
    attribute("transcriptionProvider", STT_PROVIDERS),
    attribute("ttsLanguageTextNormalization", Rule::Text),
    attribute("ttsProvider", TTS_PROVIDERS),
    attribute("ttsTextNormalization", Rule::Text),
    attribute("voice", Rule::Text),
];

/// Names that are understood and yet should not be written, with what to say about them.
pub(super) const DEPRECATED: &[(&str, &str)] = &[
    ("interruptByDtmf", "is deprecated by Twilio; `interruptible` takes none, dtmf, speech or any"),
    ("url", "is ignored; the service sets it from its public URL"),
];
