//! Reads whole calls: session, dialogue, tool runs, traces, and how the call was handed over or placed.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use voice_core::message::{GenerationId, RunId, ToolCallId};
use voice_core::ports::{
    BoxFuture, CallReader, Direction, GenerationReport, HandoffStore, LaunchRecord, LaunchStore, RecordStore,
    RecordedCall, RecordedMessage, RecordedRun, StoreError, TurnTrace,
};
use voice_core::private::Private;

use super::calls::{RUN_PREFIX, turn};
use super::failure::store_error;
use super::reports::to_report;
use super::runs::outcome;
use super::session_item::{SESSION, known};
use super::traces::{TRACE_PREFIX, to_trace};
use super::{DynamoDbStore, Item, from_attribute, from_item, is_expired, text};

/// A call that was placed is answered within this time.
const RINGING: SignedDuration = SignedDuration::from_hours(1);

impl CallReader for DynamoDbStore {
    fn read_call<'a>(&'a self, call_sid: &'a str) -> BoxFuture<'a, Result<Option<RecordedCall>, StoreError>> {
        Box::pin(async move {
            let items = self.items_of(call_sid).await?;
            let Some(session) = items.iter().find(|item| field(item, "sk").is_some_and(|sk| sk == SESSION))
            else {
                return Ok(None);
            };
            let mut call = opened(call_sid, session);
            for item in &items {
                // What cannot be read must not cost the rest.
                call.messages.extend(message(item));
                call.runs.extend(run(item));
                call.traces.extend(trace(item));
            }
            call.handoff = self.read_handoff(call_sid).await?;
            if call.session.direction == Direction::Outbound {
                call.launch = self.launch_of(call_sid, &call.session.started_at).await?;
            }
            Ok(Some(call))
        })
    }
}

impl DynamoDbStore {
    async fn items_of(&self, call_sid: &str) -> Result<Vec<Item>, StoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :call")
            .expression_attribute_values(":call", text(call_sid))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(store_error)?;
            if !is_expired(&item) {
                items.push(item);
            }
        }
        Ok(items)
    }

    /// A launch knows its call, not the other way round; it is looked for among those of the time.
    async fn launch_of(&self, call_sid: &str, started_at: &str) -> Result<Option<LaunchRecord>, StoreError> {
        let Ok(started) = started_at.parse::<Timestamp>() else { return Ok(None) };
        let before = started.checked_sub(RINGING);
        for hour in [Some(started), before.ok()].into_iter().flatten() {
            let group = format!("launch#{}", hour.strftime("%Y-%m-%dT%H"));
            let launches = self.list_records(&group, usize::MAX).await?;
            let is_its = |launch: &&Map<String, Value>| {
                launch.get("callSid").and_then(Value::as_str) == Some(call_sid)
            };
            let id = launches.iter().find(is_its).and_then(|launch| launch.get("id")?.as_str());
            if let Some(id) = id {
                return self.read_launch(id).await;
            }
        }
        Ok(None)
    }
}

/// What the session item says.
fn opened(call_sid: &str, item: &Item) -> RecordedCall {
    let filled = |name: &str| field(item, name).filter(|text| !text.is_empty()).cloned();
    RecordedCall {
        call_sid: call_sid.to_owned(),
        session: known(item),
        model: filled("llmModel").unwrap_or_default(),
        channel: filled("channel").unwrap_or_default(),
        status: filled("status").unwrap_or_default(),
        ended_at: filled("endedAt"),
        ended_because: filled("endedBecause"),
        messages: Vec::new(),
        runs: Vec::new(),
        traces: Vec::new(),
        handoff: None,
        launch: None,
    }
}

fn message(item: &Item) -> Option<RecordedMessage> {
    let (sequence, message) = turn(item)?;
    Some(RecordedMessage {
        sequence,
        at: field(item, "at").cloned().unwrap_or_default(),
        message,
        said: field(item, "said").map(|said| Private::new(said.clone())),
        generation: report(item),
    })
}

fn report(item: &Item) -> Option<GenerationReport> {
    let report = from_attribute(item.get("generation")?.clone()).ok()?;
    Some(to_report(&report))
}

fn run(item: &Item) -> Option<RecordedRun> {
    let (generation, call) = field(item, "sk")?.strip_prefix(RUN_PREFIX)?.split_once("::")?;
    let is_completed = field(item, "status").is_some_and(|status| status == "completed");
    Some(RecordedRun {
        run: RunId { generation: GenerationId(generation.parse().ok()?), call: ToolCallId(call.to_owned()) },
        tool: field(item, "tool").cloned().unwrap_or_default(),
        started_at: field(item, "startedAt").cloned().unwrap_or_default(),
        completed_at: field(item, "completedAt").cloned().filter(|_| is_completed),
        outcome: outcome(item).map(|outcome| outcome.status),
    })
}

fn trace(item: &Item) -> Option<TurnTrace> {
    if !field(item, "sk")?.starts_with(TRACE_PREFIX) {
        return None;
    }
    to_trace(&Value::Object(from_item(item.clone()).ok()?))
}

fn field<'a>(item: &'a Item, name: &str) -> Option<&'a String> {
    item.get(name).and_then(|value: &AttributeValue| value.as_s().ok())
}
