//! Stands where the table will keep handoffs, launches and counts; it has none and takes none.

use std::time::Duration;

use voice_core::ports::{
    BoxFuture, CallerCounter, HandoffRecord, HandoffStatus, HandoffStore, LaunchChange, LaunchRecord,
    LaunchStore, StoreError, StoreErrorKind,
};
use voice_core::private::Private;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending;

fn refused<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, StoreError>> {
    Box::pin(async { Err(StoreError { kind: StoreErrorKind::Refused, source: None }) })
}

impl HandoffStore for Pending {
    fn open_handoff<'a>(&'a self, _: &'a str, _: HandoffRecord) -> BoxFuture<'a, Result<(), StoreError>> {
        refused()
    }

    fn read_handoff<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<HandoffRecord>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn note_handoff_call<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        refused()
    }

    fn settle_handoff<'a>(&'a self, _: &'a str, _: HandoffStatus) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async { Ok(false) })
    }
}

impl LaunchStore for Pending {
    fn open_launch(&self, _: LaunchRecord) -> BoxFuture<'_, Result<Option<LaunchRecord>, StoreError>> {
        refused()
    }

    fn read_launch<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<LaunchRecord>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn change_launch<'a>(&'a self, _: &'a str, _: LaunchChange) -> BoxFuture<'a, Result<(), StoreError>> {
        refused()
    }
}

impl CallerCounter for Pending {
    fn count_call<'a>(
        &'a self,
        _: &'a Private<String>,
        _: &'a str,
        _: Duration,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        refused()
    }
}
