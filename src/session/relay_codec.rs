//! Where ConversationRelay's messages meet the conversation: the only functions that know both.

use voice_core::conversation::{EndReason, Event};
use voice_protocols::relay::{Handoff, Inbound, Info, Outbound, Text};

/// What a message means to the conversation; `None` when it means nothing.
pub(super) fn from_wire(message: Inbound) -> Option<Event> {
    match message {
        Inbound::Prompt(prompt) if prompt.last => {
            Some(Event::CallerSaid { text: prompt.voice_prompt, language: prompt.lang })
        }
        Inbound::Prompt(_) | Inbound::Info(Info::ClientSpeaking(true)) => Some(Event::CallerSpeaking),
        Inbound::Info(Info::ClientSpeaking(false)) => Some(Event::CallerPaused),
        Inbound::Dtmf(dtmf) => Some(Event::KeyPressed { key: dtmf.digit }),
        Inbound::Interrupt(interrupt) => {
            Some(Event::CallerInterrupted { heard: interrupt.utterance_until_interrupt })
        }
        Inbound::Info(Info::TokensPlayed(text)) => Some(Event::Played { text }),
        Inbound::Setup(_) | Inbound::Error(_) | Inbound::Info(_) | Inbound::Unknown { .. } => None,
    }
}

/// Text to be spoken; `last` ends the talk cycle.
pub(super) fn to_wire(text: String, last: bool) -> Outbound {
    Outbound::Text(Text { token: text, last, ..Text::default() })
}

/// Goes on in a language; `hear` when the caller is to be understood in it as well.
pub(super) fn language_to_wire(code: String, hear: bool) -> Outbound {
    Outbound::Language { transcription_language: hear.then(|| code.clone()), tts_language: Some(code) }
}

/// Ends the session of a call, and says why to whoever asks what comes next; nothing when the caller has left.
pub(super) fn end_to_wire(reason: &EndReason, call_sid: &str, use_case: &str) -> Option<Outbound> {
    let code = |code: &str| Some(reason_code(code));
    let handoff_data = match reason {
        EndReason::CallerHungUp => return None,
        EndReason::AgentEnded { handoff_data } => handoff_data.clone(),
        EndReason::HandedOff { handoff_data } => Some(handoff_data.clone()),
        // Nobody is left who could say what the call is about: the person is told in the use case's own words.
        EndReason::Rescued { target } => {
            Some(Handoff { target, reason: "", summary: "", call_sid, use_case }.to_json())
        }
        EndReason::CallerSilent => code("caller-silent"),
        EndReason::TimeUp => code("time-limit"),
        EndReason::BudgetSpent => code("budget"),
    };
    Some(Outbound::End { handoff_data })
}

/// Ends a session after which the call goes on elsewhere, or with an apology.
pub(super) fn leave_to_wire(why: Parting) -> Outbound {
    Outbound::End { handoff_data: Some(reason_code(why.code())) }
}

/// Why a session ended that the conversation did not end. The service reads it when the carrier asks what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// Another task is to take the call. Nothing was lost.
    Handover,
    /// The call's sessions broke too often.
    LostTooOften,
}

impl Parting {
    const ALL: [Self; 2] = [Self::Handover, Self::LostTooOften];

    const fn code(self) -> &'static str {
        match self {
            Self::Handover => "handover",
            Self::LostTooOften => "lost-too-often",
        }
    }

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }
}

fn reason_code(code: &str) -> String {
    serde_json::json!({ "reasonCode": code }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> Option<Event> {
        from_wire(Inbound::parse(json).unwrap())
    }

    #[test]
    fn messages_become_events() {
        let said = Event::CallerSaid { text: "Hi".to_owned(), language: Some("en-US".to_owned()) };
        assert_eq!(event(r#"{"type":"prompt","voicePrompt":"Hi","lang":"en-US","last":true}"#), Some(said));
        assert_eq!(event(r#"{"type":"prompt","voicePrompt":"H","last":false}"#), Some(Event::CallerSpeaking));
        assert_eq!(
            event(r#"{"type":"info","name":"clientSpeaking","value":"on"}"#),
            Some(Event::CallerSpeaking)
        );
        assert_eq!(
            event(r#"{"type":"info","name":"clientSpeaking","value":"off"}"#),
            Some(Event::CallerPaused)
        );
        assert_eq!(event(r##"{"type":"dtmf","digit":"#"}"##), Some(Event::KeyPressed { key: '#' }));
        let heard = Event::CallerInterrupted { heard: "We open".to_owned() };
        assert_eq!(
            event(
                r#"{"type":"interrupt","utteranceUntilInterrupt":"We open","durationUntilInterruptMs":"460"}"#
            ),
            Some(heard)
        );
        let played = Event::Played { text: "We open. ".to_owned() };
        assert_eq!(event(r#"{"type":"info","name":"tokensPlayed","value":"We open. "}"#), Some(played));
        for nothing in [
            r#"{"type":"info","name":"agentSpeaking","value":"on"}"#,
            r#"{"type":"error","description":"Invalid message received, code: 64107"}"#,
            r#"{"type":"novelty"}"#,
        ] {
            assert_eq!(event(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn text_becomes_a_message() {
        assert_eq!(
            to_wire("Hi ".to_owned(), false).to_json(),
            r#"{"type":"text","token":"Hi ","last":false}"#
        );
    }
}
