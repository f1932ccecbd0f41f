//! A generation as a Converse request.

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::error::BuildError;
use aws_sdk_bedrockruntime::operation::converse_stream::builders::ConverseStreamFluentBuilder;
use aws_sdk_bedrockruntime::types::{
    CachePointBlock, CachePointType, ContentBlock, ConversationRole, GuardrailConverseContentBlock,
    GuardrailConverseTextBlock, GuardrailStreamConfiguration, GuardrailStreamProcessingMode, GuardrailTrace,
    InferenceConfiguration, Message, SystemContentBlock, Tool, ToolConfiguration, ToolInputSchema,
    ToolResultBlock, ToolResultContentBlock, ToolResultStatus, ToolSpecification, ToolUseBlock,
};
use aws_smithy_types::{Document, Number};
use serde_json::Value;
use voice_core::message::{self, OutcomeStatus, ToolOutcome};
use voice_core::ports::GenerationRequest;
use voice_core::use_case::{Guardrail, UseCase};

use super::failure::Failure;
use super::guardrail;

/// Prompt caching begins to pay at this many tokens before the cache point; below it Bedrock ignores the point. By a part
/// of the model id, the most specific first. Models that are not here do not cache.
const CACHE_FROM_TOKENS: &[(&str, usize)] = &[
    ("claude-haiku-4-5", 4096),
    ("claude-sonnet-4-6", 2048),
    ("claude-3-5-haiku", 2048),
    ("claude-opus-4", 1024),
    ("claude-sonnet-4", 1024),
    ("claude-3-7", 1024),
    ("nova-pro", 1024),
    ("nova-lite", 1536),
    ("nova-micro", 1536),
    ("nova-2-lite", 1536),
];
/// Prompts have about four characters to a token.
const CHARACTERS_PER_TOKEN: usize = 4;
/// Bedrock's limit for a value of request metadata.
const METADATA_VALUE: usize = 256;

pub(super) fn converse_stream(
    client: &Client,
    request: &GenerationRequest,
    model: &str,
) -> Result<ConverseStreamFluentBuilder, Failure> {
    let wrong = |error: BuildError| Failure::refused(error.to_string());
    let use_case = &request.use_case;
    let input = client
        .converse_stream()
        .model_id(model)
        .set_messages(Some(messages(request).map_err(wrong)?))
        .set_system(system(&request.system, model).map_err(wrong)?)
        .inference_config(inference(use_case))
        .set_tool_config(tools(request).map_err(wrong)?)
        .set_guardrail_config(
            use_case.guardrail.as_ref().map(|settings| guardrail_config(settings, use_case)),
        )
        .request_metadata("callSid", metadata_value(&request.call.call_sid))
        .request_metadata("useCase", metadata_value(&use_case.name))
        .request_metadata("generation", request.generation.to_string());
    Ok(input)
}

fn messages(request: &GenerationRequest) -> Result<Vec<Message>, BuildError> {
    let is_guarded = request.use_case.guardrail.is_some();
    let assessed = is_guarded.then(|| guardrail::assessed(&request.history)).flatten();
    let messages = request.history.iter().enumerate();
    messages.map(|(index, message)| converse_message(message, assessed == Some(index))).collect()
}

fn converse_message(message: &message::Message, is_assessed: bool) -> Result<Message, BuildError> {
    let builder = Message::builder();
    match message {
        message::Message::Caller { text } => {
            builder.role(ConversationRole::User).content(callers_text(text, is_assessed)?)
        }
        message::Message::Agent { text, tool_calls } => {
            let mut content = Vec::with_capacity(1 + tool_calls.len());
            if !text.is_empty() {
                content.push(ContentBlock::Text(text.clone()));
            }
            for call in tool_calls {
                let block = ToolUseBlock::builder()
                    .tool_use_id(&call.id.0)
                    .name(&call.name)
                    .input(document(&call.input));
                content.push(ContentBlock::ToolUse(block.build()?));
            }
            builder.role(ConversationRole::Assistant).set_content(Some(content))
        }
        message::Message::Outcomes { outcomes, text } => {
            let mut content = outcomes.iter().map(tool_result).collect::<Result<Vec<_>, _>>()?;
            if !text.is_empty() {
                content.push(callers_text(text, is_assessed)?);
            }
            builder.role(ConversationRole::User).set_content(Some(content))
        }
    }
    .build()
}

/// What the caller said. A model reads guarded text like any other.
fn callers_text(text: &str, is_assessed: bool) -> Result<ContentBlock, BuildError> {
    if !is_assessed {
        return Ok(ContentBlock::Text(text.to_owned()));
    }
    let block = GuardrailConverseTextBlock::builder().text(text).build()?;
    Ok(ContentBlock::GuardContent(GuardrailConverseContentBlock::Text(block)))
}

fn tool_result(outcome: &ToolOutcome) -> Result<ContentBlock, BuildError> {
    let status = match outcome.status {
        OutcomeStatus::Success => ToolResultStatus::Success,
        OutcomeStatus::Error => ToolResultStatus::Error,
    };
    let block = ToolResultBlock::builder()
        .tool_use_id(&outcome.id.0)
        .content(ToolResultContentBlock::Json(document(&outcome.content)))
        .status(status);
    Ok(ContentBlock::ToolResult(block.build()?))
}

