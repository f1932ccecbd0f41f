//! What a failed request to DynamoDB means to its caller.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
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

/// The error when it is no conflict.
pub(super) fn unless_conflict(result: Result<(), StoreError>) -> Result<(), StoreError> {
    match result {
        Err(StoreError { kind: StoreErrorKind::Conflict, .. }) => Ok(()),
        other => other,
    }
}
