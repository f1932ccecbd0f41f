//! The one who writes a call's backlog: claims the call, writes in order, tries again, gives up at last.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use voice_core::ports::{Claim, EndedBecause, Ownership, Session, StoreError, StoreErrorKind, TurnTrace};

use super::super::Ports;
use super::backlog::{Backlog, Next};
use super::journals::Lane;
use super::{Entry, Standing};
use crate::metrics::Counter;
use crate::telemetry::causes;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After the call is over, this long is still tried.
pub(super) const AFTER_THE_CALL: Duration = Duration::from_mins(10);

pub(super) struct Writer {
    backlog: Arc<Backlog>,
    ports: Ports,
    /// Cancelled by us when another owner has taken the call.
    leave: CancellationToken,
    pace: Pace,
    /// Telemetry that was refused a moment ago is not tried before.
    traces_from: Instant,
}

/// Whether the table keeps up.
#[derive(Clone, Copy, Debug)]
enum Pace {
    Even,
    /// The table was out of reach, and not everything that waited for it is written.
    Behind {
        pause: Duration,
    },
}

/// Why something will not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Never {
    /// Somebody else has the call.
    Fenced,
    /// The table does not take it.
    Refused,
    /// It was out of reach for too long.
    TooLate,
}

/// Too many others write; leave to do so did not come in time.
#[derive(Debug)]
struct NotYet;

impl Writer {
    pub(super) fn new(backlog: Arc<Backlog>, ports: Ports, leave: CancellationToken) -> Self {
        Self { backlog, ports, leave, pace: Pace::Even, traces_from: Instant::now() }
    }

    pub(super) async fn run(mut self, standing: Standing) {
        let epoch = match standing {
            Standing::Claimed { epoch } => Ok(epoch),
            Standing::ToBeClaimed(session) => self.claim(session).await,
        };
        let written = match epoch {
            Ok(epoch) => {
                self.backlog.claimed();
                self.write_all(epoch).await
            }
            Err(Never::Fenced) => Err(Never::Fenced),
            Err(never) => return self.unclaimed(never),
        };
        match written {
            Ok(()) => {}
            Err(Never::Fenced) => self.fenced().await,
            Err(Never::Refused | Never::TooLate) => return self.give_up(),
        }
        self.observe_the_rest().await;
    }

    /// Makes the call ours; an answered call whose session item was not written gets it now.
    async fn claim(&mut self, session: Session) -> Result<u64, Never> {
        self.persist(|ports, call| claim(ports, call, session.clone())).await
    }

    /// Writes what there is and what comes, until the call is over and its session is closed.
    async fn write_all(&mut self, epoch: u64) -> Result<(), Never> {
        loop {
            match self.backlog.next(Instant::now(), self.traces_from) {
                Next::Write(entry, since) => self.write(epoch, entry, since).await?,
                Next::Observe(traces) => self.observe(&traces).await,
                Next::Wait(None) => self.backlog.changed().await,
                Next::Wait(Some(due)) => {
                    let _ = timeout_at(due, self.backlog.changed()).await;
                }
                Next::Close(because) => return self.close(epoch, because).await,
            }
        }
    }

    async fn write(&mut self, epoch: u64, entry: Entry, since: Instant) -> Result<(), Never> {
        match self.persist(|ports, call| write(ports, call, epoch, entry.clone())).await {
            Ok(()) => self.ports.metrics.journal_lag(since.elapsed()),
            // The next one may be taken.
            Err(Never::Refused) => self.ports.metrics.count(Counter::JournalLost),
            Err(never) => return Err(never),
        }
        self.backlog.written();
        if self.backlog.is_empty() && matches!(self.pace, Pace::Behind { .. }) {
            self.pace = Pace::Even;
            info!(call.sid = %self.backlog.call_sid(), "the journal has caught up");
        }
        Ok(())
    }

    /// Sends telemetry once; messages that come meanwhile must not wait for it.
    async fn observe(&mut self, traces: &[TurnTrace]) {
        let permit = self.permit(Lane::Live).await;
        let sent = self.ports.store.write_traces(self.backlog.call_sid(), traces).await;
        drop(permit);
        match sent {
            Err(failure) if failure.kind == StoreErrorKind::Unavailable => {
                self.traces_from = Instant::now() + jittered(LONGEST_PAUSE);
            }
            Ok(()) => self.backlog.observed(traces),
            Err(failure) => self.refuse_traces(traces, &failure),
        }
    }

    /// The call is over: what is left of its telemetry goes out, and is tried again like everything else.
    async fn observe_the_rest(&mut self) {
        loop {
            let traces = self.backlog.first_traces();
            if traces.is_empty() {
                return;
            }
            let sent = self.persist(|ports, call| write_traces(ports, call, traces.clone())).await;
            if sent.is_err() {
                self.ports.metrics.add(Counter::TelemetryShed, traces.len() as u64);
            }
            self.backlog.observed(&traces);
        }
    }

    fn refuse_traces(&self, traces: &[TurnTrace], failure: &StoreError) {
        error!(call.sid = %self.backlog.call_sid(), error = %causes(failure), "the table refused how turns went");
        self.ports.metrics.add(Counter::TelemetryShed, traces.len() as u64);
        self.backlog.observed(traces);
    }

    async fn close(&mut self, epoch: u64, because: EndedBecause) -> Result<(), Never> {
        self.persist(|ports, call| close(ports, call, epoch, because)).await
    }

    /// Another owner has the call. What was observed until the session has gone is still written.
    async fn fenced(&mut self) {
        self.ports.metrics.count(Counter::JournalFenced);
        let lost = self.backlog.fence();
        self.ports.metrics.add(Counter::JournalLost, lost);
        warn!(call.sid = %self.backlog.call_sid(), lost, "another owner has taken the call");
        self.leave.cancel();
        while self.backlog.complete_since().is_none() {
            self.backlog.changed().await;
        }
    }

