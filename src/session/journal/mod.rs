//! Writes a call's journal behind the conversation: in order, with retries, without ever holding up a turn.
//!
//! Messages and changes of a call are what must not be lost. How its turns went is telemetry, which goes first when room is
//! short. What waits, and for how long, is in [`backlog`]; who writes it in [`writer`]; what holds for all calls together
//! in [`journals`].

mod backlog;
mod journals;
mod writer;

#[cfg(test)]
pub(super) mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use regex::Regex;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error};
use voice_core::message::Message;
use voice_core::ports::{EndedBecause, JournaledTurn, Session, SessionChange, TurnTrace};
use voice_core::redaction::Redactor;
use voice_core::use_case::{Keep, Storage};

use super::Ports;
use crate::metrics::Counter;
use backlog::{Backlog, Push};
use writer::Writer;

pub use journals::Journals;

/// Where a session hands over what is to be written.
#[derive(Debug)]
pub struct Journal {
    backlog: Arc<Backlog>,
    /// What must not be stored, by all that the call has been answered as.
    storage: Storage,
    redactor: Redactor,
    ports: Ports,
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
    /// `leave` is cancelled when another owner turns out to have the call.
    pub(super) fn open(
        call_sid: &str,
        standing: Standing,
        storage: &Storage,
        ports: &Ports,
        leave: CancellationToken,
    ) -> Self {
        let backlog = ports.journals.open(call_sid, &ports.metrics);
        let done = CancellationToken::new();
        let writer = Writer::new(Arc::clone(&backlog), ports.clone(), leave);
        let when_done = done.clone().drop_guard();
        let write = async move {
            writer.run(standing).await;
            drop(when_done);
        };
        ports.tasks.spawn(write.instrument(tracing::info_span!("journal")));
        let (storage, redactor) = (storage.clone(), Redactor::new(storage));
        Self { backlog, storage, redactor, ports: ports.clone(), done }
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
        // Where there is no room the table is out of reach; a mark is no loss.
        let _ = self.backlog.push(Entry::Mark(reached.clone()));
        reached
    }

    /// Notes how a turn went. It holds neither words nor numbers, so it is kept of every call.
    pub(super) fn observe(&self, trace: TurnTrace) {
        let shed = self.backlog.push_trace(trace);
        self.ports.metrics.add(Counter::TelemetryShed, shed);
    }

    /// From now on, what this use case says must not be stored either. What the one before it wanted hidden stays hidden:
    /// the dialogue goes on, and the agent may say it again. Returns what holds now.
    pub(super) fn follow(&mut self, storage: &Storage) -> &Storage {
        self.storage = stricter(&self.storage, storage);
        self.redactor = Redactor::new(&self.storage);
        &self.storage
    }

    /// What is written as the reason when the session is closed.
    pub(super) fn ends(&self, because: EndedBecause) {
        self.backlog.ends(because);
    }

    fn redacted(&self, message: Arc<Message>) -> Arc<Message> {
        let masked = self.redactor.message(&message);
        if masked == *message { message } else { Arc::new(masked) }
    }

    fn send(&self, entry: Entry) {
        match self.backlog.push(entry) {
            Push::Kept { shed } => self.ports.metrics.add(Counter::TelemetryShed, shed),
            Push::Fenced => {}
            Push::Lost { before } => {
                self.ports.metrics.count(Counter::JournalLost);
                if before == 0 {
                    error!(call.sid = %self.backlog.call_sid(), "the journal takes no more; messages are lost");
                }
            }
        }
    }

    /// Waits until everything is written, or nothing more can be. The call is over by then.
    pub async fn written(self) {
        let done = self.done.clone();
        drop(self);
        done.cancelled().await;
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.backlog.is_complete();
    }
}

/// What may be stored by the rules of both.
fn stricter(one: &Storage, other: &Storage) -> Storage {
    let is_new = |pattern: &&Regex| one.patterns.iter().all(|known| known.as_str() != pattern.as_str());
    let patterns = one.patterns.iter().chain(other.patterns.iter().filter(is_new)).cloned().collect();
    let keep = if one.keep == Keep::Nothing { Keep::Nothing } else { other.keep };
    Storage { keep, patterns }
}
