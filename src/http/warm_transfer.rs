//! A person is called while the caller holds with music in a conference.
//!
//! Whoever settles the record of the handoff decides what comes next: the person who takes the call, the report that they
//! did not, or the caller who hangs up. Each of these can reach another process.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use tokio::time::{sleep, timeout};
use tracing::{Instrument, error, info, warn};
use voice_core::ports::{CallUpdate, HandoffStatus, NewCall, TelephonyError, TelephonyErrorKind};
use voice_core::private::Private;
use voice_core::use_case::IfUnanswered;
use voice_protocols::twiml::{Conference, Dial, DialTarget};
use voice_protocols::webhook::{CallStatus, StatusCallback};

use super::Service;
use super::answers::nothing;
use super::handoff::{Handoff, address, seconds};
use super::handoff_record::{self as record, if_unanswered, settle};
use super::returning::Returned;
use super::signed::Signed;
use crate::telemetry::causes;

/// The carrier's client repeats what it may, which takes a while.
const ASKING: Duration = Duration::from_secs(15);
/// A caller who holds is worth trying again for.
const ATTEMPTS: u32 = 3;
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);
/// After the ringing: Twilio rings a little longer than told, the person hears what it is about and presses a key. Past
/// it a report was lost, and the caller must not hold for ever.
const DECIDING: Duration = Duration::from_secs(90);

/// The room of a call, for both sides; each leaves the other nobody to wait for.
pub(super) fn conference(call_sid: &str, action: Option<String>, music: Option<String>) -> Dial {
    let room = Conference {
        name: format!("handoff-{call_sid}"),
        start_on_enter: true,
        end_on_exit: true,
        wait_url: music,
    };
    Dial { action, ..Dial::new(DialTarget::Conference(room)) }
}

/// A call to a person, for a caller who holds.
struct PersonCall {
    call: NewCall,
    ringing: Duration,
    call_sid: String,
    if_unanswered: IfUnanswered,
}

/// Calls the person of a handoff behind the answer to Twilio.
pub(super) fn call_person(service: &Service, handoff: &Handoff) {
    let Some(dial) = handoff.dial() else { return };
    let call_sid = &handoff.call_sid;
    let route = |name: &str| service.public_url.http(&format!("/twiml/{name}/{call_sid}"));
    let call = NewCall {
        to: Private::new(address(&dial.to)),
        from: handoff.caller_id(dial).unwrap_or_default(),
        url: route("whisper"),
        status_callback: Some(route("handoff-status")),
        timeout: Some(seconds(dial)),
        machine_detection: None,
    };
    let call_sid = call_sid.clone();
    let person = PersonCall { call, ringing: dial.timeout, call_sid, if_unanswered: handoff.if_unanswered };
    in_background(service, |service| async move { person.place(&service).await });
}

impl PersonCall {
    async fn place(self, service: &Service) {
        let call_sid = &self.call_sid;
        let Some(telephony) = &service.telephony else { return };
        match asked(telephony.place_call(self.call)).await {
            Ok(person) => {
                info!(call.sid = %call_sid, person.sid = %person, "a person is called");
                let _ = record::note_call(service, call_sid, &person).await;
                // The caller may have hung up before anybody knew whom to stop calling.
                if let Ok(Some(known)) = record::read(service, call_sid).await
                    && known.status == HandoffStatus::Abandoned
                {
                    return end_call(service, person);
                }
                watch(service, call_sid, person, self.ringing + DECIDING, self.if_unanswered).await;
            }
            Err(error) => {
                error!(call.sid = %call_sid, error = %causes(&error), "a person could not be called");
                give_up(service, call_sid, self.if_unanswered, Returned::Failed).await;
            }
        }
    }
}

/// Brings the caller back should nothing be heard of the person.
async fn watch(
    service: &Service,
    call_sid: &str,
    person: String,
    limit: Duration,
    if_unanswered: IfUnanswered,
) {
    tokio::select! {
        () = service.shutting_down.cancelled() => {}
        () = sleep(limit) => {
            if give_up(service, call_sid, if_unanswered, Returned::NotTaken).await {
                warn!(call.sid = call_sid, "nothing was heard of a person who was called");
                end_call(service, person);
            }
        }
    }
}

