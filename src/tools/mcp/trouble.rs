//! What can go wrong with a server: as the model hears it, as the log has it, and what may be done about it.

use std::error::Error;

use rmcp::ServiceError;
use rmcp::service::ClientInitializeError;
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::StreamableHttpError;

/// Of a server's own words about an error, in characters.
const LONGEST_MESSAGE: usize = 500;

/// Texts are for the log and hold none of the server's words, which may be those of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It was not asked.
    NotReachable(String),
    /// It was asked, and would not hear.
    Refused(String),
    /// It would not accept who asks.
    NotLetIn(String),
    /// It was asked, and no answer came that can be understood.
    NoAnswer(String),
    TimedOut,
    /// It answered with an error of the protocol.
    Error {
        detail: String,
        message: String,
    },
    TooLarge,
}

impl Trouble {
    pub(super) fn of_connecting(error: &ClientInitializeError) -> Self {
        let trouble = match error {
            ClientInitializeError::TransportError { error, .. } => of_transport(error),
            ClientInitializeError::JsonRpcError(error) => {
                Self::Refused(format!("it does not take the session, error {}", error.code.0))
            }
            ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
                Self::Refused("it speaks no version of the protocol that is spoken here".to_owned())
            }
            _ => Self::Refused("it does not begin a session as the protocol wants it".to_owned()),
        };
        // Whatever it was, no tool was asked for yet.
        match trouble {
            Self::NoAnswer(detail) => Self::Refused(detail),
            other => other,
        }
    }

    pub(super) fn of_asking(error: &ServiceError) -> Self {
        match error {
            ServiceError::McpError(error) => Self::Error {
                detail: format!("error {}", error.code.0),
                message: error.message.chars().take(LONGEST_MESSAGE).collect(),
            },
            ServiceError::TransportSend(error) => of_transport(error),
            ServiceError::TransportClosed => Self::NoAnswer("the session ended".to_owned()),
            ServiceError::UnexpectedResponse => Self::NoAnswer("an answer to something else".to_owned()),
            _ => Self::NoAnswer("the request was given up".to_owned()),
        }
    }

    /// Whether it is certain that no tool ran.
    pub(super) const fn nothing_ran(&self) -> bool {
        matches!(self, Self::NotReachable(_) | Self::Refused(_) | Self::NotLetIn(_))
    }

    /// Whether a new session may be better off.
    pub(super) const fn is_of_the_connection(&self) -> bool {
        !matches!(self, Self::TimedOut | Self::Error { .. } | Self::TooLarge)
    }

    /// A closed set, for the log.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::NotReachable(_) => "not_reachable",
            Self::Refused(_) => "refused",
            Self::NotLetIn(_) => "not_let_in",
            Self::NoAnswer(_) => "no_answer",
            Self::TimedOut => "timed_out",
            Self::Error { .. } => "error",
            Self::TooLarge => "too_large",
        }
    }

    pub(super) fn detail(&self) -> &str {
        match self {
            Self::NotReachable(detail)
            | Self::Refused(detail)
            | Self::NotLetIn(detail)
            | Self::NoAnswer(detail)
            | Self::Error { detail, .. } => detail,
            Self::TimedOut => "it did not answer in time",
            Self::TooLarge => "its answer is too large",
        }
    }

    /// For the model.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::NotReachable(_) => "The service behind this tool is not reachable.".to_owned(),
            Self::Refused(_) | Self::NotLetIn(_) => {
                "The service behind this tool refused the request.".to_owned()
            }
            Self::NoAnswer(_) => {
                "The service behind this tool gave no usable answer. Whether it had an effect is not known."
                    .to_owned()
            }
            Self::TimedOut => {
                "The service behind this tool took too long. Whether it had an effect is not known."
                    .to_owned()
            }
            Self::Error { message, .. } => {
                format!("The service behind this tool answered with an error: {message}")
            }
            Self::TooLarge => "The service behind this tool answered with too much.".to_owned(),
        }
    }
}

