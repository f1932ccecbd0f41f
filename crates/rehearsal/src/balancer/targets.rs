//! The targets of a balancer: which there are, which are ready, and how many connections each has.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// So many questions without an answer in a row make a target unready. A refusal does so at once.
const MOST_MISSED: u32 = 2;

/// Who gets a new connection, among the targets that are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The one that was added first.
    First,
    /// The one with the fewest connections; of those, the one that was added first.
    LeastConnections,
}

/// What is known of a target at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetState {
    pub address: SocketAddr,
    pub ready: bool,
    /// Connections that it has now, those of health checks not counted.
    pub connections: usize,
}

/// What a target said to the question whether it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Ready,
    /// It answered something else, or nobody listens there.
    NotReady,
    /// Nothing came in time.
    Missed,
}

/// A cheap handle; clones share one list.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    policy: Policy,
    list: Arc<Mutex<Vec<Target>>>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Target {
    address: SocketAddr,
    health: Health,
    connections: Arc<AtomicUsize>,
    /// Ends the questions when the target is removed.
    _removed: DropGuard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Ready { missed: u32 },
    NotReady,
}

/// Where a connection may go.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

/// Counts a connection until it is dropped.
#[derive(Debug)]
pub(super) struct Counted(Arc<AtomicUsize>);

impl Targets {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy, list: Arc::default(), changes: watch::Sender::new(0) }
    }

    /// Adds a target that is not ready yet. Returns what is cancelled when it is removed; `None` when it is there already.
    pub(super) fn add(&self, address: SocketAddr) -> Option<CancellationToken> {
        let mut list = self.lock();
        if list.iter().any(|target| target.address == address) {
            return None;
        }
        let removed = CancellationToken::new();
        list.push(Target {
            address,
            health: Health::NotReady,
            connections: Arc::default(),
            _removed: removed.clone().drop_guard(),
        });
        drop(list);
        self.changed();
        Some(removed)
    }

    pub(super) fn remove(&self, address: SocketAddr) {
        self.lock().retain(|target| target.address != address);
        self.changed();
    }

    /// Notes what the target said.
    pub(super) fn note(&self, address: SocketAddr, answer: Answer) {
        let mut list = self.lock();
        let Some(target) = list.iter_mut().find(|target| target.address == address) else { return };
        let was_ready = target.health != Health::NotReady;
        target.health = match (answer, target.health) {
            (Answer::Ready, _) => Health::Ready { missed: 0 },
            (Answer::Missed, Health::Ready { missed }) if missed + 1 < MOST_MISSED => {
                Health::Ready { missed: missed + 1 }
            }
            (Answer::Missed | Answer::NotReady, _) => Health::NotReady,
        };
        let is_ready = target.health != Health::NotReady;
        drop(list);
        if was_ready != is_ready {
            self.changed();
        }
    }

    /// Those that are ready, the one to be tried first at the front.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let list = self.lock();
        let ready = list.iter().filter(|target| target.health != Health::NotReady);
        let mut candidates: Vec<Candidate> = ready
            .map(|target| Candidate { address: target.address, connections: Arc::clone(&target.connections) })
            .collect();
        if self.policy == Policy::LeastConnections {
            candidates.sort_by_key(|candidate| candidate.connections.load(Ordering::Relaxed));
        }
        candidates
    }

    pub(super) fn states(&self) -> Vec<TargetState> {
        let state = |target: &Target| TargetState {
            address: target.address,
            ready: target.health != Health::NotReady,
            connections: target.connections.load(Ordering::Relaxed),
        };
        self.lock().iter().map(state).collect()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|number| *number += 1);
    }

    /// Locks even after a panic elsewhere: the list is never left half changed.
    fn lock(&self) -> MutexGuard<'_, Vec<Target>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Candidate {
    pub(super) fn count(&self) -> Counted {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(&self.connections))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
