//! Calls that the service has placed: what the person hears who answers, and what is done when a machine does.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use tokio::time::timeout;
use tracing::{error, info, warn};
use voice_core::ports::{CallUpdate, Direction, LaunchChange, LaunchRecord};
use voice_core::use_case::OnMachine;
use voice_protocols::twiml::{Say, Verb, VoiceResponse};
use voice_protocols::webhook::{MachineDetected, VoiceWebhook, is_machine};

use super::Service;
use super::answers::{apologise, hang_up, nothing, say_and_hang_up, spoken};
use super::background::{AT_ONCE, in_background, update_call};
use super::elsewhere::elsewhere;
use super::signed::Signed;
use super::status::change_launch;
use super::twiml::{begin, facts, prepare, profile_of_person};
use crate::session::Webhook;
use crate::telemetry::causes;

/// The person who has answered hears nothing meanwhile.
const READING: Duration = Duration::from_secs(3);

/// The call was answered.
pub(super) async fn answered(
    State(service): State<Service>,
    Path(id): Path<String>,
    uri: Uri,
    Signed(params): Signed,
) -> Response {
    if let Some(redirect) = elsewhere(&service, &uri) {
        return redirect;
    }
    let webhook = match VoiceWebhook::from_params(params) {
        Ok(webhook) => webhook,
        Err(error) => {
            warn!(%error, "a webhook is no call");
            return apologise(&service);
        }
    };
    let Some(launch) = read(&service, &id).await else {
        return apologise(&service);
    };
    if let Some(answered_by) = webhook.answered_by.as_ref().filter(|by| is_machine(by)) {
        note_answered_by(&service, &id, answered_by).await;
        match &launch.machine {
            OnMachine::Ignore => {}
            OnMachine::HangUp => return hang_up(),
            OnMachine::Say(message) => return say_and_hang_up(message_of(&service, &launch, message).await),
        }
    }
    let facts =
        Webhook { direction: Direction::Outbound, variables: launch.variables.clone(), ..facts(&webhook) };
    let person = profile_of_person(&service, &facts).await;
    match prepare(&service, facts, &launch.use_case, person).await {
        Ok(prepared) => begin(&service, prepared, webhook.params, Some(&id)).await,
        Err(reason) => {
            error!(call.sid = %webhook.call_sid, launch.id = %id, %reason, "a call that was placed could not be carried");
            apologise(&service)
        }
    }
}

/// Twilio has found out who answered, while the agent was already talking.
pub(super) async fn machine(
    State(service): State<Service>,
    Path(id): Path<String>,
    Signed(params): Signed,
) -> Response {
    let Ok(found) = MachineDetected::from_params(&params) else {
        warn!("a detection is about no call");
        return nothing();
    };
    let Some(launch) = read(&service, &id).await else { return nothing() };
    info!(call.sid = %found.call_sid, launch.id = %id, answered_by = found.answered_by, "who answered is known");
    // First of all: the session that breaks when its call is changed must not go on.
    note_answered_by(&service, &id, &found.answered_by).await;
    in_background(&service, AT_ONCE, |service| async move {
        let update = match on_machine(&launch.machine, &found.answered_by) {
            None => return,
            Some(Deed::HangUp) => CallUpdate::End,
            Some(Deed::Say(message)) => {
                let message = message_of(&service, &launch, message).await;
                let verbs = vec![Verb::Say(message), Verb::Hangup];
                CallUpdate::Twiml(VoiceResponse::new(verbs).to_xml())
            }
        };
        update_call(&service, &found.call_sid, update).await;
    });
    nothing()
}

/// The message in the language of the use case.
async fn message_of(service: &Service, launch: &LaunchRecord, message: &str) -> Say {
    match timeout(READING, service.use_cases.find(&launch.use_case)).await {
        Ok(Ok(use_case)) => spoken(&use_case, message),
        _ => Say::new(message),
    }
}

/// What is done to a call because a machine has it.
#[derive(Debug, PartialEq, Eq)]
enum Deed<'a> {
    HangUp,
    Say(&'a str),
}

fn on_machine<'a>(wanted: &'a OnMachine, answered_by: &str) -> Option<Deed<'a>> {
    match wanted {
        _ if !is_machine(answered_by) => None,
        OnMachine::Ignore => None,
        OnMachine::Say(message) if answered_by.starts_with("machine_end_") => Some(Deed::Say(message)),
        // Its greeting is not over, so there will be a better moment.
        OnMachine::Say(_) if answered_by == "machine_start" => None,
        OnMachine::Say(_) | OnMachine::HangUp => Some(Deed::HangUp),
    }
}

/// Whether a call was ended, or given a message, because a machine has it: then its session is not missed.
pub(super) async fn left_to_a_machine(service: &Service, id: &str) -> bool {
    let Some(launch) = read(service, id).await else { return false };
    let answered_by = launch.answered_by.as_deref().unwrap_or_default();
    on_machine(&launch.machine, answered_by).is_some()
}

async fn note_answered_by(service: &Service, id: &str, answered_by: &str) {
    let answered_by = Some(answered_by.to_owned());
    change_launch(service, id, LaunchChange { answered_by, ..LaunchChange::default() }).await;
}

pub(super) async fn read(service: &Service, id: &str) -> Option<LaunchRecord> {
    let reason = match timeout(READING, service.launches.read_launch(id)).await {
        Ok(Ok(Some(launch))) => return Some(launch),
        Ok(Ok(None)) => "it is not known".to_owned(),
        Ok(Err(error)) => causes(&error).to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    // The id is part of an address, which anybody who can sign may choose.
    error!(error = reason, "a launch was not read");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_waits_for_the_end_of_the_greeting() {
        let say = OnMachine::Say("Call us & hear more.".to_owned());
        for (wanted, answered_by, update) in [
            (&say, "machine_end_beep", Some(Deed::Say("Call us & hear more."))),
            (&say, "machine_start", None),
            (&say, "fax", Some(Deed::HangUp)),
            (&say, "human", None),
            (&OnMachine::HangUp, "machine_start", Some(Deed::HangUp)),
            (&OnMachine::HangUp, "unknown", None),
            (&OnMachine::HangUp, "", None),
            (&OnMachine::Ignore, "machine_start", None),
        ] {
            assert_eq!(on_machine(wanted, answered_by), update, "{wanted:?} {answered_by}");
        }
    }
}
