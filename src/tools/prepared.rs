//! What is worked out once for a tool and used in all of its runs: its schema and its templates, compiled.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use voice_core::use_case::{Handler, Tool};

use super::arguments::ArgumentCheck;
use super::http::Endpoint;
use super::mcp;
use super::records::RecordPlan;

/// Tools of use cases that are in use. Past it the ones that only this cache remembers are forgotten.
const MOST: usize = 1024;

/// A tool, ready to run.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) arguments: ArgumentCheck,
    pub(super) plan: Plan,
}

/// What a run of it does.
#[derive(Debug)]
pub(super) enum Plan {
    Request(Endpoint),
    Records(RecordPlan),
    /// There is nothing to prepare.
    AsConfigured,
    /// It cannot run, and why.
    Unusable(String),
}

impl Prepared {
    pub(super) fn new(tool: &Tool) -> Self {
        let plan = match &tool.handler {
            Handler::Http(http) => Endpoint::compile(http).map(Plan::Request),
            Handler::Record(record) => RecordPlan::compile(record).map(Plan::Records),
            Handler::Mcp(tool) => mcp::problem(&tool.server).map_or(Ok(Plan::AsConfigured), Err),
            Handler::Unknown(name) => Err(format!("there is no handler {name:?}")),
            _ => Ok(Plan::AsConfigured),
        };
        Self {
            arguments: ArgumentCheck::compile(&tool.input_schema),
            plan: plan.unwrap_or_else(Plan::Unusable),
        }
    }
}

/// Prepared tools by identity. A use case that is read anew has new tools.
#[derive(Debug, Default)]
pub(super) struct PreparedTools(RwLock<HashMap<usize, Entry>>);

#[derive(Debug)]
struct Entry {
    /// Kept, so that its address names no other tool meanwhile.
    tool: Arc<Tool>,
    prepared: Arc<Prepared>,
}

impl PreparedTools {
    pub(super) fn get(&self, tool: &Arc<Tool>) -> Arc<Prepared> {
        let key = Arc::as_ptr(tool).addr();
        if let Some(entry) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(&entry.prepared);
        }
        let prepared = Arc::new(Prepared::new(tool));
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MOST {
            entries.retain(|_, entry| Arc::strong_count(&entry.tool) > 1);
        }
        if entries.len() >= MOST {
            entries.clear();
        }
        entries.insert(key, Entry { tool: Arc::clone(tool), prepared: Arc::clone(&prepared) });
        prepared
    }
}

#[cfg(test)]
mod tests {
    use voice_core::use_case::{HeaderSource, McpServer, McpTool};

    use super::*;
    use crate::tools::problem;
    use crate::tools::testing::mcp_tool;

    #[test]
    fn a_tool_is_prepared_once_and_the_cache_is_bounded() {
        let cache = PreparedTools::default();
        let tool = Arc::new(Tool::new("t", Handler::CurrentTime));
        let first = cache.get(&tool);
        assert!(Arc::ptr_eq(&first, &cache.get(&tool)));
        for _ in 0..2 * MOST {
            cache.get(&Arc::new(Tool::new("t", Handler::CurrentTime)));
        }
        assert!(cache.0.read().unwrap().len() <= MOST);
        assert!(Arc::ptr_eq(&first, &cache.get(&tool)), "a tool in use stays");
    }

    #[test]
    fn a_tool_that_cannot_work_says_why() {
        let prepared = Prepared::new(&Tool::new("t", Handler::Unknown("telepathy".to_owned())));
        assert!(matches!(prepared.plan, Plan::Unusable(problem) if problem.contains("telepathy")));
        let with_header = |name: &str, text: &str| {
            let source = HeaderSource::Template(text.to_owned());
            let server =
                McpServer { headers: [(name.to_owned(), source)].into(), ..(*mcp_tool().server).clone() };
            problem(&Tool::new("t", Handler::Mcp(McpTool { server: Arc::new(server), ..mcp_tool() })))
        };
        assert_eq!(with_header("X-Tenant", "7"), None);
        for (name, text) in [("X-Tenant", "7\nX-Admin: yes"), ("Host", "x"), ("no name", "x")] {
            assert!(with_header(name, text).is_some_and(|problem| problem.contains(name)), "{name}");
        }
    }
}
