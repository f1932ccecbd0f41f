//! How the phone tells what happens in a call besides speech, in the words of the person who holds it.

use rehearsal::twilio::CallEvent;

/// A note on an event, if it is worth one.
pub(super) fn note(event: &CallEvent) -> Option<String> {
    Some(match event {
        CallEvent::Dialled(target) => format!("dialling {target}"),
        CallEvent::Bridged { to } => format!("connected with {to}"),
        CallEvent::Holding { .. } => "music; you are waiting for somebody".to_owned(),
        CallEvent::Joined { .. } => "somebody is here".to_owned(),
        CallEvent::Enqueued { name, .. } => format!("music; you are waiting in the queue {name}"),
        CallEvent::Gathering => "keys are awaited".to_owned(),
        CallEvent::Played { source } => format!("played {source}"),
        CallEvent::Digits(digits) => format!("the agent presses {digits}"),
        CallEvent::Language { tts_language, transcription_language } => {
            match (tts_language, transcription_language) {
                (Some(speaks), Some(hears)) if speaks != hears => {
                    format!("the agent speaks {speaks} and understands {hears}")
                }
                (Some(speaks), _) => format!("the agent speaks {speaks}"),
                (None, Some(hears)) => format!("the agent understands {hears}"),
                (None, None) => return None,
            }
        }
        CallEvent::Status(status) if status == "ringing" => "ringing".to_owned(),
        _ => return None,
    })
}
