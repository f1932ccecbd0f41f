//! Records as operators know them: whole items, as plain JSON.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use serde_json::{Map, Value};
use voice_core::ports::{BoxFuture, RecordStore, StoreError, StoreErrorKind};

use super::failure::store_error;
use super::{
    DynamoDbStore, expire_at, from_item, is_expired, now_seconds, number, text, to_attribute, to_item,
};

/// The only index of the table, on `pk1` and `sk1`.
const INDEX: &str = "index-1-full";
/// An item that expired may still be there, and counts as gone.
const IS_THERE: &str = "attribute_exists(pk) AND (attribute_not_exists(expireAt) OR expireAt >= :now)";
const IS_NOT_THERE: &str = "attribute_not_exists(pk) OR expireAt < :now";

impl RecordStore for DynamoDbStore {
    fn get_record<'a>(
        &'a self,
        pk: &'a str,
        sk: &'a str,
    ) -> BoxFuture<'a, Result<Option<Map<String, Value>>, StoreError>> {
        Box::pin(async move {
            // A caller who has a record changed asks for it again at once.
            self.read(pk, sk).await?.map(from_item).transpose()
        })
    }

    fn put_record(
        &self,
        record: Map<String, Value>,
        keep_for: Option<Duration>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let mut item = to_item(&record)?;
            if let Some(keep_for) = keep_for {
                item.insert("expireAt".to_owned(), expire_at(keep_for));
            }
            let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
            request.send().await.map(drop).map_err(store_error)
        })
    }

    fn put_new_record(&self, record: Map<String, Value>) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let request = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(to_item(&record)?))
                .condition_expression(IS_NOT_THERE)
                .expression_attribute_values(":now", number(now_seconds()));
            match request.send().await.map_err(store_error) {
                Ok(_) => Ok(true),
                Err(StoreError { kind: StoreErrorKind::Conflict, .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    fn update_record<'a>(
        &'a self,
        pk: &'a str,
        sk: &'a str,
        set: Map<String, Value>,
    ) -> BoxFuture<'a, Result<Option<Map<String, Value>>, StoreError>> {
        Box::pin(async move {
            if set.is_empty() {
                return self.get_record(pk, sk).await;
            }
            let mut request = self
                .client
                .update_item()
                .table_name(&self.table)
                .key("pk", text(pk))
                .key("sk", text(sk))
                .condition_expression(IS_THERE)
                .expression_attribute_values(":now", number(now_seconds()))
                .return_values(ReturnValue::AllNew);
            let mut assignments = Vec::with_capacity(set.len());
            // Operators name their fields as they like, also with words that expressions reserve.
            for (index, (name, value)) in set.iter().enumerate() {
                let (name_of, value_of) = (format!("#field{index}"), format!(":value{index}"));
                assignments.push(format!("{name_of} = {value_of}"));
                request = request
                    .expression_attribute_names(name_of, name)
                    .expression_attribute_values(value_of, to_attribute(value)?);
            }
            let request = request.update_expression(format!("SET {}", assignments.join(", ")));
            match request.send().await.map_err(store_error) {
                Ok(output) => output.attributes.map(from_item).transpose(),
                Err(StoreError { kind: StoreErrorKind::Conflict, .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn list_records<'a>(
        &'a self,
        pk1: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<Map<String, Value>>, StoreError>> {
        Box::pin(async move {
            let mut pages = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(INDEX)
                .key_condition_expression("pk1 = :pk1")
                .expression_attribute_values(":pk1", text(pk1))
                .scan_index_forward(false)
                // A page ends at its size in bytes anyway; what is not wanted need not be read.
                .set_limit(i32::try_from(most).ok().map(|most| most.max(1)))
                .into_paginator()
                .items()
                .send();
            let mut records = Vec::new();
            while records.len() < most
                && let Some(item) = pages.next().await
            {
                let item = item.map_err(store_error)?;
                if !is_expired(&item) {
                    records.push(from_item(item)?);
                }
            }
            Ok(records)
        })
    }
}
