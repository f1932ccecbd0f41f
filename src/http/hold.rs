//! What a caller hears who holds for a person, and the deadline of holding, which outlives the process that began it: Twilio
//! asks for more music for as long as the caller waits.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use tracing::warn;
use voice_core::ports::{HandoffRecord, HandoffStatus};
use voice_core::use_case::{DEFAULT_TIMEOUT, Destination, HandoffTarget};
use voice_protocols::twiml::Verb;

use super::Service;
use super::answers::verbs;
use super::background::{AT_ONCE, end_call, in_background};
use super::handoff_record::{self as record, if_unanswered};
use super::returning::Returned;
use super::signed::Signed;
use super::warm_transfer::{DECIDING, bring_back, give_up};

/// One of Twilio's own recordings of hold music, for targets without music. Its player of them, twimlets.com, would not do:
/// it goes on by itself and never asks here again. No certificate fits the dots in this name, hence http; it is only music.
const MUSIC: &str = "http://com.twilio.music.classical.s3.amazonaws.com/BusyStrings.mp3";

pub(super) async fn hold(
    State(service): State<Service>,
    Path(call_sid): Path<String>,
    Signed(_): Signed,
) -> Response {
    let known = record::read(&service, &call_sid).await;
    let target = match &known {
        Ok(Some(known)) => record::target(&service, known).await,
        _ => None,
    };
    match &known {
        Ok(Some(known)) if known.status == HandoffStatus::Joined => {}
        Ok(Some(known)) if known.status == HandoffStatus::Dialling => {
            if is_overdue(known, target.as_ref()) {
                warn!(call.sid = %call_sid, "a caller has held for too long");
                no_longer(&service, &call_sid, target.as_ref(), known.person_call_sid.clone());
            }
        }
        // Whoever settled it did not live to bring the caller back.
        Ok(_) => back(&service, &call_sid, target.as_ref()),
        // Who holds while the table is out of reach may be about to be joined.
        Err(record::OutOfReach) => {}
    }
    verbs(vec![
        Verb::Play(music(target.as_ref())),
        // A recording that cannot be played must not make Twilio ask without pause.
        Verb::Pause { seconds: 1 },
        Verb::Redirect(service.public_url.http(&format!("/twiml/hold/{call_sid}"))),
    ])
}

fn no_longer(service: &Service, call_sid: &str, target: Option<&HandoffTarget>, person: Option<String>) {
    let (call_sid, if_unanswered) = (call_sid.to_owned(), if_unanswered(target));
    in_background(service, AT_ONCE, move |service| async move {
        if give_up(&service, &call_sid, if_unanswered, Returned::NotTaken).await
            && let Some(person) = person
        {
            end_call(&service, person);
        }
    });
}

fn back(service: &Service, call_sid: &str, target: Option<&HandoffTarget>) {
    let (call_sid, if_unanswered) = (call_sid.to_owned(), if_unanswered(target));
    in_background(service, AT_ONCE, move |service| async move {
        bring_back(&service, &call_sid, if_unanswered, Returned::NotTaken).await;
    });
}

fn music(target: Option<&HandoffTarget>) -> String {
    let own = match target.map(|target| &target.to) {
        Some(Destination::WarmTransfer { music, .. }) => music.clone(),
        _ => None,
    };
    own.unwrap_or_else(|| MUSIC.to_owned())
}

fn is_overdue(known: &HandoffRecord, target: Option<&HandoffTarget>) -> bool {
    let ringing = match target.map(|target| &target.to) {
        Some(Destination::WarmTransfer { dial, .. }) => dial.timeout,
        _ => DEFAULT_TIMEOUT,
    };
    let started: Option<Timestamp> = known.started_at.parse().ok();
    let since = |started| Duration::try_from(Timestamp::now().duration_since(started)).unwrap_or_default();
    started.map(since).is_none_or(|held| held > ringing + DECIDING)
}
