//! A table in memory, as far as routes look at it, that can be out of reach.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Map, Value};
use voice_core::ports::{
    BoxFuture, CallStore, CallerCounter, Claim, Direction, EndedBecause, HandoffRecord, HandoffStatus,
    HandoffStore, Journaled, JournaledTurn, KnownSession, LaunchChange, LaunchRecord, LaunchStore, Ownership,
    RecordStore, Session, SessionChange, StoreError, StoreErrorKind, TurnTrace,
};
use voice_core::private::Private;

use crate::support::{CALLED, CALLER};

#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) out_of_reach: AtomicBool,
    pub(crate) handoffs_out_of_reach: AtomicBool,
    pub(crate) records: Mutex<HashMap<(String, String), Map<String, Value>>>,
    pub(crate) sessions: Mutex<HashMap<String, KnownSession>>,
    pub(crate) closed: Mutex<HashSet<String>>,
    pub(crate) handoffs: Mutex<HashMap<String, HandoffRecord>>,
    pub(crate) launches: Mutex<HashMap<String, LaunchRecord>>,
    counted: Mutex<HashMap<String, HashSet<String>>>,
    handoffs_read: AtomicU32,
}

impl Table {
    /// A call that a use case has answered.
    pub(crate) fn answered(&self, call_sid: &str, use_case: &str) {
        let session = KnownSession {
            epoch: 1,
            resumes: 0,
            started_at: "2026-11-20T10:00:00Z".to_owned(),
            use_case: use_case.to_owned(),
            account_sid: "AC1".to_owned(),
            from: Private::new(CALLER.to_owned()),
            to: Private::new(CALLED.to_owned()),
            direction: Direction::Inbound,
            variables: Private::new(BTreeMap::new()),
            language: None,
            verified: false,
        };
        self.sessions.lock().unwrap().insert(call_sid.to_owned(), session);
    }

    pub(crate) fn handoff(&self, call_sid: &str) -> HandoffRecord {
        self.handoffs.lock().unwrap()[call_sid].clone()
    }

    pub(crate) fn reads_of_handoffs(&self) -> u32 {
        self.handoffs_read.load(Ordering::SeqCst)
    }

    pub(crate) fn launch(&self, id: &str) -> LaunchRecord {
        self.launches.lock().unwrap()[id].clone()
    }

    fn reach<'a, T: Send + 'a>(&self, answer: T) -> BoxFuture<'a, Result<T, StoreError>> {
        Self::answer(self.out_of_reach.load(Ordering::SeqCst), answer)
    }

    fn reach_handoffs<'a, T: Send + 'a>(
        &self,
        answer: impl FnOnce() -> T,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        let gone = [&self.out_of_reach, &self.handoffs_out_of_reach];
        if gone.iter().any(|gone| gone.load(Ordering::SeqCst)) {
            return Box::pin(async { Err(StoreError { kind: StoreErrorKind::Unavailable, source: None }) });
        }
        Self::answer(false, answer())
    }

    fn answer<'a, T: Send + 'a>(gone: bool, answer: T) -> BoxFuture<'a, Result<T, StoreError>> {
        let error = StoreError { kind: StoreErrorKind::Unavailable, source: None };
        Box::pin(async move { if gone { Err(error) } else { Ok(answer) } })
    }
}

impl RecordStore for Table {
    fn get_record<'a>(
        &'a self,
        pk: &'a str,
        sk: &'a str,
    ) -> BoxFuture<'a, Result<Option<Map<String, Value>>, StoreError>> {
        self.reach(self.records.lock().unwrap().get(&(pk.to_owned(), sk.to_owned())).cloned())
    }

    fn put_record(
        &self,
        _: Map<String, Value>,
        _: Option<Duration>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.reach(())
    }

    fn put_new_record(&self, _: Map<String, Value>) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.reach(true)
    }

    fn update_record<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Map<String, Value>,
    ) -> BoxFuture<'a, Result<Option<Map<String, Value>>, StoreError>> {
        self.reach(None)
    }

    fn list_records<'a>(
        &'a self,
        _: &'a str,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<Map<String, Value>>, StoreError>> {
        self.reach(Vec::new())
    }
}

