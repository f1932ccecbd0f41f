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
    "TransactionConflictException",
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

/// Why a transaction was not carried out.
pub(super) enum Cancelled {
    /// Another one was under way on the same item.
    Met,
    Failed(StoreError),
}

/// A transaction tells for each of its parts why it was cancelled.
pub(super) fn transaction_error(error: SdkError<TransactWriteItemsError>) -> Cancelled {
    let reasons = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            cancelled.cancellation_reasons()
        }
        _ => return Cancelled::Failed(store_error(error)),
    };
    let codes: Vec<&str> = reasons.iter().filter_map(|reason| reason.code()).collect();
    match kind_of(&codes) {
        Some(kind) => Cancelled::Failed(StoreError { kind, source: Some(Box::new(error)) }),
        None => Cancelled::Met,
    }
}

/// `None` when the transaction only met another one.
fn kind_of(codes: &[&str]) -> Option<StoreErrorKind> {
    let any = |wanted: &[&str]| codes.iter().any(|code| wanted.contains(code));
    if any(&["ConditionalCheckFailed"]) {
        Some(StoreErrorKind::Conflict)
    } else if any(&["TransactionConflict"]) {
        None
    } else if any(&["ThrottlingError", "ProvisionedThroughputExceeded"]) {
        Some(StoreErrorKind::Unavailable)
    } else {
        Some(StoreErrorKind::Refused)
    }
}

/// The error when it is no conflict.
pub(super) fn unless_conflict(result: Result<(), StoreError>) -> Result<(), StoreError> {
    match result {
        Err(StoreError { kind: StoreErrorKind::Conflict, .. }) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_that_met_another_is_worth_trying_again_at_once() {
        assert_eq!(kind_of(&["TransactionConflict", "None"]), None);
        assert_eq!(kind_of(&["None", "ConditionalCheckFailed"]), Some(StoreErrorKind::Conflict));
        assert_eq!(
            kind_of(&["ConditionalCheckFailed", "TransactionConflict"]),
            Some(StoreErrorKind::Conflict)
        );
        assert_eq!(kind_of(&["ThrottlingError"]), Some(StoreErrorKind::Unavailable));
        assert_eq!(kind_of(&["ValidationError"]), Some(StoreErrorKind::Refused));
    }
}
