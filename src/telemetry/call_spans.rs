//! A call as spans: the call, its sessions and its turns, and the parts of each turn. Knows what is told of them, and not
//! whether anybody is told.
//!
//! Sessions and turns both hang under the call, whose span has a name that every task knows: a turn is told as soon as it
//! is over, and a task that is killed in mid-call takes no more with it than the turn it was at.

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use voice_core::message::OutcomeStatus;
use voice_core::ports::{CallContext, Direction, FailedAttempt, GenerationTrace, ToolTrace, TurnEnd};

use super::attributes as a;
use super::observer::{PricedGeneration, PricedTurn, Tally};
use super::trace_id::{SpanId, TraceId};
use crate::session::SessionTrace;

/// The spans of a turn: itself first, then its parts.
pub(super) fn turn_spans(call: &CallContext, priced: &PricedTurn<'_>) -> Vec<Span> {
    let turn = priced.turn;
    let trace = TraceId::of_call(&call.call_sid);
    let at = |offset: Duration| turn.started_at + offset;
    let id = SpanId::random();
    let part = Part { trace, parent: id, started_at: turn.started_at, ended: turn.ended };
    // For the caller the turn begins when they fall silent.
    let silent = turn.started_at - turn.transcription.unwrap_or_default();

    let mut spans = vec![turn_span(call, priced, trace, id, silent)];
    if turn.transcription.is_some() {
        spans.push(part.span("transcription", SpanKind::Internal, silent, turn.started_at));
    }
    if let Some(first) = turn.generations.first() {
        spans.push(part.span("queueing", SpanKind::Internal, turn.started_at, at(first.begun)));
    }
    spans.extend(priced.generations().map(|generation| chat_span(call, &part, &generation)));
    spans.extend(turn.tools.iter().map(|tool| tool_span(&part, tool)));
    if let (Some(text), Some(audio)) = (turn.first_text, turn.first_audio) {
        spans.push(part.span("synthesis", SpanKind::Internal, at(text), at(audio)));
    }
    spans
}

/// The span of a session, and that of the call when it is over.
pub(super) fn session_spans(call: &CallContext, session: &SessionTrace, tally: &Tally) -> Vec<Span> {
    let trace = TraceId::of_call(&call.call_sid);
    let root = trace.root_span();
    let ended_at = session.started_at + session.duration;
    let kind = SpanKind::Internal;
    let mut span = span(trace, SpanId::random(), "session", kind, session.started_at, ended_at);
    span.parent_span_id = root.bytes();
    span.attributes = call_attributes(call);
    span.attributes.push(a::text(a::ENDING, session.ending));
    span.attributes.push(a::count("trunkline.session.resumes", session.resumes));
    span.attributes.extend(tally_attributes(tally));
    let mut spans = vec![span];
    if session.is_last {
        spans.push(root_span(call, session, tally));
    }
    spans
}

fn root_span(call: &CallContext, session: &SessionTrace, tally: &Tally) -> Span {
    let trace = TraceId::of_call(&call.call_sid);
    let kind = match call.direction {
        Direction::Inbound => SpanKind::Server,
        Direction::Outbound => SpanKind::Client,
    };
    let ended_at = session.started_at + session.duration;
    let mut root = span(trace, trace.root_span(), "call", kind, session.call_started_at, ended_at);
    root.attributes = call_attributes(call);
    root.attributes.push(a::text(a::ENDING, session.ending));
    // What other sessions cost is not known here.
    if session.resumes == 0 {
        root.attributes.extend(tally_attributes(tally));
    }
    root
}

