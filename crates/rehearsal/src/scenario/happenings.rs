//! What has happened in a call besides speech and was not expected by a step yet. It is kept from step to step: a
//! transfer does not wait for the step that expects it.

use super::report::Line;
use super::want::WantedEvent;
use crate::twilio::CallEvent;

/// More is forgotten, oldest first; no scenario comes near.
const MOST: usize = 1000;

#[derive(Debug, Default)]
pub(super) struct Happenings(Vec<CallEvent>);

impl Happenings {
    /// Takes note of an event, if a step can expect such a thing.
    pub(super) fn note(&mut self, event: &CallEvent) {
        if is_expected_by_steps(event) {
            if self.0.len() == MOST {
                self.0.remove(0);
            }
            self.0.push(event.clone());
        }
    }

    /// Whether the wanted has happened; it counts once, but for the end of the call, of which several things are known.
    pub(super) fn take(&mut self, wanted: &WantedEvent) -> bool {
        let Some(found) = self.0.iter().position(|event| wanted.is(event)) else { return false };
        if !matches!(self.0[found], CallEvent::HungUp { .. }) {
            self.0.remove(found);
        }
        true
    }

    /// What has happened instead of something.
    pub(super) fn describe(&self) -> String {
        self.0
            .iter()
            .filter_map(line_of)
            .map(|line| line.to_string().trim().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn is_expected_by_steps(event: &CallEvent) -> bool {
    matches!(
        event,
        CallEvent::Dialled(_)
            | CallEvent::Bridged { .. }
            | CallEvent::PersonSaid(_)
            | CallEvent::Holding { .. }
            | CallEvent::Joined { .. }
            | CallEvent::Enqueued { .. }
            | CallEvent::Language { .. }
            | CallEvent::Digits(_)
            | CallEvent::Played { .. }
            | CallEvent::Status(_)
            | CallEvent::HungUp { .. }
    )
}

/// How the transcript shows such an event.
pub(super) fn line_of(event: &CallEvent) -> Option<Line> {
    let note = match event {
        CallEvent::Dialled(target) => format!("dialled {target}"),
        CallEvent::Bridged { to } => format!("connected with {to}"),
        CallEvent::PersonSaid(words) => return Some(Line::Person(words.clone())),
        CallEvent::Holding { .. } => "music".to_owned(),
        CallEvent::Joined { .. } => "somebody is in the room".to_owned(),
        CallEvent::Enqueued { name, .. } => format!("waits in the queue {name}"),
        CallEvent::Language { tts_language, transcription_language } => {
            let language = tts_language.as_ref().or(transcription_language.as_ref());
            format!("the language is {}", language.map_or("unchanged", String::as_str))
        }
        CallEvent::Digits(digits) => format!("the agent presses {digits}"),
        CallEvent::Played { source } => format!("played {source}"),
        CallEvent::Status(status) => format!("the call is {status}"),
        CallEvent::HungUp { reason, status, .. } => format!("the call is over ({status}): {reason}"),
        _ => return None,
    };
    Some(Line::Note(note))
}
