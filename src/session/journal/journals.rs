//! What holds for the journals of all calls together: how much may wait, how much is written at once after an outage, and
//! what becomes of the rest when the process goes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};
use tracing::error;

use super::backlog::{Backlog, open};
use crate::metrics::{Counter, Metrics};

/// What may wait of all calls together, at the least; an entry takes one or two kilobytes.
const ROOM_AT_LEAST: u64 = 20_000;
/// A call has about ten messages a minute and a trace for every second of them. Five minutes of that fit, and a third more
/// for calls that begin and end meanwhile.
const ROOM_PER_CALL: u64 = 100;
/// So much telemetry goes at once when there is no more room, so that room need not be made for every entry.
const SHED_AT_ONCE: usize = 256;
/// Writers that are behind write no more than this at once, and those of calls that are over fewer, so that they do not
/// keep live calls waiting.
const LIVE_AT_ONCE: usize = 16;
const OVER_AT_ONCE: usize = 4;
const LANE_PATIENCE: Duration = Duration::from_secs(30);
/// A call that goes on needs what is not written yet. So long its writer tries without a pause.
const URGENCY: Duration = Duration::from_secs(5);

/// Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub struct Journals(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: u64,
    waiting: AtomicU64,
    open: Mutex<Open>,
    live: Semaphore,
    over: Semaphore,
}

#[derive(Debug, Default)]
struct Open {
    backlogs: BTreeMap<u64, Weak<Backlog>>,
    next: u64,
}

/// A backlog's place among those that are known; given back when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    shared: Weak<Shared>,
    place: u64,
}

/// Whose backlog is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Live,
    Over,
}

impl Default for Journals {
    fn default() -> Self {
        Self::with_room_for(ROOM_AT_LEAST)
    }
}

impl Journals {
    /// With room for what so many calls have to say while the table is out of reach for five minutes.
    pub fn for_calls(most: usize) -> Self {
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        Self::with_room_for(most.saturating_mul(ROOM_PER_CALL).max(ROOM_AT_LEAST))
    }

    pub(super) fn with_room_for(most: u64) -> Self {
        Self(Arc::new(Shared {
            most,
            waiting: AtomicU64::new(0),
            open: Mutex::default(),
            live: Semaphore::new(LIVE_AT_ONCE),
            over: Semaphore::new(OVER_AT_ONCE),
        }))
    }

    /// Entries of all calls that wait for the table.
    pub fn waiting(&self) -> u64 {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Whether every call that is over is written to its end, and none goes on.
    pub fn are_closed(&self) -> bool {
        self.0.lock().backlogs.is_empty()
    }

    /// Has all that waits of a call written at once, because it goes on: for some seconds its writers neither pause nor stand
    /// behind those of other calls. Returns whether anything waits.
    pub fn urge(&self, call_sid: &str) -> bool {
        let until = Instant::now() + URGENCY;
        let mut waits = false;
        for backlog in self.of(call_sid) {
            waits |= backlog.urge(until);
        }
        waits
    }

    /// Waits until everything that was said in a call so far is written. That may take for ever.
    pub async fn caught_up(&self, call_sid: &str) {
        for backlog in self.of(call_sid) {
            backlog.caught_up().await;
        }
    }

    /// The process goes: what still waits is lost, which is counted and said. Returns how many messages that were.
    pub fn abandon(&self) -> u64 {
        let (mut messages, mut traces, mut calls) = (0, 0, 0_u64);
        for backlog in self.backlogs() {
            if !backlog.is_claimed() {
                backlog.metrics().count(Counter::JournalUnclaimed);
            }
            let (entries, observations) = backlog.abandon();
            backlog.metrics().add(Counter::JournalLost, entries);
            backlog.metrics().add(Counter::TelemetryShed, observations);
            messages += entries;
            traces += observations;
            calls += u64::from(entries > 0);
        }
        if messages + traces > 0 {
            error!(
                messages,
                traces, calls, "the table was out of reach to the end; what waited for it is lost"
            );
        }
        messages
    }

    pub(super) fn open(&self, call_sid: &str, metrics: &Metrics) -> Arc<Backlog> {
        open(self, call_sid, metrics)
    }

    pub(super) fn register(&self, backlog: Weak<Backlog>) -> Registration {
        let mut open = self.0.lock();
        let place = open.next;
        open.next += 1;
        open.backlogs.insert(place, backlog);
        Registration { shared: Arc::downgrade(&self.0), place }
    }

    /// Whether there is room for one more entry, when the oldest telemetry of any call has gone for it.
    pub(super) fn make_room(&self) -> bool {
        if self.waiting() < self.0.most {
            return true;
        }
        let backlogs = self.backlogs();
        let mut ages: Vec<_> = backlogs.iter().flat_map(|backlog| backlog.ages()).collect();
        ages.sort_unstable();
        if let Some(oldest) = ages.get(SHED_AT_ONCE - 1).or(ages.last()) {
            for backlog in &backlogs {
                backlog.metrics().add(Counter::TelemetryShed, backlog.shed(*oldest));
            }
        }
        self.waiting() < self.0.most
    }

    /// Leave to write while behind; `None` when it did not come in time.
    pub(super) async fn enter(&self, lane: Lane) -> Option<SemaphorePermit<'_>> {
        let lane = match lane {
            Lane::Live => &self.0.live,
            Lane::Over => &self.0.over,
        };
        timeout(LANE_PATIENCE, lane.acquire()).await.ok()?.ok()
    }

    pub(super) fn waits(&self, entries: u64) {
        self.0.waiting.fetch_add(entries, Ordering::Relaxed);
    }

    pub(super) fn no_longer_waits(&self, entries: u64) {
        self.0.waiting.fetch_sub(entries, Ordering::Relaxed);
    }

    /// A call has more than one when its sessions follow each other faster than they are written.
    fn of(&self, call_sid: &str) -> Vec<Arc<Backlog>> {
        self.backlogs().into_iter().filter(|backlog| backlog.call_sid() == call_sid).collect()
    }

    fn backlogs(&self) -> Vec<Arc<Backlog>> {
        let open = self.0.lock();
        // The last owner of one may let go meanwhile; it is then dropped by the caller, beyond this lock.
        open.backlogs.values().filter_map(Weak::upgrade).collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.lock().backlogs.remove(&self.place);
        }
    }
}
