//! The caller goes to a person: what Twilio is told when the agent hands over, and when that is over.
//!
//! Targets are those of the use case, by their names; nothing that is dialled ever comes from a request.

use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use tracing::{info, warn};
use voice_core::ports::{HandoffRecord, HandoffStatus};
use voice_core::private::Private;
use voice_core::use_case::{
    DEFAULT_TARGET, Destination, Dial, HandoffTarget, IfUnanswered, Keep, Party, UseCase,
};
use voice_protocols::relay::LIVE_AGENT_HANDOFF;
use voice_protocols::twiml::{self, DialTarget, Enqueue, QueuePlace, Verb};
use voice_protocols::webhook::{DialEnded, DialStatus, is_e164};

use super::Service;
use super::answers::{hang_up, nothing, spoken, verbs};
use super::background::end_call;
use super::ended::read_session;
use super::failover::forward;
use super::handoff_record::{self as record, if_unanswered, is_warm, settle};
use super::parties::Parties;
use super::returning::{Returned, return_to_agent};
use super::signed::Signed;
use super::warm_transfer::{self, caller_gone};
use crate::metrics::Counter;

/// What whoever hands a call over writes into the end of its session.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HandoffData {
    reason_code: String,
    #[serde(default)]
    target: Option<String>,
    /// The one that the conversation went on as, last.
    #[serde(default)]
    use_case: Option<String>,
    #[serde(default, deserialize_with = "private")]
    reason: Private<String>,
    #[serde(default, rename = "conversationSummary", deserialize_with = "private")]
    summary: Private<String>,
}

fn private<'de, D: Deserializer<'de>>(words: D) -> Result<Private<String>, D::Error> {
    Option::<String>::deserialize(words).map(|words| Private::new(words.unwrap_or_default()))
}

impl HandoffData {
    /// `None` when the session was ended for something else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|data: &Self| data.reason_code == LIVE_AGENT_HANDOFF)
    }
}

/// The end of a session, as Twilio tells it.
pub(super) struct SessionEnd<'a> {
    pub(super) call_sid: &'a str,
    pub(super) session_id: &'a str,
    pub(super) parties: Parties,
}

/// A call on its way to a person.
pub(super) struct Handoff {
    pub(super) call_sid: String,
    /// The number of the agent, which people are called from.
    pub(super) own_number: Private<String>,
    pub(super) if_unanswered: IfUnanswered,
    target: HandoffTarget,
    reason: Private<String>,
    summary: Private<String>,
    announcement: Vec<Verb>,
}

/// The agent has ended the session so that the caller can talk to a person.
pub(super) async fn hand_over(service: &Service, end: SessionEnd<'_>, asked: HandoffData) -> Response {
    let call_sid = end.call_sid;
    let Some((use_case, parties)) = of_call(service, &end, &asked).await else {
        return forward(service).await;
    };
    let use_case = match service.use_cases.find(&use_case).await {
        Ok(use_case) => use_case,
        Err(reason) => {
            warn!(call.sid = call_sid, %reason, "the targets of a handoff are not known");
            return forward(service).await;
        }
    };
    let name = asked.target.as_deref().unwrap_or(DEFAULT_TARGET);
    let Some(target) = use_case.handoff.get(name) else {
        service.metrics().count(Counter::TransfersRefused);
        warn!(call.sid = call_sid, use_case = %use_case.name, "a transfer to an unlisted target was refused");
        return return_to_agent(service, call_sid, Returned::Refused, parties).await;
    };
    let record = fresh_record(&end, &use_case, name, &asked);
    let handoff = Handoff::new(call_sid, &parties, &use_case, target.clone(), asked);
    let elsewhere = match under_way(service, &end).await {
        Some(known) => handoff.again(service, &known),
        None => handoff.begin(service, record).await,
    };
    match elsewhere {
        None => verbs(handoff.verbs(service)),
        Some(Elsewhere::Back(why)) => return_to_agent(service, call_sid, why, parties).await,
        Some(Elsewhere::Gone) => nothing(),
    }
}

/// Where a caller goes instead of to the person.
enum Elsewhere {
    Back(Returned),
    /// They have hung up.
    Gone,
}

/// The use case that hands over, and who talks to whom: what our own tool and Twilio say of it, and the table only where
/// they say nothing.
async fn of_call(service: &Service, end: &SessionEnd<'_>, asked: &HandoffData) -> Option<(String, Parties)> {
    let parties = end.parties.clone();
    if let Some(use_case) = &asked.use_case
        && !parties.is_blank()
    {
        return Some((use_case.clone(), parties));
    }
    match read_session(service, end.call_sid).await {
        Some(session) => {
            let parties = parties.unless_known(&session);
            Some((asked.use_case.clone().unwrap_or(session.use_case), parties))
        }
        None => Some((asked.use_case.clone()?, parties)),
    }
}