    fn unclaimed(self, never: Never) {
        self.ports.metrics.count(Counter::JournalUnclaimed);
        error!(call.sid = %self.backlog.call_sid(), why = ?never, "the call could not be claimed; nothing of it is journaled");
        self.give_up();
    }

    fn give_up(self) {
        let (messages, traces) = self.backlog.abandon();
        self.ports.metrics.add(Counter::JournalLost, messages);
        self.ports.metrics.add(Counter::TelemetryShed, traces);
        error!(call.sid = %self.backlog.call_sid(), messages, traces, "the rest of the call's journal is lost");
    }

    /// Does something with the table, again and again while that makes sense.
    async fn persist<T, F, Fut>(&mut self, attempt: F) -> Result<T, Never>
    where
        F: Fn(Ports, Arc<Backlog>) -> Fut,
        Fut: Future<Output = Result<T, StoreError>>,
    {
        loop {
            let failure = match self.attempt(&attempt).await {
                Some(Ok(done)) => {
                    if let Pace::Behind { pause } = &mut self.pace {
                        *pause = FIRST_PAUSE;
                    }
                    return Ok(done);
                }
                Some(Err(failure)) => failure,
                None => StoreError { kind: StoreErrorKind::Unavailable, source: None },
            };
            match failure.kind {
                StoreErrorKind::Unavailable => self.wait_for_table(&failure).await?,
                StoreErrorKind::Conflict => return Err(Never::Fenced),
                StoreErrorKind::Refused => {
                    error!(call.sid = %self.backlog.call_sid(), error = %causes(&failure), "the table refused a message of the journal");
                    return Err(Never::Refused);
                }
            }
        }
    }

    /// One attempt. A writer that is behind waits until it may; `None` when it may not yet.
    async fn attempt<T, F, Fut>(&self, attempt: &F) -> Option<Result<T, StoreError>>
    where
        F: Fn(Ports, Arc<Backlog>) -> Fut,
        Fut: Future<Output = Result<T, StoreError>>,
    {
        let lane = if self.backlog.complete_since().is_some() { Lane::Over } else { Lane::Live };
        let _permit = self.permit(lane).await.ok()?;
        Some(attempt(self.ports.clone(), Arc::clone(&self.backlog)).await)
    }

    /// Leave to write. None is needed by a writer that keeps up, or for whom somebody waits.
    async fn permit(&self, lane: Lane) -> Result<Option<SemaphorePermit<'_>>, NotYet> {
        match self.pace {
            Pace::Behind { .. } if !self.backlog.is_urged() => tokio::select! {
                permit = self.ports.journals.enter(lane) => permit.map(Some).ok_or(NotYet),
                () = self.backlog.urged() => Ok(None),
            },
            Pace::Even | Pace::Behind { .. } => Ok(None),
        }
    }

    async fn wait_for_table(&mut self, failure: &StoreError) -> Result<(), Never> {
        self.ports.metrics.count(Counter::JournalRetries);
        // Told while it grows, and not only once the table is back.
        if let Some(since) = self.backlog.oldest() {
            self.ports.metrics.journal_lag(since.elapsed());
        }
        let pause = match self.pace {
            Pace::Even => {
                warn!(call.sid = %self.backlog.call_sid(), error = %causes(failure), "the journal waits for the table");
                FIRST_PAUSE
            }
            Pace::Behind { pause } => pause,
        };
        self.pace = Pace::Behind { pause: (pause * 2).min(LONGEST_PAUSE) };
        let give_up_at = self.backlog.complete_since().map(|since| since + AFTER_THE_CALL);
        if give_up_at.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Never::TooLate);
        }
        let pause = if self.backlog.is_urged() { pause.min(FIRST_PAUSE) } else { pause };
        // After an outage not all writers come at once.
        let _ = timeout(jittered(pause), self.backlog.urged()).await;
        Ok(())
    }
}

/// Between half and one and a half of it.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0)
}

async fn write(ports: Ports, call: Arc<Backlog>, epoch: u64, entry: Entry) -> Result<(), StoreError> {
    match entry {
        Entry::Turn(turn) => ports.store.write_turn(call.call_sid(), epoch, turn).await,
        Entry::Change(change) => ports.store.change_session(call.call_sid(), epoch, change).await,
        Entry::Mark(reached) => {
            reached.cancel();
            Ok(())
        }
    }
}

async fn write_traces(ports: Ports, call: Arc<Backlog>, traces: Vec<TurnTrace>) -> Result<(), StoreError> {
    ports.store.write_traces(call.call_sid(), &traces).await
}

async fn close(
    ports: Ports,
    call: Arc<Backlog>,
    epoch: u64,
    because: EndedBecause,
) -> Result<(), StoreError> {
    ports.store.close_session(call.call_sid(), epoch, because).await
}

async fn claim(ports: Ports, call: Arc<Backlog>, session: Session) -> Result<u64, StoreError> {
    let (store, call_sid) = (&ports.store, call.call_sid());
    let mut ownership = store.claim_session(call_sid, &ports.owner, Claim::First).await?;
    if let Ownership::NoSuchCall = ownership {
        store.open_session(session).await?;
        ownership = store.claim_session(call_sid, &ports.owner, Claim::First).await?;
    }
    let kind = match ownership {
        Ownership::Ours(session) => return Ok(session.epoch),
        Ownership::Overtaken => StoreErrorKind::Conflict,
        Ownership::NoSuchCall => StoreErrorKind::Unavailable,
    };
    Err(StoreError { kind, source: None })
}
