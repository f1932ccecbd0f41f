//! Running tools, and what tools need of the outside world.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::{BoxFuture, CallContext};
use crate::message::{RunId, ToolOutcome};
use crate::private::Private;
use crate::use_case::{McpServer, SecretRef, Tool, UseCase};

/// Runs tools.
pub trait ToolRunner: Send + Sync + fmt::Debug {
    /// Runs one tool call to its outcome. Never fails: what goes wrong is an outcome that the model sees.
    fn run(&self, request: ToolRequest) -> BoxFuture<'static, ToolResult>;
}

#[derive(Clone)]
pub struct ToolRequest {
    pub run: RunId,
    pub tool: Arc<Tool>,
    /// A JSON object.
    pub input: Value,
    pub call: Arc<CallContext>,
    /// As which the conversation goes on at the moment.
    pub use_case: Arc<UseCase>,
    /// Names the session in the table.
    pub owner: Arc<str>,
}

impl fmt::Debug for ToolRequest {
    /// Leaves out the arguments.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ToolRequest")
            .field("call_sid", &self.call.call_sid)
            .field("run", &self.run)
            .field("tool", &self.tool.name)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    pub outcome: ToolOutcome,
    pub effect: Option<Effect>,
}

/// What a tool does to the call itself.
#[derive(Clone, PartialEq)]
pub enum Effect {
    EndCall {
        handoff_data: Option<String>,
    },
    /// The carrier is told to end the session and passes `handoff_data` on, which names the target.
    HandOff {
        handoff_data: String,
    },
    SendDigits {
        digits: String,
    },
    /// Plays the recording at an https URL.
    Play {
        source: String,
    },
    /// One of the use case's languages, by its code.
    SwitchLanguage {
        code: String,
    },
    /// Goes on as another use case.
    ChangeUseCase(Arc<UseCase>),
    /// The caller has proved who they are.
    Verified,
}

impl fmt::Debug for Effect {
    /// Leaves out what was made of the caller's words, and the whole of a use case.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndCall { .. } => formatter.debug_struct("EndCall").finish_non_exhaustive(),
            Self::HandOff { .. } => formatter.debug_struct("HandOff").finish_non_exhaustive(),
            Self::SendDigits { .. } => formatter.debug_struct("SendDigits").finish_non_exhaustive(),
            Self::Play { .. } => formatter.debug_struct("Play").finish_non_exhaustive(),
            Self::SwitchLanguage { code } => {
                formatter.debug_struct("SwitchLanguage").field("code", code).finish()
            }
            Self::ChangeUseCase(use_case) => {
                formatter.debug_tuple("ChangeUseCase").field(&use_case.name).finish()
            }
            Self::Verified => formatter.write_str("Verified"),
        }
    }
}

/// Finds use cases.
pub trait UseCaseSource: Send + Sync + fmt::Debug {
    /// The use case of a name, or in words why there is none.
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<UseCase>, String>>;
}

/// Tools that somebody else's server offers.
pub trait RemoteTools: Send + Sync + fmt::Debug {
    /// The allowed tools of a server, under their prefixed names.
    fn list(&self, server: Arc<McpServer>) -> BoxFuture<'_, Result<Vec<Tool>, RemoteToolsError>>;
}

/// A server of tools did not tell what it has. It has been tried within a deadline.
#[derive(Debug, thiserror::Error)]
#[error("the MCP server {server:?}: {reason}")]
pub struct RemoteToolsError {
    pub server: String,
    pub reason: String,
}

/// Where secrets are kept.
pub trait SecretSource: Send + Sync + fmt::Debug {
    fn secret<'a>(&'a self, reference: &'a SecretRef) -> BoxFuture<'a, Result<Private<String>, SecretError>>;
    /// Notes that somebody would not accept a secret: it may have been changed since it was fetched.
    fn refused(&self, _reference: &SecretRef) {}
}

/// A secret cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the secret {name:?} {reason}")]
pub struct SecretError {
    /// Of the variable, or of the secret; never its value.
    pub name: String,
    pub reason: &'static str,
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{GenerationId, ToolCallId};
    use crate::ports::Direction;
    use crate::use_case::Handler;

    #[test]
    fn a_request_does_not_print_its_arguments() {
        let call = CallContext {
            call_sid: "CA1".to_owned(),
            account_sid: String::new(),
            from: Private::default(),
            to: Private::default(),
            use_case: String::new(),
            caller: None,
            direction: Direction::Inbound,
            variables: Private::default(),
        };
        let request = ToolRequest {
            run: RunId { generation: GenerationId(1), call: ToolCallId("a".to_owned()) },
            tool: Arc::new(Tool::new("order", Handler::CurrentTime)),
            input: serde_json::json!({ "what": "secret" }),
            call: Arc::new(call),
            use_case: Arc::new(UseCase::new("test", "secret")),
            owner: "owner".into(),
        };
        let printed = format!("{request:?}");
        assert!(printed.contains("CA1") && printed.contains("order"), "{printed}");
        assert!(!printed.contains("secret"), "{printed}");
    }

    #[test]
    fn an_effect_does_not_print_what_it_passes_on() {
        let secret = || "secret".to_owned();
        for effect in [
            Effect::EndCall { handoff_data: Some(secret()) },
            Effect::HandOff { handoff_data: secret() },
            Effect::SendDigits { digits: secret() },
            Effect::ChangeUseCase(Arc::new(UseCase::new("billing", secret()))),
        ] {
            let printed = format!("{effect:?}");
            assert!(!printed.contains("secret"), "{printed}");
        }
    }
}
