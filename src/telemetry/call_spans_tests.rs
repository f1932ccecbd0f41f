//! The spans of a call, from traces made by hand: their times, their names, and what they do not tell.

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use voice_core::message::{GenerationId, OutcomeStatus, RunId, ToolCallId};
use voice_core::ports::{
    CallContext, Direction, FailedAttempt, GenerationTrace, ModelFailureKind, ToolTrace, Trigger, TurnEnd,
    TurnTrace, Usage,
};
use voice_core::private::Private;

use super::call_spans::{session_spans, turn_spans};
use super::observer::{PricedTurn, Tally};
use crate::prices::Prices;
use crate::session::SessionTrace;

const SID: &str = "CA00112233445566778899aabbccddeeff";
const MODEL: &str = "us.amazon.nova-lite-v1:0";
const START: Duration = Duration::from_secs(1_700_000_000);

fn call() -> CallContext {
    CallContext {
        call_sid: SID.to_owned(),
        account_sid: "AC0".to_owned(),
        from: Private::new("+14155550100".to_owned()),
        to: Private::new("+18005550199".to_owned()),
        direction: Direction::Inbound,
        use_case: "reception".to_owned(),
        caller: None,
        variables: Private::default(),
    }
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn generation(id: u32, begun: u64, ended: u64) -> GenerationTrace {
    GenerationTrace {
        id: GenerationId(id),
        begun: ms(begun),
        first_text: Some(ms(begun + 200)),
        ended: Some(ms(ended)),
        model: Some(MODEL.to_owned()),
        stop_reason: Some("end_turn".to_owned()),
        usage: Some(Usage { input: 1000, output: 40, cache_read: 500, cache_write: 0 }),
        estimated: false,
        failed_attempts: Vec::new(),
    }
}

fn turn() -> TurnTrace {
    TurnTrace {
        turn: GenerationId(3),
        use_case: "billing".to_owned(),
        trigger: Trigger::Words,
        started_at: SystemTime::UNIX_EPOCH + START,
        transcription: Some(ms(300)),
        generations: vec![generation(3, 5, 400), generation(4, 700, 1100)],
        tools: vec![ToolTrace {
            run: RunId { generation: GenerationId(3), call: ToolCallId("tooluse_1".to_owned()) },
            tool: "get_order".to_owned(),
            begun: ms(410),
            ended: Some(ms(690)),
            status: Some(OutcomeStatus::Error),
        }],
        first_text: Some(ms(900)),
        first_audio: Some(ms(1150)),
        ended: ms(2500),
        end: TurnEnd::Interrupted,
    }
}

fn spans(turn: &TurnTrace) -> Vec<Span> {
    turn_spans(&call(), &PricedTurn::new(turn, &Prices::default()))
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} among {names:?}"))
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match value(attributes, key) {
        Some(Value::StringValue(text)) => Some(text),
        _ => None,
    }
}

/// Start and end, in milliseconds from the caller's words.
fn times(span: &Span) -> (i64, i64) {
    let from_words = |nanoseconds: u64| {
        let start = i64::try_from(START.as_nanos()).unwrap();
        (i64::try_from(nanoseconds).unwrap() - start) / 1_000_000
    };
    (from_words(span.start_time_unix_nano), from_words(span.end_time_unix_nano))
}

#[test]
fn a_turn_has_its_parts_at_their_times() {
    let spans = spans(&turn());
    let parts = spans.iter().map(|span| (span.name.as_str(), times(span))).collect::<Vec<_>>();
    let chat = format!("chat {MODEL}");
    let expected = [
        ("turn", (-300, 2500)),
        ("transcription", (-300, 0)),
        ("queueing", (0, 5)),
        (chat.as_str(), (5, 400)),
        (chat.as_str(), (700, 1100)),
        ("execute_tool get_order", (410, 690)),
        ("synthesis", (900, 1150)),
    ];
    assert_eq!(parts, expected);
    let turn = &spans[0];
    for part in &spans[1..] {
        assert_eq!((&part.trace_id, &part.parent_span_id), (&turn.trace_id, &turn.span_id), "{}", part.name);
    }
    let mut ids: Vec<_> = spans.iter().map(|span| &span.span_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), spans.len());
}

#[test]
fn a_turn_tells_who_answered_why_it_ended_and_what_it_cost() {
    let spans = spans(&turn());
    let turn = named(&spans, "turn");
    let read = |key| text(&turn.attributes, key);
    assert_eq!(read("gen_ai.conversation.id"), Some(SID));
    assert_eq!(read("gen_ai.agent.name"), Some("billing"));
    assert_eq!((read("trunkline.trigger"), read("trunkline.ending")), (Some("words"), Some("interrupted")));
    let Some(Value::DoubleValue(cost)) = value(&turn.attributes, "trunkline.cost_usd") else {
        panic!("no cost")
    };
    let of_one = (1000.0 * 0.06 + 40.0 * 0.24 + 500.0 * 0.015) / 1e6;
    assert!((cost - 2.0 * of_one).abs() < 1e-12, "{cost}");
    let events: Vec<_> = turn.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(events, ["first text", "first audio", "interrupted"]);
}

