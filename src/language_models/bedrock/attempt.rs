//! One model asked once, up to the first thing that it has to say or to do.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use voice_core::ports::{GenerationRequest, ModelEvent};

use super::breaker::Ticket;
use super::client::Pool;
use super::failure::{self, Failure};
use super::guardrail::{self, LookBehind};
use super::request;
use super::streaming::{Progress, Streaming, Waits};

/// The SDK notices at the deadline itself that no response has begun, and then closes the connection; it gets this much
/// longer for it.
const NOTICING: Duration = Duration::from_millis(150);

/// Who is asked, and since when.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The place of the model in the request.
    pub(super) model: usize,
    pub(super) ticket: Ticket,
    pub(super) part: Part,
    /// Which credentials the request was signed with.
    pub(super) credentials: u64,
    pub(super) asked_at: Instant,
    /// Set once the model has shown that it is at work, when nobody else has to be asked.
    pub(super) at_work: Arc<AtomicBool>,
}

/// Whether somebody else is being asked already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    First,
    Hedge,
}

/// An answer that has begun.
pub(super) struct Begun {
    pub(super) streaming: Streaming,
    /// What may be passed on.
    pub(super) ready: VecDeque<ModelEvent>,
    /// It is over already.
    pub(super) stopped: Option<Progress>,
}

/// An attempt under way; dropping it cancels the request.
pub(super) type Asking = Pin<Box<dyn Future<Output = (Attempt, Result<Begun, Failure>)> + Send>>;

/// Asks, not before `attempt.asked_at`.
pub(super) fn ask(attempt: Attempt, pool: &Pool, request: Arc<GenerationRequest>, waits: Waits) -> Asking {
    let client = pool.client.clone();
    pool.note_use();
    Box::pin(async move {
        // A timer takes a millisecond even when it is due.
        if attempt.asked_at > Instant::now() {
            sleep_until(attempt.asked_at).await;
        }
        let begun = begin(&attempt, &client, &request, waits).await;
        (attempt, begun)
    })
}

async fn begin(
    attempt: &Attempt,
    client: &aws_sdk_bedrockruntime::Client,
    request: &GenerationRequest,
    waits: Waits,
) -> Result<Begun, Failure> {
    let model = request.models.get(attempt.model).map(String::as_str).unwrap_or_default();
    let input = request::converse_stream(client, request, model)?;
    let output = match timeout_at(waits.first_token + NOTICING, input.send()).await {
        Ok(sent) => sent.map_err(|error| failure::of_sdk_error(&error))?,
        Err(_) => return Err(Failure::timed_out("no answer")),
    };
    let look_behind = guardrail::has_sentences(&request.use_case).then(LookBehind::default);
    let mut streaming = Streaming::new(output, waits, look_behind);
    let mut ready = VecDeque::new();
    loop {
        let progress = streaming.read(&mut ready).await?;
        if streaming.is_flowing() {
            attempt.at_work.store(true, Ordering::Relaxed);
        }
        match progress {
            Progress::Stopped { .. } => return Ok(Begun { streaming, ready, stopped: Some(progress) }),
            Progress::Going if streaming.has_answered() => {
                return Ok(Begun { streaming, ready, stopped: None });
            }
            Progress::Going => {}
        }
    }
}
