//! Calls that the service places: written down before the carrier is asked, and followed through its reports.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use voice_core::ports::{
    BoxFuture, LaunchChange, LaunchRecord, LaunchStatus, LaunchStore, StoreError, StoreErrorKind,
};
use voice_core::private::Private;
use voice_core::use_case::OnMachine;

use super::failure::{store_error, unless_conflict};
use super::session_item::{from_variables, to_variables};
use super::{DynamoDbStore, Item, expire_at, now_seconds, number, text};

const LAUNCH: &str = "launch";

impl LaunchStore for DynamoDbStore {
    fn open_launch(&self, launch: LaunchRecord) -> BoxFuture<'_, Result<Option<LaunchRecord>, StoreError>> {
        Box::pin(async move {
            let claim = uuid::Uuid::new_v4().to_string();
            let result = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(self.launch_item(&launch, &claim)))
                .condition_expression("attribute_not_exists(pk) OR expireAt < :now")
                .expression_attribute_values(":now", number(now_seconds()))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .send()
                .await;
            let Err(error) = result else { return Ok(None) };
            match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    // A launch whose answer was lost is repeated by the SDK, and meets itself: it is new all the same.
                    if failed.item().and_then(|item| field(item, "claim")) == Some(claim) {
                        return Ok(None);
                    }
                    failed.item().map_or(Err(not_readable()), |item| known(item).map(Some))
                }
                _ => Err(store_error(error)),
            }
        })
    }

    fn read_launch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<LaunchRecord>, StoreError>> {
        Box::pin(async move { self.read(partition(id), LAUNCH).await?.map(|item| known(&item)).transpose() })
    }

    fn change_launch<'a>(
        &'a self,
        id: &'a str,
        change: LaunchChange,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let LaunchChange { status, call_sid, answered_by, error, forget_person } = change;
            let texts = [("callSid", call_sid), ("answeredBy", answered_by), ("error", error)];
            let texts: Vec<_> = texts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
            if let Some(status) = status {
                match self
                    .update_launch(id, &texts, Some(status), forget_person)
                    .send()
                    .await
                    .map_err(store_error)
                {
                    Err(StoreError { kind: StoreErrorKind::Conflict, .. }) => {}
                    other => return other.map(drop),
                }
            }
            // The status lies behind the one written; what else is told counts all the same.
            if texts.is_empty() && !forget_person {
                return Ok(());
            }
            let update = self.update_launch(id, &texts, None, forget_person);
            unless_conflict(update.send().await.map(drop).map_err(store_error))
        })
    }

    fn withdraw_launch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let request = self.client.delete_item().table_name(&self.table);
            let request = request.key("pk", text(partition(id))).key("sk", text(LAUNCH));
            let request = request.condition_expression("attribute_not_exists(callSid)");
            unless_conflict(request.send().await.map(drop).map_err(store_error))
        })
    }
}

impl DynamoDbStore {
    fn launch_item(&self, launch: &LaunchRecord, claim: &str) -> Item {
        let now = Timestamp::now();
        let mut item = Item::from([
            ("pk".to_owned(), text(partition(&launch.id))),
            ("sk".to_owned(), text(LAUNCH)),
            ("pk1".to_owned(), text(format!("launch#{}", now.strftime("%Y-%m-%dT%H")))),
            ("sk1".to_owned(), text(format!("{now}#{}", launch.id))),
            ("id".to_owned(), text(&launch.id)),
            ("claim".to_owned(), text(claim)),
            ("status".to_owned(), text(launch.status.as_str())),
            ("progress".to_owned(), number(launch.status.progress())),
            ("requestDigest".to_owned(), text(&launch.request_digest)),
            ("to".to_owned(), text(launch.to.expose())),
            ("from".to_owned(), text(&launch.from)),
            ("useCase".to_owned(), text(&launch.use_case)),
            ("variables".to_owned(), from_variables(launch.variables.expose())),
            ("machine".to_owned(), from_machine(&launch.machine)),
            ("startedAt".to_owned(), text(now.to_string())),
            ("expireAt".to_owned(), expire_at(self.keep_calls)),
        ]);
        item.extend(launch.call_sid.as_ref().map(|sid| ("callSid".to_owned(), text(sid))));
        item.extend(launch.answered_by.as_ref().map(|who| ("answeredBy".to_owned(), text(who))));
        item.extend(launch.error.as_ref().map(|error| ("error".to_owned(), text(error))));
        item
    }

