//! Amazon Bedrock through `ConverseStream`: the `LanguageModel` port with deadlines, retries, fallback models, hedged
//! requests and circuit breakers.
//!
//! A generation is a lazy stream; dropping it drops the SDK's stream, which cancels the request.

mod attempt;
#[cfg(test)]
mod attempt_tests;
mod breaker;
mod client;
mod credentials;
mod events;
mod failure;
mod generation;
mod guardrail;
#[cfg(test)]
mod guardrail_tests;
mod probe;
mod request;
mod streaming;
mod warm_up;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use voice_core::ports::{GenerationRequest, LanguageModel, ModelStream};

use crate::metrics::Metrics;
use breaker::Breakers;
pub use client::{ClientSettings, Clients};
use generation::Generation;
pub use probe::{ModelProbe, NoAnswer};

/// How often one model is asked in one generation.
const ATTEMPTS: u32 = 2;

/// How long a model may keep a caller waiting.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// Until a model that was asked shows that it is at work.
    pub first_token: Duration,
    /// Between any two signs of it.
    pub next_token: Duration,
}

impl Deadlines {
    /// How long models are asked in one generation, all attempts together.
    fn asking(self) -> Duration {
        self.first_token * 3
    }

    /// How long a generation may take until there is something to say or to do, also when the model is seen to be at work.
    fn answering(self) -> Duration {
        LONGEST_THOUGHT.max(self.asking())
    }
}

/// A caller who is only told to wait has left after this time.
const LONGEST_THOUGHT: Duration = Duration::from_secs(20);

pub struct BedrockParts {
    pub clients: Clients,
    pub deadlines: Deadlines,
    /// When a second model is asked because the first one is late; never when absent.
    pub hedge_after: Option<Duration>,
    /// What is asked about while there are no calls. Any model will do.
    pub default_model: Option<String>,
    pub metrics: Metrics,
}

pub struct Bedrock(Arc<Models>);

/// What all generations share.
struct Models {
    clients: Clients,
    deadlines: Deadlines,
    hedge_after: Option<Duration>,
    default_model: Option<String>,
    breakers: Arc<Breakers>,
    metrics: Metrics,
}

impl fmt::Debug for Bedrock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bedrock").field("clients", &self.0.clients).finish_non_exhaustive()
    }
}

impl fmt::Debug for BedrockParts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BedrockParts").field("deadlines", &self.deadlines).finish_non_exhaustive()
    }
}

impl Bedrock {
    pub fn new(parts: BedrockParts) -> Self {
        let BedrockParts { clients, deadlines, hedge_after, default_model, metrics } = parts;
        let breakers = Arc::new(Breakers::new(metrics.clone()));
        Self(Arc::new(Models { clients, deadlines, hedge_after, default_model, breakers, metrics }))
    }
}

impl LanguageModel for Bedrock {
    fn generate(&self, request: GenerationRequest) -> ModelStream {
        let generation = Generation::new(Arc::clone(&self.0), request);
        Box::pin(futures_util::stream::unfold(generation, |mut generation| async move {
            let event = generation.next().await?;
            Some((event, generation))
        }))
    }
}
