//! Runs tools: checks the arguments, claims the run, lets the handler work, records the outcome.
//!
//! Implements the `ToolRunner` port. Deadlines and the fate of a run at an interruption belong to the core.

mod arguments;
mod restaurant;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::{error, info, warn};
use voice_core::message::{OutcomeStatus, ToolOutcome};
use voice_core::ports::{
    BoxFuture, Effect, RecordStore, RunClaim, RunStore, ToolRequest, ToolResult, ToolRunner,
};

use crate::metrics::{Counter, Metrics};

/// What a handler gives back: the outcome's content, or a reason that the model can speak about.
type HandlerResult = Result<Value, String>;

/// The table may be slow; a run whose outcome cannot be written is not worth waiting for longer.
const RECORDING: Duration = Duration::from_secs(5);

/// The handlers that a tool can name. A tool that names none runs the one of its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    PlaceOrder,
    PickUpTime,
    DeliveryTime,
    EndCall,
}

impl Handler {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "PlaceOrderFunction" => Some(Self::PlaceOrder),
            "CheckRestaurantPickUpTime" => Some(Self::PickUpTime),
            "CheckRestaurantDeliveryTime" => Some(Self::DeliveryTime),
            "end_call" => Some(Self::EndCall),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Tools {
    runs: Arc<dyn RunStore>,
    records: Arc<dyn RecordStore>,
    metrics: Metrics,
}

impl Tools {
    pub fn new(runs: Arc<dyn RunStore>, records: Arc<dyn RecordStore>, metrics: Metrics) -> Self {
        Self { runs, records, metrics }
    }

    async fn run_to_outcome(&self, request: &ToolRequest) -> ToolResult {
        let failed = |reason: String| ToolResult {
            outcome: ToolOutcome::error(request.run.call.clone(), reason),
            effect: None,
        };
        if let Err(reason) = arguments::check(&request.tool.input_schema, &request.input) {
            return failed(reason);
        }
        let Some(handler) = Handler::named(&request.tool.handler) else {
            error!(call.sid = %request.call.call_sid, tool = %request.tool.name, "the tool names a handler that does not exist");
            return failed("This tool is not available.".to_owned());
        };
        match self.runs.claim_run(&request.call.call_sid, &request.run, &request.tool.name).await {
            Ok(RunClaim::Granted) => {}
            Ok(RunClaim::Completed(outcome)) => {
                return ToolResult { outcome, effect: None };
            }
            Ok(RunClaim::Unknown) => {
                return failed("This was begun before, and whether it was done is not known.".to_owned());
            }
            Err(error) => {
                warn!(call.sid = %request.call.call_sid, tool = %request.tool.name, %error, "a tool run could not be claimed");
                return failed("Not done: our records are out of reach at the moment.".to_owned());
            }
        }
        let (result, effect) = self.handle(handler, request).await;
        let outcome = match result {
            Ok(content) => ToolOutcome::success(request.run.call.clone(), content),
            Err(reason) => ToolOutcome::error(request.run.call.clone(), reason),
        };
        self.record(request, &outcome).await;
        ToolResult { outcome, effect }
    }

    async fn handle(&self, handler: Handler, request: &ToolRequest) -> (HandlerResult, Option<Effect>) {
        match handler {
            Handler::PlaceOrder => (restaurant::place_order(&*self.records, request).await, None),
            Handler::PickUpTime => (Ok(restaurant::pick_up_time(request)), None),
            Handler::DeliveryTime => (Ok(restaurant::delivery_time(request)), None),
            Handler::EndCall => {
                let handoff_data =
                    request.input.get("reason").map(|reason| json!({ "reason": reason }).to_string());
                (Ok(json!({ "ended": true })), Some(Effect::EndCall { handoff_data }))
            }
        }
    }

    async fn record(&self, request: &ToolRequest, outcome: &ToolOutcome) {
        let recorded = self.runs.complete_run(&request.call.call_sid, &request.run, outcome);
        match timeout(RECORDING, recorded).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(call.sid = %request.call.call_sid, tool = %request.tool.name, %error, "a tool's outcome was not recorded");
            }
            Err(_) => {
                warn!(call.sid = %request.call.call_sid, tool = %request.tool.name, "recording a tool's outcome took too long");
            }
        }
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
