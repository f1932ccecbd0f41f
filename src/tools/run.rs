//! One run of a tool: checks the arguments, claims the run, lets the handler work, records the outcome.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::{Instrument, info, warn};
use voice_core::message::{OutcomeStatus, ToolOutcome};
use voice_core::ports::{Effect, RunClaim, ToolRequest, ToolResult};
use voice_core::redaction::Redactor;
use voice_core::use_case::{Keep, Storage};

use super::prepared::Prepared;
use super::{Handled, Inner};
use crate::metrics::Counter;
use crate::telemetry::causes;

/// The table may be slow; a run whose outcome cannot be written is not worth waiting for longer.
const RECORDING: Duration = Duration::from_secs(5);
/// So much longer than its handler takes, a run that may happen twice waits for its claim.
const CLAIMING: Duration = Duration::from_millis(100);

pub(super) async fn run(tools: &Inner, request: &ToolRequest) -> ToolResult {
    let metrics = &tools.parts.metrics;
    metrics.count(Counter::ToolRuns);
    let under_way = UnderWay { tools, request };
    let result = run_to_outcome(tools, request).await;
    under_way.end();
    let succeeded = result.outcome.status == OutcomeStatus::Success;
    if !succeeded {
        metrics.count(Counter::ToolErrors);
    }
    info!(
        call.sid = %request.call.call_sid,
        generation = %request.run.generation,
        tool = %request.tool.name,
        outcome = if succeeded { "success" } else { "error" },
        "a tool ran"
    );
    result
}

async fn run_to_outcome(tools: &Inner, request: &ToolRequest) -> ToolResult {
    let prepared = tools.prepared.get(&request.tool);
    if let Err(reason) = prepared.arguments.check(&request.input) {
        return failed(request, reason);
    }
    let ran = if request.tool.idempotent {
        claim_and_handle(tools, request, &prepared).await
    } else {
        claim_then_handle(tools, request, &prepared).await
    };
    let (recording, handled) = match ran {
        Ok(ran) => ran,
        Err(settled) => return settled,
    };
    let result = match handled {
        Ok(answer) => success(request, answer.content, answer.effect),
        Err(reason) => failed(request, reason),
    };
    if let Recording::Ours(unfinished) = recording {
        unfinished.finish(&result.outcome);
    }
    result
}

/// What was handled and whether to record it, or what came of the run without handling it.
type Ran<'a> = Result<(Recording<'a>, Handled), ToolResult>;

/// The run must not happen twice: nothing happens before it is ours.
async fn claim_then_handle<'a>(tools: &'a Inner, request: &'a ToolRequest, prepared: &Prepared) -> Ran<'a> {
    let recording = claim(tools, request).await?;
    Ok((recording, tools.handle(request, prepared).await))
}

/// The run may happen twice: the table need not be waited for. Who has run it before, or owns the call by now, still
/// has the say, if the table tells in time.
async fn claim_and_handle<'a>(tools: &'a Inner, request: &'a ToolRequest, prepared: &Prepared) -> Ran<'a> {
    let mut claim = pin!(claim(tools, request));
    let mut handling = pin!(tools.handle(request, prepared));
    let handled = tokio::select! {
        recording = &mut claim => return Ok((recording?, handling.await)),
        handled = &mut handling => handled,
    };
    let recording = timeout(CLAIMING, claim).await.unwrap_or_else(|_| {
        warn!(call.sid = %request.call.call_sid, tool = %request.tool.name, "a tool run was not claimed in time, and is not recorded");
        Ok(Recording::Nowhere)
    });
    Ok((recording?, handled))
}

async fn claim<'a>(tools: &'a Inner, request: &'a ToolRequest) -> Result<Recording<'a>, ToolResult> {
    let (call_sid, may_repeat) = (&request.call.call_sid, request.tool.idempotent);
    let ours = || Recording::Ours(Unfinished { tools, request });
    match tools.parts.runs.claim_run(call_sid, &request.owner, &request.run, &request.tool.name).await {
        Ok(RunClaim::Granted) => Ok(ours()),
        Ok(RunClaim::Completed(outcome)) => Err(ToolResult { outcome, effect: None }),
        Ok(RunClaim::Unknown) if may_repeat => Ok(ours()),
        Ok(RunClaim::Unknown) => {
            Err(failed(request, "This was begun before, and whether it was done is not known."))
        }
        Ok(RunClaim::Overtaken) => Err(failed(request, "Not done: the call has moved elsewhere.")),
        Err(error) => {
            warn!(call.sid = %call_sid, tool = %request.tool.name, error = %causes(&error), "a tool run could not be claimed");
            if may_repeat {
                Ok(Recording::Nowhere)
            } else {
                Err(failed(request, "Not done: our records are out of reach at the moment."))
            }
        }
    }
}

fn success(request: &ToolRequest, content: Value, effect: Option<Effect>) -> ToolResult {
    ToolResult { outcome: ToolOutcome::success(request.run.call.clone(), content), effect }
}

fn failed(request: &ToolRequest, reason: impl Into<String>) -> ToolResult {
    ToolResult { outcome: ToolOutcome::error(request.run.call.clone(), reason), effect: None }
}

/// Where the outcome of a run goes.
enum Recording<'a> {
    Ours(Unfinished<'a>),
    /// The claim failed, so that there is no item to complete.
    Nowhere,
}

/// A run from its beginning. Dropped before its end (cancelled, or out of time), it is noted as such.
struct UnderWay<'a> {
    tools: &'a Inner,
    request: &'a ToolRequest,
}

impl UnderWay<'_> {
    fn end(self) {
        std::mem::forget(self);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let request = self.request;
        self.tools.parts.metrics.count(Counter::ToolErrors);
        warn!(call.sid = %request.call.call_sid, generation = %request.run.generation, tool = %request.tool.name, "a tool run was broken off");
    }
}

/// A run that was claimed. Dropped before its end, it is recorded as broken off: nobody must be left to guess whether it
/// still runs.
struct Unfinished<'a> {
    tools: &'a Inner,
    request: &'a ToolRequest,
}

impl Unfinished<'_> {
    fn finish(self, outcome: &ToolOutcome) {
        self.record(outcome);
        std::mem::forget(self);
    }

    /// Writes the outcome behind the run: the model need not wait for it, and it is written although the caller hangs
    /// up.
    fn record(&self, outcome: &ToolOutcome) {
        let (runs, call, run, outcome) = (
            Arc::clone(&self.tools.parts.runs),
            Arc::clone(&self.request.call),
            self.request.run.clone(),
            stored(outcome, &self.request.use_case.storage),
        );
        let record = async move {
            let failure = match timeout(RECORDING, runs.complete_run(&call.call_sid, &run, &outcome)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => causes(&error).to_string(),
                Err(_) => "it took too long".to_owned(),
            };
            warn!(call.sid = %call.call_sid, generation = %run.generation, error = failure, "a tool's outcome was not recorded");
        };
        self.tools.parts.tasks.spawn(record.in_current_span());
    }
}

/// What of an outcome may be kept.
fn stored(outcome: &ToolOutcome, storage: &Storage) -> ToolOutcome {
    let content = match storage.keep {
        Keep::Words => Redactor::new(storage).json(&outcome.content),
        Keep::Nothing => json!({}),
    };
    ToolOutcome { id: outcome.id.clone(), status: outcome.status, content }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let reason = "Broken off. Whether it had an effect is not known.";
        self.record(&ToolOutcome::error(self.request.run.call.clone(), reason));
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
