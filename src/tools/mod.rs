//! Runs tools: checks the arguments, claims the run, lets the handler work, records the outcome.
//!
//! Implements the `ToolRunner` port. Deadlines and the fate of a run at an interruption belong to the core.

mod arguments;
pub mod mcp;
mod restaurant;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info, warn};
use voice_core::message::{OutcomeStatus, ToolOutcome};
use voice_core::ports::{
    BoxFuture, Effect, RecordStore, RunClaim, RunStore, ToolRequest, ToolResult, ToolRunner,
};

use voice_core::use_case::{Handler, RestaurantTool};

use crate::metrics::{Counter, Metrics};
use crate::telemetry::causes;

/// What a handler gives back: the outcome's content, or a reason that the model can speak about.
type HandlerResult = Result<Value, String>;

/// The table may be slow; a run whose outcome cannot be written is not worth waiting for longer.
const RECORDING: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct Tools {
    runs: Arc<dyn RunStore>,
    records: Arc<dyn RecordStore>,
    metrics: Metrics,
    tasks: TaskTracker,
}

impl Tools {
    pub fn new(
        runs: Arc<dyn RunStore>,
        records: Arc<dyn RecordStore>,
        metrics: Metrics,
        tasks: TaskTracker,
    ) -> Self {
        Self { runs, records, metrics, tasks }
    }

    async fn run_to_outcome(&self, request: &ToolRequest) -> ToolResult {
        let failed = |reason: String| ToolResult {
            outcome: ToolOutcome::error(request.run.call.clone(), reason),
            effect: None,
        };
        if let Err(reason) = arguments::check(&request.tool.input_schema, &request.input) {
            return failed(reason);
        }
        if let Handler::Unknown(_) = request.tool.handler {
            error!(call.sid = %request.call.call_sid, tool = %request.tool.name, "the tool names a handler that does not exist");
            return failed("This tool is not available.".to_owned());
        }
        match self
            .runs
            .claim_run(&request.call.call_sid, &request.owner, &request.run, &request.tool.name)
            .await
        {
            Ok(RunClaim::Granted) => {}
            Ok(RunClaim::Completed(outcome)) => {
                return ToolResult { outcome, effect: None };
            }
            Ok(RunClaim::Unknown) => {
                return failed("This was begun before, and whether it was done is not known.".to_owned());
            }
            Ok(RunClaim::Overtaken) => return failed("Not done: the call has moved elsewhere.".to_owned()),
            Err(error) => {
                warn!(call.sid = %request.call.call_sid, tool = %request.tool.name, error = %causes(&error), "a tool run could not be claimed");
                return failed("Not done: our records are out of reach at the moment.".to_owned());
            }
        }
        let unfinished = Unfinished { tools: self, request };
        let (result, effect) = self.handle(request).await;
        std::mem::forget(unfinished);
        let outcome = match result {
            Ok(content) => ToolOutcome::success(request.run.call.clone(), content),
            Err(reason) => ToolOutcome::error(request.run.call.clone(), reason),
        };
        self.record(request, &outcome);
        ToolResult { outcome, effect }
    }

    async fn handle(&self, request: &ToolRequest) -> (HandlerResult, Option<Effect>) {
        match &request.tool.handler {
            Handler::Restaurant(RestaurantTool::PlaceOrder) => {
                (restaurant::place_order(&*self.records, request).await, None)
            }
            Handler::Restaurant(RestaurantTool::PickUpTime) => (Ok(restaurant::pick_up_time(request)), None),
            Handler::Restaurant(RestaurantTool::DeliveryTime) => {
                (Ok(restaurant::delivery_time(request)), None)
            }
            Handler::EndCall => {
                let handoff_data =
                    request.input.get("reason").map(|reason| json!({ "reason": reason }).to_string());
                (Ok(json!({ "ended": true })), Some(Effect::EndCall { handoff_data }))
            }
            _ => (Err("This tool is not available.".to_owned()), None),
        }
    }

    /// Writes the outcome behind the run: the model need not wait for it, and it is written although the caller hangs up.
    fn record(&self, request: &ToolRequest, outcome: &ToolOutcome) {
        let (runs, call, run, outcome) =
            (Arc::clone(&self.runs), Arc::clone(&request.call), request.run.clone(), outcome.clone());
        let record = async move {
            let failure = match timeout(RECORDING, runs.complete_run(&call.call_sid, &run, &outcome)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => causes(&error).to_string(),
                Err(_) => "it took too long".to_owned(),
            };
            warn!(call.sid = %call.call_sid, generation = %run.generation, error = failure, "a tool's outcome was not recorded");
        };
        self.tasks.spawn(record.in_current_span());
    }
}

/// A run that was claimed. Dropped before its end (cancelled, or out of time), it is recorded as such: nobody must be left
/// to guess whether it still runs.
struct Unfinished<'a> {
    tools: &'a Tools,
    request: &'a ToolRequest,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let reason = "Broken off. Whether it had an effect is not known.";
        self.tools.metrics.count(Counter::ToolErrors);
        self.tools.record(self.request, &ToolOutcome::error(self.request.run.call.clone(), reason));
    }
}

impl ToolRunner for Tools {
    fn run(&self, request: ToolRequest) -> BoxFuture<'static, ToolResult> {
        let tools = self.clone();
        Box::pin(async move {
            tools.metrics.count(Counter::ToolRuns);
            let result = tools.run_to_outcome(&request).await;
            if result.outcome.status == OutcomeStatus::Error {
                tools.metrics.count(Counter::ToolErrors);
            }
            info!(
                call.sid = %request.call.call_sid,
                generation = %request.run.generation,
                tool = %request.tool.name,
                outcome = if result.outcome.status == OutcomeStatus::Success { "success" } else { "error" },
                "a tool ran"
            );
            result
        })
    }
}
