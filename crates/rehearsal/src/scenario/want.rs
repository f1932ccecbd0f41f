//! What a step of a scenario expects to happen, and whether an event is that.

use super::turn::contains;
use crate::twilio::rest::SentMessage;
use crate::twilio::{CallEvent, Party};

/// Something that has to happen. Capitals and the kind of white space do not matter in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Said(String),
    Heard(String),
    /// An event of the call that no earlier step has expected.
    Event(WantedEvent),
    /// A text message that was sent since the call began.
    Sms {
        to: Option<String>,
        body: String,
    },
    /// The call is over.
    Ended,
    /// In the user's last message of the last request to the model.
    ModelLastUser(String),
    /// Anywhere in the messages of that request.
    ModelHistory(String),
    ModelHistoryAbsent(String),
}

/// An event with what has to be in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WantedEvent {
    Dialled(String),
    Bridged(String),
    /// Words of the person at the other end.
    Person(String),
    Holding,
    Joined,
    /// The queue or workflow, or words of its task.
    Enqueued(String),
    /// The session speaks or understands this language now.
    Language(String),
    DigitsSent(String),
    Played(String),
    /// Twilio's `CallStatus`.
    Status(String),
    EndedBy(Party),
}

impl Want {
    pub(super) fn words(&self) -> Option<&String> {
        match self {
            Self::Said(words)
            | Self::Heard(words)
            | Self::Sms { body: words, .. }
            | Self::ModelLastUser(words)
            | Self::ModelHistory(words)
            | Self::ModelHistoryAbsent(words) => Some(words),
            Self::Event(event) => event.words(),
            Self::Ended => None,
        }
    }

    /// Whether this is about the model's last request, and so can be judged only when the agent has spoken.
    pub(super) fn is_about_model(&self) -> bool {
        matches!(self, Self::ModelLastUser(_) | Self::ModelHistory(_) | Self::ModelHistoryAbsent(_))
    }

    pub(super) fn is_met_by_message(&self, message: &SentMessage) -> bool {
        match self {
            Self::Sms { to, body } => {
                to.as_ref().is_none_or(|to| *to == message.to) && contains(&message.body, body)
            }
            _ => false,
        }
    }

    /// For the report.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Said(words) => format!("said: \"{words}\""),
            Self::Heard(words) => format!("heard: \"{words}\""),
            Self::Event(event) => event.describe(),
            Self::Sms { to: None, body } => format!("text message: \"{body}\""),
            Self::Sms { to: Some(to), body } => format!("text message to {to}: \"{body}\""),
            Self::Ended => "the call is over".to_owned(),
            Self::ModelLastUser(words) => format!("the model was asked: \"{words}\""),
            Self::ModelHistory(words) => format!("the model knows: \"{words}\""),
            Self::ModelHistoryAbsent(words) => format!("the model does not know: \"{words}\""),
        }
    }
}

impl WantedEvent {
    pub(super) fn is(&self, event: &CallEvent) -> bool {
        match (self, event) {
            (Self::Dialled(words), CallEvent::Dialled(target)) => contains(target, words),
            (Self::Bridged(words), CallEvent::Bridged { to }) => contains(to, words),
            (Self::Person(words), CallEvent::PersonSaid(said)) => contains(said, words),
            (Self::Holding, CallEvent::Holding { .. }) | (Self::Joined, CallEvent::Joined { .. }) => true,
            (Self::Enqueued(words), CallEvent::Enqueued { name, task }) => {
                contains(name, words) || task.as_ref().is_some_and(|task| contains(task, words))
            }
            (Self::Language(code), CallEvent::Language { tts_language, transcription_language }) => {
                [tts_language, transcription_language].into_iter().flatten().any(|language| language == code)
            }
            (Self::DigitsSent(digits), CallEvent::Digits(sent)) => sent == digits,
            (Self::Played(words), CallEvent::Played { source }) => contains(source, words),
            (Self::Status(wanted), CallEvent::Status(status) | CallEvent::HungUp { status, .. }) => {
                status == wanted
            }
            (Self::EndedBy(wanted), CallEvent::HungUp { by, .. }) => by == wanted,
            _ => false,
        }
    }

    fn words(&self) -> Option<&String> {
        match self {
            Self::Dialled(words)
            | Self::Bridged(words)
            | Self::Person(words)
            | Self::Enqueued(words)
            | Self::Language(words)
            | Self::DigitsSent(words)
            | Self::Played(words)
            | Self::Status(words) => Some(words),
            Self::Holding | Self::Joined | Self::EndedBy(_) => None,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Dialled(words) => format!("dialled: \"{words}\""),
            Self::Bridged(words) => format!("connected with \"{words}\""),
            Self::Person(words) => format!("the person said: \"{words}\""),
            Self::Holding => "the caller waits with music".to_owned(),
            Self::Joined => "somebody is in the room with the caller".to_owned(),
            Self::Enqueued(words) => format!("waits in the queue: \"{words}\""),
            Self::Language(code) => format!("the session's language: {code}"),
            Self::DigitsSent(digits) => format!("the agent pressed {digits}"),
            Self::Played(words) => format!("played: \"{words}\""),
            Self::Status(status) => format!("the status of the call: {status}"),
            Self::EndedBy(Party::Caller) => "the caller hung up".to_owned(),
            Self::EndedBy(Party::Service) => "the service hung up".to_owned(),
        }
    }
}
