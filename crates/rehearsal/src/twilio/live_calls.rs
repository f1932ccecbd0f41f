//! The calls that Twilio knows of, while they last and for a while afterwards, and the way to change one from outside.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::form::{CallIdentity, Direction};

/// Older calls than the last so many are forgotten.
const REMEMBERED: usize = 10_000;
/// Changes of one call that have not been made yet.
const UPDATES: usize = 8;

/// One call as REST shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    pub sid: String,
    pub from: String,
    pub to: String,
    /// `inbound` or `outbound-api`.
    pub direction: &'static str,
    pub status: CallStatus,
    /// Whole seconds from the answer to the end, once that has come.
    pub duration: Option<u64>,
}

/// Twilio's `CallStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStatus {
    Queued,
    Ringing,
    InProgress,
    Completed,
    Busy,
    NoAnswer,
    Failed,
    Canceled,
}

/// What REST makes of a call in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// It goes on with the TwiML at this address.
    Fetch(String),
    /// It goes on with this TwiML.
    Twiml(String),
}

/// Why a call was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotChanged {
    Unknown,
    NotInProgress,
}

/// The calls of one account.
#[derive(Debug, Default)]
pub(super) struct LiveCalls {
    by_sid: HashMap<String, Arc<LiveCall>>,
    order: VecDeque<String>,
}

/// What a call and whoever changes it share.
#[derive(Debug)]
pub(super) struct LiveCall {
    sid: String,
    from: String,
    to: String,
    direction: Direction,
    state: Mutex<State>,
    updates: mpsc::Sender<Update>,
    /// REST ended it.
    pub(super) completed: CancellationToken,
}

#[derive(Debug)]
struct State {
    status: CallStatus,
    answered: Option<Instant>,
    duration: Option<u64>,
}

impl LiveCalls {
    /// Adds a call, with the way on which its changes come.
    pub(super) fn add(
        &mut self,
        identity: &CallIdentity,
        status: CallStatus,
    ) -> (Arc<LiveCall>, mpsc::Receiver<Update>) {
        let (updates_in, updates) = mpsc::channel(UPDATES);
        let answered = (status == CallStatus::InProgress).then(Instant::now);
        let call = Arc::new(LiveCall {
            sid: identity.call_sid.clone(),
            from: identity.from.clone(),
            to: identity.to.clone(),
            direction: identity.direction,
            state: Mutex::new(State { status, answered, duration: None }),
            updates: updates_in,
            completed: CancellationToken::new(),
        });
        // Whoever calls twice under one sid has one call, the later.
        if self.by_sid.insert(call.sid.clone(), Arc::clone(&call)).is_none() {
            self.order.push_back(call.sid.clone());
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_sid.remove(&oldest);
        }
        (call, updates)
    }

    pub(super) fn find(&self, sid: &str) -> Option<Arc<LiveCall>> {
        self.by_sid.get(sid).cloned()
    }

    /// Oldest first.
    pub(super) fn records(&self) -> Vec<CallRecord> {
        self.order.iter().filter_map(|sid| self.by_sid.get(sid)).map(|call| call.record()).collect()
    }
}

impl LiveCall {
    pub(super) fn record(&self) -> CallRecord {
        let state = self.state();
        CallRecord {
            sid: self.sid.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            direction: self.direction.as_str(),
            status: state.status,
            duration: state.duration,
        }
    }

    pub(super) fn status(&self) -> CallStatus {
        self.state().status
    }

    pub(super) fn set(&self, status: CallStatus) {
        let mut state = self.state();
        state.status = status;
        if status == CallStatus::InProgress {
            state.answered = Some(Instant::now());
        }
        if status.is_over() {
            let seconds = state.answered.map_or(0, |answered| answered.elapsed().as_secs());
            state.duration = Some(seconds);
        }
    }

    /// The call goes on with other TwiML.
    pub(super) fn update(&self, update: Update) -> Result<(), NotChanged> {
        if self.status() != CallStatus::InProgress {
            return Err(NotChanged::NotInProgress);
        }
        self.updates.try_send(update).map_err(|_| NotChanged::NotInProgress)
    }

    /// The call ends, also when it only rings.
    pub(super) fn complete(&self) -> Result<(), NotChanged> {
        if self.status().is_over() {
            return Err(NotChanged::NotInProgress);
        }
        self.completed.cancel();
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Ringing | Self::InProgress)
    }
}