impl CallStore for Table {
    fn open_session(&self, session: Session) -> BoxFuture<'_, Result<(), StoreError>> {
        self.answered(&session.call.call_sid, &session.call.use_case);
        if let Some(known) = self.sessions.lock().unwrap().get_mut(&session.call.call_sid) {
            known.from = session.call.from.clone();
            known.to = session.call.to.clone();
            known.direction = session.call.direction;
            known.variables = session.call.variables.clone();
        }
        self.reach(())
    }

    fn claim_session<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Claim,
    ) -> BoxFuture<'a, Result<Ownership, StoreError>> {
        self.reach(Ownership::NoSuchCall)
    }

    fn count_resume<'a>(
        &'a self,
        call_sid: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownSession>, StoreError>> {
        self.read_session(call_sid)
    }

    fn read_session<'a>(
        &'a self,
        call_sid: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownSession>, StoreError>> {
        self.reach(self.sessions.lock().unwrap().get(call_sid).cloned())
    }

    fn close_session<'a>(
        &'a self,
        call_sid: &'a str,
        _: u64,
        _: EndedBecause,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.closed.lock().unwrap().insert(call_sid.to_owned());
        self.reach(())
    }

    fn write_turn<'a>(
        &'a self,
        _: &'a str,
        _: u64,
        _: JournaledTurn,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.reach(())
    }

    fn change_session<'a>(
        &'a self,
        _: &'a str,
        _: u64,
        _: SessionChange,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.reach(())
    }

    fn write_traces<'a>(&'a self, _: &'a str, _: &'a [TurnTrace]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.reach(())
    }

    fn read_journal<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Journaled, StoreError>> {
        self.reach(Journaled::default())
    }
}

impl HandoffStore for Table {
    fn open_handoff<'a>(
        &'a self,
        call_sid: &'a str,
        handoff: HandoffRecord,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.reach_handoffs(|| drop(self.handoffs.lock().unwrap().insert(call_sid.to_owned(), handoff)))
    }

    fn read_handoff<'a>(
        &'a self,
        call_sid: &'a str,
    ) -> BoxFuture<'a, Result<Option<HandoffRecord>, StoreError>> {
        self.handoffs_read.fetch_add(1, Ordering::SeqCst);
        self.reach_handoffs(|| self.handoffs.lock().unwrap().get(call_sid).cloned())
    }

    fn note_handoff_call<'a>(
        &'a self,
        call_sid: &'a str,
        person_call_sid: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.reach_handoffs(|| {
            if let Some(known) = self.handoffs.lock().unwrap().get_mut(call_sid) {
                known.person_call_sid = Some(person_call_sid.to_owned());
            }
        })
    }

    fn settle_handoff<'a>(
        &'a self,
        call_sid: &'a str,
        to: HandoffStatus,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.reach_handoffs(|| match self.handoffs.lock().unwrap().get_mut(call_sid) {
            Some(known) if known.status == HandoffStatus::Dialling => {
                known.status = to;
                true
            }
            _ => false,
        })
    }
}

impl LaunchStore for Table {
    fn open_launch(&self, launch: LaunchRecord) -> BoxFuture<'_, Result<Option<LaunchRecord>, StoreError>> {
        let mut launches = self.launches.lock().unwrap();
        let known = launches.get(&launch.id).cloned();
        if known.is_none() && !self.out_of_reach.load(Ordering::SeqCst) {
            launches.insert(launch.id.clone(), launch);
        }
        self.reach(known)
    }

    fn read_launch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<LaunchRecord>, StoreError>> {
        self.reach(self.launches.lock().unwrap().get(id).cloned())
    }

    fn change_launch<'a>(
        &'a self,
        id: &'a str,
        change: LaunchChange,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let gone = self.out_of_reach.load(Ordering::SeqCst);
        if let Some(known) = self.launches.lock().unwrap().get_mut(id).filter(|_| !gone) {
            let news = change.status.filter(|status| status.progress() > known.status.progress());
            known.status = news.unwrap_or(known.status);
            known.call_sid = change.call_sid.or(known.call_sid.take());
            known.answered_by = change.answered_by.or(known.answered_by.take());
            known.error = change.error.or(known.error.take());
            if change.forget_person {
                (known.to, known.variables) = (Private::default(), Private::default());
            }
        }
        self.reach(())
    }

    fn withdraw_launch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        let gone = self.out_of_reach.load(Ordering::SeqCst);
        self.launches
            .lock()
            .unwrap()
            .retain(|known, launch| gone || known != id || launch.call_sid.is_some());
        self.reach(())
    }
}

impl CallerCounter for Table {
    fn count_call<'a>(
        &'a self,
        number: &'a Private<String>,
        call_sid: &'a str,
        _: Duration,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        let mut counted = self.counted.lock().unwrap();
        let calls = counted.entry(number.expose().clone()).or_default();
        calls.insert(call_sid.to_owned());
        self.reach(calls.len() as u64)
    }
}
