//! The store's promises, kept against a DynamoDB in this process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use rehearsal::dynamodb::{DynamoDbOptions, EmbeddedDynamoDb};
use serde_json::json;
use voice_core::history::{Record, Sequence};
use voice_core::message::{GenerationId, Message, RunId, ToolCallId, ToolOutcome};
use voice_core::ports::{
    CallContext, CallStore, CallerCounter, Claim, Direction, GenerationReport, HandoffRecord, HandoffStatus,
    HandoffStore, JournaledTurn, KnownSession, LaunchChange, LaunchRecord, LaunchStatus, LaunchStore,
    Ownership, RecordStore, RunClaim, RunStore, Session, SessionChange, Spent, SpokenLanguage,
    StoreErrorKind, Usage,
};
use voice_core::private::Private;
use voice_core::use_case::OnMachine;

use super::DynamoDbStore;

const TABLE: &str = "calls";
const CALL: &str = "CA0123456789abcdef0123456789abcdef";
const OWNER: &str = "task-1/1";
const DAY: Duration = Duration::from_hours(24);

async fn table() -> (EmbeddedDynamoDb, DynamoDbStore) {
    let dynamodb = EmbeddedDynamoDb::start(DynamoDbOptions::default()).await.unwrap();
    dynamodb.create_table(TABLE).await.unwrap();
    let store = DynamoDbStore::new(dynamodb.client().await, TABLE.to_owned(), DAY);
    (dynamodb, store)
}

fn private(text: &str) -> Private<String> {
    Private::new(text.to_owned())
}

fn variables() -> Private<BTreeMap<String, String>> {
    Private::new(BTreeMap::from([("appointment".to_owned(), "Monday".to_owned())]))
}

fn session(call: CallContext) -> Session {
    Session {
        call: Arc::new(call),
        channel: "conversationRelay",
        model: "any".to_owned(),
        twilio: Private::new(vec![("CallStatus".to_owned(), String::new())]),
    }
}

fn outbound_call() -> CallContext {
    CallContext {
        call_sid: CALL.to_owned(),
        account_sid: "AC1".to_owned(),
        from: private("+18005550199"),
        to: private("+14155550100"),
        direction: Direction::Outbound,
        use_case: "reminder".to_owned(),
        caller: None,
        variables: variables(),
    }
}

