//! Runs tools: requests to services, records of the table, what the service itself can do for a caller.
//!
//! Implements the `ToolRunner` port: `run` takes a tool call to its outcome, and this file sends it to its handler. When
//! a tool may run, and for how long, is for the conversation to say.

mod arguments;
mod builtin;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod http;
pub mod mcp;
mod prepared;
mod records;
mod restaurant;
mod run;
mod template;
#[cfg(test)]
mod testing;

use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::Value;
use tokio_util::task::TaskTracker;
use tracing::error;
use voice_core::ports::{
    BoxFuture, CallPlacer, Effect, RecordStore, RunStore, SecretSource, Telephony, ToolRequest, ToolResult,
    ToolRunner, UseCaseSource,
};
use voice_core::use_case::{Handler, McpTool, Tool};

use self::prepared::{Plan, Prepared, PreparedTools};
use crate::metrics::Metrics;

/// Calls tools of MCP servers.
pub trait McpCaller: Send + Sync + fmt::Debug {
    /// What the tool answered, or in words that the model can act on why it did not. Logs and counts its failures.
    fn call<'a>(
        &'a self,
        tool: &'a McpTool,
        request: &'a ToolRequest,
    ) -> BoxFuture<'a, Result<Value, String>>;
}

/// What tools need of the rest of the service.
#[derive(Debug)]
pub struct ToolsParts {
    pub runs: Arc<dyn RunStore>,
    pub records: Arc<dyn RecordStore>,
    pub telephony: Arc<dyn Telephony>,
    pub secrets: Arc<dyn SecretSource>,
    pub use_cases: Arc<dyn UseCaseSource>,
    pub placer: Arc<dyn CallPlacer>,
    pub mcp: Arc<dyn McpCaller>,
    pub http: http::Settings,
    /// In which callers are told the time.
    pub time_zone: TimeZone,
    pub metrics: Metrics,
    pub tasks: TaskTracker,
}

/// What makes every run of a tool fail, if anything does: what it names cannot be asked, or not like that.
pub fn problem(tool: &Tool) -> Option<String> {
    match Prepared::new(tool).plan {
        Plan::Unusable(problem) => Some(problem),
        Plan::Request(_) | Plan::Records(_) | Plan::AsConfigured => None,
    }
}

/// The tool runner. Clones share everything.
#[derive(Clone, Debug)]
pub struct Tools(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: ToolsParts,
    http: http::HttpTools,
    prepared: PreparedTools,
}

/// What a handler gives back: an answer, or a reason that the model can speak about.
type Handled = Result<Answer, String>;

/// The content of a successful outcome, and what it does to the call.
#[derive(Debug)]
struct Answer {
    content: Value,
    effect: Option<Effect>,
}

impl Answer {
    const fn with(content: Value, effect: Effect) -> Self {
        Self { content, effect: Some(effect) }
    }
}

impl From<Value> for Answer {
    fn from(content: Value) -> Self {
        Self { content, effect: None }
    }
}

/// What the model is told when a record describes a tool that cannot work.
const NOT_AVAILABLE: &str = "This tool is not available.";

impl Tools {
    /// Fails when no secure connections can be made on this machine.
    pub fn new(parts: ToolsParts) -> Result<Self, http::NoClient> {
        let http = http::HttpTools::new(&parts.http, Arc::clone(&parts.secrets), parts.metrics.clone())?;
        Ok(Self(Arc::new(Inner { parts, http, prepared: PreparedTools::default() })))
    }
}

impl ToolRunner for Tools {
    fn run(&self, request: ToolRequest) -> BoxFuture<'static, ToolResult> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { run::run(&inner, &request).await })
    }
}

impl Inner {
    async fn handle(&self, request: &ToolRequest, prepared: &Prepared) -> Handled {
        match &prepared.plan {
            Plan::Request(endpoint) => self.http.call(endpoint, request).await.map(Answer::from),
            Plan::Records(plan) => {
                records::handle(&*self.parts.records, plan, request).await.map(Answer::from)
            }
            Plan::AsConfigured => self.handle_as_configured(request).await,
            Plan::Unusable(problem) => {
                error!(call.sid = %request.call.call_sid, tool = %request.tool.name, problem, "a tool cannot be used as it is configured");
                Err(NOT_AVAILABLE.to_owned())
            }
        }
    }

    async fn handle_as_configured(&self, request: &ToolRequest) -> Handled {
        match &request.tool.handler {
            Handler::Restaurant(tool) => {
                restaurant::handle(*tool, &*self.parts.records, request).await.map(Answer::from)
            }
            Handler::Mcp(tool) => self.parts.mcp.call(tool, request).await.map(Answer::from),
            _ => builtin::handle(&self.parts, request).await,
        }
    }
}

/// Names a run among all runs of all calls: `<CallSid>:<generation>:<toolUseId>`. Whoever gets it twice can tell that it
/// is the same run.
fn run_key(request: &ToolRequest) -> String {
    format!("{}:{}:{}", request.call.call_sid, request.run.generation, request.run.call.0)
}
