//! The way of events to the holder of a call, and to the memory of what somebody was told.

use std::time::Duration;

use tokio::sync::mpsc;

use super::event::CallEvent;
use super::switchboard::Switchboard;

/// How long a call waits for a reader who does not take its events.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(super) struct Reporter {
    events: mpsc::Sender<CallEvent>,
    ear: Option<Ear>,
}

/// Somebody whom the service called: what they are told is remembered under their address.
#[derive(Clone, Debug)]
struct Ear {
    board: Switchboard,
    address: String,
}

/// Nobody reads the call's events any more, so that it cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("nobody takes the events of the call")]
pub(super) struct Unheard;

impl Reporter {
    pub(super) fn new(events: mpsc::Sender<CallEvent>) -> Self {
        Self { events, ear: None }
    }

    /// Remembers what is said in the call as told to this address.
    pub(super) fn with_ear(self, board: Switchboard, address: String) -> Self {
        Self { ear: Some(Ear { board, address }), ..self }
    }

    pub(super) async fn report(&self, event: CallEvent) -> Result<(), Unheard> {
        if let (
            Some(ear),
            CallEvent::Spoken(words) | CallEvent::Heard(words) | CallEvent::PersonSaid(words),
        ) = (&self.ear, &event)
        {
            ear.board.tell(&ear.address, words);
        }
        self.events.send_timeout(event, REPORT_TIMEOUT).await.map_err(|_| Unheard)
    }
}
