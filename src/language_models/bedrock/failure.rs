//! What a failed request to Bedrock means: its kind, and whether asking the same model again may help.

use aws_sdk_bedrockruntime::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use voice_core::ports::ModelFailureKind;

#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: ModelFailureKind,
    pub(super) worth_repeating: bool,
    /// For the log; never the words of the call.
    pub(super) detail: String,
}

impl Failure {
    pub(super) fn refused(detail: impl Into<String>) -> Self {
        Self { kind: ModelFailureKind::Refused, worth_repeating: false, detail: detail.into() }
    }

    pub(super) fn timed_out(detail: &str) -> Self {
        Self { kind: ModelFailureKind::TimedOut, worth_repeating: true, detail: detail.to_owned() }
    }

    pub(super) fn broken(detail: &str) -> Self {
        Self { kind: ModelFailureKind::Broken, worth_repeating: true, detail: detail.to_owned() }
    }

    fn of_code(code: &str, message: &str) -> Self {
        let (kind, worth_repeating) = match code {
            "ThrottlingException" | "ModelNotReadyException" | "ServiceQuotaExceededException" => {
                (ModelFailureKind::Throttled, true)
            }
            "ServiceUnavailableException" | "InternalServerException" => {
                (ModelFailureKind::Unavailable, true)
            }
            "ModelTimeoutException" => (ModelFailureKind::TimedOut, true),
            "ModelErrorException" | "ModelStreamErrorException" => (ModelFailureKind::Broken, true),
            _ => (ModelFailureKind::Refused, false),
        };
        Self { kind, worth_repeating, detail: format!("{code}: {message}") }
    }
}

/// A request that got no stream, or a stream that broke.
pub(super) fn of_sdk_error<E, R>(error: &SdkError<E, R>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let error = service.err();
            Failure::of_code(error.code().unwrap_or("unknown"), error.message().unwrap_or_default())
        }
        SdkError::ConstructionFailure(_) => Failure::refused(DisplayErrorContext(error).to_string()),
        _ => Failure {
            kind: ModelFailureKind::Unavailable,
            worth_repeating: true,
            detail: DisplayErrorContext(error).to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_repeated_and_what_is_wrong_is_not() {
        for (code, kind, worth_repeating) in [
            ("ThrottlingException", ModelFailureKind::Throttled, true),
            ("ModelNotReadyException", ModelFailureKind::Throttled, true),
            ("ServiceUnavailableException", ModelFailureKind::Unavailable, true),
            ("ModelStreamErrorException", ModelFailureKind::Broken, true),
            ("ModelTimeoutException", ModelFailureKind::TimedOut, true),
            ("ValidationException", ModelFailureKind::Refused, false),
            ("AccessDeniedException", ModelFailureKind::Refused, false),
            ("SomethingNew", ModelFailureKind::Refused, false),
        ] {
            let failure = Failure::of_code(code, "message");
            assert_eq!((failure.kind, failure.worth_repeating), (kind, worth_repeating), "{code}");
        }
    }
}