/// The status callback of the person's call.
pub(super) async fn person_status(
    State(service): State<Service>,
    Path(call_sid): Path<String>,
    Signed(params): Signed,
) -> Response {
    let Ok(status) = StatusCallback::from_params(&params) else {
        warn!("a report is about no call");
        return nothing();
    };
    if !status.call_status.is_final() {
        return nothing();
    }
    let known = match record::read(&service, &call_sid).await {
        Ok(Some(known)) => known,
        Ok(None) => return nothing(),
        Err(record::OutOfReach) => {
            // Who was not reached has not taken the call either, so the caller need not wait for the table.
            if status.call_status != CallStatus::Completed {
                let why = why_not(&status.call_status);
                in_background(&service, move |service| async move {
                    bring_back(&service, &call_sid, IfUnanswered::ReturnToAgent, why).await;
                });
            }
            return nothing();
        }
    };
    // It can be the late report of an earlier handoff.
    if known.person_call_sid.as_ref().is_some_and(|person| *person != status.call_sid) {
        return nothing();
    }
    let why = why_not(&status.call_status);
    info!(call.sid = %call_sid, person.sid = %status.call_sid, status = why.code(), "the person's call is over");
    if known.status == HandoffStatus::Dialling {
        let target = record::target(&service, &call_sid, &known).await;
        let if_unanswered = if_unanswered(target.as_ref());
        in_background(&service, move |service| async move {
            give_up(&service, &call_sid, if_unanswered, why).await;
        });
    }
    nothing()
}

fn why_not(status: &CallStatus) -> Returned {
    match status {
        CallStatus::Busy => Returned::Busy,
        CallStatus::NoAnswer | CallStatus::Canceled => Returned::NoAnswer,
        // Somebody answered and pressed no key: most often a voicemail.
        CallStatus::Completed => Returned::NotTaken,
        _ => Returned::Failed,
    }
}

/// Settles that nobody takes the call; `true` when that was up to us.
async fn give_up(service: &Service, call_sid: &str, if_unanswered: IfUnanswered, why: Returned) -> bool {
    if let Ok(false) = settle(service, call_sid, HandoffStatus::Unanswered).await {
        return false;
    }
    // Also when the table does not say: better brought back twice than left holding.
    bring_back(service, call_sid, if_unanswered, why).await;
    true
}

async fn bring_back(service: &Service, call_sid: &str, if_unanswered: IfUnanswered, why: Returned) {
    let update = match if_unanswered {
        IfUnanswered::ReturnToAgent => {
            CallUpdate::Redirect(service.public_url.http(&format!("/twiml/return/{call_sid}/{}", why.code())))
        }
        IfUnanswered::HangUp => CallUpdate::End,
    };
    update_call(service, call_sid, update).await;
}

/// The caller has hung up: nobody must go on ringing, or wait alone in the room.
pub(super) async fn caller_gone(service: &Service, call_sid: &str) {
    let Ok(Some(_)) = record::read(service, call_sid).await else { return };
    let _ = settle(service, call_sid, HandoffStatus::Abandoned).await;
    // Read behind the change: who notes the person's call looks for the change behind its own.
    if let Ok(Some(known)) = record::read(service, call_sid).await
        && known.status != HandoffStatus::Unanswered
        && let Some(person) = known.person_call_sid
    {
        end_call(service, person);
    }
}

/// Ends a call behind the answer to Twilio; one that is over already is left in peace.
pub(super) fn end_call(service: &Service, call_sid: String) {
    in_background(service, |service| async move { update_call(&service, &call_sid, CallUpdate::End).await });
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

async fn asked<T>(request: impl Future<Output = Result<T, TelephonyError>>) -> Result<T, TelephonyError> {
    let late = |_| {
        let message = ": no answer in time".to_owned();
        Err(TelephonyError { kind: TelephonyErrorKind::Unavailable, code: None, message, source: None })
    };
    timeout(ASKING, request).await.unwrap_or_else(late)
}

/// Runs beside the request, among the tasks of the service.
fn in_background<F>(service: &Service, work: impl FnOnce(Service) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    service.ports.tasks.spawn(work(service.clone()).in_current_span());
}
