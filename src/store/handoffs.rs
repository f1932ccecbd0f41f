//! Calls that are handed over: one item per call, settled once by whoever learns first what became of it.

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use jiff::Timestamp;
use voice_core::ports::{BoxFuture, HandoffRecord, HandoffStatus, HandoffStore, StoreError, StoreErrorKind};
use voice_core::private::Private;

use super::failure::{store_error, unless_conflict};
use super::{DynamoDbStore, Item, expire_at, text};

const HANDOFF: &str = "handoff";

impl HandoffStore for DynamoDbStore {
    fn open_handoff<'a>(
        &'a self,
        call_sid: &'a str,
        handoff: HandoffRecord,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut item = Item::from([
                ("pk".to_owned(), text(call_sid)),
                ("sk".to_owned(), text(HANDOFF)),
                ("sessionId".to_owned(), text(handoff.session_id)),
                ("useCase".to_owned(), text(handoff.use_case)),
                ("target".to_owned(), text(handoff.target)),
                ("status".to_owned(), text(handoff.status.as_str())),
                ("reason".to_owned(), text(handoff.reason.into_inner())),
                ("summary".to_owned(), text(handoff.summary.into_inner())),
                ("startedAt".to_owned(), text(handoff.started_at)),
                ("expireAt".to_owned(), expire_at(self.keep_calls)),
            ]);
            item.extend(handoff.person_call_sid.map(|sid| ("personCallSid".to_owned(), text(sid))));
            let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
            request.send().await.map(drop).map_err(store_error)
        })
    }

    fn read_handoff<'a>(
        &'a self,
        call_sid: &'a str,
    ) -> BoxFuture<'a, Result<Option<HandoffRecord>, StoreError>> {
        Box::pin(async move {
            let Some(item) = self.read(call_sid, HANDOFF).await? else { return Ok(None) };
            handoff(&item).map(Some).ok_or(StoreError { kind: StoreErrorKind::Refused, source: None })
        })
    }

    fn note_handoff_call<'a>(
        &'a self,
        call_sid: &'a str,
        person_call_sid: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let result = self
                .update_handoff(call_sid)
                .update_expression("SET personCallSid = :person")
                .condition_expression("attribute_exists(pk)")
                .expression_attribute_values(":person", text(person_call_sid))
                .send()
                .await;
            // A handoff that has expired meanwhile concerns nobody.
            unless_conflict(result.map(drop).map_err(store_error))
        })
    }

    fn settle_handoff<'a>(
        &'a self,
        call_sid: &'a str,
        to: HandoffStatus,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            // A settlement whose answer was lost is repeated by the SDK, and must not lose against itself: then nobody
            // would see to the caller.
            let settlement = uuid::Uuid::new_v4().to_string();
            let result = self
                .update_handoff(call_sid)
                .update_expression("SET #status = :to, settlement = :settlement, settledAt = :now")
                .condition_expression("#status = :dialling OR settlement = :settlement")
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":to", text(to.as_str()))
                .expression_attribute_values(":dialling", text(HandoffStatus::Dialling.as_str()))
                .expression_attribute_values(":settlement", text(settlement))
                .expression_attribute_values(":now", text(Timestamp::now().to_string()))
                .send()
                .await;
            match result.map_err(store_error) {
                Ok(_) => Ok(true),
                Err(StoreError { kind: StoreErrorKind::Conflict, .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }
}

impl DynamoDbStore {
    fn update_handoff(&self, call_sid: &str) -> UpdateItemFluentBuilder {
        let update = self.client.update_item().table_name(&self.table);
        update.key("pk", text(call_sid)).key("sk", text(HANDOFF))
    }
}

fn handoff(item: &Item) -> Option<HandoffRecord> {
    let field = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
    let status = field("status")?;
    Some(HandoffRecord {
        session_id: field("sessionId")?,
        use_case: field("useCase")?,
        started_at: field("startedAt")?,
        target: field("target")?,
        status: HandoffStatus::ALL.into_iter().find(|known| known.as_str() == status)?,
        reason: Private::new(field("reason")?),
        summary: Private::new(field("summary")?),
        person_call_sid: field("personCallSid"),
    })
}
