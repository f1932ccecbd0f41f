//! One run of a tool: checks the arguments, claims the run, lets the handler work, records the outcome.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::{Instrument, info, warn};
use voice_core::message::{OutcomeStatus, ToolOutcome};
use voice_core::ports::{Effect, RunClaim, ToolRequest, ToolResult};
use voice_core::redaction::Redactor;
use voice_core::use_case::{Keep, Storage};

use super::{Handled, Inner};
use crate::metrics::Counter;
use crate::telemetry::causes;

/// The table may be slow; a run whose outcome cannot be written is not worth waiting for longer.
const RECORDING: Duration = Duration::from_secs(5);
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
    if request.tool.idempotent {
        // Doing it twice does no harm, so nobody has to be asked before; it is only written down.
        let result = outcome_of(request, tools.handle(request, &prepared).await);
        record(tools, request, &result, Claim::Outstanding);
        return result;
    }
    // It must not happen twice: nothing happens before it is ours.
    let unfinished = match claim(tools, request).await {
        Ok(unfinished) => unfinished,
        Err(settled) => return settled,
    };
    let result = outcome_of(request, tools.handle(request, &prepared).await);
    unfinished.finish(&result);
    result
}

async fn claim<'a>(tools: &'a Inner, request: &'a ToolRequest) -> Result<Unfinished<'a>, ToolResult> {
    let call_sid = &request.call.call_sid;
    match tools.parts.runs.claim_run(call_sid, &request.owner, &request.run, &request.tool.name).await {
        Ok(RunClaim::Granted) => Ok(Unfinished { tools, request }),
        Ok(RunClaim::Completed(outcome)) => Err(ToolResult { outcome, effect: None }),
        Ok(RunClaim::Unknown) => {
            let reason = "This was begun before, and whether it was done is not known.";
            Err(ToolResult { outcome: ToolOutcome::unknown(request.run.call.clone(), reason), effect: None })
        }
        Ok(RunClaim::Overtaken) => Err(failed(request, "Not done: the call has moved elsewhere.")),
        Err(error) => {
            warn!(call.sid = %call_sid, tool = %request.tool.name, error = %causes(&error), "a tool run could not be claimed");
            Err(failed(request, "Not done: our records are out of reach at the moment."))
        }
    }
}

fn outcome_of(request: &ToolRequest, handled: Handled) -> ToolResult {
    match handled {
        Ok(answer) => success(request, answer.content, answer.effect),
        Err(reason) => failed(request, reason),
    }
}

fn success(request: &ToolRequest, content: Value, effect: Option<Effect>) -> ToolResult {
    ToolResult { outcome: ToolOutcome::success(request.run.call.clone(), content), effect }
}

fn failed(request: &ToolRequest, reason: impl Into<String>) -> ToolResult {
    ToolResult { outcome: ToolOutcome::error(request.run.call.clone(), reason), effect: None }
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
    fn finish(self, result: &ToolResult) {
        record(self.tools, self.request, result, Claim::Ours);
        std::mem::forget(self);
    }
}

/// Whether there is an item of the run already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Ours,
    Outstanding,
}

/// Writes the outcome behind the run: the model need not wait for it, and it is written although the caller hangs up.
fn record(tools: &Inner, request: &ToolRequest, result: &ToolResult, claim: Claim) {
    let runs = Arc::clone(&tools.parts.runs);
    let (call, owner, run) = (Arc::clone(&request.call), Arc::clone(&request.owner), request.run.clone());
    let (tool, outcome) = (Arc::clone(&request.tool), stored(result, &request.use_case.storage));
    let record = async move {
        let write = async {
            if claim == Claim::Outstanding
                && runs.claim_run(&call.call_sid, &owner, &run, &tool.name).await? != RunClaim::Granted
            {
                return Ok(());
            }
            runs.complete_run(&call.call_sid, &run, &outcome).await
        };
        let failure = match timeout(RECORDING, write).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => causes(&error).to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        warn!(call.sid = %call.call_sid, generation = %run.generation, error = failure, "a tool's outcome was not recorded");
    };
    tools.parts.tasks.spawn(record.in_current_span());
}

/// What of an outcome may be kept.
fn stored(result: &ToolResult, storage: &Storage) -> ToolOutcome {
    let outcome = &result.outcome;
    let content = match storage.keep {
        // What it does to the call itself is still to come, and is told by the dialogue. Who reads this has no dialogue.
        Keep::Words if result.effect.is_some() => {
            json!({ "note": "Asked for. Whether it happened is not known." })
        }
        Keep::Words => Redactor::new(storage).json(&outcome.content),
        Keep::Nothing => json!({}),
    };
    ToolOutcome { id: outcome.id.clone(), status: outcome.status, content }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let reason = "Broken off. Whether it had an effect is not known.";
        let outcome = ToolOutcome::unknown(self.request.run.call.clone(), reason);
        record(self.tools, self.request, &ToolResult { outcome, effect: None }, Claim::Ours);
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
