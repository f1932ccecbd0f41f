//! Calls that the service places, once each and within the rules. Implements the `CallPlacer` port.
//!
//! A launch is written before the carrier is asked, so that a request that is repeated finds it. What the person who is
//! called then hears is answered by the routes, not here.

mod lines;
mod request;
mod rules;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info, warn};
use voice_core::ports::{
    BoxFuture, CallPlacer, Launch, LaunchChange, LaunchRecord, LaunchStatus, LaunchStore, MachineDetection,
    NewCall, NotPlaced, OutboundRequest, RecordStore, StoreError, StoreErrorKind, Telephony, TelephonyError,
    TelephonyErrorKind, UseCaseSource,
};
use voice_core::use_case::{Keep, OnMachine, UseCase};

pub use self::lines::Lines;
pub use self::request::is_launch_id;
use self::request::{launch_id, request_digest};
use crate::config::PublicUrl;
use crate::metrics::{Counter, Metrics};
use crate::session::{CallSlot, Calls};
use crate::telemetry::causes;

/// Places calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbound(Arc<OutboundParts>);

/// What placing a call needs.
#[derive(Debug)]
pub struct OutboundParts {
    pub public_url: PublicUrl,
    /// E.164; the first is used when a request names none.
    pub caller_ids: Vec<String>,
    /// Of calling hours that name none.
    pub time_zone: TimeZone,
    pub use_cases: Arc<dyn UseCaseSource>,
    pub records: Arc<dyn RecordStore>,
    pub launches: Arc<dyn LaunchStore>,
    pub telephony: Arc<dyn Telephony>,
    pub calls: Calls,
    /// Of the calls that ring.
    pub lines: Lines,
    /// Cancelled when no new calls are taken any more.
    pub draining: CancellationToken,
    pub metrics: Metrics,
    pub tasks: TaskTracker,
}

/// Each look into the table.
const READING: Duration = Duration::from_secs(3);
/// The carrier's client repeats what it may, which takes a while.
const PLACING: Duration = Duration::from_secs(30);

impl Outbound {
    pub fn new(parts: OutboundParts) -> Self {
        Self(Arc::new(parts))
    }

    async fn place_and_tell(&self, request: OutboundRequest) -> Result<Launch, NotPlaced> {
        let use_case = request.use_case.clone();
        let result = self.place_once(request).await;
        match &result {
            Ok(launch) if launch.is_new => {
                self.0.metrics.count(Counter::CallsPlaced);
                info!(launch.id = %launch.id, call.sid = launch.call_sid, use_case, "a call was placed");
            }
            Ok(launch) => info!(launch.id = %launch.id, use_case, "a call was asked for again"),
            Err(failed @ (NotPlaced::Table(_) | NotPlaced::Carrier(_))) => {
                error!(use_case, error = %causes(failed), "a call was not placed");
            }
            Err(refused) => {
                self.0.metrics.count(Counter::CallsRefusedOutbound);
                warn!(use_case, rule = refused.code(), "an outbound call was refused");
            }
        }
        result
    }

    async fn place_once(&self, request: OutboundRequest) -> Result<Launch, NotPlaced> {
        let from = rules::numbers(&request, &self.0.caller_ids)?;
        let id = launch_id(request.idempotency_key.as_deref());
        if request.idempotency_key.is_some()
            && let Some(known) = in_time(self.0.launches.read_launch(&id)).await?
        {
            return again(&request, known);
        }
        let use_case = self.use_case(&request.use_case).await?;
        self.check_rules(&request, &use_case).await?;
        // Whoever answers must find room, also when others call meanwhile.
        let slot = self.0.calls.admit().ok_or(NotPlaced::Busy)?;
        let machine = request.machine.clone().unwrap_or_else(|| use_case.outbound.machine.clone());
        let launch = LaunchRecord {
            id,
            status: LaunchStatus::Requested,
            request_digest: request_digest(&request),
            to: request.to.clone(),
            from,
            use_case: request.use_case.clone(),
            variables: request.variables.clone(),
            machine,
            call_sid: None,
            answered_by: None,
            error: None,
        };
        if let Some(known) = in_time(self.0.launches.open_launch(launch.clone())).await? {
            return again(&request, known);
        }
        self.dial(launch, slot, use_case.storage.keep).await
    }

    async fn use_case(&self, name: &str) -> Result<Arc<UseCase>, NotPlaced> {
        let found = timeout(READING, self.0.use_cases.find(name)).await;
        found
            .unwrap_or_else(|_| Err("its record was not read in time".to_owned()))
            .map_err(|problem| NotPlaced::UseCase { name: name.to_owned(), problem })
    }

