//! Callers for whom no line is free: they hear so, or go to where their use case sends such callers.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;
use tracing::{info, warn};
use voice_core::use_case::{HandoffTarget, UseCase};
use voice_protocols::twiml::Verb;
use voice_protocols::webhook::{DialEnded, DialStatus};

use super::Service;
use super::answers::{apologise, hang_up, nothing, say_and_hang_up, spoken, verbs};
use super::handoff::put_through;
use super::parties::Parties;
use super::signed::Signed;
use crate::metrics::Counter;
use crate::session::PreparedCall;

/// What a workflow is told of such a caller.
const REASON: &str = "all lines of the agent are busy";

/// A call that cannot have a line. No session begins, so there is nobody who could tell a person about the caller: a warm
/// transfer is a plain one here.
pub(super) fn no_line_is_free(service: &Service, prepared: &PreparedCall) -> Response {
    let (call, use_case) = (&prepared.context, &prepared.use_case);
    let Some(target) = target(use_case) else {
        info!(call.sid = %call.call_sid, "a call was turned away: all lines are busy");
        return busy(service, use_case);
    };
    service.metrics().count(Counter::CallsOverflowed);
    info!(call.sid = %call.call_sid, use_case = %use_case.name, "a call goes elsewhere: all lines are busy");
    let parties = Parties { from: call.from.clone(), to: call.to.clone(), direction: call.direction };
    let action = service.public_url.http(&format!("/twiml/overflow/{}", segment(&use_case.name)));
    let task = || json!({ "callSid": call.call_sid, "reason": REASON, "summary": "" });
    let through = put_through(&target.to, parties.own_number(), Some(action), task);
    let announcement = target.announcement.iter().map(|words| Verb::Say(spoken(use_case, words)));
    verbs(announcement.chain([through]).collect())
}

/// `None` also for a name without a target, which the check of use cases does not let pass.
fn target(use_case: &UseCase) -> Option<&HandoffTarget> {
    let name = use_case.rescue.busy.as_ref()?;
    let target = use_case.handoff.get(name);
    if target.is_none() {
        warn!(use_case = %use_case.name, "where callers go when all lines are busy is not known");
    }
    target
}

fn busy(service: &Service, use_case: &UseCase) -> Response {
    service.metrics().count(Counter::CallsBusy);
    say_and_hang_up(spoken(use_case, &use_case.sentences.busy))
}

/// The name as one segment of a path.
fn segment(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The action of the `<Dial>` or `<Enqueue>` of such a call.
pub(super) async fn overflow_ended(
    State(service): State<Service>,
    Path(use_case): Path<String>,
    Signed(params): Signed,
) -> Response {
    let Ok(ended) = DialEnded::from_params(&params) else {
        warn!("the end of an overflow is about no call");
        return hang_up();
    };
    info!(call.sid = %ended.call_sid, status = ?ended.status, "the overflow is over");
    if ended.call_status.is_final() {
        return nothing();
    }
    if ended.status == DialStatus::Answered {
        return hang_up();
    }
    match service.use_cases.find(&use_case).await {
        Ok(use_case) => busy(&service, &use_case),
        Err(reason) => {
            warn!(call.sid = %ended.call_sid, %reason, "how to say that all lines are busy is not known");
            apologise(&service)
        }
    }
}
