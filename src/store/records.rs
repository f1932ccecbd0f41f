//! Records as operators know them: whole items, as plain JSON.

use std::time::Duration;

use serde_json::{Map, Value};
use voice_core::ports::{BoxFuture, RecordStore, StoreError};

use super::failure::store_error;
use super::{DynamoDbStore, expire_at, from_item, is_expired, text, to_item};

/// The only index of the table, on `pk1` and `sk1`.
const INDEX: &str = "index-1-full";

impl RecordStore for DynamoDbStore {
    fn get_record<'a>(
        &'a self,
        pk: &'a str,
        sk: &'a str,
    ) -> BoxFuture<'a, Result<Option<Map<String, Value>>, StoreError>> {
        Box::pin(async move {
            // A caller who has a record changed asks for it again at once.
            let request = self.client.get_item().table_name(&self.table).consistent_read(true);
            let request = request.key("pk", text(pk)).key("sk", text(sk));
            let output = request.send().await.map_err(store_error)?;
            output.item.filter(|item| !is_expired(item)).map(from_item).transpose()
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

    fn list_records<'a>(
        &'a self,
        pk1: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Map<String, Value>>, StoreError>> {
        Box::pin(async move {
            let mut pages = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(INDEX)
                .key_condition_expression("pk1 = :pk1")
                .expression_attribute_values(":pk1", text(pk1))
                .into_paginator()
                .items()
                .send();
            let mut records = Vec::new();
            while let Some(item) = pages.next().await {
                let item = item.map_err(store_error)?;
                if !is_expired(&item) {
                    records.push(from_item(item)?);
                }
            }
            Ok(records)
        })
    }
}
