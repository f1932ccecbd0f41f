//! Lines that are kept for calls while they ring, so that whoever answers one finds room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::session::CallSlot;

/// Twilio rings for a minute unless told otherwise. Past this, another process has answered, or nobody ever will.
const LONGEST_RINGING: Duration = Duration::from_secs(90);

/// Kept lines by the ids of their launches. There are never more of them than calls may be at once, because each is one of
/// those. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<HashMap<String, CallSlot>>>);

impl Lines {
    /// The call is answered, or over: the line, if it is still kept here.
    pub fn take(&self, launch: &str) -> Option<CallSlot> {
        self.lock().remove(launch)
    }

    /// Keeps a line until it is taken, time has passed, or no calls are taken any more.
    pub(super) fn keep(
        &self,
        launch: &str,
        slot: CallSlot,
        tasks: &TaskTracker,
        draining: &CancellationToken,
    ) {
        self.lock().insert(launch.to_owned(), slot);
        let (lines, launch, draining) = (self.clone(), launch.to_owned(), draining.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = sleep(LONGEST_RINGING) => {}
                () = draining.cancelled() => {}
            }
            drop(lines.take(&launch));
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, CallSlot>> {
        // Every change under this lock is one statement, so a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Calls;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_kept_until_it_is_taken_or_nobody_can_answer_any_more() {
        let (calls, lines) = (Calls::new(1), Lines::default());
        let (tasks, draining) = (TaskTracker::new(), CancellationToken::new());
        lines.keep("L1", calls.admit().unwrap(), &tasks, &draining);
        assert!(calls.admit().is_none(), "it is kept for the call that rings");
        assert!(lines.take("L2").is_none());
        drop(lines.take("L1").unwrap());
        lines.keep("L3", calls.admit().unwrap(), &tasks, &draining);
        sleep(LONGEST_RINGING + Duration::from_millis(1)).await;
        lines.keep("L4", calls.admit().unwrap(), &tasks, &draining);
        draining.cancel();
        tasks.close();
        tasks.wait().await;
        assert!(calls.admit().is_some());
    }
}
