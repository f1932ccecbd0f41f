//! Tool runs: claimed before they start, completed after.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use jiff::Timestamp;
use voice_core::message::{RunId, ToolOutcome};
use voice_core::ports::{BoxFuture, RunClaim, RunStore, StoreError};

use super::chat::{from_tool_result, to_tool_result};
use super::failure::store_error;
use super::{DynamoDbStore, Item, expire_at, from_attribute, text, to_attribute};

impl RunStore for DynamoDbStore {
    fn claim_run<'a>(
        &'a self,
        call_sid: &'a str,
        run: &'a RunId,
        tool: &'a str,
    ) -> BoxFuture<'a, Result<RunClaim, StoreError>> {
        Box::pin(async move {
            let item = Item::from([
                ("pk".to_owned(), text(call_sid)),
                ("sk".to_owned(), text(sort_key(run))),
                ("tool".to_owned(), text(tool)),
                ("status".to_owned(), text("running")),
                ("startedAt".to_owned(), text(Timestamp::now().to_string())),
                ("expireAt".to_owned(), expire_at(self.keep_calls)),
            ]);
            let result = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item))
                .condition_expression("attribute_not_exists(pk)")
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .send()
                .await;
            let Err(error) = result else {
                return Ok(RunClaim::Granted);
            };
            match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(taken)) => {
                    let outcome = taken.item().and_then(|item| item.get("outcome")).cloned();
                    let outcome = outcome.map(from_attribute).transpose()?;
                    let outcome =
                        outcome.as_ref().and_then(|value| from_tool_result(value.get("toolResult")?));
                    Ok(outcome.map_or(RunClaim::Unknown, RunClaim::Completed))
                }
                _ => Err(store_error(error)),
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

fn sort_key(run: &RunId) -> String {
    format!("tool::{}::{}", run.generation, run.call.0)
}