async fn claimed(store: &DynamoDbStore) -> KnownSession {
    match store.claim_session(CALL, OWNER, Claim::Next).await.unwrap() {
        Ownership::Ours(known) => known,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_session_that_goes_on_elsewhere_knows_what_it_has_become() {
    let (_dynamodb, store) = table().await;
    store.open_session(session(outbound_call())).await.unwrap();
    let known = claimed(&store).await;
    assert_eq!((known.direction, known.variables, known.epoch), (Direction::Outbound, variables(), 1));
    assert_eq!((known.language, known.verified, known.use_case.as_str()), (None, false, "reminder"));
    let spanish = SpokenLanguage { code: "es-US".to_owned(), heard: true };
    for change in [
        SessionChange::UseCase("billing".to_owned()),
        SessionChange::Language(spanish.clone()),
        SessionChange::Verified,
    ] {
        store.change_session(CALL, 1, change).await.unwrap();
    }
    let known = claimed(&store).await;
    assert_eq!((known.language, known.verified), (Some(spanish.clone()), true));
    assert_eq!((known.use_case.as_str(), known.epoch), ("billing", 2));
    let unheard = SpokenLanguage { heard: false, ..spanish };
    store.change_session(CALL, 2, SessionChange::Language(unheard.clone())).await.unwrap();
    assert_eq!(store.read_session(CALL).await.unwrap().unwrap().language, Some(unheard));
    let late = store.change_session(CALL, 1, SessionChange::UseCase("sales".to_owned())).await;
    assert_eq!(late.unwrap_err().kind, StoreErrorKind::Conflict, "its owner was overtaken");
}

#[tokio::test]
async fn a_session_of_which_nothing_is_kept_works_without_numbers() {
    let (_dynamodb, store) = table().await;
    let blank = CallContext {
        from: Private::default(),
        to: Private::default(),
        direction: Direction::Inbound,
        variables: Private::default(),
        ..outbound_call()
    };
    store.open_session(session(blank)).await.unwrap();
    let known = claimed(&store).await;
    assert_eq!(
        (known.from, known.to, known.direction),
        (Private::default(), Private::default(), Direction::Inbound)
    );
    assert!(known.variables.expose().is_empty());
    assert_eq!(store.count_call(&Private::default(), CALL, DAY).await.unwrap(), 1);
}

fn turn(sequence: Sequence, generation: Option<GenerationReport>) -> JournaledTurn {
    let message = Arc::new(Message::Agent { text: "Hello.".to_owned(), tool_calls: Vec::new() });
    let record = Record { sequence, message: Some(message), said: None };
    JournaledTurn { at: "2026-01-01T00:00:00Z".to_owned(), record, generation }
}

#[tokio::test]
async fn the_journal_adds_up_what_a_call_has_cost() {
    let (_dynamodb, store) = table().await;
    store.open_session(session(outbound_call())).await.unwrap();
    claimed(&store).await;
    let usage = Usage { input: 100, output: 20, cache_read: 3, cache_write: 4 };
    let report = GenerationReport { usage: Some(usage), ..GenerationReport::default() };
    let estimate = GenerationReport { estimated: true, ..report.clone() };
    for (sequence, generation) in [(1, None), (2, Some(estimate)), (3, Some(report.clone()))] {
        store.write_turn(CALL, 1, turn(sequence, generation)).await.unwrap();
    }
    for (key, estimated) in [("chat::00000002", Some(&json!(true))), ("chat::00000003", None)] {
        let item = store.get_record(CALL, key).await.unwrap().unwrap();
        assert_eq!(item["generation"].get("usageEstimated"), estimated);
    }
    // A message that was cut is written again under its number, and was not paid for twice.
    store.write_turn(CALL, 1, turn(3, Some(report))).await.unwrap();
    let run = |call: &str| RunId { generation: GenerationId(2), call: ToolCallId(call.to_owned()) };
    assert_eq!(store.claim_run(CALL, OWNER, &run("a"), "find").await.unwrap(), RunClaim::Granted);
    assert_eq!(store.claim_run(CALL, OWNER, &run("b"), "find").await.unwrap(), RunClaim::Granted);
    let outcome = ToolOutcome::success(ToolCallId("a".to_owned()), json!({}));
    store.complete_run(CALL, &run("a"), &outcome).await.unwrap();
    // It lies between the turns and the runs, and is neither.
    store.open_handoff(CALL, handoff()).await.unwrap();
    let journal = store.read_journal(CALL).await.unwrap();
    assert_eq!(journal.spent, Spent { tokens: 254, tool_runs: 2 });
    assert_eq!((journal.turns.len(), journal.outcomes), (3, vec![outcome]));
}

fn handoff() -> HandoffRecord {
    HandoffRecord {
        target: "default".to_owned(),
        status: HandoffStatus::Dialling,
        reason: private("billing"),
        summary: private("Wants a refund."),
        person_call_sid: None,
    }
}

#[tokio::test]
async fn a_handoff_is_settled_once() {
    let (_dynamodb, store) = table().await;
    assert_eq!(store.read_handoff(CALL).await.unwrap(), None);
    assert!(!store.settle_handoff(CALL, HandoffStatus::Joined).await.unwrap(), "there is none");
    store.note_handoff_call(CALL, "CA2").await.unwrap();
    assert_eq!(store.read_handoff(CALL).await.unwrap(), None, "a note makes no handoff");
    store.open_handoff(CALL, handoff()).await.unwrap();
    store.note_handoff_call(CALL, "CA2").await.unwrap();
    let noted = HandoffRecord { person_call_sid: Some("CA2".to_owned()), ..handoff() };
    assert_eq!(store.read_handoff(CALL).await.unwrap(), Some(noted.clone()));
    let (joined, unanswered) = tokio::join!(
        store.settle_handoff(CALL, HandoffStatus::Joined),
        store.settle_handoff(CALL, HandoffStatus::Unanswered)
    );
    let (joined, unanswered) = (joined.unwrap(), unanswered.unwrap());
    assert_ne!(joined, unanswered, "one of them settles it");
    let status = if joined { HandoffStatus::Joined } else { HandoffStatus::Unanswered };
    assert_eq!(store.read_handoff(CALL).await.unwrap(), Some(HandoffRecord { status, ..noted }));
    store.open_handoff(CALL, handoff()).await.unwrap();
    assert_eq!(store.read_handoff(CALL).await.unwrap(), Some(handoff()), "the one before is forgotten");
    assert!(store.settle_handoff(CALL, HandoffStatus::Abandoned).await.unwrap());
}

fn launch(machine: OnMachine) -> LaunchRecord {
    LaunchRecord {
        id: "L1".to_owned(),
        status: LaunchStatus::Requested,
        to: private("+14155550100"),
        from: "+18005550199".to_owned(),
        use_case: "reminder".to_owned(),
        variables: variables(),
        machine,
        call_sid: None,
        answered_by: None,
    }
}

#[tokio::test]
async fn a_launch_is_written_once() {
    let (_dynamodb, store) = table().await;
    assert_eq!(store.read_launch("L1").await.unwrap(), None);
    let first = launch(OnMachine::Say("Call us back.".to_owned()));
    assert_eq!(store.open_launch(first.clone()).await.unwrap(), None);
    assert_eq!(store.open_launch(launch(OnMachine::HangUp)).await.unwrap(), Some(first.clone()));
    assert_eq!(store.read_launch("L1").await.unwrap(), Some(first));
    for machine in [OnMachine::Ignore, OnMachine::HangUp] {
        let other = LaunchRecord { id: format!("{machine:?}"), ..launch(machine) };
        assert_eq!(store.open_launch(other.clone()).await.unwrap(), None);
        assert_eq!(store.read_launch(&other.id).await.unwrap(), Some(other));
    }
    let item = store.get_record("launch::L1", "launch").await.unwrap().unwrap();
    assert!(item["pk1"].as_str().unwrap().starts_with("launch#20"), "{item:?}");
    assert!(item["sk1"].as_str().unwrap().ends_with("Z#L1"), "{item:?}");
}

#[tokio::test]
async fn the_status_of_a_launch_never_leads_back() {
    let (_dynamodb, store) = table().await;
    let to = |status| LaunchChange { status: Some(status), ..LaunchChange::default() };
    store.change_launch("L1", to(LaunchStatus::Queued)).await.unwrap();
    assert_eq!(store.read_launch("L1").await.unwrap(), None, "a report makes no launch");
    store.open_launch(launch(OnMachine::HangUp)).await.unwrap();
    let placed = LaunchChange { call_sid: Some(CALL.to_owned()), ..to(LaunchStatus::Queued) };
    store.change_launch("L1", to(LaunchStatus::Answered)).await.unwrap();
    store.change_launch("L1", placed).await.unwrap();
    let machine = LaunchChange { answered_by: Some("machine_start".to_owned()), ..LaunchChange::default() };
    store.change_launch("L1", machine).await.unwrap();
    store.change_launch("L1", LaunchChange::default()).await.unwrap();
    let expected = LaunchRecord {
        status: LaunchStatus::Answered,
        call_sid: Some(CALL.to_owned()),
        answered_by: Some("machine_start".to_owned()),
        ..launch(OnMachine::HangUp)
    };
    assert_eq!(store.read_launch("L1").await.unwrap(), Some(expected));
    let failed = LaunchChange { error: Some("it was cut".to_owned()), ..to(LaunchStatus::Failed) };
    store.change_launch("L1", failed).await.unwrap();
    store.change_launch("L1", to(LaunchStatus::Completed)).await.unwrap();
    assert_eq!(store.read_launch("L1").await.unwrap().unwrap().status, LaunchStatus::Failed);
    let item = store.get_record("launch::L1", "launch").await.unwrap().unwrap();
    assert_eq!(item["error"], "it was cut");
}

#[tokio::test]
async fn a_call_counts_once_in_its_window() {
    let (_dynamodb, store) = table().await;
    let (caller, minute) = (private("+14155550100"), Duration::from_mins(1));
    // An hour from now, so that nothing has expired, and at the beginning of a minute.
    let now = (super::now_seconds() / 60 + 60) * 60;
    let count = async |call: &str, at: i64| store.count_at(&caller, call, minute, at).await.unwrap();
    assert_eq!(count("CA1", now).await, 1);
    assert_eq!(count("CA1", now + 1).await, 1, "Twilio repeats a webhook whose answer it did not get");
    assert_eq!(count("CA2", now + 59).await, 2);
    assert_eq!(count("CA3", now + 60).await, 1, "a new window");
    assert_eq!(store.count_call(&private("+14155550101"), "CA1", minute).await.unwrap(), 1);
    let item = store.get_record("+14155550100", &format!("calls::{now}")).await.unwrap().unwrap();
    assert_eq!(item["expireAt"], now + 60);
}

#[tokio::test]
async fn a_number_that_calls_without_end_is_counted_only_so_far() {
    let (_dynamodb, store) = table().await;
    let (caller, now) = (private("+14155550100"), 1_800_000_000);
    let calls: Vec<String> = (1..1000).map(|call| format!("CA{call}")).collect();
    let item = super::Item::from([
        ("pk".to_owned(), super::text(caller.expose())),
        ("sk".to_owned(), super::text(format!("calls::{now}"))),
        ("calls".to_owned(), AttributeValue::Ss(calls)),
    ]);
    store.client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
    for call in ["CA1000", "CA1001", "CA1001", "CA5"] {
        assert_eq!(store.count_at(&caller, call, Duration::from_mins(1), now).await.unwrap(), 1000, "{call}");
    }
}
