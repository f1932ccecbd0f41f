//! Writes a call's journal behind the conversation: in order, with retries, without ever holding up a turn.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, warn};
use voice_core::message::Message;
use voice_core::ports::{
    Claim, JournaledTurn, Ownership, Session, SessionChange, StoreError, StoreErrorKind,
};
use voice_core::redaction::Redactor;
use voice_core::use_case::{Keep, Storage};

use super::Ports;
use crate::metrics::Counter;
use crate::telemetry::causes;

/// Messages that may wait for a table that is out of reach; a call has about ten a minute.
const QUEUE: usize = 256;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After the call is over, this long is still tried.
const AFTER_THE_CALL: Duration = Duration::from_mins(1);

/// Where a session hands over what is to be written.
#[derive(Debug)]
pub struct Journal {
    queue: mpsc::Sender<Entry>,
    /// What must not be stored, by all that the call has been answered as.
    storage: Storage,
    redactor: Redactor,
    call_sid: Arc<str>,
    ports: Ports,
    /// Cancelled by us when another owner has taken the call.
    leave: CancellationToken,
    done: CancellationToken,
}

/// What is written, one after the other.
#[derive(Clone, Debug)]
enum Entry {
    Turn(JournaledTurn),
    Change(SessionChange),
    /// Everything before it is written.
    Mark(CancellationToken),
}

/// Whether the call is ours already.
#[derive(Debug)]
pub(super) enum Standing {
    /// It was answered here: claim it while it goes on.
    ToBeClaimed(Session),
    Claimed {
        epoch: u64,
    },
}

impl Journal {
    pub(super) fn open(
        call_sid: &str,
        standing: Standing,
        storage: &Storage,
        ports: &Ports,
        leave: CancellationToken,
    ) -> Self {
        let (queue, entries) = mpsc::channel(QUEUE);
        let done = CancellationToken::new();
        let call_sid: Arc<str> = call_sid.into();
        let writer =
            Writer { entries, give_up_at: None, call_sid: Arc::clone(&call_sid), ports: ports.clone() };
        let span = tracing::info_span!("journal");
        let (fence, when_done) = (leave.clone(), done.clone().drop_guard());
        ports.tasks.spawn(
            async move {
                if writer.run(standing).await == Fate::Fenced {
                    fence.cancel();
                }
                drop(when_done);
            }
            .instrument(span),
        );
        let redactor = Redactor::new(storage);
        let storage = storage.clone();
        Self { queue, storage, redactor, call_sid, ports: ports.clone(), leave, done }
    }

    /// Writes a message, without what must not be stored.
    pub(super) fn write(&self, mut turn: JournaledTurn) {
        if self.storage.keep == Keep::Nothing {
            return;
        }
        let record = &mut turn.record;
        record.message = record.message.take().map(|message| self.redacted(message));
        record.said = record.said.take().map(|said| match self.redactor.text(&said) {
            Cow::Borrowed(_) => Arc::clone(&said),
            Cow::Owned(masked) => masked.into(),
        });
        self.send(Entry::Turn(turn));
    }

    /// Notes what outlives the session.
    pub(super) fn remember(&self, change: SessionChange) {
        self.send(Entry::Change(change));
    }

    /// A token that is cancelled once everything that was handed over so far is written. It never is when the table stays
    /// out of reach or another owner has the call.
    pub(super) fn mark(&self) -> CancellationToken {
        let reached = CancellationToken::new();
        // A full queue means that the table is out of reach.
        let _ = self.queue.try_send(Entry::Mark(reached.clone()));
        reached
    }

    /// From now on, what this use case says must not be stored either. What the one before it wanted hidden stays hidden:
    /// the dialogue goes on, and the agent may say it again. Returns what holds now.
    pub(super) fn follow(&mut self, storage: &Storage) -> &Storage {
        self.storage = stricter(&self.storage, storage);
        self.redactor = Redactor::new(&self.storage);
        &self.storage
    }

    fn redacted(&self, message: Arc<Message>) -> Arc<Message> {
        let masked = self.redactor.message(&message);
        if masked == *message { message } else { Arc::new(masked) }
    }

    fn send(&self, entry: Entry) {
        if self.queue.try_send(entry).is_err() && !self.leave.is_cancelled() {
            self.ports.metrics.count(Counter::JournalLost);
            error!(call.sid = %self.call_sid, "the journal takes no more; a message is lost");
        }
    }

    /// Waits until everything is written, or nothing more can be. The call is over by then.
    pub async fn written(self) {
        drop(self.queue);
        self.done.cancelled().await;
    }
}

