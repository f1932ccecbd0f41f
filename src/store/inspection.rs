//! Looks at the table itself, for an operator who asks whether it is as the service needs it. Calls never do.
//!
//! It tells what is there. What is wrong with that, and what to do, is said elsewhere.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{KeySchemaElement, PointInTimeRecoveryStatus, TimeToLiveStatus};
use jiff::Timestamp;

use super::{expire_at, text};
use crate::telemetry::causes;

/// One table of one account and region.
#[derive(Clone, Debug)]
pub struct TableInspection {
    client: Client,
    table: String,
    clock: RemoteClock,
}

/// Why something could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// DynamoDB's name for it, such as `AccessDeniedException`; `None` when there was no answer.
    pub code: Option<String>,
    pub detail: String,
}

/// What a table is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// `ACTIVE` once it can be used.
    pub status: String,
    pub keys: Keys,
    pub indexes: Vec<Index>,
}

/// Names of the attributes that make a key; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    pub partition: String,
    pub sort: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub name: String,
    pub status: String,
    pub keys: Keys,
    /// `ALL` when queries of it return whole items.
    pub projection: String,
}

/// How far an item of the inspection's own came that was written, read and deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoundTrip {
    Done,
    NotWritten(Obstacle),
    NotRead(Obstacle),
    /// It was read, and was not what had been written.
    Changed,
    /// It stays until it expires, within an hour.
    NotDeleted(Obstacle),
}

/// How long the item of a round trip lives that cannot be deleted.
const TRACE: Duration = Duration::from_hours(1);

impl TableInspection {
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table, clock: RemoteClock::default() }
    }

    pub async fn shape(&self) -> Result<Shape, Obstacle> {
        let request = self.client.describe_table().table_name(&self.table);
        let output = request
            .customize()
            .interceptor(self.clock.clone())
            .send()
            .await
            .map_err(|error| obstacle(&error))?;
        let table =
            output.table.ok_or_else(|| Obstacle { code: None, detail: "no description".to_owned() })?;
        let indexes = table.global_secondary_indexes().iter().map(|index| Index {
            name: index.index_name().unwrap_or_default().to_owned(),
            status: index.index_status().map_or_else(String::new, |status| status.as_str().to_owned()),
            keys: Keys::of(index.key_schema()),
            projection: index
                .projection()
                .and_then(|projection| projection.projection_type())
                .map_or_else(String::new, |projection| projection.as_str().to_owned()),
        });
        Ok(Shape {
            status: table.table_status().map_or_else(String::new, |status| status.as_str().to_owned()),
            keys: Keys::of(table.key_schema()),
            indexes: indexes.collect(),
        })
    }

    /// The attribute whose time items expire at; `None` when they never do.
    pub async fn expiry(&self) -> Result<Option<String>, Obstacle> {
        let request = self.client.describe_time_to_live().table_name(&self.table);
        let described = request.send().await.map_err(|error| obstacle(&error))?.time_to_live_description;
        let described = described.filter(|described| {
            matches!(
                described.time_to_live_status(),
                Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
            )
        });
        Ok(described.map(|described| described.attribute_name.unwrap_or_default()))
    }

    /// Whether the table can be restored to any second of the last days.
    pub async fn is_recoverable(&self) -> Result<bool, Obstacle> {
        let request = self.client.describe_continuous_backups().table_name(&self.table);
        let described =
            request.send().await.map_err(|error| obstacle(&error))?.continuous_backups_description;
        let recovery = described.and_then(|described| described.point_in_time_recovery_description);
        let status = recovery.and_then(|recovery| recovery.point_in_time_recovery_status);
        Ok(status == Some(PointInTimeRecoveryStatus::Enabled))
    }

    /// Writes an item under a key that nothing else has, reads it, and deletes it.
    pub async fn round_trip(&self) -> RoundTrip {
        let key = text(format!("doctor::{}", uuid::Uuid::new_v4()));
        let mark = text(Timestamp::now().to_string());
        let put = self.client.put_item().table_name(&self.table).item("pk", key.clone());
        let put =
            put.item("sk", text("doctor")).item("mark", mark.clone()).item("expireAt", expire_at(TRACE));
        if let Err(error) = put.send().await {
            return RoundTrip::NotWritten(obstacle(&error));
        }
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let read = get.key("pk", key.clone()).key("sk", text("doctor")).send().await;
        let delete = self.client.delete_item().table_name(&self.table);
        let deleted = delete.key("pk", key).key("sk", text("doctor")).send().await;
        match (read, deleted) {
            (Err(error), _) => RoundTrip::NotRead(obstacle(&error)),
            (Ok(output), _) if output.item().and_then(|item| item.get("mark")) != Some(&mark) => {
                RoundTrip::Changed
            }
            (Ok(_), Err(error)) => RoundTrip::NotDeleted(obstacle(&error)),
            (Ok(_), Ok(_)) => RoundTrip::Done,
        }
    }

    /// How far ahead of us DynamoDB's clock was in its last answer, in whole seconds; `None` before there was one.
    pub fn clock_ahead_by(&self) -> Option<i64> {
        self.clock.ahead_by()
    }
}

impl Keys {
    fn of(schema: &[KeySchemaElement]) -> Self {
        let mut keys = Self::default();
        for element in schema {
            let place = match element.key_type().as_str() {
                "HASH" => &mut keys.partition,
                _ => &mut keys.sort,
            };
            element.attribute_name().clone_into(place);
        }
        keys
    }
}

/// Compares the date of answers with ours, also of those that refuse something: a wrong clock is a reason to refuse.
#[derive(Clone, Debug, Default)]
struct RemoteClock(Arc<Mutex<Option<i64>>>);

impl RemoteClock {
    fn ahead_by(&self) -> Option<i64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for RemoteClock {
    fn name(&self) -> &'static str {
        "RemoteClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let Some(date) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) {
            let ahead_by = date.timestamp().as_second() - Timestamp::now().as_second();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead_by);
        }
        Ok(())
    }
}

fn obstacle<E>(error: &SdkError<E>) -> Obstacle
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match error.as_service_error() {
        Some(refused) => Obstacle {
            code: Some(refused.code().unwrap_or("unknown").to_owned()),
            detail: refused.message().unwrap_or_default().to_owned(),
        },
        None => Obstacle { code: None, detail: causes(error).to_string() },
    }
}
