//! What a request sets off and does not wait for: tasks of the service with deadlines of their own, and changes of calls.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::{Instrument, error, info, warn};
use voice_core::ports::{CallUpdate, TelephonyError, TelephonyErrorKind};

use super::Service;
use crate::telemetry::causes;

/// Of what is done at once, with everything that is tried again.
pub(super) const AT_ONCE: Duration = Duration::from_mins(1);
/// Of what waits for others: no call goes on for longer.
pub(super) const LONGEST_CALL: Duration = Duration::from_hours(4);
/// The carrier's client repeats what it may, which takes a while.
const ASKING: Duration = Duration::from_secs(15);
/// A caller who holds is worth trying again for.
const ATTEMPTS: u32 = 3;
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// Runs beside the request, among the tasks of the service, until it is done or `limit` has passed. Calls that must end
/// wait for nobody.
pub(super) fn in_background<F>(service: &Service, limit: Duration, work: impl FnOnce(Service) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let work = timeout(limit, work(service.clone()));
    let work = async move {
        if work.await.is_err() {
            warn!(limit_ms = limit.as_millis(), "what a request set off took too long");
        }
    };
    service.ports.tasks.spawn(work.in_current_span());
}

/// Ends a call behind the answer to Twilio; one that is over already is left in peace.
pub(super) fn end_call(service: &Service, call_sid: String) {
    in_background(service, AT_ONCE, |service| async move {
        update_call(&service, &call_sid, CallUpdate::End).await;
    });
}

/// Changes a call, and tries again while the carrier is out of reach: each of these changes may be made twice.
pub(super) async fn update_call(service: &Service, call_sid: &str, update: CallUpdate) {
    let Some(telephony) = &service.telephony else { return };
    for attempt in 1..=ATTEMPTS {
        let error = match asked(telephony.update_call(call_sid, update.clone())).await {
            Ok(()) => return,
            Err(error) => error,
        };
        match error.kind {
            // Most often the call is over, which Twilio tells as well.
            TelephonyErrorKind::Refused => {
                return info!(call.sid = call_sid, code = error.code, "a call was not changed");
            }
            _ if attempt < ATTEMPTS => sleep(BETWEEN_ATTEMPTS).await,
            _ => error!(call.sid = call_sid, error = %causes(&error), "a call could not be changed"),
        }
    }
}

/// A request to the carrier, within its time.
pub(super) async fn asked<T>(
    request: impl Future<Output = Result<T, TelephonyError>>,
) -> Result<T, TelephonyError> {
    let late = |_| {
        let message = ": no answer in time".to_owned();
        Err(TelephonyError { kind: TelephonyErrorKind::Unavailable, code: None, message, source: None })
    };
    timeout(ASKING, request).await.unwrap_or_else(late)
}