/// What may be stored by the rules of both.
fn stricter(one: &Storage, other: &Storage) -> Storage {
    let is_new = |pattern: &&Regex| one.patterns.iter().all(|known| known.as_str() != pattern.as_str());
    let patterns = one.patterns.iter().chain(other.patterns.iter().filter(is_new)).cloned().collect();
    let keep = if one.keep == Keep::Nothing { Keep::Nothing } else { other.keep };
    Storage { keep, patterns }
}

#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Written,
    /// Another owner has the call: nothing of ours counts any more.
    Fenced,
}

struct Writer {
    entries: mpsc::Receiver<Entry>,
    /// Known once the call is over.
    give_up_at: Option<Instant>,
    call_sid: Arc<str>,
    ports: Ports,
}

impl Writer {
    async fn run(mut self, standing: Standing) -> Fate {
        let epoch = match standing {
            Standing::Claimed { epoch } => epoch,
            Standing::ToBeClaimed(session) => match self.claim(session).await {
                Ok(epoch) => epoch,
                Err(StoreErrorKind::Conflict) => return self.fenced(),
                Err(_) => return self.give_up(),
            },
        };
        while let Some(entry) = self.entries.recv().await {
            match self.persist(|ports, call| write(ports, call, epoch, entry.clone())).await {
                Ok(()) => debug!(call.sid = %self.call_sid, "written"),
                Err(StoreErrorKind::Conflict) => return self.fenced(),
                Err(_) => {
                    self.ports.metrics.count(Counter::JournalLost);
                }
            }
        }
        let _ = self.persist(|ports, call| close(ports, call, epoch)).await;
        Fate::Written
    }

    /// Makes the call ours; an answered call whose session item was not written gets it now.
    async fn claim(&mut self, session: Session) -> Result<u64, StoreErrorKind> {
        self.persist(|ports, call| claim(ports, call, session.clone())).await
    }

    fn fenced(self) -> Fate {
        self.ports.metrics.count(Counter::JournalFenced);
        warn!(call.sid = %self.call_sid, "another owner has taken the call");
        Fate::Fenced
    }

    fn give_up(mut self) -> Fate {
        self.entries.close();
        while self.entries.try_recv().is_ok() {
            self.ports.metrics.count(Counter::JournalLost);
        }
        error!(call.sid = %self.call_sid, "the call could not be claimed; nothing of it is journaled");
        Fate::Written
    }

    /// Does something with the table, again and again while that makes sense.
    async fn persist<T, F, Fut>(&mut self, attempt: F) -> Result<T, StoreErrorKind>
    where
        F: Fn(Ports, Arc<str>) -> Fut,
        Fut: Future<Output = Result<T, StoreError>>,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            let failure = match attempt(self.ports.clone(), Arc::clone(&self.call_sid)).await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            if failure.kind != StoreErrorKind::Unavailable {
                if failure.kind == StoreErrorKind::Refused {
                    error!(call.sid = %self.call_sid, error = %failure, causes = %causes(&failure), "the table refused a message of the journal");
                }
                return Err(failure.kind);
            }
            self.ports.metrics.count(Counter::JournalRetries);
            if pause == FIRST_PAUSE {
                warn!(call.sid = %self.call_sid, error = %failure, "the journal waits for the table");
            }
            // The sender is gone when the call is over.
            if self.entries.is_closed() {
                let deadline = *self.give_up_at.get_or_insert_with(|| Instant::now() + AFTER_THE_CALL);
                if timeout_at(deadline, sleep(pause)).await.is_err() {
                    error!(call.sid = %self.call_sid, error = %failure, "a message of the journal is lost");
                    return Err(failure.kind);
                }
            } else {
                sleep(pause).await;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

async fn write(ports: Ports, call_sid: Arc<str>, epoch: u64, entry: Entry) -> Result<(), StoreError> {
    match entry {
        Entry::Turn(turn) => ports.store.write_turn(&call_sid, epoch, turn).await,
        Entry::Change(change) => ports.store.change_session(&call_sid, epoch, change).await,
        Entry::Mark(reached) => {
            reached.cancel();
            Ok(())
        }
    }
}

async fn close(ports: Ports, call_sid: Arc<str>, epoch: u64) -> Result<(), StoreError> {
    ports.store.close_session(&call_sid, epoch).await
}

async fn claim(ports: Ports, call_sid: Arc<str>, session: Session) -> Result<u64, StoreError> {
    let mut ownership = ports.store.claim_session(&call_sid, &ports.owner, Claim::First).await?;
    if let Ownership::NoSuchCall = ownership {
        ports.store.open_session(session).await?;
        ownership = ports.store.claim_session(&call_sid, &ports.owner, Claim::First).await?;
    }
    let kind = match ownership {
        Ownership::Ours(session) => return Ok(session.epoch),
        Ownership::Overtaken => StoreErrorKind::Conflict,
        Ownership::NoSuchCall => StoreErrorKind::Unavailable,
    };
    Err(StoreError { kind, source: None })
}
