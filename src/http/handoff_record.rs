//! The record of a handoff, which is all that the processes that serve its steps have in common.

use std::time::Duration;

use tokio::time::timeout;
use tracing::error;
use voice_core::ports::{BoxFuture, HandoffRecord, HandoffStatus, StoreError};
use voice_core::use_case::{Destination, HandoffTarget, IfUnanswered};

use super::Service;
use super::ended::read_session;
use crate::metrics::Counter;
use crate::telemetry::causes;

/// Twilio waits for the answer meanwhile, and so does a caller.
const LOOKING: Duration = Duration::from_secs(3);

/// The table did not say in time. It was logged.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutOfReach;

pub(super) async fn open(service: &Service, call_sid: &str, record: HandoffRecord) -> Result<(), OutOfReach> {
    within(call_sid, service.handoffs.open_handoff(call_sid, record)).await
}

pub(super) async fn read(service: &Service, call_sid: &str) -> Result<Option<HandoffRecord>, OutOfReach> {
    within(call_sid, service.handoffs.read_handoff(call_sid)).await
}

pub(super) async fn note_call(service: &Service, call_sid: &str, person: &str) -> Result<(), OutOfReach> {
    within(call_sid, service.handoffs.note_handoff_call(call_sid, person)).await
}

/// Brings a handoff to its end; `true` for the one who does.
pub(super) async fn settle(service: &Service, call_sid: &str, to: HandoffStatus) -> Result<bool, OutOfReach> {
    let settled = within(call_sid, service.handoffs.settle_handoff(call_sid, to)).await?;
    if settled && to == HandoffStatus::Joined {
        service.metrics().count(Counter::TransfersJoined);
    }
    Ok(settled)
}

/// The target of a handoff that is under way, as it is configured now.
pub(super) async fn target(
    service: &Service,
    call_sid: &str,
    record: &HandoffRecord,
) -> Option<HandoffTarget> {
    let session = read_session(service, call_sid).await?;
    let use_case = service.use_cases.find(&session.use_case).await.ok()?;
    use_case.handoff.get(&record.target).cloned()
}

/// What becomes of the caller when nobody takes the call; back to the agent, where nothing else is known.
pub(super) fn if_unanswered(target: Option<&HandoffTarget>) -> IfUnanswered {
    target.map(|target| target.if_unanswered).unwrap_or_default()
}

/// Whether the caller holds in a conference while the person is called.
pub(super) fn is_warm(service: &Service, target: Option<&HandoffTarget>) -> bool {
    let warm = target.is_some_and(|target| matches!(target.to, Destination::WarmTransfer { .. }));
    // Without REST nobody can be called, and the caller is put through directly.
    warm && service.telephony.is_some()
}

async fn within<T>(call_sid: &str, request: BoxFuture<'_, Result<T, StoreError>>) -> Result<T, OutOfReach> {
    let reason = match timeout(LOOKING, request).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => causes(&error).to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    error!(call.sid = call_sid, error = reason, "the record of a handoff is out of reach");
    Err(OutOfReach)
}
