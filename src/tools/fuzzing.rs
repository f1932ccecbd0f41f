//! For `crate::fuzzing`: arguments of tools, and the texts that they are filled into.

use std::sync::Arc;

use serde_json::Value;
use voice_core::message::{GenerationId, RunId, ToolCallId};
use voice_core::ports::{CallContext, Direction, ToolRequest};
use voice_core::private::Private;
use voice_core::use_case::{Handler, Tool, UseCase};

use super::arguments::ArgumentCheck;
use super::template::{JsonTemplate, Template, Values};

/// Checks arguments against a schema, and says what is wrong with them.
pub fn check_arguments(schema: &Value, arguments: &Value) -> Result<(), String> {
    ArgumentCheck::compile(schema).check(arguments)
}

/// Fills arguments into a text; in words why not.
pub fn fill_text(template: &str, arguments: Value) -> Result<String, String> {
    Template::compile(template)?.fill_plainly(&values(arguments))
}

/// Fills arguments into the texts of a JSON body.
pub fn fill_json(template: &Value, arguments: Value) -> Result<Value, String> {
    JsonTemplate::compile(template)?.fill(&values(arguments))
}

pub(super) fn values(arguments: Value) -> Values {
    Values::of(&ToolRequest {
        run: RunId { generation: GenerationId(1), call: ToolCallId("call-1".to_owned()) },
        tool: Arc::new(Tool::new("tool", Handler::CurrentTime)),
        input: arguments,
        call: Arc::new(CallContext {
            call_sid: "CA1".to_owned(),
            account_sid: "AC1".to_owned(),
            from: Private::new("+14155550100".to_owned()),
            to: Private::new("+18005550199".to_owned()),
            direction: Direction::Inbound,
            use_case: "fuzzed".to_owned(),
            caller: None,
            variables: Private::default(),
        }),
        use_case: Arc::new(UseCase::new("fuzzed", "")),
        owner: "fuzzing".into(),
    })
}
