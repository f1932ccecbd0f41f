//! Our client of MCP servers as a program, for the check against the vendor's own server. It prints one JSON object: the
//! tools that are listed, and what calling each of them comes to.
//!
//! Usage: `mcp_client URL TOOL=ARGUMENTS…`, the arguments of a tool being a JSON object.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value, json};
use tokio_util::task::TaskTracker;
use trunkline::metrics::Metrics;
use trunkline::tools::McpCaller;
use trunkline::tools::mcp::McpServers;
use voice_core::message::{GenerationId, RunId, ToolCallId};
use voice_core::ports::{
    BoxFuture, CallContext, Direction, RemoteTools, SecretError, SecretSource, ToolRequest,
};
use voice_core::private::Private;
use voice_core::use_case::{Handler, McpServer, SecretRef, Tool, UseCase};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the answer of a command")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("the server's URL is missing")?;
    let mut calls = Vec::new();
    for argument in arguments {
        let (tool, input) = argument.split_once('=').context("a call is TOOL=ARGUMENTS")?;
        calls.push((tool.to_owned(), serde_json::from_str(input)?));
    }
    println!("{}", drive(url, calls).await?);
    Ok(())
}

async fn drive(url: String, calls: Vec<(String, Value)>) -> anyhow::Result<Value> {
    let server = Arc::new(McpServer {
        name: "vendor".to_owned(),
        url,
        headers: BTreeMap::new(),
        allow: calls.iter().map(|(tool, _)| tool.clone()).collect(),
        prefix: "v_".to_owned(),
        timeout: Duration::from_secs(5),
        idempotent: Vec::new(),
    });
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
    let (metrics, tasks) = (Metrics::default(), TaskTracker::new());
    let servers = McpServers::new(client, Arc::new(|_| Ok(())), Arc::new(NoSecrets), metrics, tasks);
    let tools = servers.list(Arc::clone(&server)).await?;
    let schemas: Map<String, Value> =
        tools.iter().map(|tool| (tool.name.clone(), tool.input_schema.clone())).collect();
    let mut outcomes = Map::new();
    for (name, input) in calls {
        let tool = tools.iter().find(|tool| tool.name == format!("v_{name}"));
        let tool = tool.with_context(|| format!("{name} is not listed"))?;
        let Handler::Mcp(handler) = &tool.handler else { anyhow::bail!("{name} is no tool of a server") };
        let outcome = match servers.call(handler, &request(tool, input)).await {
            Ok(content) => json!({ "ok": content }),
            Err(reason) => json!({ "error": reason }),
        };
        outcomes.insert(name, outcome);
    }
    Ok(json!({ "schemas": schemas, "outcomes": outcomes }))
}

fn request(tool: &Tool, input: Value) -> ToolRequest {
    ToolRequest {
        run: RunId { generation: GenerationId(1), call: ToolCallId("t-1".to_owned()) },
        tool: Arc::new(tool.clone()),
        input,
        call: Arc::new(CallContext {
            call_sid: "CA00000000000000000000000000000001".to_owned(),
            account_sid: "AC00000000000000000000000000000001".to_owned(),
            from: Private::default(),
            to: Private::default(),
            direction: Direction::Inbound,
            use_case: "vendor".to_owned(),
            caller: None,
            variables: Private::default(),
        }),
        use_case: Arc::new(UseCase::new("vendor", "")),
        owner: "vendor".into(),
    }
}

/// The server asks for none.
#[derive(Debug)]
struct NoSecrets;

impl SecretSource for NoSecrets {
    fn secret<'a>(&'a self, _: &'a SecretRef) -> BoxFuture<'a, Result<Private<String>, SecretError>> {
        let error = SecretError { name: String::new(), reason: "is not kept here", source: None };
        Box::pin(async { Err(error) })
    }
}