#[test]
fn a_generation_follows_the_conventions() {
    let spans = spans(&turn());
    let chat = named(&spans, &format!("chat {MODEL}"));
    assert_eq!(chat.kind, i32::from(SpanKind::Client));
    for (key, expected) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "aws.bedrock"),
        ("gen_ai.request.model", MODEL),
        ("gen_ai.response.model", MODEL),
        ("gen_ai.conversation.id", SID),
    ] {
        assert_eq!(text(&chat.attributes, key), Some(expected), "{key}");
    }
    for (key, expected) in [
        ("gen_ai.usage.input_tokens", Value::IntValue(1500)),
        ("gen_ai.usage.output_tokens", Value::IntValue(40)),
        ("gen_ai.usage.cache_read.input_tokens", Value::IntValue(500)),
        ("gen_ai.response.time_to_first_chunk", Value::DoubleValue(0.2)),
    ] {
        assert_eq!(value(&chat.attributes, key), Some(&expected), "{key}");
    }
    let Some(Value::ArrayValue(reasons)) = value(&chat.attributes, "gen_ai.response.finish_reasons") else {
        panic!("no reasons")
    };
    assert_eq!(reasons.values.len(), 1);
    assert_eq!(chat.status, None);
}

#[test]
fn failed_attempts_are_events_and_a_generation_that_nobody_answered_is_an_error() {
    let attempt = |after| FailedAttempt {
        model: "first".to_owned(),
        kind: ModelFailureKind::Throttled,
        after: ms(after),
    };
    let failed = GenerationTrace {
        first_text: None,
        model: None,
        stop_reason: None,
        usage: None,
        failed_attempts: vec![attempt(50), attempt(100), attempt(900)],
        ..generation(3, 0, 400)
    };
    let spans = spans(&TurnTrace { generations: vec![failed.clone()], ..turn() });
    let chat = named(&spans, "chat first");
    assert_eq!(text(&chat.attributes, "error.type"), Some("throttled"));
    assert_eq!(chat.status, Some(Status { code: StatusCode::Error.into(), message: String::new() }));
    let start = chat.start_time_unix_nano;
    let offsets: Vec<_> =
        chat.events.iter().map(|event| (event.time_unix_nano - start) / 1_000_000).collect();
    assert_eq!(offsets, [50, 150, 400]);

    let answered = GenerationTrace { model: Some(MODEL.to_owned()), first_text: Some(ms(300)), ..failed };
    let spans = self::spans(&TurnTrace { generations: vec![answered], ..turn() });
    assert_eq!(named(&spans, &format!("chat {MODEL}")).status, None, "the caller may have broken it off");
}

#[test]
fn what_had_not_ended_ends_with_the_turn_and_no_span_ends_before_it_begins() {
    let mut cut = turn();
    cut.generations[1].ended = None;
    cut.tools[0].ended = None;
    cut.tools[0].status = None;
    cut.first_audio = Some(ms(800));
    let spans = spans(&cut);
    let tool = named(&spans, "execute_tool get_order");
    assert_eq!(times(tool), (410, 2500));
    assert_eq!(text(&tool.attributes, "trunkline.ending"), Some("abandoned"));
    assert_eq!(times(&spans[4]), (700, 2500));
    assert_eq!(times(named(&spans, "synthesis")), (900, 900));
}

#[test]
fn a_call_is_told_by_its_last_session_and_found_by_its_sid() {
    let session = SessionTrace {
        started_at: SystemTime::UNIX_EPOCH + START,
        duration: Duration::from_secs(30),
        resumes: 0,
        call_started_at: SystemTime::UNIX_EPOCH + START - Duration::from_secs(2),
        ending: "hung_up",
        is_last: true,
    };
    let tally = Tally { turns: 3, interruptions: 1, cost: Some(0.5) };
    let spans = session_spans(&call(), &session, &tally);
    let [own, root] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((own.name.as_str(), root.name.as_str()), ("session", "call"));
    assert_eq!(root.trace_id, 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes());
    assert_eq!((own.parent_span_id.clone(), root.parent_span_id.len()), (root.span_id.clone(), 0));
    assert_eq!(self::spans(&turn())[0].parent_span_id, root.span_id);
    assert_eq!((times(own), times(root)), ((0, 30_000), (-2000, 30_000)));
    assert_eq!(value(&root.attributes, "trunkline.cost_usd"), Some(&Value::DoubleValue(0.5)));

    let resumed = SessionTrace { resumes: 2, ..session.clone() };
    let root = &session_spans(&call(), &resumed, &tally)[1];
    assert_eq!(value(&root.attributes, "trunkline.cost_usd"), None, "nobody knows what the others cost");
    assert_eq!(session_spans(&call(), &SessionTrace { is_last: false, ..session }, &tally).len(), 1);
}
