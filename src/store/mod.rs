//! The one table, through DynamoDB's API: sessions, turns, tool runs, traces, handoffs, calls that the service places,
//! counts of callers, and the records of operators and sample tools.
//!
//! Implements the store ports. It knows how things look as items, not what they are for.

mod callers;
mod calls;
mod chat;
mod failure;
mod handoffs;
mod inspection;
mod launches;
mod recorded;
#[cfg(test)]
mod recorded_tests;
mod records;
mod reports;
mod runs;
mod session_item;
#[cfg(test)]
mod tests;
mod traces;

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::builders::{ConditionCheckBuilder, PutBuilder};
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use jiff::Timestamp;
use serde_json::{Map, Value};
use voice_core::ports::{StoreError, StoreErrorKind};

use failure::Cancelled;
pub use inspection::{Index, Keys, Obstacle, RoundTrip, Shape, TableInspection};

/// How often a transaction is tried that others cross, and how long it waits before the second time.
const CONFLICTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(10);

type Item = HashMap<String, AttributeValue>;

/// The table, as an adapter for all store ports.
#[derive(Clone, Debug)]
pub struct DynamoDbStore {
    client: Client,
    table: String,
    /// How long the items of a call are kept.
    keep_calls: Duration,
}

impl DynamoDbStore {
    pub fn new(client: Client, table: String, keep_calls: Duration) -> Self {
        Self { client, table, keep_calls }
    }
}

impl DynamoDbStore {
    /// An item as it is at this moment, unless it has expired.
    async fn read(&self, pk: impl Into<String>, sk: &str) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let output =
            request.key("pk", text(pk)).key("sk", text(sk)).send().await.map_err(failure::store_error)?;
        Ok(output.item.filter(|item| !is_expired(item)))
    }

    /// Writes an item if a condition on another item holds; [`StoreErrorKind::Conflict`] if it does not, or if the item's
    /// own condition does not.
    async fn write_if(&self, condition: ConditionCheckBuilder, put: PutBuilder) -> Result<(), StoreError> {
        let condition =
            TransactWriteItem::builder().condition_check(condition.build().map_err(not_built)?).build();
        let put = TransactWriteItem::builder().put(put.build().map_err(not_built)?).build();
        let request = self.client.transact_write_items().transact_items(condition).transact_items(put);
        // Two transactions that meet on one item cancel each other: a call's journal and its tools meet on its session.
        let mut pause = FIRST_PAUSE;
        for _ in 0..CONFLICTS {
            match request.clone().send().await.map_err(failure::transaction_error) {
                Ok(_) => return Ok(()),
                Err(Cancelled::Met) => {}
                Err(Cancelled::Failed(error)) => return Err(error),
            }
            tokio::time::sleep(pause.mul_f64(0.5 + f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0))
                .await;
            pause *= 2;
        }
        Err(StoreError { kind: StoreErrorKind::Unavailable, source: None })
    }
}

/// Epoch seconds, as the table's TTL attribute wants them.
fn now_seconds() -> i64 {
    Timestamp::now().as_second()
}

fn expire_at(keep_for: Duration) -> AttributeValue {
    number(now_seconds().saturating_add_unsigned(keep_for.as_secs()))
}

/// TTL deletes late, so an expired item may still be there.
fn is_expired(item: &Item) -> bool {
    let expires =
        item.get("expireAt").and_then(|value| value.as_n().ok()).and_then(|text| text.parse::<f64>().ok());
    #[expect(clippy::cast_precision_loss, reason = "epoch seconds fit a double exactly")]
    expires.is_some_and(|expires| expires < now_seconds() as f64)
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

fn to_attribute(value: &Value) -> Result<AttributeValue, StoreError> {
    serde_dynamo::to_attribute_value(value).map_err(not_understood)
}

fn to_item(object: &Map<String, Value>) -> Result<Item, StoreError> {
    serde_dynamo::to_item(object).map_err(not_understood)
}

fn from_item(item: Item) -> Result<Map<String, Value>, StoreError> {
    serde_dynamo::from_item(item).map_err(not_understood)
}

fn from_attribute(value: AttributeValue) -> Result<Value, StoreError> {
    serde_dynamo::from_attribute_value(value).map_err(not_understood)
}

fn not_built(error: BuildError) -> StoreError {
    StoreError { kind: StoreErrorKind::Refused, source: Some(Box::new(error)) }
}

fn not_understood(error: serde_dynamo::Error) -> StoreError {
    StoreError { kind: StoreErrorKind::Refused, source: Some(Box::new(error)) }
}
