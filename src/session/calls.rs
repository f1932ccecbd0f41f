//! Which calls this process carries: answered and waiting for their socket, or live; and how many there may be.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{Journals, PreparedCall};

/// Twilio opens the socket within a second of the answer. If it did not, the call is gone, or another process has it.
const SOCKET_FOLLOWS: Duration = Duration::from_secs(10);

/// Cheap to clone; clones share one registry.
#[derive(Clone, Debug)]
pub struct Calls {
    most: usize,
    active: Arc<AtomicUsize>,
    state: Arc<Mutex<State>>,
    handing_over: CancellationToken,
    named: Named,
    journals: Journals,
}

/// The lines of calls whose names are known, so that whatever is done for one call is done on one line.
type Named = Arc<Mutex<HashMap<String, Weak<Line>>>>;

#[derive(Debug, Default)]
struct State {
    answered: HashMap<String, Answered>,
    live: HashMap<String, Live>,
    next_session: u64,
}

#[derive(Debug)]
struct Answered {
    call: PreparedCall,
    slot: CallSlot,
    at: Instant,
}

#[derive(Debug)]
struct Live {
    session: u64,
    leave: CancellationToken,
    finished: CancellationToken,
}

/// One of the calls that there may be at once. The requests and sessions of one call share it; it is given back when the
/// last of them drops it.
#[derive(Debug)]
pub struct CallSlot(Arc<Line>);

#[derive(Debug)]
struct Line {
    active: Arc<AtomicUsize>,
    named: Named,
    /// A call that is being placed gets its name when it is answered.
    call_sid: OnceLock<String>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.active.fetch_sub(1, Ordering::AcqRel);
        let Some(call_sid) = self.call_sid.get() else { return };
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        // The call may be on another line by now.
        if named.get(call_sid).is_some_and(|line| line.strong_count() == 0) {
            named.remove(call_sid);
        }
    }
}

/// A session's place among the live ones.
#[derive(Debug)]
pub struct LiveSession {
    calls: Calls,
    call_sid: String,
    session: u64,
    finished: CancellationToken,
    slot: Option<CallSlot>,
}

impl LiveSession {
    /// The call is over; only its journal may still have to be written.
    pub fn give_back_slot(&mut self) {
        self.slot = None;
    }
}

impl Drop for LiveSession {
    fn drop(&mut self) {
        let mut state = self.calls.lock();
        if state.live.get(&self.call_sid).is_some_and(|live| live.session == self.session) {
            state.live.remove(&self.call_sid);
        }
        drop(state);
        self.finished.cancel();
    }
}

impl Calls {
    pub fn new(most: usize) -> Self {
        Self {
            most,
            active: Arc::default(),
            state: Arc::default(),
            handing_over: CancellationToken::new(),
            named: Named::default(),
            journals: Journals::default(),
        }
    }

    /// Where what was said in these calls waits to be written.
    #[must_use]
    pub fn with_journals(self, journals: Journals) -> Self {
        Self { journals, ..self }
    }

    /// Has every session, also those that begin later, leave its call to another task as soon as nothing is lost by it.
    pub fn hand_over(&self) {
        self.handing_over.cancel();
    }

    /// Cancelled when sessions are to leave.
    pub const fn handing_over(&self) -> &CancellationToken {
        &self.handing_over
    }

    /// Calls answered or live.
    pub fn active(&self) -> usize {
        self.forget_abandoned();
        self.active.load(Ordering::Acquire)
    }

    /// Room for a call that has no name yet, if there is some.
    pub fn admit(&self) -> Option<CallSlot> {
        self.forget_abandoned();
        self.take_one().then(|| CallSlot(self.line()))
    }

    /// Room for a new call, if there is some. One that is here already needs no second line: Twilio repeats a webhook whose
    /// answer it did not get.
    pub fn admit_call(&self, call_sid: &str) -> Option<CallSlot> {
        self.forget_abandoned();
        if self.is_known(call_sid) {
            return Some(self.readmit(call_sid));
        }
        let mut named = self.named();
        if let Some(line) = held(&named, call_sid) {
            return Some(line);
        }
        self.take_one().then(|| give_name(&mut named, self.line(), call_sid))
    }

    /// Room for a call that is in progress already, and so is never turned away.
    pub fn readmit(&self, call_sid: &str) -> CallSlot {
        let mut named = self.named();
        if let Some(line) = held(&named, call_sid) {
            return line;
        }
        self.active.fetch_add(1, Ordering::AcqRel);
        give_name(&mut named, self.line(), call_sid)
    }

    /// The call that room was kept for has been answered.
    pub fn name(&self, kept: CallSlot, call_sid: &str) -> CallSlot {
        let mut named = self.named();
        // Dropped here, the kept line has no name that would need the lock.
        held(&named, call_sid).unwrap_or_else(|| give_name(&mut named, kept.0, call_sid))
    }

