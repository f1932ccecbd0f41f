//! Events of a `ConverseStream`, put together to what the core understands.

use std::collections::HashMap;

use aws_sdk_bedrockruntime::types::{
    ContentBlockDelta, ContentBlockStart, ConverseStreamOutput as StreamEvent, TokenUsage,
};
use voice_core::ports::{Blocked, ModelEvent, Usage};

use super::guardrail;

/// Tool calls whose arguments are still coming, by the index of their content block.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    tools: HashMap<i32, ToolBlock>,
}

#[derive(Debug)]
struct ToolBlock {
    id: String,
    name: String,
    arguments: String,
}

/// What one event of the stream comes to.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    Nothing,
    /// The model is at work on something that is not complete yet.
    Sign,
    Event(ModelEvent),
    Stopped(String),
    Account(Account),
}

/// What Bedrock tells of an answer behind its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) usage: Option<Usage>,
    /// What the guardrail refused, if anything; none without a trace.
    pub(super) blocked: Option<Blocked>,
}

impl Blocks {
    pub(super) fn read(&mut self, event: StreamEvent) -> Part {
        match event {
            StreamEvent::ContentBlockStart(start) => match start.start {
                Some(ContentBlockStart::ToolUse(tool)) => {
                    let block = ToolBlock { id: tool.tool_use_id, name: tool.name, arguments: String::new() };
                    self.tools.insert(start.content_block_index, block);
                    Part::Sign
                }
                _ => Part::Nothing,
            },
            StreamEvent::ContentBlockDelta(delta) => match delta.delta {
                Some(ContentBlockDelta::Text(text)) if !text.is_empty() => {
                    Part::Event(ModelEvent::Text(text))
                }
                Some(ContentBlockDelta::ToolUse(tool)) => {
                    if let Some(block) = self.tools.get_mut(&delta.content_block_index) {
                        block.arguments.push_str(&tool.input);
                    }
                    Part::Sign
                }
                Some(ContentBlockDelta::ReasoningContent(_)) => Part::Sign,
                _ => Part::Nothing,
            },
            // Only a complete block is a call: what was cut off is not valid JSON.
            StreamEvent::ContentBlockStop(stop) => match self.tools.remove(&stop.content_block_index) {
                Some(ToolBlock { id, name, arguments }) => {
                    Part::Event(ModelEvent::ToolCall { id, name, arguments })
                }
                None => Part::Nothing,
            },
            StreamEvent::MessageStop(stop) => Part::Stopped(stop.stop_reason.as_str().to_owned()),
            StreamEvent::Metadata(metadata) => {
                let trace = metadata.trace.as_ref().and_then(|trace| trace.guardrail.as_ref());
                Part::Account(Account {
                    usage: metadata.usage.as_ref().map(counted),
                    blocked: trace.map(guardrail::blocked),
                })
            }
            _ => Part::Nothing,
        }
    }
}

fn counted(usage: &TokenUsage) -> Usage {
    let count = |tokens: i32| u64::try_from(tokens).unwrap_or_default();
    Usage {
        input: count(usage.input_tokens),
        output: count(usage.output_tokens),
        cache_read: usage.cache_read_input_tokens.map(count).unwrap_or_default(),
        cache_write: usage.cache_write_input_tokens.map(count).unwrap_or_default(),
    }
}
