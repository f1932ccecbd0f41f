//! What is left when nothing else works: callers are put through to the SIP endpoint of the service.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use tokio::time::timeout;
use voice_core::use_case::Sentences;
use voice_protocols::twiml::{Dial, DialTarget, Say, Verb};

use super::Service;
use super::answers::{apologise, spoken, verbs};
use super::signed::Signed;

/// The sentence is not worth more; most often it is in memory.
const FINDING_WORDS: Duration = Duration::from_millis(500);

pub(super) async fn failover(State(service): State<Service>, _: Signed) -> Response {
    forward(&service).await
}

/// Without an endpoint there is only the apology.
pub(super) async fn forward(service: &Service) -> Response {
    let Some(address) = &service.sip_endpoint else {
        return apologise(service);
    };
    // Whose caller it is, is not known here; the words are those of the use case that answers by default.
    let announcement = match timeout(FINDING_WORDS, service.use_cases.find(&service.default_use_case)).await {
        Ok(Ok(use_case)) => spoken(&use_case, &use_case.sentences.forwarding),
        _ => Say::new(Sentences::default().forwarding),
    };
    verbs(vec![
        Verb::Say(announcement),
        Verb::Pause { seconds: 1 },
        Verb::Dial(Dial::new(DialTarget::Sip(address.clone()))),
    ])
}
