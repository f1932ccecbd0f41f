//! The names of attributes, those of OpenTelemetry's conventions for generative AI and our own, and how their values are
//! written down for a collector.
//!
//! The names stand here because the crate of conventions has marked all of `gen_ai` as moved elsewhere.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};

pub(super) const OPERATION: &str = "gen_ai.operation.name";
pub(super) const PROVIDER: &str = "gen_ai.provider.name";
pub(super) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(super) const REQUEST_STREAM: &str = "gen_ai.request.stream";
pub(super) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(super) const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
pub(super) const TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
pub(super) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(super) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub(super) const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
pub(super) const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
pub(super) const TOKEN_TYPE: &str = "gen_ai.token.type";
pub(super) const CONVERSATION: &str = "gen_ai.conversation.id";
pub(super) const AGENT: &str = "gen_ai.agent.name";
pub(super) const TOOL: &str = "gen_ai.tool.name";
pub(super) const TOOL_TYPE: &str = "gen_ai.tool.type";
pub(super) const TOOL_CALL: &str = "gen_ai.tool.call.id";
pub(super) const ERROR: &str = "error.type";
/// What a turn, a generation or a session cost, as far as prices are known.
pub(super) const COST: &str = "trunkline.cost_usd";
/// How a session, a call, a turn or a tool run ended.
pub(super) const ENDING: &str = "trunkline.ending";
pub(super) const TRIGGER: &str = "trunkline.trigger";

pub(super) const CHAT: &str = "chat";
pub(super) const EXECUTE_TOOL: &str = "execute_tool";
pub(super) const BEDROCK: &str = "aws.bedrock";
/// Stands for a name that is none.
const OTHER: &str = "_OTHER";

pub(super) fn text(key: &'static str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

pub(super) fn texts(key: &'static str, values: impl IntoIterator<Item = String>) -> KeyValue {
    let value = |value| AnyValue { value: Some(Value::StringValue(value)) };
    attribute(key, Value::ArrayValue(ArrayValue { values: values.into_iter().map(value).collect() }))
}

pub(super) fn count(key: &'static str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

pub(super) fn number(key: &'static str, value: f64) -> KeyValue {
    attribute(key, Value::DoubleValue(value))
}

pub(super) fn flag(key: &'static str, value: bool) -> KeyValue {
    attribute(key, Value::BoolValue(value))
}

fn attribute(key: &'static str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
}

/// A name that a model wrote, if it looks like one. A model can write anything where a name belongs, also what a caller
/// said.
pub(super) fn name(written: &str) -> &str {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    let is_name = written.len() <= 64
        && written.bytes().all(fits)
        && written.bytes().any(|byte| byte.is_ascii_alphabetic());
    if is_name { written } else { OTHER }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_not_told() {
        for sound in ["place_order", "crm.lookup-2", "tooluse_Ab3:1"] {
            assert_eq!(name(sound), sound);
        }
        for odd in ["", "call Ada Lovelace", "+14155550100", "14155550100", &"x".repeat(65)] {
            assert_eq!(name(odd), OTHER);
        }
    }
}