fn system(prompt: &str, model: &str) -> Result<Option<Vec<SystemContentBlock>>, BuildError> {
    if prompt.trim().is_empty() {
        return Ok(None);
    }
    let mut blocks = vec![SystemContentBlock::Text(prompt.to_owned())];
    if caching_pays(prompt, model) {
        let point = CachePointBlock::builder().r#type(CachePointType::Default).build()?;
        blocks.push(SystemContentBlock::CachePoint(point));
    }
    Ok(Some(blocks))
}

fn caching_pays(prompt: &str, model: &str) -> bool {
    let from = CACHE_FROM_TOKENS.iter().find(|(part, _)| model.contains(part));
    from.is_some_and(|(_, tokens)| prompt.len() / CHARACTERS_PER_TOKEN >= *tokens)
}

#[expect(clippy::cast_possible_wrap, reason = "checked against Bedrock's range when the use case was read")]
fn inference(use_case: &UseCase) -> InferenceConfiguration {
    let settings = &use_case.inference;
    let stop_sequences = (!settings.stop_sequences.is_empty()).then(|| settings.stop_sequences.clone());
    InferenceConfiguration::builder()
        .max_tokens(settings.max_tokens as i32)
        .set_temperature(settings.temperature)
        .set_top_p(settings.top_p)
        .set_stop_sequences(stop_sequences)
        .build()
}

/// Nothing when there are no tools, unless the dialogue still speaks of some: then Bedrock wants them declared.
fn tools(request: &GenerationRequest) -> Result<Option<ToolConfiguration>, BuildError> {
    let mut specs = Vec::new();
    for tool in &request.use_case.tools {
        specs.push(tool_spec(&tool.name, tool.description.as_deref(), &tool.input_schema)?);
    }
    if specs.is_empty() {
        let mut names: Vec<&str> = request.history.iter().flat_map(|message| called(message)).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            specs.push(tool_spec(
                name,
                Some("No longer available."),
                &serde_json::json!({ "type": "object" }),
            )?);
        }
    }
    if specs.is_empty() {
        return Ok(None);
    }
    ToolConfiguration::builder().set_tools(Some(specs)).build().map(Some)
}

fn called(message: &message::Message) -> impl Iterator<Item = &str> {
    let calls = match message {
        message::Message::Agent { tool_calls, .. } => tool_calls.as_slice(),
        message::Message::Caller { .. } | message::Message::Outcomes { .. } => &[],
    };
    calls.iter().map(|call| call.name.as_str())
}

fn tool_spec(name: &str, description: Option<&str>, schema: &Value) -> Result<Tool, BuildError> {
    let spec = ToolSpecification::builder()
        .name(name)
        .set_description(description.map(str::to_owned))
        .input_schema(ToolInputSchema::Json(document(schema)));
    Ok(Tool::ToolSpec(spec.build()?))
}

/// Only the trace tells whether the caller was refused or the model, for which the use case may have sentences.
fn guardrail_config(guardrail: &Guardrail, use_case: &UseCase) -> GuardrailStreamConfiguration {
    let mode = guardrail.stream_processing.as_deref().map(GuardrailStreamProcessingMode::from);
    let wants_trace = guardrail.trace || guardrail::has_sentences(use_case);
    let trace = if wants_trace { GuardrailTrace::Enabled } else { GuardrailTrace::Disabled };
    GuardrailStreamConfiguration::builder()
        .guardrail_identifier(&guardrail.identifier)
        .guardrail_version(&guardrail.version)
        .set_stream_processing_mode(mode)
        .trace(trace)
        .build()
}

/// Only characters that Bedrock takes in request metadata.
fn metadata_value(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " :_@$#=/+,-.".contains(c);
    text.chars().map(|c| if allowed(c) { c } else { '_' }).take(METADATA_VALUE).collect()
}

fn document(value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(value) => Document::Bool(*value),
        Value::String(value) => Document::String(value.clone()),
        Value::Array(values) => Document::Array(values.iter().map(document).collect()),
        Value::Object(fields) => {
            Document::Object(fields.iter().map(|(name, value)| (name.clone(), document(value))).collect())
        }
        Value::Number(number) => {
            Document::Number(match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), _, _) => Number::PosInt(value),
                (None, Some(value), _) => Number::NegInt(value),
                (None, None, value) => Number::Float(value.unwrap_or_default()),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_point_stands_only_where_it_pays() {
        let long = "x".repeat(1536 * CHARACTERS_PER_TOKEN);
        assert!(caching_pays(&long, "us.amazon.nova-lite-v1:0"));
        assert!(!caching_pays(&long, "us.anthropic.claude-haiku-4-5-20251001-v1:0"));
        assert!(!caching_pays(&long, "meta.llama3-70b"));
        assert!(!caching_pays("short", "us.amazon.nova-lite-v1:0"));
    }

    #[test]
    fn metadata_holds_only_what_bedrock_takes() {
        assert_eq!(metadata_value("a(b)\u{e9}c"), "a_b__c");
        assert_eq!(metadata_value(&"x".repeat(999)).len(), METADATA_VALUE);
    }

    #[test]
    fn json_becomes_a_document_without_loss() {
        let value = serde_json::json!({ "a": [1, -2, 2.5, true, null, "x"] });
        let expected = Document::Array(vec![
            Document::Number(Number::PosInt(1)),
            Document::Number(Number::NegInt(-2)),
            Document::Number(Number::Float(2.5)),
            Document::Bool(true),
            Document::Null,
            Document::String("x".to_owned()),
        ]);
        assert_eq!(document(&value), Document::Object([("a".to_owned(), expected)].into()));
    }
}
