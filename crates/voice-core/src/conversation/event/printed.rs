//! How events and actions are printed: without words of a call, keys, arguments or what is made of them.

use std::fmt::{Debug, Formatter, Result};

use super::{Action, EndReason, Event};

impl Debug for Event {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            Self::CallerSaid { language, .. } => {
                formatter.debug_struct("CallerSaid").field("language", language).finish_non_exhaustive()
            }
            Self::CallerSpeaking => formatter.write_str("CallerSpeaking"),
            Self::CallerPaused => formatter.write_str("CallerPaused"),
            Self::CallerInterrupted { .. } => {
                formatter.debug_struct("CallerInterrupted").finish_non_exhaustive()
            }
            Self::KeyPressed { .. } => formatter.debug_struct("KeyPressed").finish_non_exhaustive(),
            Self::Played { .. } => formatter.debug_struct("Played").finish_non_exhaustive(),
            Self::GenerationText { generation, .. } => formatter
                .debug_struct("GenerationText")
                .field("generation", generation)
                .finish_non_exhaustive(),
            Self::GenerationToolCall { generation, id, name, .. } => formatter
                .debug_struct("GenerationToolCall")
                .field("generation", generation)
                .field("id", id)
                .field("name", name)
                .finish_non_exhaustive(),
            Self::GenerationFinished { generation, tokens, blocked } => formatter
                .debug_struct("GenerationFinished")
                .field("generation", generation)
                .field("tokens", tokens)
                .field("blocked", blocked)
                .finish(),
            Self::GenerationFailed { generation } => {
                formatter.debug_struct("GenerationFailed").field("generation", generation).finish()
            }
            Self::TokensSpent { tokens } => {
                formatter.debug_struct("TokensSpent").field("tokens", tokens).finish()
            }
            Self::ToolFinished { run, result } => {
                formatter.debug_struct("ToolFinished").field("run", run).field("result", result).finish()
            }
            Self::Reconnected => formatter.write_str("Reconnected"),
            Self::CallerHungUp => formatter.write_str("CallerHungUp"),
            Self::DeadlineReached => formatter.write_str("DeadlineReached"),
        }
    }
}

impl Debug for Action {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            Self::StartGeneration { generation } => {
                formatter.debug_struct("StartGeneration").field("generation", generation).finish()
            }
            Self::CancelGeneration { generation } => {
                formatter.debug_struct("CancelGeneration").field("generation", generation).finish()
            }
            Self::StartTool { run, tool, .. } => formatter
                .debug_struct("StartTool")
                .field("run", run)
                .field("tool", &tool.name)
                .finish_non_exhaustive(),
            Self::CancelTool { run } => formatter.debug_struct("CancelTool").field("run", run).finish(),
            Self::Say { last, .. } => {
                formatter.debug_struct("Say").field("last", last).finish_non_exhaustive()
            }
            Self::SwitchLanguage { code, hear } => {
                formatter.debug_struct("SwitchLanguage").field("code", code).field("hear", hear).finish()
            }
            Self::SendDigits { .. } => formatter.debug_struct("SendDigits").finish_non_exhaustive(),
            Self::Play { .. } => formatter.debug_struct("Play").finish_non_exhaustive(),
            Self::ChangeUseCase(use_case) => {
                formatter.debug_tuple("ChangeUseCase").field(&use_case.name).finish()
            }
            Self::Record(record) => formatter.debug_tuple("Record").field(record).finish(),
            Self::Remember(change) => formatter.debug_tuple("Remember").field(change).finish(),
            Self::End(reason) => formatter.debug_tuple("End").field(reason).finish(),
        }
    }
}

impl Debug for EndReason {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        formatter.write_str(match self {
            Self::CallerHungUp => "CallerHungUp",
            // Data of a handoff has a summary of the call in it.
            Self::AgentEnded { .. } => "AgentEnded",
            Self::HandedOff { .. } => "HandedOff",
            Self::Rescued { .. } => "Rescued",
            Self::CallerSilent => "CallerSilent",
            Self::TimeUp => "TimeUp",
            Self::BudgetSpent => "BudgetSpent",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::history::Record;
    use crate::message::{GenerationId, Message, RunId, ToolCallId, ToolOutcome};
    use crate::ports::{Effect, ToolResult};
    use crate::use_case::{Handler, Tool, UseCase};

    fn secret() -> String {
        "secret".to_owned()
    }

    fn run() -> RunId {
        RunId { generation: GenerationId(1), call: ToolCallId("a".to_owned()) }
    }

    fn assert_hidden(value: &impl Debug) {
        let printed = format!("{value:?} {value:#?}");
        assert!(!printed.contains("secret") && !printed.contains('7'), "{printed}");
    }

    #[test]
    fn no_event_prints_words_keys_or_arguments() {
        let generation = GenerationId(1);
        let outcome = ToolOutcome::success(ToolCallId("a".to_owned()), json!({ "found": "secret" }));
        let effect = Some(Effect::HandOff { handoff_data: secret() });
        let (id, name) = ("a".to_owned(), "order".to_owned());
        for event in [
            Event::CallerSaid { text: secret(), language: None },
            Event::CallerInterrupted { heard: secret() },
            Event::KeyPressed { key: '7' },
            Event::Played { text: secret() },
            Event::GenerationText { generation, text: secret() },
            Event::GenerationToolCall { generation, id, name, arguments: secret() },
            Event::ToolFinished { run: run(), result: ToolResult { outcome, effect } },
        ] {
            assert_hidden(&event);
        }
    }

    #[test]
    fn no_action_prints_words_keys_or_arguments() {
        let message = Some(Arc::new(Message::Caller { text: secret() }));
        let tool = Arc::new(Tool::new("order", Handler::CurrentTime));
        for action in [
            Action::StartTool { run: run(), tool, input: json!({ "what": "secret" }) },
            Action::Say { text: secret(), last: true },
            Action::SendDigits { digits: "7".to_owned() },
            Action::ChangeUseCase(Arc::new(UseCase::new("billing", secret()))),
            Action::Record(Record { sequence: 1, message, said: Some("secret".into()) }),
            Action::End(EndReason::HandedOff { handoff_data: secret() }),
            Action::End(EndReason::AgentEnded { handoff_data: Some(secret()) }),
        ] {
            assert_hidden(&action);
        }
    }
}
