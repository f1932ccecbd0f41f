//! A person is called while the caller holds with music in a conference.
//!
//! Whoever settles the record of the handoff decides what comes next: the person who takes the call, the report that they
//! did not, or the caller who hangs up. Each of these can reach another process. Two who talk are never torn apart: who
//! cannot ask the table whether they do waits until it answers.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use tokio::time::sleep;
use tracing::{error, info, warn};
use voice_core::ports::{CallUpdate, HandoffStatus, NewCall, TelephonyErrorKind};
use voice_core::private::Private;
use voice_core::use_case::IfUnanswered;
use voice_protocols::twiml::{Conference, Dial, DialTarget};
use voice_protocols::webhook::{CallStatus, StatusCallback};

use super::Service;
use super::answers::nothing;
use super::background::{AT_ONCE, LONGEST_CALL, asked, end_call, in_background, update_call};
use super::handoff::{Handoff, address, seconds};
use super::handoff_record::{self as record, if_unanswered, settle};
use super::returning::Returned;
use super::signed::Signed;
use crate::telemetry::causes;

/// After the ringing: Twilio rings a little longer than told, the person hears what it is about and presses a key. Past
/// it a report was lost, and the caller must not hold for ever.
pub(super) const DECIDING: Duration = Duration::from_secs(90);

/// The room of a call, for both sides; each leaves the other nobody to wait for.
pub(super) fn conference(call_sid: &str, action: Option<String>, wait_url: Option<String>) -> Dial {
    let room =
        Conference { name: format!("handoff-{call_sid}"), start_on_enter: true, end_on_exit: true, wait_url };
    Dial { action, ..Dial::new(DialTarget::Conference(room)) }
}

/// A call to a person, for a caller who holds.
struct PersonCall {
    call: NewCall,
    holding: Holding,
}

/// A caller who holds, and for how long.
struct Holding {
    call_sid: String,
    limit: Duration,
    if_unanswered: IfUnanswered,
}

/// Calls the person of a handoff behind the answer to Twilio.
pub(super) fn call_person(service: &Service, handoff: &Handoff) {
    let (Some(dial), Some(holding)) = (handoff.dial(), Holding::of(handoff)) else { return };
    let route = |name: &str| service.public_url.http(&format!("/twiml/{name}/{}", handoff.call_sid));
    let call = NewCall {
        to: Private::new(address(&dial.to)),
        from: handoff.caller_id(dial).unwrap_or_default(),
        url: route("whisper"),
        status_callback: Some(route("handoff-status")),
        timeout: Some(seconds(dial)),
        machine_detection: None,
    };
    let person = PersonCall { call, holding };
    in_background(service, LONGEST_CALL, |service| async move { person.place(&service).await });
}

/// Watches over a caller who holds for a person whom, as far as the table knows, nobody has called: the process that was
/// to do so may not have lived to do it.
pub(super) fn watch_over(service: &Service, handoff: &Handoff) {
    let Some(holding) = Holding::of(handoff) else { return };
    in_background(service, LONGEST_CALL, |service| async move { holding.watch(&service, None).await });
}

impl PersonCall {
    async fn place(self, service: &Service) {
        let Some(telephony) = &service.telephony else { return };
        let holding = self.holding;
        let call_sid = &holding.call_sid;
        match asked(telephony.place_call(self.call)).await {
            Ok(person) => {
                info!(call.sid = %call_sid, person.sid = %person, "a person is called");
                let _ = record::note_call(service, call_sid, &person).await;
                // The caller may have hung up before anybody knew whom to stop calling.
                if let Ok(Some(known)) = record::read(service, call_sid).await
                    && matches!(known.status, HandoffStatus::Abandoned | HandoffStatus::Unanswered)
                {
                    return end_call(service, person);
                }
                holding.watch(service, Some(person)).await;
            }
            Err(error) => {
                error!(call.sid = %call_sid, error = %causes(&error), "a person could not be called");
                if error.kind == TelephonyErrorKind::Unavailable {
                    // The person may be ringing all the same.
                    holding.give_up_when_known(service, Returned::Failed).await;
                } else {
                    give_up(service, call_sid, holding.if_unanswered, Returned::Failed).await;
                }
            }
        }
    }
}

impl Holding {
    fn of(handoff: &Handoff) -> Option<Self> {
        let dial = handoff.dial()?;
        Some(Self {
            call_sid: handoff.call_sid.clone(),
            limit: dial.timeout + DECIDING,
            if_unanswered: handoff.if_unanswered,
        })
    }