fn turn_span(
    call: &CallContext,
    priced: &PricedTurn<'_>,
    trace: TraceId,
    id: SpanId,
    silent: SystemTime,
) -> Span {
    let turn = priced.turn;
    let at = |offset: Duration| turn.started_at + offset;
    let mut span = span(trace, id, "turn", SpanKind::Internal, silent, at(turn.ended));
    span.parent_span_id = trace.root_span().bytes();
    span.attributes = vec![
        a::text(a::CONVERSATION, &call.call_sid),
        a::text(a::AGENT, &turn.use_case),
        a::count("trunkline.turn", turn.turn.0.into()),
        a::text(a::TRIGGER, turn.trigger.as_str()),
        a::text(a::ENDING, turn.end.as_str()),
    ];
    span.attributes.extend(priced.cost().map(|cost| a::number(a::COST, cost)));
    let interrupted = (turn.end == TurnEnd::Interrupted).then_some(turn.ended);
    let events =
        [("first text", turn.first_text), ("first audio", turn.first_audio), ("interrupted", interrupted)];
    span.events =
        events.into_iter().filter_map(|(name, time)| Some(event(name, at(time?), vec![]))).collect();
    span
}

fn chat_span(call: &CallContext, part: &Part, priced: &PricedGeneration<'_>) -> Span {
    let generation = priced.generation;
    let (begun, ended) = (part.at(generation.begun), part.end(generation.ended));
    let model = model_of(generation);
    let name = model.map_or_else(|| a::CHAT.to_owned(), |model| format!("{} {model}", a::CHAT));
    let mut span = part.span(&name, SpanKind::Client, begun, ended);
    span.attributes = vec![
        a::text(a::OPERATION, a::CHAT),
        a::text(a::PROVIDER, a::BEDROCK),
        a::text(a::CONVERSATION, &call.call_sid),
        a::flag(a::REQUEST_STREAM, true),
        a::count("trunkline.generation", generation.id.0.into()),
    ];
    span.attributes.extend(model.map(|model| a::text(a::REQUEST_MODEL, model)));
    span.attributes.extend(generation.model.as_deref().map(|model| a::text(a::RESPONSE_MODEL, model)));
    let reason = generation.stop_reason.clone();
    span.attributes.extend(reason.map(|reason| a::texts(a::FINISH_REASONS, [reason])));
    let first = generation.first_text.map(|first| first.saturating_sub(generation.begun).as_secs_f64());
    span.attributes.extend(first.map(|first| a::number(a::TIME_TO_FIRST_CHUNK, first)));
    span.attributes.extend(usage_attributes(generation));
    span.attributes.extend(priced.cost.map(|cost| a::number(a::COST, cost)));
    if let Some(kind) = failure_of(generation) {
        fail(&mut span, kind.as_str());
    }
    span.events = attempt_events(begun, ended, &generation.failed_attempts);
    span
}

fn usage_attributes(generation: &GenerationTrace) -> Vec<KeyValue> {
    let Some(usage) = &generation.usage else { return Vec::new() };
    vec![
        a::count(a::INPUT_TOKENS, usage.all_input()),
        a::count(a::OUTPUT_TOKENS, usage.output),
        a::count(a::CACHE_READ_TOKENS, usage.cache_read),
        a::count(a::CACHE_WRITE_TOKENS, usage.cache_write),
        a::flag("trunkline.usage_estimated", generation.estimated),
    ]
}

/// Attempts follow one another, so that each ends where the ones before it end plus what it took itself. One that ran
/// beside others is told at the end at the latest.
fn attempt_events(begun: SystemTime, ended: SystemTime, attempts: &[FailedAttempt]) -> Vec<Event> {
    let mut failed_at = begun;
    let told = attempts.iter().map(|attempt| {
        failed_at = (failed_at + attempt.after).min(ended);
        let attributes = vec![
            a::text(a::REQUEST_MODEL, &attempt.model),
            a::text(a::ERROR, attempt.kind.as_str()),
            a::number("trunkline.attempt.duration", attempt.after.as_secs_f64()),
        ];
        event("attempt failed", failed_at, attributes)
    });
    told.collect()
}

