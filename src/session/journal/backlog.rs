//! What of one call waits for the table: messages and changes in their order, and how its turns went.
//!
//! Bounded. When it is full the oldest telemetry goes, and only when there is none a message is lost. Everything here is
//! done at once; nobody waits but the one writer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use voice_core::message::GenerationId;
use voice_core::ports::{EndedBecause, TRACES_AT_ONCE, TurnTrace};

use super::Entry;
use super::journals::{Journals, Registration};
use crate::metrics::Metrics;

/// What may wait for a table that is out of reach; a call has about ten messages a minute.
pub(super) const ROOM: usize = 256;
/// So many traces are worth a request.
pub(super) const WORTH_A_REQUEST: usize = 10;
/// No trace waits longer for others to go with it.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Backlog {
    call_sid: Box<str>,
    state: Mutex<State>,
    changed: Notify,
    /// It is to be written at once.
    urged: Notify,
    /// Less waits than before.
    settled: Notify,
    metrics: Metrics,
    journals: Journals,
    _registration: Registration,
}

#[derive(Debug)]
struct State {
    entries: VecDeque<Waiting<Entry>>,
    traces: VecDeque<Waiting<TurnTrace>>,
    standing: Taking,
    because: EndedBecause,
    claimed: bool,
    /// Until then somebody waits for it to be written.
    urged_until: Option<Instant>,
    lost: u64,
    /// Nothing more comes, since then.
    complete: Option<Instant>,
}

#[derive(Debug)]
struct Waiting<T> {
    what: T,
    since: Instant,
}

/// What is taken of what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taking {
    Everything,
    /// Another owner has the call: of ours only observations count.
    Observations,
    /// It cannot be written any more.
    Nothing,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Push {
    /// So much telemetry went for it.
    Kept { shed: u64 },
    /// It does not count any more.
    Fenced,
    /// So many of the call were lost before it.
    Lost { before: u64 },
}

/// What the writer does next.
#[derive(Debug)]
pub(super) enum Next {
    /// The oldest; it stays until it is [`Backlog::written`].
    Write(Entry, Instant),
    /// They stay until they are [`Backlog::observed`].
    Observe(Vec<TurnTrace>),
    /// Wait for something to come, at the longest until then.
    Wait(Option<Instant>),
    /// All messages are written, and no more come.
    Close(EndedBecause),
}

impl Backlog {
    pub(super) fn new(call_sid: &str, metrics: &Metrics, journals: Journals, place: Registration) -> Self {
        let state = State {
            entries: VecDeque::new(),
            traces: VecDeque::new(),
            standing: Taking::Everything,
            because: EndedBecause::Lost,
            claimed: false,
            urged_until: None,
            lost: 0,
            complete: None,
        };
        Self {
            call_sid: call_sid.into(),
            state: Mutex::new(state),
            changed: Notify::new(),
            urged: Notify::new(),
            settled: Notify::new(),
            metrics: metrics.clone(),
            journals,
            _registration: place,
        }
    }

    pub(super) fn call_sid(&self) -> &str {
        &self.call_sid
    }

    pub(super) fn push(&self, entry: Entry) -> Push {
        let has_room = self.journals.make_room();
        let mut state = self.lock();
        match state.standing {
            Taking::Observations => return Push::Fenced,
            Taking::Everything if has_room => {}
            Taking::Everything | Taking::Nothing => return state.lose(),
        }
        let shed = u64::from(state.is_full() && state.traces.pop_front().is_some());
        if state.is_full() {
            return state.lose();
        }
        state.entries.push_back(Waiting { what: entry, since: Instant::now() });
        // Counted under the lock: as soon as it is free the writer may take the entry away again, count and all.
        self.waits(1);
        drop(state);
        self.traces_gone(shed);
        self.changed.notify_one();
        Push::Kept { shed }
    }

    /// Returns how much telemetry had to go, which may be this.
    pub(super) fn push_trace(&self, trace: TurnTrace) -> u64 {
        let has_room = self.journals.make_room();
        let mut state = self.lock();
        if !has_room || state.standing == Taking::Nothing {
            return 1;
        }
        let shed = u64::from(state.is_full() && state.traces.pop_front().is_some());
        if state.is_full() {
            return 1;
        }
        state.traces.push_back(Waiting { what: trace, since: Instant::now() });
        self.journals.waits(1);
        drop(state);
        self.traces_gone(shed);
        self.changed.notify_one();
        shed
    }

    pub(super) fn ends(&self, because: EndedBecause) {
        self.lock().because = because;
    }

    /// The call is ours.
    pub(super) fn claimed(&self) {
        self.lock().claimed = true;
        self.settled.notify_waiters();
    }

    pub(super) fn is_claimed(&self) -> bool {
        self.lock().claimed
    }

    /// Has it written without any pause worth mentioning until then. Returns whether something waits to be written.
    pub(super) fn urge(&self, until: Instant) -> bool {
        let mut state = self.lock();
        state.urged_until = Some(until);
        self.urged.notify_one();
        state.is_behind()
    }

    pub(super) fn is_urged(&self) -> bool {
        self.lock().urged_until.is_some_and(|until| Instant::now() < until)
    }

    /// Waits until the backlog is urged; for its writer.
    pub(super) async fn urged(&self) {
        self.urged.notified().await;
    }

