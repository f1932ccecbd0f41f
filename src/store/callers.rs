//! How often a number has called: one item per number and window, which holds the calls themselves, so that none counts
//! twice. The number is there only as its digest, because a use case may have said that none is kept.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use sha2::{Digest, Sha256};
use voice_core::ports::{BoxFuture, CallerCounter, StoreError, StoreErrorKind};
use voice_core::private::Private;

use super::failure::store_error;
use super::{DynamoDbStore, now_seconds, number, text};

/// Past this many, nothing is counted any more: an item has a largest size, and no limit is that high.
const MOST: u64 = 1000;

impl CallerCounter for DynamoDbStore {
    fn count_call<'a>(
        &'a self,
        number: &'a Private<String>,
        call_sid: &'a str,
        window: Duration,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            // Callers who withhold their numbers cannot be told apart, and are not held against each other.
            if number.expose().is_empty() {
                return Ok(1);
            }
            self.count_at(number, call_sid, window, now_seconds()).await
        })
    }
}

impl DynamoDbStore {
    /// `now` in epoch seconds. Windows follow each other without a gap, from the epoch on.
    pub(super) async fn count_at(
        &self,
        caller: &Private<String>,
        call_sid: &str,
        window: Duration,
        now: i64,
    ) -> Result<u64, StoreError> {
        let window = i64::try_from(window.as_secs()).unwrap_or(i64::MAX).max(1);
        let start = now - now.rem_euclid(window);
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(partition(caller)))
            .key("sk", text(format!("calls::{start}")))
            .update_expression("ADD calls :call SET expireAt = :end")
            .condition_expression(
                "attribute_not_exists(calls) OR contains(calls, :sid) OR size(calls) < :most",
            )
            .expression_attribute_values(":call", AttributeValue::Ss(vec![call_sid.to_owned()]))
            .expression_attribute_values(":sid", text(call_sid))
            .expression_attribute_values(":most", number(MOST))
            .expression_attribute_values(":end", number(start.saturating_add(window)))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await;
        match result.map_err(store_error) {
            Ok(output) => {
                let calls = output.attributes.as_ref().and_then(|item| item.get("calls")?.as_ss().ok());
                Ok(calls.map_or(1, |calls| u64::try_from(calls.len()).unwrap_or(MOST)))
            }
            Err(StoreError { kind: StoreErrorKind::Conflict, .. }) => Ok(MOST),
            Err(error) => Err(error),
        }
    }
}

/// `caller::` and 64 hexadecimal digits. It keeps numbers out of listings and exports of the table; whoever tries all numbers
/// would find one, until the item expires with its window.
pub(super) fn partition(caller: &Private<String>) -> String {
    let digest = Sha256::digest(caller.expose().as_bytes());
    digest.iter().fold("caller::".to_owned(), |digits, byte| format!("{digits}{byte:02x}"))
}
