//! How turns went, as items of their calls: no words, and no numbers of people.
//!
//! A trace is an observation. It is written without a condition, because it stays true whoever owns the call by now.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use jiff::Timestamp;
use serde_json::{Value, json};
use voice_core::message::{GenerationId, OutcomeStatus, RunId, ToolCallId};
use voice_core::ports::{
    FailedAttempt, GenerationTrace, ModelFailureKind, StoreError, StoreErrorKind, ToolTrace, Trigger,
    TurnEnd, TurnTrace,
};

use super::failure::store_error;
use super::reports::{duration, from_usage, milliseconds, text, to_usage, whole, without_nulls};
use super::{DynamoDbStore, Item, expire_at, not_built, to_item};

/// Behind it, the id of the turn's first generation with ten digits, so that traces sort in the order of their turns.
pub(super) const TRACE_PREFIX: &str = "trace::";

/// How often what the table put back is sent again at once.
const ROUNDS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(25);

impl DynamoDbStore {
    pub(super) async fn put_traces(&self, call_sid: &str, traces: &[TurnTrace]) -> Result<(), StoreError> {
        let requests: Result<Vec<_>, _> =
            traces.iter().map(|trace| self.put_trace(call_sid, trace)).collect();
        let mut left = HashMap::from([(self.table.clone(), requests?)]);
        let mut pause = FIRST_PAUSE;
        for _ in 0..ROUNDS {
            if left.values().all(Vec::is_empty) {
                return Ok(());
            }
            let request = self.client.batch_write_item().set_request_items(Some(left));
            let output = request.send().await.map_err(store_error)?;
            // A busy table takes a part and gives the rest back.
            left = output.unprocessed_items.unwrap_or_default();
            if left.values().any(|requests| !requests.is_empty()) {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
        if left.values().all(Vec::is_empty) {
            return Ok(());
        }
        Err(StoreError { kind: StoreErrorKind::Unavailable, source: None })
    }

    fn put_trace(&self, call_sid: &str, trace: &TurnTrace) -> Result<WriteRequest, StoreError> {
        let item = self.trace_item(call_sid, trace)?;
        let put = PutRequest::builder().set_item(Some(item)).build().map_err(not_built)?;
        Ok(WriteRequest::builder().put_request(put).build())
    }

    fn trace_item(&self, call_sid: &str, trace: &TurnTrace) -> Result<Item, StoreError> {
        let Value::Object(mut fields) = from_trace(trace) else { return Ok(Item::new()) };
        fields.insert("pk".to_owned(), Value::from(call_sid));
        fields.insert("sk".to_owned(), Value::from(format!("{TRACE_PREFIX}{:010}", trace.turn.0)));
        let mut item = to_item(&fields)?;
        item.insert("expireAt".to_owned(), expire_at(self.keep_calls));
        Ok(item)
    }
}

fn from_trace(trace: &TurnTrace) -> Value {
    without_nulls(json!({
        "useCase": trace.use_case,
        "trigger": trace.trigger.as_str(),
        "startedAt": Timestamp::try_from(trace.started_at).ok().map(|at| at.to_string()),
        "transcriptionMs": trace.transcription.map(milliseconds),
        "generations": trace.generations.iter().map(from_generation).collect::<Vec<_>>(),
        "tools": trace.tools.iter().map(from_tool).collect::<Vec<_>>(),
        "firstTextMs": trace.first_text.map(milliseconds),
        "firstAudioMs": trace.first_audio.map(milliseconds),
        "endedMs": milliseconds(trace.ended),
        "end": trace.end.as_str(),
    }))
}

/// `None` for what is no trace; the call is told without it.
pub(super) fn to_trace(item: &Value) -> Option<TurnTrace> {
    let turn = item.get("sk")?.as_str()?.strip_prefix(TRACE_PREFIX)?.parse().ok()?;
    let (trigger, end) = (item.get("trigger")?.as_str()?, item.get("end")?.as_str()?);
    let started: Timestamp = item.get("startedAt")?.as_str()?.parse().ok()?;
    let all = |name: &str| item.get(name).and_then(Value::as_array).into_iter().flatten();
    Some(TurnTrace {
        turn: GenerationId(turn),
        use_case: text(item, "useCase").unwrap_or_default(),
        trigger: Trigger::ALL.into_iter().find(|known| known.as_str() == trigger)?,
        started_at: SystemTime::from(started),
        transcription: duration(item, "transcriptionMs"),
        generations: all("generations").filter_map(to_generation).collect(),
        tools: all("tools").filter_map(to_tool).collect(),
        first_text: duration(item, "firstTextMs"),
        first_audio: duration(item, "firstAudioMs"),
        ended: duration(item, "endedMs")?,
        end: TurnEnd::ALL.into_iter().find(|known| known.as_str() == end)?,
    })
}

fn from_generation(generation: &GenerationTrace) -> Value {
    let failed = generation.failed_attempts.iter().map(|attempt| {
        json!({
            "model": attempt.model,
            "kind": attempt.kind.as_str(),
            "afterMs": milliseconds(attempt.after),
        })
    });
    without_nulls(json!({
        "id": generation.id.0,
        "begunMs": milliseconds(generation.begun),
        "firstTextMs": generation.first_text.map(milliseconds),
        "endedMs": generation.ended.map(milliseconds),
        "model": generation.model,
        "stopReason": generation.stop_reason,
        "usage": generation.usage.as_ref().map(from_usage),
        "usageEstimated": generation.estimated.then_some(true),
        "failedAttempts": failed.collect::<Vec<_>>(),
    }))
}

fn to_generation(generation: &Value) -> Option<GenerationTrace> {
    let failed = generation.get("failedAttempts").and_then(Value::as_array).into_iter().flatten();
    Some(GenerationTrace {
        id: generation_id(generation, "id")?,
        begun: duration(generation, "begunMs")?,
        first_text: duration(generation, "firstTextMs"),
        ended: duration(generation, "endedMs"),
        model: text(generation, "model"),
        stop_reason: text(generation, "stopReason"),
        usage: generation.get("usage").map(to_usage),
        estimated: generation.get("usageEstimated") == Some(&Value::Bool(true)),
        failed_attempts: failed.filter_map(to_failed_attempt).collect(),
    })
}

fn to_failed_attempt(attempt: &Value) -> Option<FailedAttempt> {
    let kind = attempt.get("kind")?.as_str()?;
    let kinds = [
        ModelFailureKind::Throttled,
        ModelFailureKind::TimedOut,
        ModelFailureKind::Refused,
        ModelFailureKind::Unavailable,
        ModelFailureKind::Broken,
    ];
    Some(FailedAttempt {
        model: text(attempt, "model").unwrap_or_default(),
        kind: kinds.into_iter().find(|known| known.as_str() == kind)?,
        after: duration(attempt, "afterMs")?,
    })
}

fn from_tool(tool: &ToolTrace) -> Value {
    without_nulls(json!({
        "generation": tool.run.generation.0,
        "toolUseId": tool.run.call.0,
        "tool": tool.tool,
        "begunMs": milliseconds(tool.begun),
        "endedMs": tool.ended.map(milliseconds),
        "status": tool.status.map(from_status),
    }))
}

fn to_tool(tool: &Value) -> Option<ToolTrace> {
    let call = ToolCallId(text(tool, "toolUseId")?);
    Some(ToolTrace {
        run: RunId { generation: generation_id(tool, "generation")?, call },
        tool: text(tool, "tool")?,
        begun: duration(tool, "begunMs")?,
        ended: duration(tool, "endedMs"),
        status: tool.get("status").and_then(Value::as_str).and_then(to_status),
    })
}

fn generation_id(value: &Value, name: &str) -> Option<GenerationId> {
    value.get(name).and_then(whole).and_then(|id| u32::try_from(id).ok()).map(GenerationId)
}

const fn from_status(status: OutcomeStatus) -> &'static str {
    match status {
        OutcomeStatus::Success => "success",
        OutcomeStatus::Error => "error",
    }
}

fn to_status(status: &str) -> Option<OutcomeStatus> {
    [OutcomeStatus::Success, OutcomeStatus::Error].into_iter().find(|known| from_status(*known) == status)
}
