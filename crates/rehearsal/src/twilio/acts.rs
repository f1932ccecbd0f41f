//! What the person who holds a call does, as the course of the call takes it.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::event::CallerAct;

/// The person's acts in order. Whoever lets go of the call hangs up, and so does a service that completes the call
/// through REST: to what is going on in the call, that is the same.
#[derive(Debug)]
pub(super) struct Acts {
    acts: mpsc::Receiver<CallerAct>,
    completed: CancellationToken,
}

impl Acts {
    pub(super) fn new(acts: mpsc::Receiver<CallerAct>, completed: CancellationToken) -> Self {
        Self { acts, completed }
    }

    /// Waits for the next act; nothing is lost when this is dropped while it waits.
    pub(super) async fn next(&mut self) -> CallerAct {
        tokio::select! {
            biased;
            () = self.completed.cancelled() => CallerAct::HangUp,
            act = self.acts.recv() => act.unwrap_or(CallerAct::HangUp),
        }
    }

    /// Whether it was the service that hung up.
    pub(super) fn are_cut_by_service(&self) -> bool {
        self.completed.is_cancelled()
    }
}