    /// Sets texts, and the status if it leads on; removes who was called, if told so.
    fn update_launch(
        &self,
        id: &str,
        texts: &[(&str, String)],
        status: Option<LaunchStatus>,
        forget_person: bool,
    ) -> UpdateItemFluentBuilder {
        let mut update = self.client.update_item().table_name(&self.table);
        update = update.key("pk", text(partition(id))).key("sk", text(LAUNCH));
        let mut settings = vec!["changedAt = :now".to_owned()];
        update = update.expression_attribute_values(":now", text(Timestamp::now().to_string()));
        for (name, value) in texts {
            settings.push(format!("#{name} = :{name}"));
            update = update.expression_attribute_names(format!("#{name}"), *name);
            update = update.expression_attribute_values(format!(":{name}"), text(value));
        }
        let mut condition = "attribute_exists(pk)";
        if let Some(status) = status {
            settings.push("#status = :status, progress = :progress".to_owned());
            update = update.expression_attribute_names("#status", "status");
            update = update.expression_attribute_values(":status", text(status.as_str()));
            update = update.expression_attribute_values(":progress", number(status.progress()));
            condition = "attribute_exists(pk) AND progress < :progress";
        }
        let mut expression = format!("SET {}", settings.join(", "));
        if forget_person {
            expression.push_str(" REMOVE #to, #variables");
            update = update.expression_attribute_names("#to", "to");
            update = update.expression_attribute_names("#variables", "variables");
        }
        update.update_expression(expression).condition_expression(condition)
    }
}

fn partition(id: &str) -> String {
    format!("launch::{id}")
}

fn known(item: &Item) -> Result<LaunchRecord, StoreError> {
    read(item).ok_or_else(not_readable)
}

fn read(item: &Item) -> Option<LaunchRecord> {
    let status = field(item, "status")?;
    Some(LaunchRecord {
        id: field(item, "id")?,
        status: LaunchStatus::ALL.into_iter().find(|known| known.as_str() == status)?,
        request_digest: field(item, "requestDigest")?,
        // It may have been forgotten.
        to: Private::new(field(item, "to").unwrap_or_default()),
        from: field(item, "from")?,
        use_case: field(item, "useCase")?,
        variables: Private::new(to_variables(item)),
        machine: to_machine(item.get("machine")?)?,
        call_sid: field(item, "callSid"),
        answered_by: field(item, "answeredBy"),
        error: field(item, "error"),
    })
}

/// As a use case's record has it.
fn from_machine(machine: &OnMachine) -> AttributeValue {
    match machine {
        OnMachine::Ignore => text("ignore"),
        OnMachine::HangUp => text("hangUp"),
        OnMachine::Say(message) => AttributeValue::M([("say".to_owned(), text(message))].into()),
    }
}

fn to_machine(value: &AttributeValue) -> Option<OnMachine> {
    match value {
        AttributeValue::S(text) if text == "ignore" => Some(OnMachine::Ignore),
        AttributeValue::S(text) if text == "hangUp" => Some(OnMachine::HangUp),
        AttributeValue::M(map) => Some(OnMachine::Say(map.get("say")?.as_s().ok()?.clone())),
        _ => None,
    }
}

fn field(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

fn not_readable() -> StoreError {
    StoreError { kind: StoreErrorKind::Refused, source: None }
}