fn tool_span(part: &Part, tool: &ToolTrace) -> Span {
    let name = a::name(&tool.tool);
    let name_of_span = format!("{} {name}", a::EXECUTE_TOOL);
    let (begun, ended) = (part.at(tool.begun), part.end(tool.ended));
    let mut span = part.span(&name_of_span, SpanKind::Internal, begun, ended);
    span.attributes = vec![
        a::text(a::OPERATION, a::EXECUTE_TOOL),
        a::text(a::TOOL, name),
        a::text(a::TOOL_TYPE, "function"),
        a::text(a::TOOL_CALL, a::name(&tool.run.call.0)),
        a::text(a::ENDING, tool_ending(tool)),
    ];
    if tool.status == Some(OutcomeStatus::Error) {
        fail(&mut span, "tool_error");
    }
    span
}

/// How a run of a tool ended, as one word.
pub(super) fn tool_ending(tool: &ToolTrace) -> &'static str {
    match tool.status {
        Some(OutcomeStatus::Success) => "success",
        Some(OutcomeStatus::Error) => "error",
        None => "abandoned",
    }
}

/// The model that answered, or else the one that failed last.
pub(super) fn model_of(generation: &GenerationTrace) -> Option<&str> {
    let failed = || generation.failed_attempts.last().map(|attempt| attempt.model.as_str());
    generation.model.as_deref().or_else(failed)
}

/// Why no model answered, if it was not the caller who broke it off.
pub(super) fn failure_of(generation: &GenerationTrace) -> Option<voice_core::ports::ModelFailureKind> {
    let answered = generation.stop_reason.is_some() || generation.first_text.is_some();
    let failed = generation.failed_attempts.last().map(|attempt| attempt.kind);
    failed.filter(|_| !answered && generation.ended.is_some())
}

fn call_attributes(call: &CallContext) -> Vec<KeyValue> {
    vec![
        a::text(a::CONVERSATION, &call.call_sid),
        a::text(a::AGENT, &call.use_case),
        a::text("trunkline.direction", call.direction.as_str()),
    ]
}

fn tally_attributes(tally: &Tally) -> Vec<KeyValue> {
    let mut attributes = vec![
        a::count("trunkline.turns", tally.turns),
        a::count("trunkline.interruptions", tally.interruptions),
    ];
    attributes.extend(tally.cost.map(|cost| a::number(a::COST, cost)));
    attributes
}

/// What the parts of a turn have in common.
struct Part {
    trace: TraceId,
    parent: SpanId,
    started_at: SystemTime,
    ended: Duration,
}

impl Part {
    fn at(&self, offset: Duration) -> SystemTime {
        self.started_at + offset
    }

    /// What had not ended when the turn was over was over with it.
    fn end(&self, offset: Option<Duration>) -> SystemTime {
        self.at(offset.unwrap_or(self.ended))
    }

    fn span(&self, name: &str, kind: SpanKind, start: SystemTime, end: SystemTime) -> Span {
        let mut span = span(self.trace, SpanId::random(), name, kind, start, end);
        span.parent_span_id = self.parent.bytes();
        span
    }
}

fn span(trace: TraceId, id: SpanId, name: &str, kind: SpanKind, start: SystemTime, end: SystemTime) -> Span {
    Span {
        trace_id: trace.bytes(),
        span_id: id.bytes(),
        name: name.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanoseconds(start),
        // No clock of ours may make a span end before it begins.
        end_time_unix_nano: nanoseconds(end.max(start)),
        ..Span::default()
    }
}

fn event(name: &str, time: SystemTime, attributes: Vec<KeyValue>) -> Event {
    Event {
        time_unix_nano: nanoseconds(time),
        name: name.to_owned(),
        attributes,
        dropped_attributes_count: 0,
    }
}

fn fail(span: &mut Span, kind: &'static str) {
    span.attributes.push(a::text(a::ERROR, kind));
    span.status = Some(Status { code: StatusCode::Error.into(), message: String::new() });
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