/// The handoff of this very end, if it was begun before: Twilio repeats a request whose answer it did not get, and the person
/// must not be called twice. A later session of the call that says the same words begins another one.
async fn under_way(service: &Service, end: &SessionEnd<'_>) -> Option<HandoffRecord> {
    let known = record::read(service, end.call_sid).await.ok().flatten()?;
    (!end.session_id.is_empty() && known.session_id == end.session_id).then_some(known)
}

fn fresh_record(end: &SessionEnd<'_>, use_case: &UseCase, name: &str, asked: &HandoffData) -> HandoffRecord {
    let kept = |words: &Private<String>| match use_case.storage.keep {
        Keep::Words => words.clone(),
        Keep::Nothing => Private::default(),
    };
    HandoffRecord {
        session_id: end.session_id.to_owned(),
        use_case: use_case.name.clone(),
        target: name.to_owned(),
        status: HandoffStatus::Dialling,
        started_at: Timestamp::now().to_string(),
        reason: kept(&asked.reason),
        summary: kept(&asked.summary),
        person_call_sid: None,
    }
}

impl Handoff {
    fn new(
        call_sid: &str,
        parties: &Parties,
        use_case: &UseCase,
        target: HandoffTarget,
        asked: HandoffData,
    ) -> Self {
        let words = target.announcement.iter();
        Self {
            call_sid: call_sid.to_owned(),
            own_number: parties.own_number().clone(),
            if_unanswered: target.if_unanswered,
            announcement: words.map(|words| Verb::Say(spoken(use_case, words))).collect(),
            reason: asked.reason,
            summary: asked.summary,
            target,
        }
    }

    async fn begin(&self, service: &Service, record: HandoffRecord) -> Option<Elsewhere> {
        service.metrics().count(Counter::TransfersStarted);
        info!(call.sid = %self.call_sid, use_case = %record.use_case, target = %record.target, "a call is handed over");
        let opened = record::open(service, &self.call_sid, record).await;
        match opened {
            _ if !is_warm(service, Some(&self.target)) => None,
            Ok(()) => {
                warm_transfer::call_person(service, self);
                None
            }
            // Without its record nobody could tell what becomes of a caller who waits.
            Err(record::OutOfReach) => {
                // It may have been written all the same.
                warm_transfer::unanswered_when_possible(service, &self.call_sid);
                Some(Elsewhere::Back(Returned::Failed))
            }
        }
    }

    /// Nothing that was begun is begun twice.
    fn again(&self, service: &Service, known: &HandoffRecord) -> Option<Elsewhere> {
        match known.status {
            HandoffStatus::Unanswered => Some(Elsewhere::Back(Returned::NotTaken)),
            HandoffStatus::Abandoned => Some(Elsewhere::Gone),
            HandoffStatus::Dialling | HandoffStatus::Joined => {
                if is_warm(service, Some(&self.target)) && known.person_call_sid.is_none() {
                    warm_transfer::watch_over(service, self);
                }
                None
            }
        }
    }

    /// Who is called, when somebody is.
    pub(super) const fn dial(&self) -> Option<&Dial> {
        match &self.target.to {
            Destination::Dial(dial) | Destination::WarmTransfer { dial, .. } => Some(dial),
            _ => None,
        }
    }

    /// The number that is shown to the person.
    pub(super) fn caller_id(&self, dial: &Dial) -> Option<String> {
        shown_number(dial, &self.own_number)
    }

    fn verbs(self, service: &Service) -> Vec<Verb> {
        let route = |name: &str| Some(service.public_url.http(&format!("/twiml/{name}/{}", self.call_sid)));
        let action = route("handoff");
        let last = match &self.target.to {
            Destination::WarmTransfer { .. } if is_warm(service, Some(&self.target)) => {
                Verb::Dial(warm_transfer::conference(&self.call_sid, action, route("hold")))
            }
            to => put_through(to, &self.own_number, action, || {
                json!({
                    "callSid": self.call_sid,
                    "reason": self.reason.expose(),
                    "summary": self.summary.expose(),
                })
            }),
        };
        self.announcement.into_iter().chain([last]).collect()
    }
}

