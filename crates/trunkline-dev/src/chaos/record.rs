//! The record of a call as the table has it, to be compared with that of another call in which the same was said.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use tokio::time::{Instant, sleep};

use crate::stage::TABLE;

const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

type Item = HashMap<String, AttributeValue>;

/// The messages of a call, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) messages: Vec<Message>,
}

/// A message of the dialogue.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Its place in the journal.
    pub(super) sequence: u32,
    /// Of the session that wrote it last.
    pub(super) epoch: u64,
    pub(super) content: Content,
}

/// What was said. Ids of tool calls are left out; results are told apart by their status alone, because what a tool
/// answered may be another thing every time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Caller { text: String },
    Agent { text: String, tool_calls: Vec<String> },
    Outcomes { statuses: Vec<String>, text: String },
}

/// Waits until the session of the call was marked as ended, which is the last thing that is written of a call.
///
/// # Errors
/// When that does not happen in time, or the table cannot be read.
pub(super) async fn ended(client: &Client, call_sid: &str, within: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    loop {
        let answer = client
            .get_item()
            .table_name(TABLE)
            .key("pk", AttributeValue::S(call_sid.to_owned()))
            .key("sk", AttributeValue::S("connection".to_owned()))
            .consistent_read(true)
            .send()
            .await
            .context("the session was not read")?;
        let status = answer.item.as_ref().and_then(|item| text(item, "status"));
        if status.as_deref() == Some("ended") {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("the session was not ended within {within:?}; its status is {status:?}");
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// Reads what the table has of a call.
///
/// # Errors
/// When it cannot be read, or holds something that is no message.
pub(super) async fn read(client: &Client, call_sid: &str) -> anyhow::Result<Record> {
    let mut pages = client
        .query()
        .table_name(TABLE)
        .key_condition_expression("pk = :call AND begins_with(sk, :turns)")
        .expression_attribute_values(":call", AttributeValue::S(call_sid.to_owned()))
        .expression_attribute_values(":turns", AttributeValue::S("chat::".to_owned()))
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    let mut record = Record::default();
    while let Some(item) = pages.next().await {
        let item = item.context("the journal was not read")?;
        // What nobody heard has a place in the journal, but is no part of the dialogue.
        if item.contains_key("chat") {
            record.messages.push(message(&item).ok_or_else(|| anyhow!("an item is no message"))?);
        }
    }
    Ok(record)
}

impl Record {
    /// Where this record first differs from what it should be; `None` when it does not.
    pub(super) fn difference(&self, expected: &Self) -> Option<String> {
        let contents = |record: &Self| -> Vec<Content> {
            record.messages.iter().map(|message| message.content.without_statuses()).collect()
        };
        let (ours, theirs) = (contents(self), contents(expected));
        let longest = ours.len().max(theirs.len());
        (0..longest).find(|place| ours.get(*place) != theirs.get(*place)).map(|place| {
            let shown = |side: &[Content]| side.get(place).map_or("nothing".to_owned(), ToString::to_string);
            format!("message {}: {} instead of {}", place + 1, shown(&ours), shown(&theirs))
        })
    }

    /// Whether no message was written by a session that another had followed by then.
    pub(super) fn is_in_order(&self) -> bool {
        self.messages.is_sorted_by(|one, next| one.sequence < next.sequence && one.epoch <= next.epoch)
    }

    /// How many tool runs have failed, or have an outcome that is not known.
    pub(super) fn failed_tool_runs(&self) -> usize {
        let statuses = self.messages.iter().flat_map(|message| match &message.content {
            Content::Outcomes { statuses, .. } => statuses.as_slice(),
            Content::Caller { .. } | Content::Agent { .. } => &[],
        });
        statuses.filter(|status| *status == "error").count()
    }

    /// How often the caller is recorded to have said these words.
    pub(super) fn times_said(&self, words: &str) -> usize {
        let said = self.messages.iter().map(|message| match &message.content {
            Content::Caller { text } | Content::Outcomes { text, .. } => text.matches(words).count(),
            Content::Agent { .. } => 0,
        });
        said.sum()
    }
}

impl Content {
    fn without_statuses(&self) -> Self {
        match self {
            Self::Outcomes { statuses, text } => Self::Outcomes {
                statuses: statuses.iter().map(|_| "an outcome".to_owned()).collect(),
                text: text.clone(),
            },
            other => other.clone(),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller { text } => write!(formatter, "the caller's {text:?}"),
            Self::Agent { text, tool_calls } => {
                write!(formatter, "the agent's {text:?}")?;
                tool_calls.iter().try_for_each(|call| write!(formatter, " with a call of {call}"))
            }
            Self::Outcomes { statuses, text } => {
                write!(formatter, "{} of tools and the caller's {text:?}", statuses.join(", "))
            }
        }
    }
}

fn message(item: &Item) -> Option<Message> {
    let chat = item.get("chat")?.as_m().ok()?;
    let blocks = chat.get("content")?.as_l().ok()?;
    let blocks = || blocks.iter().filter_map(|block| block.as_m().ok());
    let texts: Vec<String> = blocks().filter_map(|block| text(block, "text")).collect();
    let statuses: Vec<String> =
        blocks().filter_map(|block| text(block.get("toolResult")?.as_m().ok()?, "status")).collect();
    let content = if text(chat, "role")? == "assistant" {
        let tool_calls = blocks().filter_map(|block| tool_call(block.get("toolUse")?)).collect();
        Content::Agent { text: texts.join(" "), tool_calls }
    } else if statuses.is_empty() {
        Content::Caller { text: texts.join(" ") }
    } else {
        Content::Outcomes { statuses, text: texts.join(" ") }
    };
    Some(Message {
        sequence: text(item, "sk")?.strip_prefix("chat::")?.parse().ok()?,
        epoch: item.get("epoch")?.as_n().ok()?.parse().ok()?,
        content,
    })
}

/// The name of the tool, and what it was called with.
fn tool_call(call: &AttributeValue) -> Option<String> {
    let call = call.as_m().ok()?;
    let input = call.get("input").and_then(|input| input.as_m().ok());
    let mut arguments: Vec<String> = input
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_s().map_or("…", String::as_str)))
        .collect();
    arguments.sort();
    Some(format!("{}({})", text(call, "name")?, arguments.join(", ")))
}

fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(contents: &[Content]) -> Record {
        let message =
            |(sequence, content): (u32, &Content)| Message { sequence, epoch: 1, content: content.clone() };
        Record { messages: (0..).zip(contents).map(message).collect() }
    }

    fn caller(text: &str) -> Content {
        Content::Caller { text: text.to_owned() }
    }

    fn outcome(status: &str) -> Content {
        Content::Outcomes { statuses: vec![status.to_owned()], text: String::new() }
    }

    #[test]
    fn a_turn_that_is_lost_or_doubled_is_a_difference() {
        let expected = record(&[caller("One"), caller("Two")]);
        assert_eq!(expected.difference(&expected), None);
        let lost = record(&[caller("One")]).difference(&expected);
        assert_eq!(lost.as_deref(), Some("message 2: nothing instead of the caller's \"Two\""));
        let doubled = record(&[caller("One"), caller("Two Two")]);
        assert!(doubled.difference(&expected).is_some());
        assert_eq!((doubled.times_said("Two"), doubled.times_said("One")), (2, 1));
    }

    #[test]
    fn a_session_that_was_followed_writes_no_more() {
        let mut record = record(&[caller("One"), caller("Two")]);
        assert!(record.is_in_order());
        record.messages[0].epoch = 2;
        assert!(!record.is_in_order());
    }

    #[test]
    fn an_outcome_that_is_not_known_is_counted_and_no_difference() {
        let (expected, ours) = (record(&[outcome("success")]), record(&[outcome("error")]));
        assert_eq!(ours.difference(&expected), None);
        assert_eq!((ours.failed_tool_runs(), expected.failed_tool_runs()), (1, 0));
    }
}
