//! A call as one JSON document, for programs. Times are RFC 3339, durations milliseconds.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use voice_core::message::{Message, OutcomeStatus};
use voice_core::ports::{
    GenerationTrace, RecordedCall, RecordedMessage, RecordedRun, ToolTrace, TurnTrace, Usage,
};

use super::waterfall::{parts, slowest};
use super::{View, spent};

pub(super) fn of(call: &RecordedCall, view: View<'_>) -> Value {
    let (session, (usage, cost)) = (&call.session, spent(call, view));
    let number = |number: &str| view.numbers.then(|| number.to_owned()).filter(|number| !number.is_empty());
    json!({
        "callSid": call.call_sid,
        "useCase": session.use_case,
        "model": call.model,
        "channel": call.channel,
        "direction": session.direction.as_str(),
        "from": number(session.from.expose()),
        "to": number(session.to.expose()),
        "status": call.status,
        "startedAt": session.started_at,
        "endedAt": call.ended_at,
        "endedBecause": call.ended_because,
        "sessions": session.epoch,
        "resumes": session.resumes,
        "usage": of_usage(&usage),
        "cost": cost,
        "handoff": call.handoff.as_ref().map(|handoff| json!({
            "target": handoff.target,
            "status": handoff.status.as_str(),
            "startedAt": handoff.started_at,
        })),
        "launch": call.launch.as_ref().map(|launch| json!({
            "id": launch.id,
            "status": launch.status.as_str(),
            "answeredBy": launch.answered_by,
        })),
        "messages": call.messages.iter().map(message).collect::<Vec<_>>(),
        "toolRuns": call.runs.iter().map(run).collect::<Vec<_>>(),
        "turns": call.traces.iter().map(|trace| turn(trace, view)).collect::<Vec<_>>(),
    })
}

fn message(message: &RecordedMessage) -> Value {
    let (who, heard) = match &message.message {
        Some(Message::Caller { text }) => ("caller", text.as_str()),
        Some(Message::Agent { text, .. }) => ("agent", text.as_str()),
        Some(Message::Outcomes { text, .. }) => ("outcomes", text.as_str()),
        None => ("agent", ""),
    };
    json!({
        "sequence": message.sequence,
        "at": message.at,
        "who": who,
        "text": heard,
        "said": message.said.as_ref().map(|said| said.expose().as_str()),
    })
}

fn run(run: &RecordedRun) -> Value {
    json!({
        "generation": run.run.generation.0,
        "toolUseId": run.run.call.0,
        "tool": run.tool,
        "startedAt": run.started_at,
        "completedAt": run.completed_at,
        "status": run.outcome.map(status),
    })
}

fn turn(trace: &TurnTrace, view: View<'_>) -> Value {
    let parts = parts(trace);
    json!({
        "turn": trace.turn.0,
        "useCase": trace.use_case,
        "trigger": trace.trigger.as_str(),
        "startedAt": Timestamp::try_from(trace.started_at).ok().map(|at| at.to_string()),
        "transcriptionMs": trace.transcription.map(milliseconds),
        "firstTextMs": trace.first_text.map(milliseconds),
        "firstAudioMs": trace.first_audio.map(milliseconds),
        "endedMs": milliseconds(trace.ended),
        "end": trace.end.as_str(),
        "slowest": slowest(&parts).map(|part| json!({ "part": part.label, "ms": part.milliseconds() })),
        "generations": trace.generations.iter().map(|part| generation(part, view)).collect::<Vec<_>>(),
        "tools": trace.tools.iter().map(tool).collect::<Vec<_>>(),
    })
}

fn generation(trace: &GenerationTrace, view: View<'_>) -> Value {
    let failed = trace.failed_attempts.iter().map(|attempt| {
        json!({ "model": attempt.model, "kind": attempt.kind.as_str(), "afterMs": milliseconds(attempt.after) })
    });
    let cost = trace.model.as_deref().zip(trace.usage.as_ref());
    json!({
        "id": trace.id.0,
        "model": trace.model,
        "begunMs": milliseconds(trace.begun),
        "firstTextMs": trace.first_text.map(milliseconds),
        "endedMs": trace.ended.map(milliseconds),
        "stopReason": trace.stop_reason,
        "usage": trace.usage.as_ref().map(of_usage),
        "usageEstimated": trace.estimated,
        "cost": cost.and_then(|(model, usage)| (view.price)(model, usage)),
        "failedAttempts": failed.collect::<Vec<_>>(),
    })
}

fn tool(trace: &ToolTrace) -> Value {
    json!({
        "generation": trace.run.generation.0,
        "toolUseId": trace.run.call.0,
        "tool": trace.tool,
        "begunMs": milliseconds(trace.begun),
        "endedMs": trace.ended.map(milliseconds),
        "status": trace.status.map(status),
    })
}

fn of_usage(usage: &Usage) -> Value {
    json!({
        "inputTokens": usage.input,
        "outputTokens": usage.output,
        "cacheReadInputTokens": usage.cache_read,
        "cacheWriteInputTokens": usage.cache_write,
    })
}

const fn status(status: OutcomeStatus) -> &'static str {
    match status {
        OutcomeStatus::Success => "success",
        OutcomeStatus::Error => "error",
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
