//! A cache that is refreshed behind its readers and prefers an old answer to none.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use voice_core::ports::{BoxFuture, StoreError, StoreErrorKind};

use crate::metrics::{Counter, Metrics};

/// Younger than this, a value is served as it is.
const FRESH: Duration = Duration::from_secs(15);
/// Younger than this, it is served and read anew behind the reader; older, the reader waits for the new one.
const FRESH_ENOUGH: Duration = Duration::from_secs(30);
/// A reader who has an old value waits no longer than this for the new one.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// Keys, past which the oldest are forgotten. Callers are many.
const CAPACITY: usize = 20_000;

pub(super) type Reading<T> = BoxFuture<'static, Result<Option<T>, Refresh>>;

/// Why a value could not be read anew.
#[derive(Clone, Debug)]
pub(super) enum Refresh {
    Unreachable(Arc<StoreError>),
    Broken(String),
}

impl fmt::Display for Refresh {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => error.fmt(formatter),
            Self::Broken(problem) => problem.fmt(formatter),
        }
    }
}

#[derive(Debug)]
pub(super) struct Cache<T> {
    state: Arc<Mutex<State<T>>>,
    tasks: TaskTracker,
    metrics: Metrics,
    /// How long a reader waits who has nothing else.
    first: Duration,
}

#[derive(Debug)]
struct Entry<T> {
    /// `None` is an answer too: there is no such record.
    value: Option<Arc<T>>,
    read_at: Instant,
}

/// A reading that is under way; every reader of the key waits for the same one. Its sender is gone when it has ended,
/// however it has.
type Pending<T> = watch::Receiver<Option<Result<Option<Arc<T>>, Refresh>>>;

#[derive(Debug)]
struct State<T> {
    entries: HashMap<String, Entry<T>>,
    pending: HashMap<String, Pending<T>>,
}

impl<T: Send + Sync + 'static> Cache<T> {
    pub(super) fn new(tasks: TaskTracker, metrics: Metrics) -> Self {
        let state = State { entries: HashMap::new(), pending: HashMap::new() };
        Self { state: Arc::new(Mutex::new(state)), tasks, metrics, first: PATIENCE }
    }

    /// Lets a reader who has nothing else wait longer, because the reading does more than to ask the table.
    pub(super) const fn with_first_patience(mut self, first: Duration) -> Self {
        self.first = first;
        self
    }

    /// The value of a key. Fails only when it was never read and cannot be read now.
    pub(super) async fn get(
        &self,
        key: &str,
        read: impl FnOnce(String) -> Reading<T>,
    ) -> Result<Option<Arc<T>>, Refresh> {
        let known =
            lock(&self.state).entries.get(key).map(|entry| (entry.value.clone(), entry.read_at.elapsed()));
        if let Some((value, age)) = &known
            && *age < FRESH
        {
            return Ok(value.clone());
        }
        let mut pending = self.refresh(key, read);
        if let Some((value, age)) = &known
            && *age < FRESH_ENOUGH
        {
            return Ok(value.clone());
        }
        let patience = if known.is_some() { PATIENCE } else { self.first };
        let read = match timeout(patience, pending.wait_for(Option::is_some)).await {
            Ok(Ok(result)) => result.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        match (read, known) {
            (Some(Ok(value)), _) => Ok(value),
            (_, Some((value, _))) => {
                self.metrics.count(Counter::RecordsStale);
                self.serve_on(key);
                Ok(value)
            }
            (Some(Err(failure)), None) => Err(failure),
            (None, None) => {
                let slow = StoreError { kind: StoreErrorKind::Unavailable, source: None };
                Err(Refresh::Unreachable(Arc::new(slow)))
            }
        }
    }

    /// Reads a value behind its readers, unless that is under way; it goes on when they no longer wait.
    fn refresh(&self, key: &str, read: impl FnOnce(String) -> Reading<T>) -> Pending<T> {
        let mut state = lock(&self.state);
        if let Some(pending) = state.pending.get(key)
            && pending.has_changed().is_ok()
        {
            return pending.clone();
        }
        let (sender, receiver) = watch::channel(None);
        state.pending.insert(key.to_owned(), receiver.clone());
        drop(state);
        let (state, key, reading) = (Arc::clone(&self.state), key.to_owned(), read(key.to_owned()));
        let refresh = async move {
            let result = reading.await.map(|value| value.map(Arc::new));
            lock(&state).note(key, &result);
            sender.send_replace(Some(result));
        };
        self.tasks.spawn(refresh.instrument(tracing::info_span!("refresh")));
        receiver
    }

    /// Serves an old value a while more, so that not every reader waits for a table that is out of reach.
    fn serve_on(&self, key: &str) {
        if let Some(entry) = lock(&self.state).entries.get_mut(key) {
            let now = Instant::now();
            entry.read_at = entry.read_at.max(now.checked_sub(FRESH).unwrap_or(now));
        }
    }
}

