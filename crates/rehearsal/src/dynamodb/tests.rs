//! The embedded DynamoDB through the real SDK.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Instant;

use aws_sdk_dynamodb::types::AttributeValue;

use super::*;

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

async fn put(client: &Client, fields: &[(&str, AttributeValue)]) {
    let item = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    client.put_item().table_name("trunkline").set_item(Some(item)).send().await.unwrap();
}

async fn get(client: &Client, pk: &str, sk: &str) -> Option<HashMap<String, AttributeValue>> {
    let get = client.get_item().table_name("trunkline").key("pk", s(pk)).key("sk", s(sk));
    get.send().await.unwrap().item
}

#[tokio::test]
async fn serves_the_table_with_its_index() {
    let db = EmbeddedDynamoDb::start(DynamoDbOptions::default()).await.unwrap();
    db.create_table("trunkline").await.unwrap();
    let client = db.client().await;
    let described = client.describe_table().table_name("trunkline").send().await.unwrap();
    let table = described.table.unwrap();
    let keys = |schema: &[aws_sdk_dynamodb::types::KeySchemaElement]| -> Vec<String> {
        schema.iter().map(|key| key.attribute_name().to_owned()).collect()
    };
    assert_eq!(keys(table.key_schema()), ["pk", "sk"]);
    let [index] = table.global_secondary_indexes() else { panic!("{table:?}") };
    assert_eq!(index.index_name(), Some("index-1-full"));
    assert_eq!(keys(index.key_schema()), ["pk1", "sk1"]);

    let item =
        [("pk", s("CA1")), ("sk", s("connection")), ("pk1", s("h")), ("sk1", s("1")), ("more", s("kept"))];
    put(&client, &item).await;
    let query = client.query().table_name("trunkline").index_name("index-1-full");
    let query = query.key_condition_expression("pk1 = :pk1").expression_attribute_values(":pk1", s("h"));
    let found = query.send().await.unwrap();
    assert_eq!(found.items()[0]["more"], s("kept"), "the index holds all attributes");
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn creating_the_table_twice_is_fine() {
    let db = EmbeddedDynamoDb::start(DynamoDbOptions::default()).await.unwrap();
    db.create_table("trunkline").await.unwrap();
    put(&db.client().await, &[("pk", s("a")), ("sk", s("b"))]).await;
    db.create_table("trunkline").await.unwrap();
    assert!(get(&db.client().await, "a", "b").await.is_some());
    let error = db.create_table("no").await.unwrap_err();
    assert!(format!("{error:#}").contains("cannot create the table no"), "{error:#}");
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_reopened_file_keeps_its_items() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deep/down/dev.db");
    let options = DynamoDbOptions { file: Some(file), ..DynamoDbOptions::default() };
    let db = EmbeddedDynamoDb::start(options.clone()).await.unwrap();
    db.create_table("trunkline").await.unwrap();
    put(&db.client().await, &[("pk", s("a")), ("sk", s("b"))]).await;
    db.shutdown().await.unwrap();

    let db = EmbeddedDynamoDb::start(options).await.unwrap();
    assert!(get(&db.client().await, "a", "b").await.is_some());
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_sweep_deletes_what_has_expired_and_no_more() {
    let db = EmbeddedDynamoDb::start(DynamoDbOptions::default()).await.unwrap();
    db.create_table("trunkline").await.unwrap();
    let client = db.client().await;
    let far_future = AttributeValue::N("32503680000".to_owned());
    put(&client, &[("pk", s("old")), ("sk", s("x")), ("expireAt", AttributeValue::N("1000".to_owned()))])
        .await;
    put(&client, &[("pk", s("new")), ("sk", s("x")), ("expireAt", far_future)]).await;
    put(&client, &[("pk", s("lasting")), ("sk", s("x"))]).await;
    assert_eq!(db.sweep().unwrap(), 1);
    assert!(get(&client, "old", "x").await.is_none());
    assert!(get(&client, "new", "x").await.is_some() && get(&client, "lasting", "x").await.is_some());
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn says_which_address_is_taken() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = EmbeddedDynamoDb::start(DynamoDbOptions { address, file: None }).await.unwrap_err();
    assert_eq!(error.to_string(), format!("DynamoDB cannot listen on {address}"));
}

#[tokio::test]
async fn says_which_file_cannot_be_opened() {
    let directory = tempfile::tempdir().unwrap();
    let options = DynamoDbOptions { file: Some(directory.path().to_owned()), ..DynamoDbOptions::default() };
    let error = EmbeddedDynamoDb::start(options).await.unwrap_err();
    assert!(error.to_string().contains(&directory.path().display().to_string()), "{error:#}");
}

#[tokio::test]
async fn its_port_is_free_again_after_a_shutdown() {
    let db = EmbeddedDynamoDb::start(DynamoDbOptions::default()).await.unwrap();
    let address = db.address;
    db.shutdown().await.unwrap();
    let again = EmbeddedDynamoDb::start(DynamoDbOptions { address, file: None }).await.unwrap();
    again.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_front_holds_back_what_it_was_told_to() {
    let db = EmbeddedDynamoDb::start(DynamoDbOptions::default()).await.unwrap();
    db.create_table("trunkline").await.unwrap();
    let by = Duration::from_millis(300);
    let delay = Delay { containing: vec!["tool::".to_owned(), "order::".to_owned()], by };
    let front = DynamoDbFront::start(db.endpoint(), Behaviour::Delay(delay)).await.unwrap();
    let direct = db.client().await;
    let config = direct.config().to_builder().endpoint_url(front.endpoint()).build();
    let slow = Client::from_conf(config);

    let began = Instant::now();
    put(&slow, &[("pk", s("CA1")), ("sk", s("tool::1"))]).await;
    assert!(began.elapsed() >= by, "{:?}", began.elapsed());
    assert!(get(&direct, "CA1", "tool::1").await.is_some(), "it was passed on");
    assert!(get(&slow, "CA1", "chat::1").await.is_none(), "answers come back");

    let held_back = slow.get_item().table_name("trunkline").key("pk", s("CA1")).key("sk", s("order::1"));
    let in_a_hurry = tokio::time::timeout(by / 2, held_back.send()).await;
    assert!(in_a_hurry.is_err(), "every one of the strings counts");
    let refused = slow.describe_table().table_name("another").send().await.unwrap_err();
    assert!(refused.as_service_error().unwrap().is_resource_not_found_exception(), "{refused:?}");
    front.shutdown().await.unwrap();
    db.shutdown().await.unwrap();
}
