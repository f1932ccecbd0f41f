//! The rules of the conversation as a whole: whose turn it is, and that every tool call is answered.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Refusal, array, blocks};

/// A message of the user or the assistant; `index` is its place in the request.
struct Turn<'a> {
    index: usize,
    role: Role,
    blocks: &'a [Value],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    User,
    Assistant,
    /// Carries nothing but changes to the tools on offer, and takes no turn.
    System,
}

pub(super) fn check(body: &Value) -> Result<(), Refusal> {
    let messages = array(body, "messages", "messages")?.unwrap_or_default();
    let mut turns = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        turns.push(read(message, index)?);
    }
    turns.retain(|turn| turn.role != Role::System);
    check_order(&turns)?;
    for turn in &turns {
        check_blocks(turn)?;
    }
    check_tool_calls(&turns)?;
    check_tools_defined(body, &turns)?;
    check_end(turns.last())
}

fn read(message: &Value, index: usize) -> Result<Turn<'_>, Refusal> {
    let path = format!("messages.{index}");
    let role = message.get("role").unwrap_or(&Value::Null);
    let role = match role.as_str() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => {
            let values = "Member must satisfy enum value set: [user, assistant, system]";
            return Err(Refusal::constraint(role, &format!("{path}.role"), values));
        }
    };
    let blocks = array(message, "content", &format!("{path}.content"))?.unwrap_or_default();
    if blocks.is_empty() {
        return Err(Refusal::new(format!(
            "The content field in the Message object at {path} is empty. \
             Add a ContentBlock object to the content field and try again."
        )));
    }
    let changes_tools =
        |block: &Value| block.get("toolAddition").is_some() || block.get("toolRemoval").is_some();
    if role == Role::System && !blocks.iter().all(changes_tools) {
        return Err(Refusal::new(format!(
            "The system message at {path} can hold nothing but changes of tools."
        )));
    }
    Ok(Turn { index, role, blocks })
}

fn check_order(turns: &[Turn<'_>]) -> Result<(), Refusal> {
    if turns.first().is_none_or(|turn| turn.role != Role::User) {
        return Err(Refusal::new(
            "A conversation must start with a user message. \
             Try again with a conversation that starts with a user message.",
        ));
    }
    if turns.windows(2).any(|pair| pair[0].role == pair[1].role) {
        return Err(Refusal::new(
            "A conversation must alternate between user and assistant roles. \
             Make sure the conversation alternates between user and assistant roles and try again.",
        ));
    }
    Ok(())
}

fn check_blocks(turn: &Turn<'_>) -> Result<(), Refusal> {
    for (index, block) in turn.blocks.iter().enumerate() {
        let path = format!("messages.{}.content.{index}", turn.index);
        let kind = blocks::check(block, index, &path)?;
        let misplaced = match turn.role {
            Role::User => kind == "toolUse",
            Role::Assistant => kind == "toolResult",
            Role::System => false,
        };
        if misplaced {
            return Err(Refusal::new(format!(
                "The {kind} block at {path} is not allowed in a message of its role. \
                 A toolUse belongs to the assistant and a toolResult to the user."
            )));
        }
    }
    Ok(())
}

fn check_tool_calls(turns: &[Turn<'_>]) -> Result<(), Refusal> {
    let mut called_before = BTreeSet::new();
    for turn in turns {
        let called = ids(turn, "toolUse");
        let answered = ids(turn, "toolResult");
        check_duplicates(turn, "toolUse", &called)?;
        check_duplicates(turn, "toolResult", &answered)?;
        if let Some(id) = called.iter().find(|id| !called_before.insert(**id)) {
            return Err(Refusal::new(format!(
                "The model returned the following errors: messages.{}.content: `tool_use` ids must be unique: {id}",
                turn.index
            )));
        }
    }
    let before = std::iter::once(None).chain(turns.iter().map(Some));
    for (previous, turn) in before.zip(turns) {
        let called = previous.map(|turn| ids(turn, "toolUse")).unwrap_or_default();
        check_answers(turn, &called)?;
    }
    Ok(())
}

/// Each call of the turn before is answered once in this one, and nothing else is.
fn check_answers(turn: &Turn<'_>, called: &[&str]) -> Result<(), Refusal> {
    let answered = ids(turn, "toolResult");
    let index = turn.index;
    let missing: Vec<&str> = called.iter().copied().filter(|id| !answered.contains(id)).collect();
    if !missing.is_empty() {
        return Err(Refusal::new(format!(
            "Expected toolResult blocks at messages.{index}.content for the following Ids: {}",
            missing.join(", ")
        )));
    }
    if answered.len() > called.len() {
        return Err(Refusal::new(format!(
            "The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of \
             previous turn."
        )));
    }
    Ok(())
}

fn check_duplicates(turn: &Turn<'_>, kind: &str, ids: &[&str]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    let Some(id) = ids.iter().find(|id| !seen.insert(**id)) else {
        return Ok(());
    };
    Err(Refusal::new(format!(
        "The {kind} blocks at messages.{}.content contain duplicate Ids: {id}",
        turn.index
    )))
}

fn ids<'a>(turn: &Turn<'a>, kind: &str) -> Vec<&'a str> {
    turn.blocks.iter().filter_map(|block| block.get(kind)?.get("toolUseId")?.as_str()).collect()
}

fn check_tools_defined(body: &Value, turns: &[Turn<'_>]) -> Result<(), Refusal> {
    let is_tool_block = |block: &Value| block.get("toolUse").is_some() || block.get("toolResult").is_some();
    let uses_tools = turns.iter().any(|turn| turn.blocks.iter().any(is_tool_block));
    if uses_tools && body.get("toolConfig").is_none_or(Value::is_null) {
        return Err(Refusal::new(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ));
    }
    Ok(())
}

fn check_end(last: Option<&Turn<'_>>) -> Result<(), Refusal> {
    let Some(last) = last.filter(|turn| turn.role == Role::Assistant) else {
        return Ok(());
    };
    let text = last.blocks.last().and_then(|block| block.get("text")?.as_str()).unwrap_or_default();
    if text.ends_with(char::is_whitespace) {
        return Err(Refusal::new(
            "The model returned the following errors: \
             messages: final assistant content cannot end with trailing whitespace",
        ));
    }
    Err(Refusal::new(
        "The model returned the following errors: This model does not support assistant message prefill. \
         The conversation must end with a user message.",
    ))
}
