//! The record of a handoff, which is all that the processes that serve its steps have in common.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::error;
use voice_core::ports::{BoxFuture, HandoffRecord, HandoffStatus, StoreError};
use voice_core::use_case::{Destination, HandoffTarget, IfUnanswered, UseCase};

use super::Service;
use crate::metrics::Counter;
use crate::telemetry::causes;

/// Twilio waits for the answer meanwhile, and so does a caller.
const LOOKING: Duration = Duration::from_secs(3);
/// Until who waits for the table asks again.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);
/// Once the table answers again, others who waited for it write what they know first: longer than they take to.
const AFTER_OUTAGE: Duration = Duration::from_secs(15);

/// The table did not say in time. It was logged.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutOfReach;

pub(super) async fn open(service: &Service, call_sid: &str, record: HandoffRecord) -> Result<(), OutOfReach> {
    within(call_sid, service.handoffs.open_handoff(call_sid, record)).await
}

pub(super) async fn read(service: &Service, call_sid: &str) -> Result<Option<HandoffRecord>, OutOfReach> {
    within(call_sid, service.handoffs.read_handoff(call_sid)).await
}

/// Reads until the table answers; `None` when there is no handoff, or calls must end.
pub(super) async fn read_patiently(service: &Service, call_sid: &str) -> Option<HandoffRecord> {
    patiently(service, call_sid, || service.handoffs.read_handoff(call_sid)).await?.0
}

/// The handoff, once it is certain that nobody has taken the call; `None` when somebody has, or it is over.
///
/// A person joins a caller also while the table is out of reach, and whoever served their key writes that when it is back.
pub(super) async fn read_while_dialling(service: &Service, call_sid: &str) -> Option<HandoffRecord> {
    loop {
        let (known, waited) =
            patiently(service, call_sid, || service.handoffs.read_handoff(call_sid)).await?;
        let known = known.filter(|known| known.status == HandoffStatus::Dialling)?;
        if !waited {
            return Some(known);
        }
        tokio::select! {
            () = service.shutting_down.cancelled() => return None,
            () = sleep(AFTER_OUTAGE) => {}
        }
    }
}

/// Settles as soon as the table answers; `None` when calls must end before.
pub(super) async fn settle_patiently(service: &Service, call_sid: &str, to: HandoffStatus) -> Option<bool> {
    let (settled, _) = patiently(service, call_sid, || service.handoffs.settle_handoff(call_sid, to)).await?;
    count_joined(service, settled, to);
    Some(settled)
}

pub(super) async fn note_call(service: &Service, call_sid: &str, person: &str) -> Result<(), OutOfReach> {
    within(call_sid, service.handoffs.note_handoff_call(call_sid, person)).await
}

/// Brings a handoff to its end; `true` for the one who does.
pub(super) async fn settle(service: &Service, call_sid: &str, to: HandoffStatus) -> Result<bool, OutOfReach> {
    let settled = within(call_sid, service.handoffs.settle_handoff(call_sid, to)).await?;
    count_joined(service, settled, to);
    Ok(settled)
}

fn count_joined(service: &Service, settled: bool, to: HandoffStatus) {
    if settled && to == HandoffStatus::Joined {
        service.metrics().count(Counter::TransfersJoined);
    }
}

/// The target of a handoff that is under way, as it is configured now.
pub(super) async fn target(service: &Service, record: &HandoffRecord) -> Option<HandoffTarget> {
    use_case(service, record).await?.handoff.get(&record.target).cloned()
}

/// The use case whose caller is handed over.
pub(super) async fn use_case(service: &Service, record: &HandoffRecord) -> Option<Arc<UseCase>> {
    service.use_cases.find(&record.use_case).await.ok()
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

/// Asks until there is an answer, and tells whether it had to wait for one; `None` when calls must end. Who calls it sees to
/// a limit. One log line tells of the outage, not each attempt.
async fn patiently<'a, T>(
    service: &'a Service,
    call_sid: &str,
    request: impl Fn() -> BoxFuture<'a, Result<T, StoreError>>,
) -> Option<(T, bool)> {
    if let Ok(answer) = within(call_sid, request()).await {
        return Some((answer, false));
    }
    loop {
        tokio::select! {
            () = service.shutting_down.cancelled() => return None,
            () = sleep(BETWEEN_LOOKS) => {}
        }
        if let Ok(Ok(answer)) = timeout(LOOKING, request()).await {
            return Some((answer, true));
        }
    }
}
