//! Amazon Bedrock through `ConverseStream`: the `LanguageModel` port with deadlines, retries and fallback models.
//!
//! A generation is a lazy stream; dropping it drops the SDK's stream, which cancels the request.

mod client;
mod events;
mod failure;
mod guardrail;
#[cfg(test)]
mod guardrail_tests;
mod probe;
mod request;
mod streaming;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_bedrockruntime::Client;
use tokio::time::{Instant, timeout};
use tracing::warn;
use voice_core::ports::{
    Completion, GenerationRequest, LanguageModel, ModelEvent, ModelFailure, ModelFailureKind, ModelStream,
};

use crate::metrics::{Counter, Metrics};
pub use client::{ClientSettings, clients};
use failure::Failure;
use guardrail::LookBehind;
pub use probe::{ModelProbe, NoAnswer};
use streaming::{Progress, Streaming};

/// How often one model is asked before the next one is.
const ATTEMPTS: u32 = 2;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(100);

/// How long a model may keep a caller waiting.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    pub first_token: Duration,
    pub next_token: Duration,
}

pub struct Bedrock {
    /// One connection pool each: a pool keeps one HTTP/2 connection to an origin, and that carries only so many streams.
    clients: Vec<Client>,
    deadlines: Deadlines,
    metrics: Metrics,
}

impl fmt::Debug for Bedrock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bedrock").field("clients", &self.clients.len()).finish_non_exhaustive()
    }
}

impl Bedrock {
    pub fn new(clients: Vec<Client>, deadlines: Deadlines, metrics: Metrics) -> Self {
        Self { clients, deadlines, metrics }
    }

    /// The same call always uses the same pool, so that its connection is warm after the first turn.
    fn client_for(&self, call_sid: &str) -> Option<&Client> {
        let sum =
            call_sid.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        self.clients.get(sum.checked_rem(self.clients.len())?)
    }
}

impl LanguageModel for Bedrock {
    fn generate(&self, request: GenerationRequest) -> ModelStream {
        let generation = Generation {
            client: self.client_for(&request.call.call_sid).cloned(),
            deadlines: self.deadlines,
            metrics: self.metrics.clone(),
            attempts: (0..request.models.len()).flat_map(|model| (0..ATTEMPTS).map(move |_| model)).collect(),
            request: Arc::new(request),
            ready: VecDeque::new(),
            phase: Phase::Connect,
        };
        Box::pin(futures_util::stream::unfold(generation, |mut generation| async move {
            let event = generation.next().await?;
            Some((event, generation))
        }))
    }
}

/// One generation: attempts until something was emitted, then that one stream to its end.
struct Generation {
    client: Option<Client>,
    deadlines: Deadlines,
    metrics: Metrics,
    request: Arc<GenerationRequest>,
    /// Models still to be asked, by their place in the request; the first is the one being asked.
    attempts: VecDeque<usize>,
    ready: VecDeque<ModelEvent>,
    phase: Phase,
}

enum Phase {
    Connect,
    Streaming(Box<Streaming>),
    Done,
}

impl Generation {
    async fn next(&mut self) -> Option<ModelEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let result = match &mut self.phase {
                Phase::Done => return None,
                Phase::Connect => self.connect().await,
                Phase::Streaming(streaming) => match streaming.read(self.deadlines, &mut self.ready).await {
                    Ok(Progress::Going) => Ok(()),
                    Ok(Progress::Stopped { reason, usage, blocked }) => {
                        let model = self.model().unwrap_or_default().to_owned();
                        self.ready.push_back(ModelEvent::Finished(Completion {
                            stop_reason: reason,
                            usage,
                            model,
                            blocked,
                        }));
                        self.phase = Phase::Done;
                        Ok(())
                    }
                    // To begin again would say something twice.
                    Err(failure) if streaming.has_spoken() => {
                        self.note_broken_answer(&failure);
                        return Some(self.fail(&failure));
                    }
                    Err(failure) => Err(failure),
                },
            };
            if let Err(failure) = result
                && !self.prepare_next_attempt(&failure).await
            {
                return Some(self.fail(&failure));
            }
        }
    }

    fn model(&self) -> Option<&str> {
        self.attempts.front().and_then(|model| self.request.models.get(*model)).map(String::as_str)
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        let (Some(client), Some(model)) = (&self.client, self.model()) else {
            return Err(Failure::refused("no model is configured"));
        };
        let input = request::converse_stream(client, &self.request, model)?;
        let started = Instant::now();
        let output = match timeout(self.deadlines.first_token, input.send()).await {
            Ok(sent) => sent.map_err(|error| failure::of_sdk_error(&error))?,
            Err(_) => return Err(Failure::timed_out("no answer")),
        };
        let look_behind = guardrail::has_sentences(&self.request.use_case).then(LookBehind::default);
        let streaming = Streaming::new(output, started, self.deadlines.first_token, look_behind);
        self.phase = Phase::Streaming(Box::new(streaming));
        Ok(())
    }

    /// Chooses what to try after a failure; false when nothing is left.
    async fn prepare_next_attempt(&mut self, failure: &Failure) -> bool {
        self.metrics.count(failure.kind.into());
        let asked = self.attempts.pop_front();
        let others = self.attempts.iter().any(|model| Some(*model) != asked);
        // A model that is slow now is slow in a moment.
        let too_slow = failure.kind == ModelFailureKind::TimedOut && others;
        if too_slow || !failure.worth_repeating {
            self.attempts.retain(|model| Some(*model) != asked);
        }
        warn!(
            call.sid = %self.request.call.call_sid,
            generation = %self.request.generation,
            gen_ai.request.model = asked.and_then(|model| self.request.models.get(model)),
            error.kind = failure.kind.as_str(),
            error.detail = %failure.detail,
            attempts_left = self.attempts.len(),
            "the model did not answer"
        );
        let Some(next) = self.attempts.front() else {
            return false;
        };
        if Some(*next) == asked {
            tokio::time::sleep(BETWEEN_ATTEMPTS).await;
        } else {
            self.metrics.count(Counter::ModelFallbacks);
        }
        self.phase = Phase::Connect;
        true
    }

    fn note_broken_answer(&self, failure: &Failure) {
        self.metrics.count(failure.kind.into());
        warn!(
            call.sid = %self.request.call.call_sid,
            generation = %self.request.generation,
            gen_ai.request.model = self.model(),
            error.kind = failure.kind.as_str(),
            error.detail = %failure.detail,
            "the model stopped in the middle of its answer"
        );
    }

    fn fail(&mut self, failure: &Failure) -> ModelEvent {
        self.phase = Phase::Done;
        ModelEvent::Failed(ModelFailure { kind: failure.kind })
    }
}
