//! Adds the tools of a use case's MCP servers when it is loaded. A server out of reach costs its tools, not the use case.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use tracing::warn;
use voice_core::ports::RemoteTools;
use voice_core::use_case::{McpServer, Tool, UseCase};

use crate::metrics::{Counter, Metrics};

/// A server has this long to tell what it has.
pub(super) const LISTING: Duration = Duration::from_secs(2);

/// The use case with the tools of its servers behind its own. Of two tools with one name the first stays.
pub(super) async fn added(mut use_case: UseCase, remote: &dyn RemoteTools, metrics: &Metrics) -> UseCase {
    let servers = use_case.mcp_servers.clone();
    let lists = join_all(servers.iter().map(|server| list(&use_case.name, server, remote, metrics))).await;
    for tool in lists.into_iter().flatten() {
        if use_case.tools.iter().any(|known| known.name == tool.name) {
            warn!(
                use_case = use_case.name,
                tool = tool.name,
                "a server's tool is left out: its name is taken"
            );
        } else {
            use_case.tools.push(Arc::new(tool));
        }
    }
    use_case
}

async fn list(
    use_case: &str,
    server: &Arc<McpServer>,
    remote: &dyn RemoteTools,
    metrics: &Metrics,
) -> Vec<Tool> {
    let reason = match timeout(LISTING, remote.list(Arc::clone(server))).await {
        Ok(Ok(tools)) => return tools,
        Ok(Err(error)) => error.reason,
        Err(_) => "it took too long".to_owned(),
    };
    metrics.count(Counter::McpUnreachable);
    warn!(use_case, mcp.server = server.name, error = reason, "a server did not tell which tools it has");
    Vec::new()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::time::Instant;
    use voice_core::ports::{BoxFuture, RemoteToolsError};
    use voice_core::use_case::Handler;

    use super::*;

    /// Servers by what they do: `answers`, `refuses` or `hangs`.
    #[derive(Debug)]
    struct Servers;

    impl RemoteTools for Servers {
        fn list(&self, server: Arc<McpServer>) -> BoxFuture<'_, Result<Vec<Tool>, RemoteToolsError>> {
            Box::pin(async move {
                match server.name.as_str() {
                    "hangs" => std::future::pending().await,
                    "refuses" => {
                        let reason = "connection refused".to_owned();
                        Err(RemoteToolsError { server: server.name.clone(), reason })
                    }
                    _ => Ok(vec![
                        Tool::new("end_call", Handler::Unknown("remote".to_owned())),
                        Tool::new(format!("{}find", server.prefix), Handler::CurrentTime),
                    ]),
                }
            })
        }
    }

    fn server(name: &str) -> Arc<McpServer> {
        Arc::new(McpServer {
            name: name.to_owned(),
            url: "https://mcp.example.com".to_owned(),
            headers: BTreeMap::new(),
            allow: vec!["find".to_owned()],
            prefix: format!("{name}_"),
            timeout: LISTING,
            idempotent: Vec::new(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_out_of_reach_costs_its_tools_and_no_more_than_the_deadline() {
        let mut use_case = UseCase::new("reception", "Be kind.");
        use_case.tools.push(Arc::new(Tool::new("end_call", Handler::EndCall)));
        use_case.mcp_servers = ["hangs", "refuses", "answers", "hangs"].map(server).to_vec();
        let (metrics, before) = (Metrics::default(), Instant::now());
        let use_case = added(use_case, &Servers, &metrics).await;
        let names: Vec<_> = use_case.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["end_call", "answers_find"]);
        assert_eq!(use_case.tools[0].handler, Handler::EndCall, "the record's own tool stays");
        assert_eq!(metrics.value(Counter::McpUnreachable), 3);
        assert_eq!(before.elapsed(), LISTING, "they are asked at once");
    }
}
