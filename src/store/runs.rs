//! Tool runs: claimed before they start, completed after.

use aws_sdk_dynamodb::types::Put;
use jiff::Timestamp;
use voice_core::message::{RunId, ToolOutcome};
use voice_core::ports::{BoxFuture, RunClaim, RunStore, StoreError, StoreErrorKind};

use super::calls::RUN_PREFIX;
use super::chat::{from_tool_result, to_tool_result};
use super::failure::store_error;
use super::{DynamoDbStore, Item, expire_at, from_attribute, number, text, to_attribute};

impl RunStore for DynamoDbStore {
    fn claim_run<'a>(
        &'a self,
        call_sid: &'a str,
        owner: &'a str,
        run: &'a RunId,
        tool: &'a str,
    ) -> BoxFuture<'a, Result<RunClaim, StoreError>> {
        Box::pin(async move {
            let claim = uuid::Uuid::new_v4().to_string();
            // The first claim on a call is written behind it, so that nobody may own it yet.
            let still_ours = self
                .session_check(call_sid)
                .condition_expression("attribute_not_exists(pk) OR epoch = :zero OR #owner = :owner")
                .expression_attribute_names("#owner", "owner")
                .expression_attribute_values(":zero", number(0))
                .expression_attribute_values(":owner", text(owner));
            let item = Item::from([
                ("pk".to_owned(), text(call_sid)),
                ("sk".to_owned(), text(sort_key(run))),
                ("tool".to_owned(), text(tool)),
                ("claim".to_owned(), text(&claim)),
                ("status".to_owned(), text("running")),
                ("startedAt".to_owned(), text(Timestamp::now().to_string())),
                ("expireAt".to_owned(), expire_at(self.keep_calls)),
            ]);
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(item))
                .condition_expression("attribute_not_exists(pk)");
            match self.write_if(still_ours, put).await {
                Ok(()) => Ok(RunClaim::Granted),
                Err(StoreError { kind: StoreErrorKind::Conflict, .. }) => {
                    self.standing_claim(call_sid, run, &claim).await
                }
                Err(error) => Err(error),
            }
        })
    }

    fn complete_run<'a>(
        &'a self,
        call_sid: &'a str,
        run: &'a RunId,
        outcome: &'a ToolOutcome,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let result = self
                .client
                .update_item()
                .table_name(&self.table)
                .key("pk", text(call_sid))
                .key("sk", text(sort_key(run)))
                .update_expression("SET #status = :completed, outcome = :outcome, completedAt = :now")
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":completed", text("completed"))
                .expression_attribute_values(":outcome", to_attribute(&to_tool_result(outcome))?)
                .expression_attribute_values(":now", text(Timestamp::now().to_string()))
                .send()
                .await;
            result.map(drop).map_err(store_error)
        })
    }
}

impl DynamoDbStore {
    /// What stands in the way of a claim.
    async fn standing_claim(&self, call_sid: &str, run: &RunId, claim: &str) -> Result<RunClaim, StoreError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(call_sid))
            .key("sk", text(sort_key(run)));
        let output = request.consistent_read(true).send().await.map_err(store_error)?;
        let Some(item) = output.item else { return Ok(RunClaim::Overtaken) };
        // A claim whose answer was lost was repeated by the SDK, and met itself.
        if item.get("claim").and_then(|value| value.as_s().ok()).is_some_and(|standing| standing == claim) {
            return Ok(RunClaim::Granted);
        }
        Ok(outcome(&item).map_or(RunClaim::Unknown, RunClaim::Completed))
    }
}

pub(super) fn is_run(item: &Item) -> bool {
    item.get("sk").and_then(|value| value.as_s().ok()).is_some_and(|key| key.starts_with(RUN_PREFIX))
}

/// The outcome of a run that is completed.
pub(super) fn outcome(item: &Item) -> Option<ToolOutcome> {
    let outcome = from_attribute(item.get("outcome")?.clone()).ok()?;
    from_tool_result(outcome.get("toolResult")?)
}

fn sort_key(run: &RunId) -> String {
    // Padded, so that runs sort in their order.
    format!("{RUN_PREFIX}{:010}::{}", run.generation.0, run.call.0)
}