    /// Brings the caller back should nothing be heard of the person.
    async fn watch(self, service: &Service, person: Option<String>) {
        tokio::select! {
            () = service.shutting_down.cancelled() => {}
            () = async {
                sleep(self.limit).await;
                let noted = self.give_up_when_known(service, Returned::NotTaken).await;
                if let Some(noted) = noted {
                    warn!(call.sid = %self.call_sid, "nothing was heard of a person who was called");
                    if let Some(person) = person.or(noted) {
                        end_call(service, person);
                    }
                }
            } => {}
        }
    }

    /// Settles that nobody takes the call once the table says that nobody has. When that was up to us, the person's call
    /// if it is known.
    async fn give_up_when_known(&self, service: &Service, why: Returned) -> Option<Option<String>> {
        let known = record::read_while_dialling(service, &self.call_sid).await?;
        if record::settle_patiently(service, &self.call_sid, HandoffStatus::Unanswered).await != Some(true) {
            return None;
        }
        bring_back(service, &self.call_sid, self.if_unanswered, why).await;
        Some(known.person_call_sid)
    }
}

/// The status callback of the person's call.
pub(super) async fn person_status(
    State(service): State<Service>,
    Path(call_sid): Path<String>,
    Signed(params): Signed,
) -> Response {
    match StatusCallback::from_params(&params) {
        Ok(status) if status.call_status.is_final() => {
            in_background(&service, LONGEST_CALL, |service| async move {
                person_gone(&service, &call_sid, status).await;
            });
        }
        Ok(_) => {}
        Err(_) => warn!("a report is about no call"),
    }
    nothing()
}

/// The person's call is over.
///
/// When they had taken the call, the caller's is ended, however long the two talked: the room ends with the person, and all
/// that would follow for the caller is the hang-up. Only one who was never joined, because the person was gone before they
/// entered the room, would hold on in it for ever, and cannot be told from the others by any time that has passed.
async fn person_gone(service: &Service, call_sid: &str, status: StatusCallback) {
    let why = why_not(&status.call_status);
    let known = match record::read(service, call_sid).await {
        Ok(known) => known,
        // Who was not reached has not taken the call either, so the caller need not wait for the table.
        Err(record::OutOfReach) if status.call_status != CallStatus::Completed => {
            return bring_back(service, call_sid, IfUnanswered::ReturnToAgent, why).await;
        }
        Err(record::OutOfReach) => record::read_patiently(service, call_sid).await,
    };
    let Some(known) = known else { return };
    // It can be the late report of an earlier handoff.
    if known.person_call_sid.as_ref().is_some_and(|person| *person != status.call_sid) {
        return;
    }
    info!(call.sid = %call_sid, person.sid = %status.call_sid, status = why.code(), "the person's call is over");
    match known.status {
        HandoffStatus::Dialling => {
            let target = record::target(service, &known).await;
            give_up(service, call_sid, if_unanswered(target.as_ref()), why).await;
        }
        HandoffStatus::Joined if known.person_call_sid.is_some() => {
            update_call(service, call_sid, CallUpdate::End).await;
        }
        HandoffStatus::Joined | HandoffStatus::Unanswered | HandoffStatus::Abandoned => {}
    }
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

/// Settles that nobody takes the call; `true` when that was up to us. Only for callers of whom it is certain that they talk
/// to nobody: they do not wait for the table.
pub(super) async fn give_up(
    service: &Service,
    call_sid: &str,
    if_unanswered: IfUnanswered,
    why: Returned,
) -> bool {
    let settled = settle(service, call_sid, HandoffStatus::Unanswered).await;
    if let Ok(false) = settled {
        return false;
    }
    if settled.is_err() {
        unanswered_when_possible(service, call_sid);
    }
    bring_back(service, call_sid, if_unanswered, why).await;
    true
}

/// Writes down that nobody takes the call as soon as the table can be reached.
pub(super) fn unanswered_when_possible(service: &Service, call_sid: &str) {
    let call_sid = call_sid.to_owned();
    in_background(service, LONGEST_CALL, |service| async move {
        record::settle_patiently(&service, &call_sid, HandoffStatus::Unanswered).await;
    });
}

pub(super) async fn bring_back(
    service: &Service,
    call_sid: &str,
    if_unanswered: IfUnanswered,
    why: Returned,
) {
    let update = match if_unanswered {
        IfUnanswered::ReturnToAgent => {
            CallUpdate::Redirect(service.public_url.http(&format!("/twiml/return/{call_sid}/{}", why.code())))
        }
        IfUnanswered::HangUp => CallUpdate::End,
    };
    update_call(service, call_sid, update).await;
}

/// The caller has hung up: behind the answer to Twilio, nobody must go on ringing, or wait alone in the room.
pub(super) fn caller_gone(service: &Service, call_sid: &str) {
    let call_sid = call_sid.to_owned();
    in_background(service, AT_ONCE, |service| async move { abandon(&service, &call_sid).await });
}

async fn abandon(service: &Service, call_sid: &str) {
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
