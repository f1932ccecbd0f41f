//! The limits of the fields around the conversation: inference settings, metadata and tools.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Refusal, array, tool_name};

pub(super) fn check(body: &Value) -> Result<(), Refusal> {
    check_inference(body)?;
    check_metadata(body)?;
    match body.get("toolConfig") {
        None | Some(Value::Null) => Ok(()),
        Some(config) => check_tools(config),
    }
}

fn check_inference(body: &Value) -> Result<(), Refusal> {
    let Some(config) = body.get("inferenceConfig") else {
        return Ok(());
    };
    if let Some(tokens) = config.get("maxTokens")
        && tokens.as_u64().is_none_or(|tokens| tokens == 0)
    {
        let limit = "Member must have value greater than or equal to 1";
        return Err(Refusal::constraint(tokens, "inferenceConfig.maxTokens", limit));
    }
    for name in ["temperature", "topP"] {
        let Some(value) = config.get(name) else { continue };
        let path = format!("inferenceConfig.{name}");
        let number = value.as_f64().ok_or_else(|| Refusal::missing(&path))?;
        if number < 0.0 {
            let limit = "Member must have value greater than or equal to 0";
            return Err(Refusal::constraint(value, &path, limit));
        }
        if number > 1.0 {
            return Err(Refusal::constraint(value, &path, "Member must have value less than or equal to 1"));
        }
    }
    check_stop_sequences(config)
}

fn check_stop_sequences(config: &Value) -> Result<(), Refusal> {
    let path = "inferenceConfig.stopSequences";
    let Some(sequences) = array(config, "stopSequences", path)? else {
        return Ok(());
    };
    if sequences.len() > 2500 {
        let limit = "Member must have length less than or equal to 2500";
        return Err(Refusal::constraint(&sequences.len().into(), path, limit));
    }
    if sequences.iter().any(|sequence| sequence.as_str().is_none_or(str::is_empty)) {
        let limit = "Member must satisfy constraint: [Member must have length greater than or equal to 1]";
        return Err(Refusal::constraint(&Value::Array(sequences.to_vec()), path, limit));
    }
    Ok(())
}

fn check_metadata(body: &Value) -> Result<(), Refusal> {
    let path = "requestMetadata";
    let Some(metadata) = body.get(path) else {
        return Ok(());
    };
    let Some(entries) = metadata.as_object() else {
        return Err(Refusal::missing(path));
    };
    let refuse = |limit: &str| Err(Refusal::constraint(metadata, path, limit));
    if entries.is_empty() {
        return refuse("Member must have length greater than or equal to 1");
    }
    if entries.len() > 16 {
        return refuse("Member must have length less than or equal to 16");
    }
    for (key, value) in entries {
        let value = value.as_str().ok_or_else(|| Refusal::missing(&format!("{path}.{key}")))?;
        if key.is_empty() || key.chars().count() > 256 {
            return refuse("Map keys must have length between 1 and 256");
        }
        if value.chars().count() > 256 {
            return refuse("Map values must have length less than or equal to 256");
        }
        if !key.chars().chain(value.chars()).all(is_metadata_character) {
            return refuse(
                r"Map keys and values must satisfy regular expression pattern: [a-zA-Z0-9\s:_@$#=/+,-.]*",
            );
        }
    }
    Ok(())
}

fn is_metadata_character(character: char) -> bool {
    // `\s` of the pattern is ASCII white space, as in the language that the service is written in.
    character.is_ascii_alphanumeric()
        || matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
        || ":_@$#=/+,-.".contains(character)
}

fn check_tools(config: &Value) -> Result<(), Refusal> {
    let path = "toolConfig.tools";
    let tools = array(config, "tools", path)?.ok_or_else(|| Refusal::missing(path))?;
    if tools.is_empty() {
        let limit = "Member must have length greater than or equal to 1";
        return Err(Refusal::constraint(&Value::Array(Vec::new()), path, limit));
    }
    let mut names = BTreeSet::new();
    for (index, tool) in tools.iter().enumerate() {
        if let Some(name) = check_tool(tool, index)?
            && !names.insert(name)
        {
            return Err(Refusal::new(format!("The tool name {name} is used more than once in {path}.")));
        }
    }
    match config.pointer("/toolChoice/tool") {
        Some(choice) => tool_name(choice, "toolConfig.toolChoice.tool").map(|_| ()),
        None => Ok(()),
    }
}

/// Returns the name of the tool when it is one that is described.
fn check_tool(tool: &Value, index: usize) -> Result<Option<&str>, Refusal> {
    let path = format!("toolConfig.tools.{index}");
    let kinds = ["toolSpec", "systemTool", "cachePoint"];
    let members: Vec<&String> = tool.as_object().map(|tool| tool.keys().collect()).unwrap_or_default();
    let [kind] = members.as_slice() else {
        return Err(not_one_of(&path, &kinds));
    };
    if !kinds.contains(&kind.as_str()) {
        return Err(not_one_of(&path, &kinds));
    }
    let Some(specification) = tool.get("toolSpec") else {
        return Ok(None);
    };
    let path = format!("{path}.toolSpec");
    let name = tool_name(specification, &path)?;
    if let Some(description) = specification.get("description")
        && description.as_str().is_none_or(str::is_empty)
    {
        let limit = "Member must have length greater than or equal to 1";
        return Err(Refusal::constraint(description, &format!("{path}.description"), limit));
    }
    if specification.pointer("/inputSchema/json/type").and_then(Value::as_str) != Some("object") {
        return Err(Refusal::new(format!(
            "The value at {path}.inputSchema.json.type must be one of the following: object."
        )));
    }
    Ok(Some(name))
}

fn not_one_of(path: &str, kinds: &[&str]) -> Refusal {
    Refusal::new(format!(
        "The Tool object at {path} must set one of the following keys: {}.",
        kinds.join(", ")
    ))
}
