//! Whole calls and traces, written and read again.

use std::time::{Duration, SystemTime};

use serde_json::json;
use voice_core::message::{GenerationId, OutcomeStatus, RunId, ToolCallId, ToolOutcome};
use voice_core::ports::{
    CallReader, CallStore, EndedBecause, FailedAttempt, GenerationReport, GenerationTrace, HandoffStore,
    LaunchRecord, LaunchStatus, LaunchStore, ModelFailureKind, RecordStore, RunStore, TRACES_AT_ONCE,
    ToolTrace, Trigger, TurnEnd, TurnTrace, Usage,
};
use voice_core::private::Private;
use voice_core::use_case::OnMachine;

use super::tests::{CALL, OWNER, claimed, claimed_by, handoff, outbound_call, session, table, turn};

fn run() -> RunId {
    RunId { generation: GenerationId(65_536), call: ToolCallId("t".to_owned()) }
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A turn in which everything happened.
fn full(id: u32) -> TurnTrace {
    let kind = ModelFailureKind::TimedOut;
    let generation = GenerationTrace {
        id: GenerationId(id),
        begun: ms(3),
        first_text: Some(ms(640)),
        ended: Some(ms(900)),
        model: Some("m".to_owned()),
        stop_reason: Some("end_turn".to_owned()),
        usage: Some(Usage { input: 1, output: 2, cache_read: 3, cache_write: 4 }),
        estimated: true,
        failed_attempts: vec![FailedAttempt { model: "first".to_owned(), kind, after: ms(20) }],
    };
    let status = Some(OutcomeStatus::Error);
    TurnTrace {
        turn: GenerationId(id),
        use_case: "reminder".to_owned(),
        trigger: Trigger::Words,
        started_at: SystemTime::UNIX_EPOCH + ms(1_790_000_000_123),
        transcription: Some(ms(410)),
        generations: vec![generation],
        tools: vec![ToolTrace {
            run: run(),
            tool: "find".to_owned(),
            begun: ms(900),
            ended: Some(ms(950)),
            status,
        }],
        first_text: Some(ms(640)),
        first_audio: Some(ms(960)),
        ended: ms(4000),
        end: TurnEnd::Interrupted,
    }
}

/// A turn in which next to nothing did.
fn bare(id: u32, trigger: Trigger, end: TurnEnd) -> TurnTrace {
    TurnTrace {
        trigger,
        end,
        transcription: None,
        generations: Vec::new(),
        tools: Vec::new(),
        first_text: None,
        first_audio: None,
        ..full(id)
    }
}

#[tokio::test]
async fn traces_come_back_as_they_went_in_the_order_of_their_turns() {
    let (_dynamodb, store) = table().await;
    store.open_session(session(outbound_call())).await.unwrap();
    let ends = Trigger::ALL.iter().zip(TurnEnd::ALL.iter().cycle());
    let mut traces: Vec<_> =
        ends.zip(0..).map(|((trigger, end), id)| bare(id * 65_536, *trigger, *end)).collect();
    traces.extend((0..).map(|id| full(9_000_000 + id)).take(TRACES_AT_ONCE - traces.len()));
    let mut shuffled = traces.clone();
    shuffled.reverse();
    store.write_traces(CALL, &shuffled).await.unwrap();
    // Whoever is not sure writes them again.
    store.write_traces(CALL, &shuffled[..3]).await.unwrap();
    assert_eq!(store.read_call(CALL).await.unwrap().unwrap().traces, traces);
    let item = store.get_record(CALL, "trace::0009000000").await.unwrap().unwrap();
    assert!(item.contains_key("expireAt"), "{item:?}");
    assert!(store.read_journal(CALL).await.unwrap().turns.is_empty(), "they are no part of the dialogue");
}

#[tokio::test]
async fn a_whole_call_is_read_with_what_belongs_to_it() {
    let (_dynamodb, store) = table().await;
    assert!(store.read_call(CALL).await.unwrap().is_none());
    store.open_session(session(outbound_call())).await.unwrap();
    claimed(&store).await;
    let report =
        GenerationReport { model: Some("m".to_owned()), duration: ms(7), ..GenerationReport::default() };
    store.write_turn(CALL, 1, turn(0, Some(report.clone()))).await.unwrap();
    store.claim_run(CALL, OWNER, &run(), "find").await.unwrap();
    let outcome = ToolOutcome::success(run().call, json!({}));
    store.complete_run(CALL, &run(), &outcome).await.unwrap();
    store.open_handoff(CALL, handoff()).await.unwrap();
    let launch = LaunchRecord {
        id: "l-1".to_owned(),
        status: LaunchStatus::Answered,
        request_digest: String::new(),
        to: Private::default(),
        from: String::new(),
        use_case: String::new(),
        variables: Private::default(),
        machine: OnMachine::Ignore,
        call_sid: Some(CALL.to_owned()),
        answered_by: Some("human".to_owned()),
        error: None,
    };
    store.open_launch(launch.clone()).await.unwrap();
    store.close_session(CALL, 1, EndedBecause::HandedOver).await.unwrap();
    let call = store.read_call(CALL).await.unwrap().unwrap();
    assert_eq!((call.model.as_str(), call.channel.as_str()), ("any", "conversationRelay"));
    assert_eq!((call.status.as_str(), call.ended_because.as_deref()), ("ended", Some("handed-over")));
    assert_eq!((call.messages.len(), call.messages[0].generation.as_ref()), (1, Some(&report)));
    assert_eq!((&call.runs[0].run, call.runs[0].outcome), (&run(), Some(OutcomeStatus::Success)));
    assert!(call.runs[0].completed_at.is_some());
    assert_eq!((call.handoff, call.launch), (Some(handoff()), Some(launch)));
}

#[tokio::test]
async fn that_a_call_was_lost_replaces_no_better_reason_and_a_session_that_goes_on_has_none() {
    let (_dynamodb, store) = table().await;
    store.open_session(session(outbound_call())).await.unwrap();
    claimed(&store).await;
    let because = async || store.read_call(CALL).await.unwrap().unwrap().ended_because;
    let mut told = Vec::new();
    for reason in [EndedBecause::Lost, EndedBecause::CallerHungUp, EndedBecause::Lost, EndedBecause::Budget] {
        store.close_session(CALL, 1, reason).await.unwrap();
        told.extend(because().await);
    }
    assert_eq!(told, ["lost", "caller-hung-up", "caller-hung-up", "budget"]);
    claimed_by(&store, "the next").await;
    assert_eq!(because().await, None);
    store.close_session(CALL, 1, EndedBecause::TimeLimit).await.unwrap();
    assert_eq!(because().await, None, "its owner was overtaken");
}
