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

#[derive(Clone, Debug)]
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

#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    pub outcome: ToolOutcome,
    pub effect: Option<Effect>,
}

/// What a tool does to the call itself.
#[derive(Clone, Debug, PartialEq)]
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
