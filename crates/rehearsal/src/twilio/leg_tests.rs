//! The order of frames, as it was seen on the wire.

use std::time::Duration;

use super::*;
use crate::twilio::twiml::Relay;

const ALL_EVENTS: (&str, &str) = ("events", "speaker-events tokens-played");

/// A leg that speaks ten characters a second.
fn leg(attributes: &[(&str, &str)]) -> Leg {
    let attributes =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let relay = Relay { attributes, ..Relay::default() };
    let pace = SpeechPace { chars_per_second: 10.0, tts_delay: Duration::ZERO };
    Leg::new(RelaySettings::of(&relay), pace)
}

fn after(start: Instant, milliseconds: u64) -> Instant {
    start + Duration::from_millis(milliseconds)
}

/// The frames that were sent, in a short form that shows their order.
fn frames(outputs: &[Output]) -> Vec<String> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send(message) => Some(message),
        Output::Report(_) | Output::Finish(_) => None,
    });
    sent.map(|message| match message {
        Inbound::Prompt(prompt) if prompt.last => format!("final {}", prompt.voice_prompt),
        Inbound::Prompt(prompt) => format!("partial {}", prompt.voice_prompt),
        Inbound::Dtmf(dtmf) => format!("key {}", dtmf.digit),
        Inbound::Interrupt(interrupt) => format!("interrupt {}", interrupt.utterance_until_interrupt),
        Inbound::Info(Info::AgentSpeaking(on)) => format!("agent {on}"),
        Inbound::Info(Info::ClientSpeaking(on)) => format!("client {on}"),
        Inbound::Info(Info::TokensPlayed(text)) => format!("played {text}"),
        other => format!("{other:?}"),
    })
    .collect()
}

fn say(text: &str) -> String {
    serde_json::json!({ "type": "text", "token": text, "last": true }).to_string()
}

#[test]
fn speech_over_the_agent_is_reported_in_the_order_of_the_wire() {
    let (mut leg, start) = (leg(&[ALL_EVENTS, ("partialPrompts", "true")]), Instant::now());
    assert_eq!(frames(&leg.receive(start, &say("One two three."))), ["agent true"]);
    let outputs = leg.say(after(start, 700), &["Stop it".to_owned()]);
    assert_eq!(
        frames(&outputs),
        [
            "client true",
            "played One two",
            "interrupt One two",
            "partial Stop",
            "partial Stop it",
            "client false",
            "final Stop it",
            "agent false",
        ]
    );
    assert_eq!(leg.advance(after(start, 60_000)), []);
}

#[test]
fn a_key_over_the_agent_comes_before_the_interruption() {
    let (mut leg, start) = (leg(&[ALL_EVENTS, ("dtmfDetection", "true")]), Instant::now());
    leg.receive(start, &say("One two three."));
    let outputs = leg.press(after(start, 700), '5');
    assert_eq!(frames(&outputs), ["key 5", "played One two", "interrupt One two", "agent false"]);
}

#[test]
fn nothing_is_reported_that_was_not_asked_for() {
    let (mut leg, start) = (leg(&[]), Instant::now());
    assert_eq!(frames(&leg.receive(start, &say("One two three."))), Vec::<String>::new());
    assert_eq!(
        frames(&leg.say(after(start, 700), &["Stop".to_owned()])),
        ["interrupt One two", "final Stop"]
    );
    assert_eq!(frames(&leg.press(after(start, 900), '1')), Vec::<String>::new());
    assert_eq!(frames(&leg.say_partially(after(start, 900), "I")), Vec::<String>::new());
}

#[test]
fn speech_that_may_not_interrupt_is_delivered_only_on_request() {
    let start = Instant::now();
    let hello = ["Hello".to_owned()];
    let mut deaf = leg(&[("interruptible", "none")]);
    deaf.receive(start, &say("One two three."));
    assert_eq!(deaf.say(start, &hello), [Output::Report(CallEvent::Ignored("Hello".to_owned()))]);
    assert_eq!(frames(&deaf.say(after(start, 5000), &hello)), ["final Hello"]);

    let mut listening = leg(&[("interruptible", "none"), ("reportInputDuringAgentSpeech", "speech")]);
    listening.receive(start, &say("One two three."));
    assert_eq!(frames(&listening.say(start, &hello)), ["final Hello"]);
}

#[test]
fn a_message_overrides_what_may_interrupt_it() {
    let (mut leg, start) = (leg(&[]), Instant::now());
    leg.receive(start, r#"{"type":"text","token":"The law.","last":true,"interruptible":"dtmf"}"#);
    assert_eq!(frames(&leg.say(start, &["Hello".to_owned()])), Vec::<String>::new());
}

#[test]
fn the_greeting_is_spoken_and_may_be_protected() {
    let start = Instant::now();
    let mut leg = leg(&[ALL_EVENTS, ("welcomeGreeting", "Hi."), ("welcomeGreetingInterruptible", "none")]);
    assert_eq!(leg.open(start), [Output::Report(CallEvent::Greeting("Hi.".to_owned()))]);
    assert_eq!(frames(&leg.say(start, &["Hello".to_owned()])), ["agent true"]);
    assert_eq!(frames(&leg.advance(after(start, 300))), ["played Hi.", "agent false"]);
}

#[test]
fn ten_malformed_frames_in_a_row_end_the_session() {
    let (mut leg, now) = (leg(&[]), Instant::now());
    for _ in 0..9 {
        assert!(!leg.receive(now, "nonsense").contains(&Output::Finish(Finish::TooManyMalformed)));
    }
    leg.receive(now, &say("Fine."));
    for _ in 0..9 {
        let outputs = leg.receive(now, r#"{"type":"text","token":null}"#);
        let Some(Output::Send(Inbound::Error(report))) = outputs.first() else { panic!("{outputs:?}") };
        assert_eq!(report.code(), Some(64107));
    }
    assert!(leg.receive_binary().contains(&Output::Finish(Finish::TooManyMalformed)));
}

#[test]
fn the_language_of_prompts_follows_the_service() {
    let (mut leg, now) = (leg(&[("language", "en-GB")]), Instant::now());
    leg.receive(now, r#"{"type":"language","transcriptionLanguage":"es-ES"}"#);
    let outputs = leg.say(now, &["Hola".to_owned()]);
    let [Output::Send(Inbound::Prompt(prompt))] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!(prompt.lang.as_deref(), Some("es-ES"));
}
