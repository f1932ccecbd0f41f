//! What a failed request to Bedrock means: its kind, what may help, and whether it speaks against the model.

use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::types::error::ConverseStreamOutputError;
use voice_core::ports::ModelFailureKind;

use crate::telemetry::causes;

#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: ModelFailureKind,
    pub(super) remedy: Remedy,
    /// Whether other requests to the same model are likely to fail as well.
    pub(super) blames_model: bool,
    /// For the log; never the words of the call.
    pub(super) detail: String,
}

/// What may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    AskAgain,
    /// Asking again with new credentials; a clock that is wrong was put right by the SDK when it read the refusal.
    NewCredentials,
    AnotherModel,
}

/// Codes with which AWS refuses credentials or signatures, whoever is asked for what.
const OF_CREDENTIALS: [&str; 10] = [
    "ExpiredTokenException",
    "ExpiredToken",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "IncompleteSignatureException",
    "RequestTimeTooSkewed",
    "RequestExpired",
    "MissingAuthenticationTokenException",
];
/// How Bedrock says, as if the request were wrong, that the model cannot be asked under this name in this region.
const OF_THE_MODEL: [&str; 3] =
    ["on-demand throughput", "model identifier is invalid", "reached the end of its life"];

impl Failure {
    /// The request itself is wrong, as far as is known.
    pub(super) fn refused(detail: impl Into<String>) -> Self {
        Self {
            kind: ModelFailureKind::Refused,
            remedy: Remedy::AnotherModel,
            blames_model: false,
            detail: detail.into(),
        }
    }

    pub(super) fn timed_out(detail: impl Into<String>) -> Self {
        Self::passing(ModelFailureKind::TimedOut, detail)
    }

    pub(super) fn broken(detail: impl Into<String>) -> Self {
        Self::passing(ModelFailureKind::Broken, detail)
    }

    fn passing(kind: ModelFailureKind, detail: impl Into<String>) -> Self {
        Self { kind, remedy: Remedy::AskAgain, blames_model: true, detail: detail.into() }
    }

    /// What the vendor's code means. Its message says why, and may repeat what the request held in quotes.
    fn of_code(code: &str, message: &str) -> Self {
        let detail = format!("{code}: {}", without_quotes(message));
        match code {
            "ThrottlingException" | "ModelNotReadyException" | "ServiceQuotaExceededException" => {
                Self::passing(ModelFailureKind::Throttled, detail)
            }
            "ServiceUnavailableException" | "InternalServerException" => {
                Self::passing(ModelFailureKind::Unavailable, detail)
            }
            "ModelTimeoutException" => Self::timed_out(detail),
            "ModelErrorException" | "ModelStreamErrorException" => Self::broken(detail),
            // Access is granted and models exist by model and region.
            "AccessDeniedException" | "ResourceNotFoundException" => {
                Self { blames_model: true, ..Self::refused(detail) }
            }
            "ValidationException" => {
                let blames_model = OF_THE_MODEL.iter().any(|words| message.contains(words));
                Self { blames_model, ..Self::refused(detail) }
            }
            code if OF_CREDENTIALS.contains(&code) => {
                Self { remedy: Remedy::NewCredentials, ..Self::refused(detail) }
            }
            _ => Self::refused(detail),
        }
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
        SdkError::TimeoutError(_) => Failure::timed_out(causes(error).to_string()),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Failure::timed_out(causes(error).to_string())
        }
        _ => Failure::passing(ModelFailureKind::Unavailable, without_quotes(&causes(error).to_string())),
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
    fn every_code_has_its_kind_its_remedy_and_its_blame() {
        use ModelFailureKind::{Broken, Refused, Throttled, TimedOut, Unavailable};
        use Remedy::{AnotherModel, AskAgain, NewCredentials};
        for (code, message, expected) in [
            ("ThrottlingException", "", (Throttled, AskAgain, true)),
            ("ModelNotReadyException", "", (Throttled, AskAgain, true)),
            ("ServiceUnavailableException", "", (Unavailable, AskAgain, true)),
            ("ModelStreamErrorException", "", (Broken, AskAgain, true)),
            ("ModelTimeoutException", "", (TimedOut, AskAgain, true)),
            ("AccessDeniedException", "", (Refused, AnotherModel, true)),
            ("ResourceNotFoundException", "", (Refused, AnotherModel, true)),
            ("ValidationException", "Malformed input request", (Refused, AnotherModel, false)),
            (
                "ValidationException",
                "Invocation of model ID x with on-demand throughput isn't supported.",
                (Refused, AnotherModel, true),
            ),
            ("ExpiredTokenException", "", (Refused, NewCredentials, false)),
            ("UnrecognizedClientException", "", (Refused, NewCredentials, false)),
            ("InvalidSignatureException", "Signature expired", (Refused, NewCredentials, false)),
            ("SomethingNew", "", (Refused, AnotherModel, false)),
        ] {
            let failure = Failure::of_code(code, message);
            assert_eq!((failure.kind, failure.remedy, failure.blames_model), expected, "{code}: {message}");
        }
    }
}
