//! What the person hears who is called for somebody: what it is about, and the question whether they take the call.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use tracing::{error, info, warn};
use voice_core::ports::{HandoffRecord, HandoffStatus};
use voice_core::use_case::{Sentences, UseCase};
use voice_protocols::twiml::{Gather, Say, Verb};
use voice_protocols::webhook::{Gathered, VoiceWebhook};

use super::Service;
use super::answers::{hang_up, say_and_hang_up, spoken, verbs};
use super::background::{LONGEST_CALL, in_background};
use super::handoff_record::{self as record, settle};
use super::signed::Signed;
use super::warm_transfer::conference;

/// About three quarters of a minute; the caller holds meanwhile.
const LONGEST_SUMMARY: usize = 600;
const SECONDS_TO_DECIDE: u32 = 10;

/// The person has answered. Only a key tells them from a voicemail.
pub(super) async fn whisper(
    State(service): State<Service>,
    Path(call_sid): Path<String>,
    Signed(params): Signed,
) -> Response {
    if VoiceWebhook::from_params(params).is_err() {
        warn!("a person's call is no call");
        return hang_up();
    }
    let known = match record::read(&service, &call_sid).await {
        Ok(Some(known)) if known.status == HandoffStatus::Dialling => Some(known),
        Ok(known) => return gone(&service, known.as_ref()).await,
        // Without the record the question can still be asked.
        Err(record::OutOfReach) => None,
    };
    let use_case = use_case(&service, known.as_ref()).await;
    let about = match known.as_ref().and_then(briefing) {
        Some(words) => in_words(use_case.as_deref(), words),
        None => sentence(use_case.as_deref(), |sentences| &sentences.whisper_caller),
    };
    let ask = sentence(use_case.as_deref(), |sentences| &sentences.whisper_question);
    let question = Gather {
        action: service.public_url.http(&format!("/twiml/whisper/{call_sid}/accept")),
        keys: Some(1),
        timeout_seconds: Some(SECONDS_TO_DECIDE),
        prompts: vec![about, ask],
    };
    verbs(vec![Verb::Gather(question), Verb::Hangup])
}

/// The person has pressed a key.
pub(super) async fn accept(
    State(service): State<Service>,
    Path(call_sid): Path<String>,
    Signed(params): Signed,
) -> Response {
    let Ok(gathered) = Gathered::from_params(&params) else {
        warn!("a person's key is of no call");
        return hang_up();
    };
    let person = gathered.call_sid;
    match settle(&service, &call_sid, HandoffStatus::Joined).await {
        Ok(true) => info!(call.sid = %call_sid, person.sid = %person, "a person has taken the call"),
        Ok(false) => {
            let known = record::read(&service, &call_sid).await.ok().flatten();
            if !known.as_ref().is_some_and(|known| has_joined(known, &person)) {
                return gone(&service, known.as_ref()).await;
            }
        }
        // Both are there, and waiting helps nobody.
        Err(record::OutOfReach) => {
            error!(call.sid = %call_sid, "a person joins a caller before there is a record of it");
            joined_when_possible(&service, &call_sid, person);
        }
    }
    verbs(vec![Verb::Dial(conference(&call_sid, None, None))])
}

/// Writes down that the person has joined as soon as the table can be reached.
fn joined_when_possible(service: &Service, call_sid: &str, person: String) {
    let call_sid = call_sid.to_owned();
    in_background(service, LONGEST_CALL, |service| async move {
        if record::settle_patiently(&service, &call_sid, HandoffStatus::Joined).await == Some(true) {
            // Whoever called may not have been able to write that down either.
            let _ = record::note_call(&service, &call_sid, &person).await;
        }
    });
}

/// Twilio repeats a request whose answer it did not get.
fn has_joined(known: &HandoffRecord, person: &str) -> bool {
    known.status == HandoffStatus::Joined
        && known.person_call_sid.as_ref().is_none_or(|known| known == person)
}

/// What the agent has written for the person, if anything was kept.
fn briefing(known: &HandoffRecord) -> Option<&str> {
    let words = [&known.summary, &known.reason].into_iter().map(|words| words.expose().trim());
    words.into_iter().find(|words| !words.is_empty()).map(shortened)
}

/// The caller's use case: its agent writes in its language, and its sentences are what is said.
async fn use_case(service: &Service, known: Option<&HandoffRecord>) -> Option<Arc<UseCase>> {
    record::use_case(service, known?).await
}

fn in_words(use_case: Option<&UseCase>, words: &str) -> Say {
    use_case.map_or_else(|| Say::new(words), |use_case| spoken(use_case, words))
}

fn sentence(use_case: Option<&UseCase>, which: impl Fn(&Sentences) -> &String) -> Say {
    match use_case {
        Some(use_case) => spoken(use_case, which(&use_case.sentences)),
        None => Say::new(which(&Sentences::default())),
    }
}

async fn gone(service: &Service, known: Option<&HandoffRecord>) -> Response {
    let use_case = use_case(service, known).await;
    say_and_hang_up(sentence(use_case.as_deref(), |sentences| &sentences.whisper_gone))
}

/// The beginning of the text, up to the end of a word.
fn shortened(text: &str) -> &str {
    let Some((limit, _)) = text.char_indices().nth(LONGEST_SUMMARY) else { return text };
    let beginning = &text[..limit];
    beginning.rfind(char::is_whitespace).map_or(beginning, |end| beginning[..end].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_summary_ends_with_a_word() {
        assert_eq!(shortened("short"), "short");
        let long = "wörter ".repeat(200);
        let short = shortened(&long);
        assert!(short.chars().count() <= LONGEST_SUMMARY && short.ends_with("wörter"), "{short}");
        assert_eq!(shortened(&"x".repeat(700)).len(), LONGEST_SUMMARY);
    }
}
