//! What of a server's tools is offered to the model: the allowed ones, under names and with schemas that models take.

use std::sync::Arc;

use rmcp::model::Tool as FoundTool;
use serde_json::Value;
use voice_core::use_case::{Handler, McpServer, McpTool, Tool};

/// Of a description, in characters: it is read by the model in every turn.
const LONGEST_DESCRIPTION: usize = 1000;
/// Of a tool's name, as Bedrock takes it.
const LONGEST_NAME: usize = 64;

/// The tools, in the order of the record, and in words what is wrong with those that are missing.
pub(super) fn of(server: &Arc<McpServer>, found: &[FoundTool]) -> (Vec<Tool>, Vec<String>) {
    let (mut tools, mut problems) = (Vec::new(), Vec::new());
    for name in &server.allow {
        match offered(server, name, found) {
            // Models refuse two tools of one name.
            Ok(tool) if tools.iter().any(|other: &Tool| other.name == tool.name) => {}
            Ok(tool) => tools.push(tool),
            Err(problem) => problems.push(format!("{name:?} {problem}")),
        }
    }
    (tools, problems)
}

fn offered(server: &Arc<McpServer>, name: &str, found: &[FoundTool]) -> Result<Tool, String> {
    let found =
        found.iter().find(|tool| tool.name == name).ok_or("is allowed, and the server does not have it")?;
    let offered_name = format!("{}{name}", server.prefix);
    if !is_a_name(&offered_name) {
        return Err(format!(
            "would be called {offered_name:?}; a name has 1 to {LONGEST_NAME} letters, digits, _ and -"
        ));
    }
    let schema = Value::Object((*found.input_schema).clone());
    check(&schema)?;
    let handler = Handler::Mcp(McpTool { server: Arc::clone(server), name: name.to_owned() });
    Ok(Tool {
        description: found.description.as_deref().and_then(description),
        input_schema: schema,
        timeout: server.timeout,
        idempotent: server.idempotent.iter().any(|idempotent| idempotent == name),
        ..Tool::new(offered_name, handler)
    })
}

fn is_a_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn check(schema: &Value) -> Result<(), String> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err("has a schema of arguments that is not of the type object".to_owned());
    }
    match jsonschema::validator_for(schema) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("has a schema of arguments that is none: {}", error.masked())),
    }
}

/// Models refuse a description without a letter in it.
fn description(text: &str) -> Option<String> {
    let text: String = text.trim().chars().take(LONGEST_DESCRIPTION).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn server(allow: &[&str]) -> Arc<McpServer> {
        Arc::new(McpServer {
            name: "bookings".to_owned(),
            url: "https://example.com/mcp".to_owned(),
            headers: BTreeMap::new(),
            allow: allow.iter().map(|name| (*name).to_owned()).collect(),
            prefix: "crm_".to_owned(),
            timeout: Duration::from_secs(3),
            idempotent: vec!["find".to_owned()],
        })
    }

    fn tool(name: &str, description: &str, schema: Value) -> FoundTool {
        let Value::Object(schema) = schema else { panic!("a schema is an object") };
        FoundTool::new(name.to_owned(), description.to_owned(), schema)
    }

    #[test]
    fn only_what_is_allowed_is_offered_under_its_prefixed_name() {
        let schema = json!({ "type": "object", "properties": { "id": { "type": "string" } } });
        let found = [
            tool("drop_all", "Deletes", schema.clone()),
            tool("find", &"x".repeat(1001), schema.clone()),
            tool("book", "  ", schema.clone()),
        ];
        let server = server(&["book", "find", "book"]);
        let (tools, problems) = of(&server, &found);
        assert_eq!(problems, Vec::<String>::new());
        let [book, find] = tools.as_slice() else { panic!("{tools:?}") };
        assert_eq!((book.name.as_str(), find.name.as_str()), ("crm_book", "crm_find"));
        assert_eq!((book.idempotent, find.idempotent), (false, true));
        assert_eq!(book.description, None);
        assert_eq!(find.description.as_ref().map(String::len), Some(1000));
        assert_eq!((&find.input_schema, find.timeout), (&schema, Duration::from_secs(3)));
        assert_eq!(find.handler, Handler::Mcp(McpTool { server, name: "find".to_owned() }));
    }

    #[test]
    fn what_no_model_takes_is_left_out_with_a_reason() {
        let good = json!({ "type": "object" });
        let found = [
            tool("a.b", "A dot", good.clone()),
            tool(&"n".repeat(61), "A long name", good.clone()),
            tool("text", "No object", json!({ "type": "string" })),
            tool("broken", "No schema", json!({ "type": "object", "properties": 5 })),
            tool("remote", "Elsewhere", json!({ "type": "object", "$ref": "https://example.com/s.json" })),
            tool("fine", "Fine", good),
        ];
        let long = "n".repeat(61);
        let allowed = ["missing", "a.b", &long, "text", "broken", "remote", "fine"];
        let (tools, problems) = of(&server(&allowed), &found);
        assert_eq!(tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["crm_fine"]);
        let reasons = [
            "does not have it",
            "would be called",
            "would be called",
            "not of the type",
            "is none",
            "is none",
        ];
        assert_eq!(problems.len(), reasons.len(), "{problems:?}");
        for (problem, reason) in problems.iter().zip(reasons) {
            assert!(problem.contains(reason), "{problem}");
        }
    }
}