/// The SDK wraps the transport's own error several times over.
fn of_transport(error: &DynamicTransportError) -> Trouble {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error.error.as_ref());
    while let Some(current) = cause {
        if let Some(error) = current.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
            return of_http(error);
        }
        cause = current.source();
    }
    Trouble::NoAnswer("the session ended".to_owned())
}

fn of_http(error: &StreamableHttpError<reqwest::Error>) -> Trouble {
    match error {
        StreamableHttpError::Client(error) if error.is_connect() || error.is_builder() => {
            Trouble::NotReachable(root(error))
        }
        StreamableHttpError::Client(error) if error.is_redirect() => Trouble::Refused(root(error)),
        StreamableHttpError::Client(error) => Trouble::NoAnswer(root(error)),
        StreamableHttpError::HttpStatus(status) => of_status(status.status),
        StreamableHttpError::AuthRequired(_) => of_status(401),
        StreamableHttpError::InsufficientScope(_) => of_status(403),
        StreamableHttpError::UnexpectedServerResponse(text) => match status_in(text) {
            Some(status) => of_status(status),
            None => Trouble::NoAnswer("its answer is none of the protocol".to_owned()),
        },
        StreamableHttpError::UnexpectedContentType(_) => {
            Trouble::NoAnswer("its answer is neither JSON nor a stream of events".to_owned())
        }
        StreamableHttpError::SessionExpired | StreamableHttpError::ReinitializationFailed(_) => {
            Trouble::Refused("it has forgotten the session".to_owned())
        }
        StreamableHttpError::ReservedHeaderConflict(name) => {
            Trouble::NotReachable(format!("{name:?} is a header of the protocol's own"))
        }
        StreamableHttpError::ResponseBodyTooLarge { .. } => Trouble::TooLarge,
        _ => Trouble::NoAnswer("the answer broke off".to_owned()),
    }
}

/// A status of the four hundreds says that nothing was done, and so does one that asks to come again later.
fn of_status(status: u16) -> Trouble {
    let detail = format!("HTTP status {status}");
    if matches!(status, 401 | 403) {
        Trouble::NotLetIn(detail)
    } else if (300..500).contains(&status) || status == 503 {
        Trouble::Refused(detail)
    } else {
        Trouble::NoAnswer(detail)
    }
}

/// The SDK tells of other statuses only in words, followed by the body.
fn status_in(text: &str) -> Option<u16> {
    text.strip_prefix("HTTP ")?.get(..3)?.parse().ok()
}

/// The innermost cause. Those around it repeat the URL, which may hold a key.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if cause.is::<reqwest::Error>() { "the request failed".to_owned() } else { cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_an_answer_that_is_not_known() {
        for status in [307, 400, 401, 403, 404, 429, 503] {
            assert!(of_status(status).nothing_ran(), "{status}");
        }
        for status in [500, 502, 504] {
            assert!(!of_status(status).nothing_ran(), "{status}");
        }
    }

    #[test]
    fn the_body_of_an_answer_reaches_no_log() {
        let error = StreamableHttpError::UnexpectedServerResponse("HTTP 400 Bad Request: 4111".into());
        assert_eq!(of_http(&error), Trouble::Refused("HTTP status 400".to_owned()));
        let error = StreamableHttpError::UnexpectedServerResponse("could not parse: 4111".into());
        assert!(!of_http(&error).detail().contains("4111"));
    }

    #[test]
    fn an_error_of_the_protocol_reaches_the_model_in_the_servers_words() {
        let error = rmcp::ErrorData::invalid_params(format!("Unknown tool{}", " x".repeat(999)), None);
        let trouble = Trouble::of_asking(&ServiceError::McpError(error));
        assert!(trouble.sentence().contains("Unknown tool") && trouble.sentence().len() < 700);
        assert_eq!(trouble.detail(), "error -32602");
        assert!(!trouble.is_of_the_connection());
    }
}