    fn take_one(&self) -> bool {
        let room = |active: usize| (active < self.most).then_some(active + 1);
        self.active.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).is_ok()
    }

    /// A line that was counted before.
    fn line(&self) -> Arc<Line> {
        let (active, named) = (Arc::clone(&self.active), Arc::clone(&self.named));
        Arc::new(Line { active, named, call_sid: OnceLock::new() })
    }

    fn named(&self) -> MutexGuard<'_, HashMap<String, Weak<Line>>> {
        // Every change under this lock is one statement, so a panic elsewhere leaves it whole.
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an answered call until its socket comes.
    pub fn answered(&self, call: PreparedCall, slot: CallSlot) {
        let (call_sid, at) = (call.context.call_sid.clone(), Instant::now());
        let mut state = self.lock();
        // A webhook that is repeated behind its socket has nothing to wait for.
        let replaced = if state.live.contains_key(&call_sid) {
            Some(Answered { call, slot, at })
        } else {
            // A repeated webhook replaces its first.
            state.answered.insert(call_sid, Answered { call, slot, at })
        };
        drop(state);
        // The slot is given back without the lock.
        drop(replaced);
    }

    /// Whether a call is known here, so that a repeated webhook needs no room of its own.
    pub fn is_known(&self, call_sid: &str) -> bool {
        let state = self.lock();
        state.answered.contains_key(call_sid) || state.live.contains_key(call_sid)
    }

    /// The socket of an answered call has come.
    pub fn take_answered(&self, call_sid: &str) -> Option<(PreparedCall, CallSlot)> {
        let answered = self.lock().answered.remove(call_sid)?;
        // After that long the socket has been elsewhere before, and comes again.
        (answered.at.elapsed() <= SOCKET_FOLLOWS).then_some((answered.call, answered.slot))
    }

    /// Makes a session the live one of its call. An older one is told to go, and is waited for.
    /// `leave` is how it is told to go in its turn.
    pub async fn go_live(
        &self,
        call_sid: &str,
        slot: CallSlot,
        leave: CancellationToken,
    ) -> (LiveSession, bool) {
        let finished = CancellationToken::new();
        let (session, older) = {
            let mut state = self.lock();
            state.next_session += 1;
            let session = state.next_session;
            let live = Live { session, leave, finished: finished.clone() };
            (session, state.live.insert(call_sid.to_owned(), live))
        };
        let (took_over, began) = (older.is_some(), Instant::now());
        self.journals.urge(call_sid);
        if let Some(older) = older {
            older.leave.cancel();
            // What the older one heard must be in the journal before the newer one reads it.
            let _ = timeout(TAKE_OVER, older.finished.cancelled()).await;
        }
        // Once the newer one has claimed the call, what the older one has not written is lost.
        let _ = timeout_at(began + CATCHING_UP, self.journals.caught_up(call_sid)).await;
        let calls = self.clone();
        (LiveSession { calls, call_sid: call_sid.to_owned(), session, finished, slot: Some(slot) }, took_over)
    }

    fn forget_abandoned(&self) {
        let abandoned: Vec<Answered> = {
            let mut state = self.lock();
            let gone: Vec<String> = state
                .answered
                .iter()
                .filter(|(_, answered)| answered.at.elapsed() > SOCKET_FOLLOWS)
                .map(|(call_sid, _)| call_sid.clone())
                .collect();
            gone.iter().filter_map(|call_sid| state.answered.remove(call_sid)).collect()
        };
        drop(abandoned);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under this lock is one statement, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line that the call has.
fn held(named: &HashMap<String, Weak<Line>>, call_sid: &str) -> Option<CallSlot> {
    named.get(call_sid).and_then(Weak::upgrade).map(CallSlot)
}

fn give_name(named: &mut HashMap<String, Weak<Line>>, line: Arc<Line>, call_sid: &str) -> CallSlot {
    // A line has one name for good.
    if line.call_sid.set(call_sid.to_owned()).is_ok() {
        named.insert(call_sid.to_owned(), Arc::downgrade(&line));
    }
    CallSlot(line)
}

/// How long a newer session waits for the older one of its call to write its journal.
const TAKE_OVER: Duration = Duration::from_secs(2);
/// How long it waits in all when the table was out of reach, and something is still to be written.
const CATCHING_UP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn there_are_never_more_calls_than_allowed() {
        let calls = Calls::new(2);
        let (first, second) = (calls.admit().unwrap(), calls.admit().unwrap());
        assert!(calls.admit().is_none());
        let in_progress = calls.readmit("CA1");
        assert_eq!(calls.active(), 3);
        drop((first, second, in_progress));
        assert!(calls.admit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_has_one_line_however_often_it_is_asked_for() {
        let calls = Calls::new(2);
        let (first, again) = (calls.admit_call("CA1").unwrap(), calls.admit_call("CA1").unwrap());
        let placed = calls.name(calls.admit().unwrap(), "CA2");
        assert!(calls.admit_call("CA3").is_none() && calls.admit().is_none());
        let (resumed, repeated) = (calls.readmit("CA1"), calls.admit_call("CA2").unwrap());
        assert_eq!(calls.active(), 2);
        drop((first, resumed, placed));
        assert_eq!(calls.active(), 2, "somebody still has each of them");
        drop(again);
        let third = calls.admit_call("CA3").unwrap();
        assert!(calls.admit_call("CA1").is_none(), "its line is gone");
        drop((third, repeated));
        assert_eq!((calls.active(), calls.named().len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_socket_never_comes_gives_its_place_back() {
        let calls = Calls::new(1);
        calls.answered(super::super::tests::prepared(), calls.admit().unwrap());
        assert!(calls.admit().is_none());
        tokio::time::advance(SOCKET_FOLLOWS + Duration::from_millis(1)).await;
        assert_eq!(calls.active(), 0);
        assert!(calls.admit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_newer_session_of_a_call_takes_over() {
        let calls = Calls::new(9);
        let leave = CancellationToken::new();
        let (older, took_over) = calls.go_live("CA1", calls.readmit("CA1"), leave.clone()).await;
        assert!(!took_over);
        let newer = timeout(Duration::from_secs(1), async {
            let go = calls.go_live("CA1", calls.readmit("CA1"), CancellationToken::new());
            tokio::pin!(go);
            tokio::select! {
                biased;
                _ = &mut go => panic!("it waits for the older one"),
                () = leave.cancelled() => {}
            }
            drop(older);
            go.await
        });
        let (newer, took_over) = newer.await.unwrap();
        assert!(took_over && calls.is_known("CA1"));
        drop(newer);
        assert!(!calls.is_known("CA1"));
        assert_eq!(calls.active(), 0);
    }
}
