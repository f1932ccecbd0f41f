//! What the person hears who is called for somebody: what it is about, and the question whether they take the call.

use axum::extract::{Path, State};
use axum::response::Response;
use tracing::{error, info, warn};
use voice_core::ports::{HandoffRecord, HandoffStatus};
use voice_protocols::twiml::{Gather, Say, Verb};
use voice_protocols::webhook::{Gathered, VoiceWebhook};

use super::Service;
use super::answers::{hang_up, say_and_hang_up, spoken, verbs};
use super::ended::read_session;
use super::handoff_record::{self as record, settle};
use super::signed::Signed;
use super::warm_transfer::conference;

const QUESTION: &str = "Press any key to take the call.";
const GONE: &str = "The caller is no longer on the line. Goodbye.";
/// When the agent has summed up nothing.
const ABOUT_NOTHING: &str = "A caller would like to speak with you.";
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
    let about = match record::read(&service, &call_sid).await {
        Ok(Some(known)) if known.status == HandoffStatus::Dialling => {
            briefing(&service, &call_sid, &known).await
        }
        Ok(_) => return gone(),
        // Without the record the question can still be asked.
        Err(record::OutOfReach) => Say::new(ABOUT_NOTHING),
    };
    let question = Gather {
        action: service.public_url.http(&format!("/twiml/whisper/{call_sid}/accept")),
        keys: Some(1),
        timeout_seconds: Some(SECONDS_TO_DECIDE),
        prompts: vec![about, Say::new(QUESTION)],
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
    match settle(&service, &call_sid, HandoffStatus::Joined).await {
        Ok(true) => {
            info!(call.sid = %call_sid, person.sid = %gathered.call_sid, "a person has taken the call");
        }
        Ok(false) if !has_joined(&service, &call_sid, &gathered.call_sid).await => return gone(),
        Ok(false) => {}
        // Both are there, and waiting helps nobody.
        Err(record::OutOfReach) => {
            error!(call.sid = %call_sid, "a person joins a caller without a record of it");
        }
    }
    verbs(vec![Verb::Dial(conference(&call_sid, None, None))])
}

/// Twilio repeats a request whose answer it did not get.
async fn has_joined(service: &Service, call_sid: &str, person: &str) -> bool {
    matches!(record::read(service, call_sid).await, Ok(Some(known))
        if known.status == HandoffStatus::Joined
            && known.person_call_sid.as_ref().is_none_or(|known| known == person))
}

async fn briefing(service: &Service, call_sid: &str, known: &HandoffRecord) -> Say {
    let words = [&known.summary, &known.reason].into_iter().map(|words| words.expose().trim());
    let Some(words) = words.into_iter().find(|words| !words.is_empty()) else {
        return Say::new(ABOUT_NOTHING);
    };
    let words = shortened(words);
    // The agent writes in the language of its use case.
    let Some(session) = read_session(service, call_sid).await else { return Say::new(words) };
    match service.use_cases.find(&session.use_case).await {
        Ok(use_case) => spoken(&use_case, words),
        Err(_) => Say::new(words),
    }
}

/// The beginning of the text, up to the end of a word.
fn shortened(text: &str) -> &str {
    let Some((limit, _)) = text.char_indices().nth(LONGEST_SUMMARY) else { return text };
    let beginning = &text[..limit];
    beginning.rfind(char::is_whitespace).map_or(beginning, |end| beginning[..end].trim_end())
}

fn gone() -> Response {
    say_and_hang_up(Say::new(GONE))
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
