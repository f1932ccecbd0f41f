//! The store's promises, kept against a DynamoDB in this process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use rehearsal::dynamodb::{DynamoDbOptions, EmbeddedDynamoDb};
use serde_json::{Map, Value, json};
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
use super::callers::partition;

const TABLE: &str = "calls";
pub(super) const CALL: &str = "CA0123456789abcdef0123456789abcdef";
pub(super) const OWNER: &str = "task-1/1";
const DAY: Duration = Duration::from_hours(24);

pub(super) async fn table() -> (EmbeddedDynamoDb, DynamoDbStore) {
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

pub(super) fn session(call: CallContext) -> Session {
    Session {
        call: Arc::new(call),
        channel: "conversationRelay",
        model: "any".to_owned(),
        twilio: Private::new(vec![("CallStatus".to_owned(), String::new())]),
    }
}

pub(super) fn outbound_call() -> CallContext {
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

pub(super) async fn claimed(store: &DynamoDbStore) -> KnownSession {
    claimed_by(store, OWNER).await
}

/// Sessions that follow one another have names of their own.
pub(super) async fn claimed_by(store: &DynamoDbStore, owner: &str) -> KnownSession {
    match store.claim_session(CALL, owner, Claim::Next).await.unwrap() {
        Ownership::Ours(known) => known,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_counts_once() {
    let (_dynamodb, store) = table().await;
    store.open_session(session(outbound_call())).await.unwrap();
    assert_eq!(claimed(&store).await.epoch, 1);
    assert_eq!(claimed(&store).await.epoch, 1, "it was ours already");
    assert_eq!(claimed_by(&store, "another").await.epoch, 2);
}

#[tokio::test]
async fn a_session_that_goes_on_elsewhere_knows_what_it_has_become() {
    let (_dynamodb, store) = table().await;
    store.open_session(session(outbound_call())).await.unwrap();
    let known = claimed(&store).await;
    assert_eq!((known.direction, known.variables, known.epoch), (Direction::Outbound, variables(), 1));
    assert_eq!((known.language, known.verified, known.use_case.as_str()), (None, false, "reminder"));
    assert!(!known.rested);
    let spanish = SpokenLanguage { code: "es-US".to_owned(), heard: true };
    for change in [
        SessionChange::UseCase("billing".to_owned()),
        SessionChange::Language(spanish.clone()),
        SessionChange::Verified,
        SessionChange::Rested,
    ] {
        store.change_session(CALL, 1, change).await.unwrap();
    }
    let known = claimed_by(&store, "the next").await;
    assert_eq!((known.language, known.verified), (Some(spanish.clone()), true));
    assert!(known.rested);
    assert_eq!((known.use_case.as_str(), known.epoch), ("billing", 2));
    let unheard = SpokenLanguage { heard: false, ..spanish };
    store.change_session(CALL, 2, SessionChange::Language(unheard.clone())).await.unwrap();
    assert_eq!(store.read_session(CALL).await.unwrap().unwrap().language, Some(unheard));
    let late = store.change_session(CALL, 1, SessionChange::UseCase("sales".to_owned())).await;
    assert_eq!(late.unwrap_err().kind, StoreErrorKind::Conflict, "its owner was overtaken");
    assert!(!claimed_by(&store, "the last").await.rested, "the one that rested was another session");
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

pub(super) fn turn(sequence: Sequence, generation: Option<GenerationReport>) -> JournaledTurn {
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

pub(super) fn handoff() -> HandoffRecord {
    HandoffRecord {
        session_id: "VX1".to_owned(),
        use_case: "desk".to_owned(),
        target: "default".to_owned(),
        status: HandoffStatus::Dialling,
        started_at: "2026-11-20T10:00:00Z".to_owned(),
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
        request_digest: "d1".to_owned(),
        to: private("+14155550100"),
        from: "+18005550199".to_owned(),
        use_case: "reminder".to_owned(),
        variables: variables(),
        machine,
        call_sid: None,
        answered_by: None,
        error: None,
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
    let known = store.read_launch("L1").await.unwrap().unwrap();
    assert_eq!((known.status, known.error.as_deref()), (LaunchStatus::Failed, Some("it was cut")));
}

#[tokio::test]
async fn who_was_called_can_be_forgotten() {
    let (_dynamodb, store) = table().await;
    let ended = |status| LaunchChange { status, forget_person: true, ..LaunchChange::default() };
    for last in [ended(Some(LaunchStatus::Completed)), ended(Some(LaunchStatus::Queued)), ended(None)] {
        store.withdraw_launch("L1").await.unwrap();
        store.open_launch(launch(OnMachine::HangUp)).await.unwrap();
        let answered = LaunchChange { status: Some(LaunchStatus::Answered), ..LaunchChange::default() };
        store.change_launch("L1", answered).await.unwrap();
        store.change_launch("L1", last).await.unwrap();
        let known = store.read_launch("L1").await.unwrap().unwrap();
        assert_eq!((known.to, known.variables), (Private::default(), Private::default()));
        assert_eq!(known.request_digest, "d1", "the same request is still known");
    }
}

#[tokio::test]
async fn a_launch_is_withdrawn_unless_it_has_a_call() {
    let (_dynamodb, store) = table().await;
    store.withdraw_launch("L1").await.unwrap();
    store.open_launch(launch(OnMachine::HangUp)).await.unwrap();
    store.withdraw_launch("L1").await.unwrap();
    assert_eq!(store.read_launch("L1").await.unwrap(), None);
    store.open_launch(launch(OnMachine::HangUp)).await.unwrap();
    let placed = LaunchChange { call_sid: Some(CALL.to_owned()), ..LaunchChange::default() };
    store.change_launch("L1", placed).await.unwrap();
    store.withdraw_launch("L1").await.unwrap();
    assert!(store.read_launch("L1").await.unwrap().is_some());
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
    let item = store.get_record(&partition(&caller), &format!("calls::{now}")).await.unwrap().unwrap();
    assert_eq!(item["expireAt"], now + 60);
    assert!(!format!("{item:?}").contains("4155550100"), "{item:?}");
}

#[tokio::test]
async fn a_number_that_calls_without_end_is_counted_only_so_far() {
    let (_dynamodb, store) = table().await;
    let (caller, now) = (private("+14155550100"), 1_800_000_000);
    let calls: Vec<String> = (1..1000).map(|call| format!("CA{call}")).collect();
    let item = super::Item::from([
        ("pk".to_owned(), super::text(partition(&caller))),
        ("sk".to_owned(), super::text(format!("calls::{now}"))),
        ("calls".to_owned(), AttributeValue::Ss(calls)),
    ]);
    store.client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
    for call in ["CA1000", "CA1001", "CA1001", "CA5"] {
        assert_eq!(store.count_at(&caller, call, Duration::from_mins(1), now).await.unwrap(), 1000, "{call}");
    }
}

fn record(fields: &Value) -> Map<String, Value> {
    let mut record =
        json!({ "pk": "record::booking::A1", "sk": "record", "pk1": "record::booking", "sk1": "A1" });
    record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    record.as_object().unwrap().clone()
}

fn fields(fields: &Value) -> Map<String, Value> {
    fields.as_object().unwrap().clone()
}

#[tokio::test]
async fn two_updates_of_a_record_do_not_undo_each_other() {
    let (_dynamodb, store) = table().await;
    store.put_record(record(&json!({ "status": "open", "seats": 2 })), None).await.unwrap();
    let update = |set: Value| {
        let store = store.clone();
        async move { store.update_record("record::booking::A1", "record", fields(&set)).await.unwrap() }
    };
    let (one, other) =
        tokio::join!(update(json!({ "status": "canceled" })), update(json!({ "name": "Ada" })));
    assert_eq!((&one.unwrap()["status"], &other.unwrap()["name"]), (&json!("canceled"), &json!("Ada")));
    let all = update(json!({ "size": { "m": 2 } })).await.unwrap();
    let expected = json!({ "status": "canceled", "name": "Ada", "seats": 2, "size": { "m": 2 } });
    assert_eq!(all, record(&expected), "as it is afterwards, keys included");
    assert_eq!(store.get_record("record::booking::A1", "record").await.unwrap(), Some(all));
}

#[tokio::test]
async fn a_record_that_is_gone_is_not_brought_back_by_an_update() {
    let (dynamodb, store) = table().await;
    let update =
        || store.update_record("record::booking::A1", "record", fields(&json!({ "status": "open" })));
    assert_eq!(update().await.unwrap(), None, "it never was");
    store.put_record(record(&json!({})), None).await.unwrap();
    let delete = dynamodb.client().await.delete_item().table_name(TABLE);
    let delete = delete.key("pk", AttributeValue::S("record::booking::A1".to_owned()));
    delete.key("sk", AttributeValue::S("record".to_owned())).send().await.unwrap();
    assert_eq!(update().await.unwrap(), None, "it was deleted");
    assert_eq!(store.get_record("record::booking::A1", "record").await.unwrap(), None);
    store.put_record(record(&json!({ "expireAt": 1 })), None).await.unwrap();
    assert_eq!(update().await.unwrap(), None, "it has expired");
}

#[tokio::test]
async fn a_new_record_takes_no_others_place() {
    let (_dynamodb, store) = table().await;
    assert!(store.put_new_record(record(&json!({ "status": "first" }))).await.unwrap());
    assert!(!store.put_new_record(record(&json!({ "status": "second" }))).await.unwrap());
    let found = store.get_record("record::booking::A1", "record").await.unwrap();
    assert_eq!(found.unwrap()["status"], "first");
    store.put_record(record(&json!({ "expireAt": 1 })), None).await.unwrap();
    assert!(store.put_new_record(record(&json!({ "status": "third" }))).await.unwrap(), "it had expired");
}

#[tokio::test]
async fn a_list_begins_with_the_last_and_stops_where_it_is_told() {
    let (_dynamodb, store) = table().await;
    for (key, expires) in [("2026-01-01", json!(null)), ("2026-01-02", json!(1)), ("2026-01-03", json!(null))]
    {
        let mut item = record(&json!({ "pk": format!("record::booking::{key}"), "sk1": key }));
        item.extend(expires.is_number().then(|| ("expireAt".to_owned(), expires)));
        store.put_record(item, None).await.unwrap();
    }
    let list = |most: usize| {
        let store = store.clone();
        async move {
            let listed = store.list_records("record::booking", most).await.unwrap();
            listed.iter().map(|item| item["sk1"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(list(1).await, ["2026-01-03"]);
    assert_eq!(list(2).await, ["2026-01-03", "2026-01-01"], "what has expired takes no place");
    assert_eq!(list(usize::MAX).await.len(), 2);
}
