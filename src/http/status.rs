//! Reports of what becomes of calls. They come late, twice and out of order, and none leads back.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use tokio::time::timeout;
use tracing::{info, warn};
use voice_core::ports::{EndedBecause, LaunchChange, LaunchStatus};
use voice_core::use_case::Keep;
use voice_protocols::webhook::{CallStatus, StatusCallback};

use super::Service;
use super::answers::nothing;
use super::background::{AT_ONCE, in_background};
use super::ended::read_session;
use super::launched;
use super::signed::Signed;
use super::warm_transfer::caller_gone;
use crate::outbound::is_launch_id;
use crate::telemetry::causes;

const WRITING: Duration = Duration::from_secs(3);

/// The path names the call, or the launch of a call that the service placed, or nothing.
pub(super) async fn status(
    State(service): State<Service>,
    id: Option<Path<String>>,
    Signed(params): Signed,
) -> Response {
    let report = match StatusCallback::from_params(&params) {
        Ok(report) => report,
        Err(error) => {
            warn!(%error, "a report is about no call");
            return nothing();
        }
    };
    let id = id.map(|Path(id)| id);
    match id.as_deref().filter(|id| *id != report.call_sid) {
        Some(launch) if is_launch_id(launch) => note(&service, launch, &report).await,
        Some(_) => {
            warn!(call.sid = %report.call_sid, "a report is about another call than its address");
            return nothing();
        }
        None => {}
    }
    if report.call_status.is_final() {
        info!(call.sid = %report.call_sid, status = ?report.call_status, sip = report.sip_response_code, "the call is over");
        caller_gone(&service, &report.call_sid);
        in_background(&service, AT_ONCE, |service| async move { close(&service, &report.call_sid).await });
    }
    nothing()
}

async fn note(service: &Service, launch: &str, report: &StatusCallback) {
    let Some(status) = launch_status(&report.call_status) else { return };
    let change = LaunchChange {
        status: Some(status),
        call_sid: Some(report.call_sid.clone()),
        error: why(status, report),
        ..LaunchChange::default()
    };
    change_launch(service, launch, change).await;
    if report.call_status.is_final() {
        // Nobody will answer any more.
        drop(service.lines.take(launch));
        let launch = launch.to_owned();
        in_background(service, AT_ONCE, |service| async move { forget_person(&service, &launch).await });
    }
}

/// Removes whom a call was to when its use case says that nothing is kept.
async fn forget_person(service: &Service, id: &str) {
    let Some(launch) = launched::read(service, id).await else { return };
    let keep = service.use_cases.find(&launch.use_case).await.map(|use_case| use_case.storage.keep);
    if keep == Ok(Keep::Nothing) {
        change_launch(service, id, LaunchChange { forget_person: true, ..LaunchChange::default() }).await;
    }
}

/// Writes what is new of a launch. A table that is out of reach costs the news, not the call.
pub(super) async fn change_launch(service: &Service, launch: &str, change: LaunchChange) {
    match timeout(WRITING, service.launches.change_launch(launch, change)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            warn!(launch.id = launch, error = %causes(&error), "a launch was not brought up to date");
        }
        Err(_) => warn!(launch.id = launch, "bringing a launch up to date took too long"),
    }
}

const fn launch_status(status: &CallStatus) -> Option<LaunchStatus> {
    match status {
        CallStatus::Queued => Some(LaunchStatus::Queued),
        CallStatus::Ringing => Some(LaunchStatus::Ringing),
        CallStatus::InProgress => Some(LaunchStatus::Answered),
        CallStatus::Completed => Some(LaunchStatus::Completed),
        CallStatus::Busy => Some(LaunchStatus::Busy),
        CallStatus::NoAnswer => Some(LaunchStatus::NoAnswer),
        CallStatus::Failed => Some(LaunchStatus::Failed),
        CallStatus::Canceled => Some(LaunchStatus::Canceled),
        CallStatus::Other(_) => None,
    }
}

fn why(status: LaunchStatus, report: &StatusCallback) -> Option<String> {
    if status != LaunchStatus::Failed {
        return None;
    }
    let code = report.error_code.as_ref().map(|code| format!("Twilio code {code}"));
    code.or_else(|| report.sip_response_code.map(|code| format!("SIP response {code}")))
}

/// Marks the session as ended, which a process that was killed could not do itself.
async fn close(service: &Service, call_sid: &str) {
    // A call that nobody answered has none.
    let Some(session) = read_session(service, call_sid).await else { return };
    let closing = service.ports.store.close_session(call_sid, session.epoch, EndedBecause::Lost);
    match timeout(WRITING, closing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            warn!(call.sid = call_sid, error = %causes(&error), "the session's end was not written");
        }
        Err(_) => warn!(call.sid = call_sid, "writing the session's end took too long"),
    }
}
