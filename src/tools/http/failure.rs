//! Why a tool's service did not help, in words for the model and in words for the log.

use std::error::Error;
use std::fmt;

use reqwest::StatusCode;

use super::guard::Refusal;
use crate::telemetry::causes;

/// What the model is told of it depends on whether the request may be repeated: see [`Failure::for_model`].
#[derive(Debug)]
pub(super) enum Failure {
    /// The request cannot be made of these arguments.
    Arguments(String),
    /// A secret cannot be had, or is not fit for its use. For the log.
    Secret(String),
    OutOfReach(Refusal),
    Unreachable(reqwest::Error),
    /// It is not known what became of the request.
    BrokenOff(reqwest::Error),
    TimedOut,
    Redirected(Redirected),
    Status {
        status: StatusCode,
        /// What it said, shortened; possibly words about the caller.
        excerpt: String,
    },
    /// The service did what it was asked, and what it says of it is of no use.
    Answer {
        status: StatusCode,
        unusable: Unusable,
    },
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
    #[error("an answer that broke off")]
    BrokenOff,
}

const NOT_KNOWN: &str = "Whether the request had an effect is not known.";

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
        match self {
            Self::Answer { unusable, .. } => !matches!(unusable, Unusable::BrokenOff),
            Self::Redirected(_) => true,
            _ => false,
        }
    }

    /// A sentence that the model can act on. Of a request that must not happen twice it says whether it was done, or that
    /// nobody knows: a model that takes it for not done does it again.
    pub(super) fn for_model(&self, may_repeat: bool) -> String {
        match self {
            Self::Arguments(reason) => reason.clone(),
            Self::Secret(_) => "The service cannot be asked at the moment.".to_owned(),
            Self::OutOfReach(_) => "The service must not be asked: its address is not allowed.".to_owned(),
            Self::Unreachable(_) => "The service cannot be reached at the moment.".to_owned(),
            Self::BrokenOff(_) => format!("The service broke off. {NOT_KNOWN}"),
            Self::TimedOut => format!("The service took too long. {NOT_KNOWN}"),
            Self::Redirected(redirected) if may_repeat => format!("The service answered with {redirected}."),
            Self::Redirected(redirected) => format!("The service answered with {redirected}. {NOT_KNOWN}"),
            Self::Status { status, excerpt } => {
                let said = with_full_stop(&format!("The service answered with status {status}: {excerpt}"));
                if may_repeat || !status.is_server_error() { said } else { format!("{said} {NOT_KNOWN}") }
            }
            Self::Answer { unusable, .. } if may_repeat => format!("The service answered with {unusable}."),
            Self::Answer { status, unusable } => format!(
                "The service accepted the request (status {status}), but its answer cannot be used: {unusable}. \
                 Do not repeat the request."
            ),
        }
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
            Self::Answer { unusable, .. } => write!(formatter, "{unusable}"),
        })
    }
}

/// What a service says of an error may be a sentence or none, or nothing at all.
fn with_full_stop(text: &str) -> String {
    let text = text.trim_end_matches([':', ' ']);
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
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