    /// Waits until all messages that came so far, and that the call is ours, are in the table or will never be.
    pub(super) async fn caught_up(&self) {
        loop {
            let settled = self.settled.notified();
            if !self.lock().is_behind() {
                return;
            }
            settled.await;
        }
    }

    /// Nothing more comes: the session is over.
    pub(super) fn is_complete(&self) {
        self.lock().complete.get_or_insert_with(Instant::now);
        self.changed.notify_one();
    }

    pub(super) fn complete_since(&self) -> Option<Instant> {
        self.lock().complete
    }

    /// Traces are not tried before `traces_from`.
    pub(super) fn next(&self, now: Instant, traces_from: Instant) -> Next {
        let state = self.lock();
        if let Some(first) = state.entries.front() {
            return Next::Write(first.what.clone(), first.since);
        }
        if state.complete.is_some() {
            return Next::Close(state.because);
        }
        let Some(first) = state.traces.front() else { return Next::Wait(None) };
        let patient = state.traces.len() < WORTH_A_REQUEST;
        let due = if patient { first.since + LONGEST_WAIT } else { now }.max(traces_from);
        if due > now {
            return Next::Wait(Some(due));
        }
        Next::Observe(state.first_traces())
    }

    /// The oldest traces, as many as go into one request.
    pub(super) fn first_traces(&self) -> Vec<TurnTrace> {
        self.lock().first_traces()
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The oldest entry is in the table, or will never be.
    pub(super) fn written(&self) {
        let gone = self.lock().entries.pop_front();
        self.no_longer_waits(u64::from(gone.is_some()));
        self.settled.notify_waiters();
    }

    /// These traces are in the table, or will never be.
    pub(super) fn observed(&self, traces: &[TurnTrace]) {
        let ids: Vec<GenerationId> = traces.iter().map(|trace| trace.turn).collect();
        let gone = {
            let mut state = self.lock();
            let before = state.traces.len();
            // Meanwhile some of them may have been shed.
            state.traces.retain(|waiting| !ids.contains(&waiting.what.turn));
            before - state.traces.len()
        };
        self.traces_gone(gone as u64);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().entries.is_empty()
    }

    /// Another owner has the call: what is said here counts no more. Returns how many messages are lost by that.
    pub(super) fn fence(&self) -> u64 {
        let mut state = self.lock();
        state.standing = Taking::Observations;
        let gone = state.entries.len();
        let lost = state.drain_messages();
        drop(state);
        self.no_longer_waits(gone as u64);
        self.settled.notify_waiters();
        lost
    }

    /// Since when the oldest entry has been waiting.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.lock().entries.front().map(|waiting| waiting.since)
    }

    /// Takes no more. Returns how many messages and how many traces are lost by that.
    pub(super) fn abandon(&self) -> (u64, u64) {
        let (entries, traces) = {
            let mut state = self.lock();
            state.standing = Taking::Nothing;
            let (waited, traces) = (state.entries.len(), state.traces.drain(..).count());
            let entries = state.drain_messages();
            self.no_longer_waits(waited as u64);
            self.traces_gone(traces as u64);
            (entries, traces as u64)
        };
        self.settled.notify_waiters();
        (entries, traces)
    }

    /// Since when each trace has been waiting.
    pub(super) fn ages(&self) -> Vec<Instant> {
        self.lock().traces.iter().map(|waiting| waiting.since).collect()
    }

    /// Drops traces that have waited since then or longer; returns how many.
    pub(super) fn shed(&self, since: Instant) -> u64 {
        let shed = {
            let mut state = self.lock();
            let before = state.traces.len();
            state.traces.retain(|waiting| waiting.since > since);
            (before - state.traces.len()) as u64
        };
        self.traces_gone(shed);
        shed
    }

    pub(super) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn waits(&self, entries: u64) {
        self.journals.waits(entries);
        self.metrics.journal_waiting(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    /// Traces take up room as entries do, but are held back on purpose: nobody has to be told that they wait.
    fn traces_gone(&self, traces: u64) {
        self.journals.no_longer_waits(traces);
    }

    fn no_longer_waits(&self, entries: u64) {
        self.journals.no_longer_waits(entries);
        self.metrics.journal_waiting(-i64::try_from(entries).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under this lock panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        let _ = self.abandon();
    }
}

impl State {
    fn is_full(&self) -> bool {
        self.entries.len() + self.traces.len() >= ROOM
    }

    /// Whether something of the call, and be it that it is ours, is still to be written.
    fn is_behind(&self) -> bool {
        self.standing == Taking::Everything && !(self.claimed && self.entries.is_empty())
    }

    /// Takes away what waits, and counts it but for the marks.
    fn drain_messages(&mut self) -> u64 {
        let is_message = |waiting: &Waiting<Entry>| !matches!(waiting.what, Entry::Mark(_));
        self.entries.drain(..).filter(is_message).count() as u64
    }

    fn lose(&mut self) -> Push {
        self.lost += 1;
        Push::Lost { before: self.lost - 1 }
    }

    fn first_traces(&self) -> Vec<TurnTrace> {
        self.traces.iter().take(TRACES_AT_ONCE).map(|waiting| waiting.what.clone()).collect()
    }
}

/// A backlog of its call, known to all.
pub(super) fn open(journals: &Journals, call_sid: &str, metrics: &Metrics) -> Arc<Backlog> {
    Arc::new_cyclic(|backlog| {
        let place = journals.register(backlog.clone());
        Backlog::new(call_sid, metrics, journals.clone(), place)
    })
}
