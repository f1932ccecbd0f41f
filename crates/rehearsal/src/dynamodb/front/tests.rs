//! The front through the real SDK.

use std::time::Instant;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};
use aws_sdk_dynamodb::operation::get_item::{GetItemError, GetItemOutput};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

use super::*;
use crate::dynamodb::{DynamoDbOptions, EmbeddedDynamoDb};

const SOON: Duration = Duration::from_secs(10);
/// Longer than anything on loopback that answers.
const A_WHILE: Duration = Duration::from_millis(400);

struct Stage {
    db: EmbeddedDynamoDb,
    front: DynamoDbFront,
    /// Reaches the database through the front, and asks once only.
    client: Client,
}

async fn stage() -> Stage {
    let db = EmbeddedDynamoDb::start(DynamoDbOptions::default()).await.unwrap();
    db.create_table("trunkline").await.unwrap();
    let front = DynamoDbFront::start(db.endpoint(), Behaviour::default()).await.unwrap();
    let timeouts = TimeoutConfig::builder().operation_timeout(A_WHILE).build();
    let config = db.client().await.config().to_builder();
    let config = config
        .endpoint_url(front.endpoint())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .build();
    Stage { db, front, client: Client::from_conf(config) }
}

impl Stage {
    async fn get(&self) -> Result<GetItemOutput, SdkError<GetItemError>> {
        let key = |text: &str| AttributeValue::S(text.to_owned());
        let get = self.client.get_item().table_name("trunkline").key("pk", key("a")).key("sk", key("b"));
        get.send().await
    }

    /// Waits until so many requests have been taken and left without an answer.
    async fn wait_for_unanswered(front: &DynamoDbFront, number: u64) {
        let mut unanswered = front.unanswered();
        let waiting = unanswered.wait_for(|unanswered| *unanswered == number);
        tokio::time::timeout(SOON, waiting).await.unwrap().unwrap();
    }

    async fn stop(self) {
        self.front.shutdown().await.unwrap();
        self.db.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn throttles_and_fails_as_dynamodb_does() {
    let stage = stage().await;
    stage.get().await.unwrap();
    stage.front.behave(Behaviour::Throttle(Throttling::Table));
    let error = stage.get().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 400);
    assert!(error.into_service_error().is_provisioned_throughput_exceeded_exception());
    stage.front.behave(Behaviour::Throttle(Throttling::Account));
    let error = stage.get().await.unwrap_err();
    assert!(error.into_service_error().is_throttling_exception());
    stage.front.behave(Behaviour::Fail);
    let error = stage.get().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 500);
    assert!(error.into_service_error().is_internal_server_error());
    stage.front.behave(Behaviour::Pass);
    stage.get().await.unwrap();
    stage.stop().await;
}

#[tokio::test]
async fn a_throttled_transaction_is_cancelled_with_a_reason_for_each_part() {
    let stage = stage().await;
    stage.front.behave(Behaviour::Throttle(Throttling::Table));
    let put = |sk: &str| {
        let put = Put::builder().table_name("trunkline").item("pk", AttributeValue::S("a".to_owned()));
        let put = put.item("sk", AttributeValue::S(sk.to_owned())).build().unwrap();
        TransactWriteItem::builder().put(put).build()
    };
    let written = stage.client.transact_write_items().transact_items(put("1")).transact_items(put("2"));
    let error = written.send().await.unwrap_err().into_service_error();
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { panic!("{error:?}") };
    let codes: Vec<_> = cancelled.cancellation_reasons().iter().map(|reason| reason.code()).collect();
    assert_eq!(codes, [Some("ThrottlingError"), Some("ThrottlingError")]);
    stage.stop().await;
}

#[tokio::test]
async fn what_hangs_is_never_answered_and_what_comes_afterwards_is() {
    let stage = stage().await;
    stage.get().await.unwrap();
    assert_eq!(stage.front.held_back(), 0);
    stage.front.behave(Behaviour::Hang);
    let began = Instant::now();
    let asked_in_the_outage = async {
        let error = stage.get().await.unwrap_err();
        assert!(matches!(error, SdkError::TimeoutError(_)), "{}", DisplayErrorContext(&error));
        began.elapsed()
    };
    let afterwards = async {
        Stage::wait_for_unanswered(&stage.front, 1).await;
        assert_eq!(stage.front.held_back(), 1);
        stage.front.behave(Behaviour::Pass);
        stage.get().await.unwrap();
    };
    let (waited, ()) = tokio::join!(asked_in_the_outage, afterwards);
    assert!(waited >= A_WHILE, "{waited:?}");
    stage.front.behave(Behaviour::Hang);
    let Stage { db, front, client } = stage;
    let stopping = async {
        Stage::wait_for_unanswered(&front, 2).await;
        tokio::time::timeout(SOON, front.shutdown()).await.unwrap().unwrap();
    };
    let describe = client.describe_table().table_name("trunkline").send();
    let (described, ()) = tokio::join!(describe, stopping);
    assert!(described.is_err(), "a front that stops cuts what hangs");
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn connections_are_reset_those_that_stand_and_new_ones() {
    let stage = stage().await;
    stage.get().await.unwrap();
    let standing = tokio::net::TcpStream::connect(stage.front.address).await.unwrap();
    // The front has accepted it, since it answers a connection that was made later.
    stage.get().await.unwrap();
    stage.front.behave(Behaviour::Refuse);
    let reset = async {
        standing.readable().await.unwrap();
        standing.try_read(&mut [0; 1]).unwrap_err().kind()
    };
    let reset = tokio::time::timeout(SOON, reset).await.unwrap();
    assert_eq!(reset, std::io::ErrorKind::ConnectionReset);
    for _ in 0..2 {
        let error = stage.get().await.unwrap_err();
        assert!(matches!(error, SdkError::DispatchFailure(_)), "{}", DisplayErrorContext(&error));
    }
    stage.front.behave(Behaviour::Pass);
    stage.get().await.unwrap();
    stage.stop().await;
}
