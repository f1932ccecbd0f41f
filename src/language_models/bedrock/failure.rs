//! What a failed request to Bedrock means: its kind, and whether asking the same model again may help.

use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::types::error::ConverseStreamOutputError;
use voice_core::ports::ModelFailureKind;

use crate::telemetry::causes;

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

    /// What the vendor's code means. Its message says why, and may repeat what the request held in quotes.
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
        Self { kind, worth_repeating, detail: format!("{code}: {}", without_quotes(message)) }
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
        SdkError::ConstructionFailure(_) => Failure::refused(without_quotes(&causes(error).to_string())),
        _ => Failure {
            kind: ModelFailureKind::Unavailable,
            worth_repeating: true,
            detail: without_quotes(&causes(error).to_string()),
        },
    }
}

/// An exception inside a stream carries its name as a header of the frame, which the SDK turns into a variant and not into
/// a code.
pub(super) fn of_stream_error<R>(error: &SdkError<ConverseStreamOutputError, R>) -> Failure
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let SdkError::ServiceError(service) = error else {
        return of_sdk_error(error);
    };
    let code = match service.err() {
        ConverseStreamOutputError::ThrottlingException(_) => "ThrottlingException",
        ConverseStreamOutputError::ModelStreamErrorException(_) => "ModelStreamErrorException",
        ConverseStreamOutputError::InternalServerException(_) => "InternalServerException",
        ConverseStreamOutputError::ServiceUnavailableException(_) => "ServiceUnavailableException",
        ConverseStreamOutputError::ValidationException(_) => "ValidationException",
        _ => return of_sdk_error(error),
    };
    Failure::of_code(code, service.err().message().unwrap_or_default())
}

/// A message without what stands in single quotes, which may be words of the call.
fn without_quotes(message: &str) -> String {
    let mut kept = String::with_capacity(message.len());
    for (index, part) in message.split('\'').enumerate() {
        kept.push_str(if index % 2 == 0 { part } else { "'…'" });
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_are_not_logged() {
        let message = "Value 'my card is 4111' at 'messages.1' failed to satisfy constraint";
        assert_eq!(without_quotes(message), "Value '…' at '…' failed to satisfy constraint");
        assert_eq!(without_quotes("the model isn't ready, says 4111"), "the model isn'…'");
    }

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
