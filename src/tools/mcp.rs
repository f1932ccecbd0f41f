//! Tools of servers that speak the Model Context Protocol over streamable HTTP: what they offer, and calling them.
//!
//! The protocol itself is the SDK's business. What belongs here is what a telephone call needs of it: connections that
//! are kept, deadlines, limits, and an outcome that a model can speak about whatever happens.

mod connection;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod listing;
mod offer;
mod outcome;
mod server;
mod servers;
mod transport;
mod trouble;

use std::sync::Arc;

use reqwest::header::{HeaderName, HeaderValue};
use rmcp::model::{CallToolRequestParams, CallToolResult, RequestMetaObject};
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::warn;
use url::Url;
use voice_core::ports::{BoxFuture, RemoteTools, RemoteToolsError, SecretSource, ToolRequest};
use voice_core::use_case::{HeaderSource, McpServer, McpTool, OWN_HEADERS, Tool};

use super::McpCaller;
use crate::metrics::{Counter, Metrics};
use server::{Means, Server};
use servers::Servers;
use trouble::Trouble;

/// Says why a URL must not be asked. The addresses behind names are for the HTTP client to check.
pub type UrlCheck = Arc<dyn Fn(&Url) -> Result<(), String> + Send + Sync>;

/// The servers that use cases name, with a connection and a list of tools each. Clones share them.
#[derive(Clone, Debug)]
pub struct McpServers {
    means: Means,
    servers: Arc<Servers>,
    metrics: Metrics,
}

impl McpServers {
    /// `check` and `client` together decide what may be reached; `client` should follow no redirects. Connecting and
    /// listing run as `tasks`, so that they end although the call that wanted them does not wait.
    pub fn new(
        client: reqwest::Client,
        check: UrlCheck,
        secrets: Arc<dyn SecretSource>,
        metrics: Metrics,
        tasks: TaskTracker,
    ) -> Self {
        Self { means: Means { client, check, secrets, tasks }, servers: Arc::default(), metrics }
    }

    fn note(&self, trouble: &Trouble, server: &McpServer, request: Option<&ToolRequest>) {
        self.metrics.count(Counter::McpFailures);
        warn!(
            call.sid = request.map(|request| request.call.call_sid.as_str()),
            tool = request.map(|request| request.tool.name.as_str()),
            mcp.server = %server.name,
            error.kind = trouble.kind(),
            error.detail = trouble.detail(),
            "an MCP server did not do its part"
        );
    }

    /// The answer to one tool call. A connection that turns out to be of no use is made anew, once, when the tool did
    /// not run or may run twice.
    async fn ask(
        &self,
        server: &Arc<Server>,
        tool: &McpTool,
        request: &ToolRequest,
    ) -> Result<CallToolResult, Trouble> {
        let question = question(tool, request);
        let mut may_try_again = true;
        loop {
            let connection = server.connection(&self.means).await?;
            let trouble = match connection.call(question.clone()).await {
                Ok(result) => return Ok(result),
                Err(trouble) => trouble,
            };
            if !trouble.is_of_the_connection() {
                return Err(trouble);
            }
            if matches!(trouble, Trouble::NotLetIn(_)) {
                server.address.doubt_secrets(&self.means);
            }
            server.disconnect(&connection);
            let is_harmless = trouble.nothing_ran() || request.tool.idempotent;
            if !(may_try_again && is_harmless) {
                return Err(trouble);
            }
            may_try_again = false;
        }
    }

    async fn ask_in_time(&self, tool: &McpTool, request: &ToolRequest) -> Result<CallToolResult, Trouble> {
        let server = self.servers.find(&tool.server);
        let limit = tool.server.timeout.min(request.tool.timeout);
        let asked = timeout(limit, self.ask(&server, tool, request)).await;
        asked.unwrap_or_else(|_| {
            // What hangs would go on to take a place among the requests of the connection.
            server.forget_connection();
            Err(Trouble::TimedOut)
        })
    }
}

impl McpCaller for McpServers {
    fn call<'a>(
        &'a self,
        tool: &'a McpTool,
        request: &'a ToolRequest,
    ) -> BoxFuture<'a, Result<Value, String>> {
        Box::pin(async move {
            match self.ask_in_time(tool, request).await {
                Ok(answer) => outcome::of(answer),
                Err(trouble) => {
                    self.note(&trouble, &tool.server, Some(request));
                    Err(trouble.sentence())
                }
            }
        })
    }
}

impl RemoteTools for McpServers {
    fn list(&self, server: Arc<McpServer>) -> BoxFuture<'_, Result<Vec<Tool>, RemoteToolsError>> {
        Box::pin(async move {
            let known: Arc<Server> = self.servers.find(&server);
            let listed = known.tools(&self.means).await;
            // A list that cannot be had is for the caller to report; an old one in its place nobody would notice.
            if let (Some(trouble), Ok(_)) = (listed.news_of_trouble(), &listed.tools) {
                self.note(trouble, &server, None);
            }
            let found = listed.tools.map_err(|trouble| RemoteToolsError {
                server: server.name.clone(),
                reason: trouble.detail().to_owned(),
            })?;
            let (tools, problems) = offer::of(&server, &found);
            if listed.is_news {
                for problem in problems {
                    warn!(mcp.server = %server.name, problem, "a tool of an MCP server is not offered");
                }
            }
            Ok(tools)
        })
    }
}

/// What makes a server unusable, if anything does.
pub fn problem(server: &McpServer) -> Option<String> {
    if let Err(error) = Url::parse(&server.url) {
        return Some(format!("the URL of the server {} cannot be read: {error}", server.name));
    }
    let is_unfit = |(name, source): &(&String, &HeaderSource)| {
        let (HeaderSource::Template(text) | HeaderSource::Secret { prefix: text, .. }) = source;
        HeaderName::from_bytes(name.as_bytes()).is_err()
            || OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str())
            || HeaderValue::from_str(text).is_err()
    };
    let (name, _) = server.headers.iter().find(is_unfit)?;
    Some(format!("the header {name} of the server {} cannot be sent", server.name))
}

/// The request to run the tool, with a key by which the server can tell that it has run before.
fn question(tool: &McpTool, request: &ToolRequest) -> CallToolRequestParams {
    let run = &request.run;
    let key = format!("{}:{}:{}", request.call.call_sid, run.generation, run.call.0);
    let mut meta = RequestMetaObject::new();
    meta.insert("trunkline/idempotencyKey".to_owned(), Value::String(key));
    let mut question = CallToolRequestParams::new(tool.name.clone());
    question.arguments = request.input.as_object().cloned();
    question.meta = Some(meta);
    question
}