    async fn check_rules(&self, request: &OutboundRequest, use_case: &UseCase) -> Result<(), NotPlaced> {
        if self.0.draining.is_cancelled() {
            return Err(NotPlaced::Stopping);
        }
        rules::hours(use_case, Timestamp::now(), &self.0.time_zone)?;
        // Who cannot be looked up is not called.
        match in_time(self.0.records.get_record(request.to.expose(), rules::DO_NOT_CALL)).await? {
            Some(_) => Err(NotPlaced::DoNotCall),
            None => Ok(()),
        }
    }

    async fn dial(&self, launch: LaunchRecord, slot: CallSlot, keep: Keep) -> Result<Launch, NotPlaced> {
        let LaunchRecord { id, .. } = &launch;
        // Before anything rings: it may be answered before the carrier has told us.
        self.0.lines.keep(id, slot, &self.0.tasks, &self.0.draining);
        let address = |route: &str| self.0.public_url.http(&format!("/twiml/{route}/{id}"));
        let call = NewCall {
            to: launch.to.clone(),
            from: launch.from.clone(),
            url: address("outbound"),
            status_callback: Some(address("status")),
            timeout: None,
            machine_detection: detection(&launch.machine, address("machine")),
        };
        let placed = timeout(PLACING, self.0.telephony.place_call(call)).await;
        match placed.unwrap_or_else(|_| Err(unknown(": no answer in time"))) {
            Ok(call_sid) => {
                let status = Some(LaunchStatus::Queued);
                let change =
                    LaunchChange { status, call_sid: Some(call_sid.clone()), ..LaunchChange::default() };
                self.note(id, change).await;
                let status = LaunchStatus::Queued;
                Ok(Launch { id: launch.id, call_sid: Some(call_sid), status, is_new: true })
            }
            Err(error) => {
                self.not_placed(id, &error, keep).await;
                Err(NotPlaced::Carrier(error))
            }
        }
    }

    async fn not_placed(&self, id: &str, error: &TelephonyError, keep: Keep) {
        match error.kind {
            // The call may be ringing; reports of its status will tell.
            TelephonyErrorKind::Unavailable => return,
            // The same request may do better later, and its key must not stand in its way.
            TelephonyErrorKind::NotSent
            | TelephonyErrorKind::Throttled
            | TelephonyErrorKind::NotConfigured => match in_time(self.0.launches.withdraw_launch(id)).await {
                Ok(()) => {}
                Err(error) => {
                    warn!(launch.id = id, error = %causes(&error), "a launch was not withdrawn");
                }
            },
            TelephonyErrorKind::Refused => {
                let reason =
                    error.code.map_or_else(|| error.kind.to_string(), |code| format!("Twilio code {code}"));
                let change = LaunchChange {
                    status: Some(LaunchStatus::Failed),
                    error: Some(reason),
                    forget_person: keep == Keep::Nothing,
                    ..LaunchChange::default()
                };
                self.note(id, change).await;
            }
        }
        drop(self.0.lines.take(id));
    }

    async fn note(&self, id: &str, change: LaunchChange) {
        if let Err(error) = in_time(self.0.launches.change_launch(id, change)).await {
            warn!(launch.id = id, error = %causes(&error), "a launch was not brought up to date");
        }
    }
}

impl CallPlacer for Outbound {
    fn place(&self, request: OutboundRequest) -> BoxFuture<'_, Result<Launch, NotPlaced>> {
        let outbound = self.clone();
        Box::pin(async move {
            let tasks = outbound.0.tasks.clone();
            let placing = async move { Box::pin(outbound.place_and_tell(request)).await };
            // Who asked may go away meanwhile, and what is half done then must still come to its end.
            let placing = tasks.spawn(placing.in_current_span());
            placing.await.unwrap_or_else(|_| Err(NotPlaced::Carrier(unknown(": placing the call broke off"))))
        })
    }
}

/// What is known of a call that was asked for before.
fn again(request: &OutboundRequest, known: LaunchRecord) -> Result<Launch, NotPlaced> {
    if known.request_digest != request_digest(request) {
        return Err(NotPlaced::KeyReused);
    }
    Ok(Launch { id: known.id, call_sid: known.call_sid, status: known.status, is_new: false })
}

fn detection(machine: &OnMachine, callback: String) -> Option<MachineDetection> {
    let until_greeting_ends = match machine {
        OnMachine::Ignore => return None,
        OnMachine::HangUp => false,
        OnMachine::Say(_) => true,
    };
    Some(MachineDetection { callback, until_greeting_ends })
}

async fn in_time<T>(request: impl Future<Output = Result<T, StoreError>>) -> Result<T, NotPlaced> {
    let late = |_| Err(StoreError { kind: StoreErrorKind::Unavailable, source: None });
    timeout(READING, request).await.unwrap_or_else(late).map_err(NotPlaced::Table)
}

fn unknown(message: &str) -> TelephonyError {
    let kind = TelephonyErrorKind::Unavailable;
    TelephonyError { kind, code: None, message: message.to_owned(), source: None }
}