impl<T> State<T> {
    fn note(&mut self, key: String, result: &Result<Option<Arc<T>>, Refresh>) {
        self.pending.remove(&key);
        if let Ok(value) = result {
            make_room(&mut self.entries);
            self.entries.insert(key, Entry { value: value.clone(), read_at: Instant::now() });
        }
    }
}

/// Forgets the older half when it is full, so that this happens seldom.
fn make_room<T>(entries: &mut HashMap<String, Entry<T>>) {
    if entries.len() < CAPACITY {
        return;
    }
    let mut ages: Vec<Instant> = entries.values().map(|entry| entry.read_at).collect();
    let middle = ages.len() / 2;
    let (_, middle, _) = ages.select_nth_unstable(middle);
    let middle = *middle;
    entries.retain(|_, entry| entry.read_at > middle);
}

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    // A panic elsewhere leaves the maps whole: every change to them is one statement.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn cache() -> Cache<u32> {
        Cache::new(TaskTracker::new(), Metrics::default())
    }

    fn unreachable() -> Refresh {
        Refresh::Unreachable(Arc::new(StoreError { kind: StoreErrorKind::Unavailable, source: None }))
    }

    async fn value(cache: &Cache<u32>, answer: Result<Option<u32>, Refresh>) -> Option<u32> {
        cache.get("key", |_| Box::pin(async move { answer })).await.unwrap().map(|value| *value)
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_seen_within_half_a_minute_and_read_behind_the_reader() {
        let cache = cache();
        assert_eq!(value(&cache, Ok(Some(1))).await, Some(1));
        tokio::time::advance(Duration::from_secs(14)).await;
        assert_eq!(value(&cache, Ok(Some(2))).await, Some(1), "fresh");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(value(&cache, Ok(Some(2))).await, Some(1), "served while it is read anew");
        tokio::task::yield_now().await;
        assert_eq!(value(&cache, Ok(Some(3))).await, Some(2));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(value(&cache, Ok(Some(3))).await, Some(3), "too old to be served unseen");
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(value(&cache, Ok(None)).await, None, "a record that was deleted is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_value_is_served_when_the_table_is_out_of_reach() {
        let cache = cache();
        assert_eq!(value(&cache, Ok(Some(1))).await, Some(1));
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(value(&cache, Err(unreachable())).await, Some(1));
        assert_eq!(cache.metrics.value(Counter::RecordsStale), 1);
        let before = Instant::now();
        let hung = cache.get("key", |_| Box::pin(std::future::pending())).await.unwrap();
        assert_eq!(
            (hung.map(|value| *value), before.elapsed()),
            (Some(1), Duration::ZERO),
            "it is not waited for again"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_never_read_fails_in_time() {
        let cache = cache();
        let before = Instant::now();
        assert!(cache.get("key", |_| Box::pin(std::future::pending())).await.is_err());
        assert_eq!(before.elapsed(), PATIENCE);
        assert!(cache.get("key", |_| Box::pin(async { Err(unreachable()) })).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_has_nothing_waits_for_a_long_reading() {
        let cache = cache().with_first_patience(4 * PATIENCE);
        let slow = |_| -> Reading<u32> {
            Box::pin(async {
                tokio::time::sleep(3 * PATIENCE).await;
                Ok(Some(1))
            })
        };
        assert_eq!(cache.get("key", slow).await.unwrap().as_deref(), Some(&1));
        tokio::time::advance(Duration::from_hours(1)).await;
        let before = Instant::now();
        assert_eq!(cache.get("key", slow).await.unwrap().as_deref(), Some(&1));
        assert_eq!(before.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn many_readers_share_one_reading_and_see_the_new_value() {
        let (cache, readings) = (cache(), AtomicU32::new(0));
        assert_eq!(value(&cache, Ok(Some(1))).await, Some(1));
        tokio::time::advance(Duration::from_hours(1)).await;
        let read = |_| -> Reading<u32> {
            readings.fetch_add(1, Ordering::Relaxed);
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                Ok(Some(2))
            })
        };
        let (one, two) = tokio::join!(cache.get("key", read), cache.get("key", read));
        assert_eq!((one.unwrap().map(|value| *value), two.unwrap().map(|value| *value)), (Some(2), Some(2)));
        assert_eq!(readings.into_inner(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_that_panics_does_not_block_the_next() {
        let cache = cache();
        assert!(cache.get("key", |_| Box::pin(async { panic!("expected by this test") })).await.is_err());
        assert_eq!(value(&cache, Ok(Some(1))).await, Some(1));
    }

    #[test]
    fn it_never_grows_beyond_its_bound() {
        let mut state = State::<u32> { entries: HashMap::new(), pending: HashMap::new() };
        for key in 0..=CAPACITY {
            state.note(key.to_string(), &Ok(None));
        }
        assert!(state.entries.len() <= CAPACITY);
    }
}
