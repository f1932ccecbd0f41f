//! `<Enqueue>`: the call waits until somebody takes it from the queue, or nobody can.

use std::time::{Duration, Instant};

use super::{Course, Next};
use crate::twilio::callee::Answers;
use crate::twilio::event::CallEvent;
use crate::twilio::form::{fields, sid};
use crate::twilio::reporter::Unheard;
use crate::twilio::twiml::Enqueue;

/// Who waits longer in the queue of somebody who never answers gives up.
const LONGEST: Duration = Duration::from_mins(1);

impl Course {
    /// Whoever answers for the queue's name in the directory takes the call.
    pub(super) async fn enqueue(&mut self, base: &str, enqueue: Enqueue) -> Result<Next, Unheard> {
        let Enqueue { name, task, action } = enqueue;
        let began = Instant::now();
        self.reporter.report(CallEvent::Enqueued { name: name.clone(), task }).await?;
        let callee = self.board.callee(&name);
        let (result, is_gone) = match self.pass(callee.ringing(LONGEST, self.pace)).await {
            Next::End { .. } => ("hangup", true),
            _ => match callee.answers {
                Answers::Yes | Answers::Machine => ("bridged", self.converse_with(&name).await?),
                Answers::Busy => ("queue-full", false),
                Answers::NoAnswer => ("leave", false),
                Answers::Failed => ("system-error", false),
            },
        };
        let form = fields(&[
            ("QueueResult", result),
            ("QueueSid", &sid("QU")),
            ("QueueTime", &began.elapsed().as_secs().to_string()),
        ]);
        self.conclude(base, action.as_deref(), is_gone, form).await
    }
}
