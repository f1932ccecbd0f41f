//! What a failed request to DynamoDB means to its caller.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use voice_core::ports::{StoreError, StoreErrorKind};

/// Error codes after which the same request may succeed.
const PASSING: &[&str] = &[
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
    "TransactionInProgressException",
];

pub(super) fn store_error<E>(error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let kind = match &error {
        SdkError::ServiceError(service) => match service.err().code() {
            Some("ConditionalCheckFailedException") => StoreErrorKind::Conflict,
            Some(code) if PASSING.contains(&code) => StoreErrorKind::Unavailable,
            _ if service.raw().status().is_server_error() => StoreErrorKind::Unavailable,
            _ => StoreErrorKind::Refused,
        },
        SdkError::ConstructionFailure(_) => StoreErrorKind::Refused,
        _ => StoreErrorKind::Unavailable,
    };
    StoreError { kind, source: Some(Box::new(error)) }
}

/// A transaction tells for each of its parts why it was cancelled.
pub(super) fn transaction_error(error: SdkError<TransactWriteItemsError>) -> StoreError {
    let reasons = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            cancelled.cancellation_reasons()
        }
        _ => return store_error(error),
    };
    let codes: Vec<&str> = reasons.iter().filter_map(|reason| reason.code()).collect();
    let passing = |code: &&str| {
        matches!(*code, "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded")
    };
    let kind = if codes.contains(&"ConditionalCheckFailed") {
        StoreErrorKind::Conflict
    } else if codes.iter().any(passing) {
        StoreErrorKind::Unavailable
    } else {
        StoreErrorKind::Refused
    };
    StoreError { kind, source: Some(Box::new(error)) }
}

/// The error when it is no conflict.
pub(super) fn unless_conflict(result: Result<(), StoreError>) -> Result<(), StoreError> {
    match result {
        Err(StoreError { kind: StoreErrorKind::Conflict, .. }) => Ok(()),
        other => other,
    }
}
