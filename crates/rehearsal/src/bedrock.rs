//! A stand-in for Amazon Bedrock's Converse operations, spoken over the real wire protocol on loopback.
//!
//! It refuses what Bedrock refuses ([`rules`]), answers what a script or a [`Brain`] says, at a pace, with faults
//! on request, and remembers what it was asked. It says on every answer that it is a stand-in
//! ([`STAND_IN_HEADER`]). It is not for production, and it checks no credentials.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

mod answer;
mod brain;
mod converse;
mod exchange;
mod frames;
mod guardrail;
mod misfortune;
mod observer;
mod performance;
mod plan;
mod record;
mod request;
pub mod rules;
mod script;
mod server;
mod stand_in;
mod usage;
mod waiter;

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod sdk_tests;

pub use answer::{Answer, Blocked};
pub use brain::{Brain, Fixed};
pub use misfortune::{MisfortuneCounts, Misfortunes, Unlucky};
pub use observer::{Observation, Observer};
pub use record::{Outcome, RecordedRequest};
pub use request::ConverseRequest;
pub use stand_in::BedrockStandIn;
pub use waiter::Waiter;

/// The response header, always with the value `bedrock`, by which the stand-in says that it is one.
pub const STAND_IN_HEADER: &str = "x-trunkline-stand-in";

/// How to start a [`BedrockStandIn`].
#[derive(Clone, Debug)]
pub struct BedrockOptions {
    /// Where to listen. Port 0 takes any free port; see [`BedrockStandIn::endpoint`].
    pub address: SocketAddr,
    /// How fast answers are streamed. It can be changed later.
    pub pace: Pace,
    /// Who answers when no scripted answer is waiting.
    pub brain: Arc<dyn Brain>,
    /// Who is told when requests arrive and tokens leave.
    pub observer: Option<Arc<dyn Observer>>,
    /// Words and phrases that a guardrail refuses when it finds them in what it assesses of a request: in the texts
    /// marked as `guardContent`, or in all messages when none is. A request without a `guardrailConfig` has no guardrail.
    pub refused_words: Vec<String>,
}

impl Default for BedrockOptions {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            pace: Pace::default(),
            brain: Arc::new(Waiter),
            observer: None,
            refused_words: Vec::new(),
        }
    }
}

/// How fast answers are streamed. The default is at once, without any delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// From the request's arrival to the first token.
    pub first_token: Duration,
    /// Between a token and the one before it; fragments of a tool's input count as tokens.
    pub between_tokens: Duration,
}
