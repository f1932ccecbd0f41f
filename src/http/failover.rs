//! What is left when nothing else works: callers are put through to the SIP endpoint of the service.

use axum::extract::State;
use axum::response::Response;
use voice_protocols::twiml::{Dial, DialTarget, Say, Verb};

use super::Service;
use super::answers::{apologise, verbs};
use super::signed::Signed;

const ANNOUNCEMENT: &str = "Hang on for a moment while I forward the call to an agent.";

pub(super) async fn failover(State(service): State<Service>, _: Signed) -> Response {
    forward(&service)
}

/// Without an endpoint there is only the apology.
pub(super) fn forward(service: &Service) -> Response {
    let Some(address) = &service.sip_endpoint else {
        return apologise(service);
    };
    verbs(vec![
        Verb::Say(Say::new(ANNOUNCEMENT)),
        Verb::Pause { seconds: 1 },
        Verb::Dial(Dial::new(DialTarget::Sip(address.clone()))),
    ])
}
