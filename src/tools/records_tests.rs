//! What tools can and cannot do with records.

use super::*;
use crate::tools::testing::{self, FakeRecords};

fn table() -> FakeRecords {
    let table = FakeRecords::default();
    for (key, status) in [("AB12", "confirmed"), ("x-1", "open")] {
        table.add(&json!({
            "pk": format!("record::booking::{key}"), "sk": "record", "pk1": "record::booking", "sk1": key,
            "expireAt": 99, "bookingNumber": key, "status": status, "notes": { "price": 12 },
        }));
    }
    table.add(
        &json!({ "pk": "record::secret::AB12", "sk": "record", "pk1": "record::secret", "sk1": "AB12" }),
    );
    table
}

fn tool(action: RecordAction, fields: &[&str]) -> RecordTool {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    RecordTool { kind: "booking".to_owned(), action, fields }
}

async fn run(table: &FakeRecords, tool: &RecordTool, arguments: Value) -> Result<Value, String> {
    let request = testing::request(testing::tool("t"), arguments);
    handle(table, &RecordPlan::compile(tool)?, &request).await
}

fn get() -> RecordAction {
    RecordAction::Get { key: "{{ args.number }}".to_owned() }
}

#[tokio::test]
async fn a_record_is_found_as_callers_spell_it() {
    let (table, tool) = (table(), tool(get(), &["status", "pk"]));
    for number in ["AB12", " ab12 ", "a b-1 2", "AB 12"] {
        let found = run(&table, &tool, json!({ "number": number })).await;
        assert_eq!(found, Ok(json!({ "status": "confirmed" })), "{number}");
    }
    assert_eq!(run(&table, &tool, json!({ "number": "x-1" })).await, Ok(json!({ "status": "open" })));
}

#[tokio::test]
async fn a_key_that_is_blank_impossible_or_unknown_is_spoken_about() {
    let (table, tool) = (table(), tool(get(), &[]));
    for (number, told) in [
        (json!(null), "Ask the caller for"),
        (json!("  "), "Ask the caller for"),
        (json!("x".repeat(201)), "say it again"),
        (json!("AB\u{0}12"), "say it again"),
        (json!("ZZ99"), "no such record"),
        (json!("AB12::x"), "no such record"),
    ] {
        let refused = run(&table, &tool, json!({ "number": number })).await.unwrap_err();
        assert!(refused.contains(told), "{number}: {refused}");
    }
    *table.is_out_of_reach.lock().unwrap() = true;
    let refused = run(&table, &tool, json!({ "number": "AB12" })).await.unwrap_err();
    assert!(refused.contains("out of reach"), "{refused}");
}

#[tokio::test]
async fn a_list_is_of_its_kind_and_no_longer_than_it_may_be() {
    for (limit, expected) in [
        (1, json!({ "records": [{ "bookingNumber": "x-1" }], "more": true })),
        (2, json!({ "records": [{ "bookingNumber": "x-1" }, { "bookingNumber": "AB12" }] })),
    ] {
        let list = tool(RecordAction::List { limit }, &["bookingNumber"]);
        assert_eq!(run(&table(), &list, json!({})).await, Ok(expected));
    }
}

#[tokio::test]
async fn an_update_sets_what_it_names_of_a_record_that_exists() {
    let table = table();
    let set = json!({ "status": "canceled", "by": "{{ call.person }}", "count": "{{ args.count }}" });
    let set = set.as_object().unwrap().clone();
    let update = tool(RecordAction::Update { key: "{{ args.number }}".to_owned(), set }, &[]);
    let shown = run(&table, &update, json!({ "number": "ab-12", "count": 2 })).await;
    let expected = json!({
        "bookingNumber": "AB12", "notes": { "price": 12 }, "status": "canceled", "by": "+14155550100", "count": 2,
    });
    assert_eq!(shown, Ok(expected));
    let item = table.get_record("record::booking::AB12", "record").await.unwrap().unwrap();
    assert_eq!(
        (&item["status"], &item["sk1"], &item["expireAt"]),
        (&json!("canceled"), &json!("AB12"), &json!(99))
    );
    assert!(run(&table, &update, json!({ "number": "ZZ99" })).await.is_err());
    assert_eq!(table.items.lock().unwrap().len(), 3, "nothing new");
}

#[tokio::test]
async fn a_new_record_is_written_under_the_run_and_only_once() {
    let table = FakeRecords::default();
    let set = json!({ "text": "{{ args.text }}" }).as_object().unwrap().clone();
    let keep = Some(Duration::from_hours(24));
    let put = tool(RecordAction::Put { set, keep }, &["text"]);
    for _ in 0..2 {
        assert_eq!(run(&table, &put, json!({ "text": "Call me." })).await, Ok(json!({ "text": "Call me." })));
    }
    let items = table.items.lock().unwrap().clone();
    let [item] = items.as_slice() else { panic!("not one record: {items:?}") };
    assert_eq!(item["pk"], "record::booking::CA1:3:t-1");
    assert_eq!((&item["sk"], &item["pk1"]), (&json!("record"), &json!("record::booking")));
    let created = item["createdAt"].as_str().unwrap();
    assert!(created.parse::<Timestamp>().is_ok() && created.len() == "2026-01-01T00:00:00.000000Z".len());
    assert_eq!(item["sk1"], format!("{created}::CA1:3:t-1"), "the index has them in the order of time");
    assert_eq!(item["callSid"], "CA1");
    assert_eq!(table.kept_for.lock().unwrap()[0], keep);
}

#[test]
fn a_tool_cannot_set_where_a_record_is() {
    for name in OURS {
        let set = Map::from_iter([(name.to_owned(), json!("x"))]);
        let outcome = RecordPlan::compile(&tool(RecordAction::Put { set, keep: None }, &[]));
        assert!(outcome.is_err_and(|problem| problem.contains(name)), "{name}");
    }
}
