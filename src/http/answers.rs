//! TwiML that several routes answer with.

use std::collections::BTreeMap;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use voice_core::use_case::UseCase;
use voice_protocols::twiml::{ConversationRelay, Say, Verb, VoiceResponse};

use super::Service;
use super::arrival::Arrival;
use crate::metrics::Counter;
use crate::session::PreparedCall;

/// Spoken when there is nobody to answer.
const APOLOGY: &str = "We are sorry, we cannot take your call right now. Please try again later.";
/// What the core must be told in order to know what the caller heard.
const EVENTS: [&str; 2] = ["speaker-events", "tokens-played"];

/// What a call is connected with besides its use case.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connection<'a> {
    /// The launch of a call that the service placed.
    pub(super) launch: Option<&'a str>,
    pub(super) arrival: Arrival,
}

/// TwiML that connects the call to its conversation.
pub(super) fn connect(service: &Service, prepared: &PreparedCall, connection: Connection<'_>) -> Response {
    let call_sid = &prepared.context.call_sid;
    let mut parameters = BTreeMap::from([
        ("callSid".to_owned(), call_sid.clone()),
        ("useCase".to_owned(), prepared.use_case.name.clone()),
    ]);
    connection.arrival.write_to(&mut parameters);
    let languages = &prepared.use_case.languages;
    let relay = ConversationRelay {
        url: service.public_url.socket(&format!("/relay/{call_sid}")),
        attributes: attributes(prepared),
        languages: languages.iter().map(|language| language.attributes.clone()).collect(),
        parameters,
    };
    let launch = connection.launch.map(|launch| format!("/{launch}")).unwrap_or_default();
    let action = service.public_url.http(&format!("/twiml/ended/{call_sid}{launch}"));
    verbs(vec![Verb::Connect { action, relay }])
}

fn attributes(prepared: &PreparedCall) -> BTreeMap<String, String> {
    let mut attributes = prepared.relay_attributes.clone();
    let events = attributes.entry("events".to_owned()).or_default();
    for event in EVENTS {
        if !events.split_whitespace().any(|wanted| wanted == event) {
            if !events.is_empty() {
                events.push(' ');
            }
            events.push_str(event);
        }
    }
    // Without it no key reaches anybody.
    attributes.entry("dtmfDetection".to_owned()).or_insert_with(|| "true".to_owned());
    attributes
}

/// Says that there is nobody to answer, and hangs up.
pub(super) fn apologise(service: &Service) -> Response {
    service.metrics().count(Counter::CallsApologised);
    say_and_hang_up(Say::new(APOLOGY))
}

pub(super) fn say_and_hang_up(sentence: Say) -> Response {
    verbs(vec![Verb::Say(sentence), Verb::Hangup])
}

pub(super) fn hang_up() -> Response {
    verbs(vec![Verb::Hangup])
}

/// To a report, or for a call that is over: nobody performs it.
pub(super) fn nothing() -> Response {
    verbs(Vec::new())
}

pub(super) fn verbs(verbs: Vec<Verb>) -> Response {
    let xml = VoiceResponse::new(verbs).to_xml();
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], xml).into_response()
}

/// Words of a use case in its own language, where Twilio speaks them instead of the agent.
pub(super) fn spoken(use_case: &UseCase, words: &str) -> Say {
    let attribute = |name: &str| use_case.relay_attributes.get(name);
    let language = attribute("ttsLanguage").or_else(|| attribute("language"));
    // Some values, such as `multi`, name no language that `<Say>` could speak.
    let language = language.filter(|language| language.contains('-')).cloned();
    Say { text: words.to_owned(), language }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_spoken_in_the_language_of_the_use_case() {
        let mut use_case = UseCase::new("desk", "p");
        assert_eq!(spoken(&use_case, "Hi").language, None);
        for (name, value, language) in [
            ("language", "multi", None),
            ("language", "de-DE", Some("de-DE")),
            ("ttsLanguage", "es-US", Some("es-US")),
        ] {
            use_case.relay_attributes.insert(name.to_owned(), value.to_owned());
            assert_eq!(spoken(&use_case, "Hi").language.as_deref(), language, "{name} {value}");
        }
    }
}
