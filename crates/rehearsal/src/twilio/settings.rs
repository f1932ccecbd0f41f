//! The attributes of `<ConversationRelay>` that change how a session behaves, with Twilio's defaults.
//! Voices and providers are not here: the carrier has no voice.

use std::collections::BTreeMap;

use voice_protocols::relay::Interruptible;

use super::twiml::Relay;

/// How one relay session treats speech, keys and events.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one attribute of the TwiML, and any combination is valid"
)]
pub(crate) struct RelaySettings {
    pub(crate) greeting: Option<String>,
    pub(crate) greeting_interruptible: Interruptible,
    /// What stops the agent's speech unless a message says otherwise.
    pub(crate) interruptible: Interruptible,
    pub(crate) preemptible: bool,
    /// What is delivered while the agent says something that it does not stop.
    pub(crate) report_during_speech: Interruptible,
    pub(crate) dtmf_detection: bool,
    pub(crate) partial_prompts: bool,
    /// The session asked for `agentSpeaking` and `clientSpeaking`.
    pub(crate) speaker_events: bool,
    /// The session asked for `tokensPlayed`.
    pub(crate) tokens_played: bool,
    /// A socket that is lost is opened again, and the session goes on.
    pub(crate) application_reconnect: bool,
    /// The language that prompts report.
    pub(crate) language: String,
}

/// How the caller makes itself noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Speech,
    Key,
}

impl Input {
    /// Whether a setting of `none|dtmf|speech|any` covers this input.
    pub(crate) fn is_covered_by(self, setting: Interruptible) -> bool {
        match setting {
            Interruptible::None => false,
            Interruptible::Any => true,
            Interruptible::Speech => self == Self::Speech,
            Interruptible::Dtmf => self == Self::Key,
        }
    }
}

impl RelaySettings {
    pub(crate) fn of(relay: &Relay) -> Self {
        let attributes = &relay.attributes;
        let events = format!("{} {}", text(attributes, "events"), text(attributes, "debug"));
        let asked_for = |event: &str| events.split_whitespace().any(|word| word == event);
        let language = ["transcriptionLanguage", "language"]
            .iter()
            .find_map(|name| attributes.get(*name))
            .map_or_else(|| "en-US".to_owned(), Clone::clone);
        Self {
            greeting: attributes
                .get("welcomeGreeting")
                .filter(|greeting| !greeting.trim().is_empty())
                .cloned(),
            greeting_interruptible: covering(attributes, "welcomeGreetingInterruptible", Interruptible::Any),
            interruptible: covering(attributes, "interruptible", Interruptible::Any),
            preemptible: is_true(attributes, "preemptible"),
            report_during_speech: covering(attributes, "reportInputDuringAgentSpeech", Interruptible::None),
            dtmf_detection: is_true(attributes, "dtmfDetection"),
            partial_prompts: is_true(attributes, "partialPrompts"),
            speaker_events: asked_for("speaker-events"),
            tokens_played: asked_for("tokens-played"),
            application_reconnect: is_true(attributes, "applicationReconnect"),
            language,
        }
    }
}

fn text<'a>(attributes: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    attributes.get(name).map_or("", String::as_str)
}

fn is_true(attributes: &BTreeMap<String, String>, name: &str) -> bool {
    text(attributes, name).eq_ignore_ascii_case("true")
}

fn covering(attributes: &BTreeMap<String, String>, name: &str, default: Interruptible) -> Interruptible {
    attributes.get(name).and_then(|value| Interruptible::from_attribute(value)).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(attributes: &[(&str, &str)]) -> RelaySettings {
        let attributes =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        RelaySettings::of(&Relay { attributes, ..Relay::default() })
    }

    #[test]
    fn the_defaults_are_those_that_twilio_documents() {
        let settings = settings(&[]);
        assert_eq!(settings.greeting, None);
        assert_eq!(settings.interruptible, Interruptible::Any);
        assert_eq!(settings.greeting_interruptible, Interruptible::Any);
        assert_eq!(settings.report_during_speech, Interruptible::None);
        assert!(!settings.dtmf_detection && !settings.partial_prompts && !settings.preemptible);
        assert!(!settings.speaker_events && !settings.tokens_played && !settings.application_reconnect);
        assert_eq!(settings.language, "en-US");
    }

    #[test]
    fn attributes_replace_the_defaults() {
        let settings = settings(&[
            ("interruptible", "false"),
            ("welcomeGreetingInterruptible", "dtmf"),
            ("reportInputDuringAgentSpeech", "any"),
            ("events", "speaker-events tokens-played"),
            ("dtmfDetection", "true"),
            ("language", "es-ES"),
        ]);
        assert_eq!(settings.interruptible, Interruptible::None);
        assert_eq!(settings.greeting_interruptible, Interruptible::Dtmf);
        assert_eq!(settings.report_during_speech, Interruptible::Any);
        assert!(settings.speaker_events && settings.tokens_played && settings.dtmf_detection);
        assert_eq!(settings.language, "es-ES");
    }

    #[test]
    fn a_setting_covers_the_input_that_it_names() {
        for (setting, speech, key) in [
            (Interruptible::None, false, false),
            (Interruptible::Dtmf, false, true),
            (Interruptible::Speech, true, false),
            (Interruptible::Any, true, true),
        ] {
            assert_eq!(Input::Speech.is_covered_by(setting), speech, "{setting:?}");
            assert_eq!(Input::Key.is_covered_by(setting), key, "{setting:?}");
        }
    }
}
