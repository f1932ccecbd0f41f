//! The one table: its keys, its index and its time to live. Not what is in it.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification, TimeToLiveStatus,
};

const INDEX: &str = "index-1-full";
const TIME_TO_LIVE: &str = "expireAt";

/// Creates the table unless it exists, and turns its time to live on unless it is on.
pub(super) async fn create(client: &Client, name: &str) -> anyhow::Result<()> {
    let creation = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(vec![string("pk")?, string("sk")?, string("pk1")?, string("sk1")?]))
        .set_key_schema(Some(keys("pk", "sk")?))
        .global_secondary_indexes(
            GlobalSecondaryIndex::builder()
                .index_name(INDEX)
                .set_key_schema(Some(keys("pk1", "sk1")?))
                .projection(Projection::builder().projection_type(ProjectionType::All).build())
                .build()?,
        )
        .send()
        .await;
    if let Err(error) = creation
        && !error.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception)
    {
        return Err(error.into());
    }
    expire_items(client, name).await
}

/// Turning it on twice is an error, so its state is asked for first.
async fn expire_items(client: &Client, name: &str) -> anyhow::Result<()> {
    let described = client.describe_time_to_live().table_name(name).send().await?;
    let status =
        described.time_to_live_description().and_then(|description| description.time_to_live_status());
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let specification =
        TimeToLiveSpecification::builder().enabled(true).attribute_name(TIME_TO_LIVE).build()?;
    client.update_time_to_live().table_name(name).time_to_live_specification(specification).send().await?;
    Ok(())
}

fn string(name: &str) -> anyhow::Result<AttributeDefinition> {
    let definition =
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()?;
    Ok(definition)
}

fn keys(hash: &str, range: &str) -> anyhow::Result<Vec<KeySchemaElement>> {
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    Ok(vec![key(hash, KeyType::Hash)?, key(range, KeyType::Range)?])
}