/// What connects the caller with a target directly, a warm transfer included. `task` is what a workflow is told.
pub(super) fn put_through(
    to: &Destination,
    own_number: &Private<String>,
    action: Option<String>,
    task: impl FnOnce() -> serde_json::Value,
) -> Verb {
    match to {
        Destination::Dial(dial) | Destination::WarmTransfer { dial, .. } => Verb::Dial(twiml::Dial {
            target: dialled(&dial.to),
            action,
            timeout_seconds: Some(seconds(dial)),
            caller_id: shown_number(dial, own_number),
            answer_on_bridge: true,
        }),
        Destination::Queue { name } => {
            Verb::Enqueue(Enqueue { place: QueuePlace::Named(name.clone()), action })
        }
        Destination::Workflow { sid } => {
            Verb::Enqueue(Enqueue { place: QueuePlace::Workflow { sid: sid.clone(), task: task() }, action })
        }
        Destination::Redirect { url } => Verb::Redirect(url.clone()),
    }
}

/// The number that is shown to the person.
fn shown_number(dial: &Dial, own_number: &Private<String>) -> Option<String> {
    let own_number = Some(own_number.expose()).filter(|number| is_e164(number));
    dial.caller_id.as_ref().or(own_number).cloned()
}

fn dialled(party: &Party) -> DialTarget {
    match party {
        Party::Number(number) => DialTarget::Number(number.clone()),
        Party::Sip(_) => DialTarget::Sip(address(party)),
    }
}

/// What REST and `<Sip>` call: a number, or an address that says that it is a SIP address.
pub(super) fn address(party: &Party) -> String {
    match party {
        Party::Number(number) => number.clone(),
        Party::Sip(address) if address.starts_with("sip:") || address.starts_with("sips:") => address.clone(),
        Party::Sip(address) => format!("sip:{address}"),
    }
}

pub(super) fn seconds(dial: &Dial) -> u32 {
    u32::try_from(dial.timeout.as_secs()).unwrap_or(u32::MAX)
}

/// The action of the `<Dial>` or `<Enqueue>` that a call was handed over with.
pub(super) async fn handoff_ended(
    State(service): State<Service>,
    Path(call_sid): Path<String>,
    Signed(params): Signed,
) -> Response {
    let ended = match DialEnded::from_params(&params) {
        Ok(ended) if ended.call_sid == call_sid => ended,
        _ => {
            warn!("the end of a handoff is for no call of ours");
            return hang_up();
        }
    };
    info!(call.sid = %call_sid, status = ?ended.status, "the handoff is over");
    if ended.call_status.is_final() {
        caller_gone(&service, &call_sid);
        return nothing();
    }
    let known = record::read(&service, &call_sid).await.ok().flatten();
    let target = match &known {
        Some(known) => record::target(&service, known).await,
        None => None,
    };
    if was_taken(&service, &ended.status, known.as_ref(), target.as_ref()) {
        let _ = settle(&service, &call_sid, HandoffStatus::Joined).await;
        return hang_up();
    }
    if let Ok(true) = settle(&service, &call_sid, HandoffStatus::Unanswered).await
        && let Some(person) = known.and_then(|known| known.person_call_sid)
    {
        end_call(&service, person);
    }
    match if_unanswered(target.as_ref()) {
        IfUnanswered::ReturnToAgent => {
            let parties = Parties::of_form(&params);
            return_to_agent(&service, &call_sid, Returned::from(&ended.status), parties).await
        }
        IfUnanswered::HangUp => hang_up(),
    }
}

/// Whether the caller has talked to a person. The room in which a caller holds also ends when nobody came.
fn was_taken(
    service: &Service,
    status: &DialStatus,
    known: Option<&HandoffRecord>,
    target: Option<&HandoffTarget>,
) -> bool {
    match known {
        Some(known) if is_warm(service, target) => known.status == HandoffStatus::Joined,
        _ => *status == DialStatus::Answered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_handoff_is_one() {
        let data = HandoffData::parse(
            r#"{"reasonCode":"live-agent-handoff","reason":"r","conversationSummary":"s","target":"billing","callSid":"CA1"}"#,
        )
        .unwrap();
        assert_eq!((data.target.as_deref(), data.summary.expose().as_str()), (Some("billing"), "s"));
        assert!(HandoffData::parse(r#"{"reasonCode":"live-agent-handoff"}"#).is_some());
        for other in
            [r#"{"reasonCode":"end-call"}"#, r#"{"reason":"live-agent-handoff"}"#, "live-agent-handoff", ""]
        {
            assert!(HandoffData::parse(other).is_none(), "{other}");
        }
    }
}
