//! A store for sessions under test.

use std::collections::HashMap;
use std::sync::Mutex;

use voice_core::history::Sequence;
use voice_core::message::Message;
use voice_core::ports::{
    BoxFuture, CallStore, Claim, Direction, EndedBecause, GenerationReport, Journaled, JournaledTurn,
    KnownSession, Ownership, Session, SessionChange, StoreError, StoreErrorKind, TurnTrace,
};
use voice_core::private::Private;

/// A store that can be out of reach, and remembers what was written.
#[derive(Debug, Default)]
pub(in crate::session) struct Store {
    pub(super) failures: Mutex<Vec<StoreErrorKind>>,
    pub(in crate::session) written: Mutex<Vec<(u64, Sequence, Option<Message>)>>,
    pub(in crate::session) changes: Mutex<Vec<SessionChange>>,
    pub(in crate::session) reports: Mutex<Vec<GenerationReport>>,
    pub(in crate::session) closed: Mutex<HashMap<String, (u64, EndedBecause)>>,
    /// One for each request.
    pub(in crate::session) traces: Mutex<Vec<Vec<TurnTrace>>>,
}

impl Store {
    fn answer<T>(&self, answer: T) -> Result<T, StoreError> {
        let mut failures = self.failures.lock().unwrap();
        if failures.is_empty() {
            Ok(answer)
        } else {
            Err(StoreError { kind: failures.remove(0), source: None })
        }
    }

    pub(super) fn written(&self) -> Vec<Sequence> {
        self.written.lock().unwrap().iter().map(|(_, sequence, _)| *sequence).collect()
    }
}

impl CallStore for Store {
    fn open_session(&self, _: Session) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { self.answer(()) })
    }

    fn claim_session<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Claim,
    ) -> BoxFuture<'a, Result<Ownership, StoreError>> {
        let session = known();
        Box::pin(async { self.answer(Ownership::Ours(session)) })
    }

    fn change_session<'a>(
        &'a self,
        _: &'a str,
        _: u64,
        change: SessionChange,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.answer(())?;
            self.changes.lock().unwrap().push(change);
            Ok(())
        })
    }

    fn count_resume<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<KnownSession>, StoreError>> {
        Box::pin(async { self.answer(None) })
    }

    fn read_session<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<KnownSession>, StoreError>> {
        Box::pin(async { self.answer(None) })
    }

    fn close_session<'a>(
        &'a self,
        call_sid: &'a str,
        epoch: u64,
        because: EndedBecause,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.closed.lock().unwrap().insert(call_sid.to_owned(), (epoch, because));
            self.answer(())
        })
    }

    fn write_traces<'a>(
        &'a self,
        _: &'a str,
        traces: &'a [TurnTrace],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.answer(())?;
            self.traces.lock().unwrap().push(traces.to_vec());
            Ok(())
        })
    }

    fn write_turn<'a>(
        &'a self,
        _: &'a str,
        epoch: u64,
        turn: JournaledTurn,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.answer(())?;
            self.reports.lock().unwrap().extend(turn.generation);
            let message = turn.record.message.as_deref().cloned();
            self.written.lock().unwrap().push((epoch, turn.record.sequence, message));
            Ok(())
        })
    }

    fn read_journal<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Journaled, StoreError>> {
        Box::pin(async { self.answer(Journaled::default()) })
    }
}

/// A session that nothing has happened to.
pub(in crate::session) fn known() -> KnownSession {
    KnownSession {
        epoch: 1,
        resumes: 0,
        started_at: String::new(),
        use_case: "test".to_owned(),
        account_sid: String::new(),
        from: Private::new(String::new()),
        to: Private::new(String::new()),
        direction: Direction::Inbound,
        variables: Private::default(),
        language: None,
        verified: false,
    }
}
