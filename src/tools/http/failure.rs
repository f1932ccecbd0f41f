//! Why a tool's service did not help, in words for the model and in words for the log.

use std::error::Error;
use std::fmt;

use reqwest::StatusCode;

use super::guard::Refusal;
use crate::telemetry::causes;

/// Displayed, it is a sentence that the model can act on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The request cannot be made of these arguments.
    #[error("{0}")]
    Arguments(String),
    /// A secret cannot be had, or is not fit for its use. For the log.
    #[error("The service cannot be asked at the moment.")]
    Secret(String),
    #[error("The service must not be asked: its address is not allowed.")]
    OutOfReach(Refusal),
    #[error("The service cannot be reached at the moment.")]
    Unreachable(#[source] reqwest::Error),
    /// It is not known what became of the request.
    #[error("The service broke off. Whether the request had an effect is not known.")]
    BrokenOff(#[source] reqwest::Error),
    #[error("The service took too long. Whether the request had an effect is not known.")]
    TimedOut,
    #[error("The service answered with {0}.")]
    Redirected(Redirected),
    #[error("The service answered with status {status}{}{excerpt}", if excerpt.is_empty() { "." } else { ": " })]
    Status {
        status: StatusCode,
        /// What it said, shortened; possibly words about the caller.
        excerpt: String,
    },
    #[error("The service answered with {0}.")]
    Answer(Unusable),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Redirected {
    #[error("a redirect, which this tool does not follow")]
    NotFollowed,
    #[error("a redirect to nowhere")]
    Nowhere,
    #[error("one redirect after the other")]
    TooOften,
}

/// An answer that is no data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("a web page instead of data")]
    WebPage,
    #[error("{0} instead of data")]
    Type(String),
    #[error("JSON that cannot be read")]
    BrokenJson,
    #[error("more data than this tool may read")]
    TooLarge,
    #[error("data that has nothing at {0}")]
    Missing(String),
}

impl Failure {
    /// What a request that failed on its way means.
    pub(super) fn of(error: reqwest::Error) -> Self {
        // An error names the URL, which arguments are part of.
        let error = error.without_url();
        if let Some(refusal) = refusal_behind(&error) {
            return Self::OutOfReach(refusal);
        }
        if error.is_connect() { Self::Unreachable(error) } else { Self::BrokenOff(error) }
    }

    pub(super) const fn is_about_the_answer(&self) -> bool {
        matches!(self, Self::Answer(_) | Self::Redirected(_))
    }

    /// Without anything of the call.
    pub(super) fn for_log(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(move |formatter| match self {
            Self::Arguments(_) => write!(formatter, "the arguments do not make a request"),
            Self::Secret(reason) => write!(formatter, "{reason}"),
            Self::OutOfReach(refusal) => write!(formatter, "{refusal}"),
            Self::Unreachable(error) | Self::BrokenOff(error) => write!(formatter, "{}", causes(error)),
            Self::TimedOut => write!(formatter, "it took too long"),
            Self::Redirected(redirected) => write!(formatter, "{redirected}"),
            Self::Status { status, .. } => write!(formatter, "status {status}"),
            Self::Answer(unusable) => write!(formatter, "{unusable}"),
        })
    }
}

/// The resolver's refusal, which the client wraps.
fn refusal_behind(error: &reqwest::Error) -> Option<Refusal> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(*refusal);
        }
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(refusal) = inside.and_then(|inside| inside.downcast_ref::<Refusal>()) {
            return Some(*refusal);
        }
        source = error.source();
    }
    None
}
