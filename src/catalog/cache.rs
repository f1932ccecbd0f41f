//! A cache that is refreshed behind its readers and prefers an old answer to none.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use voice_core::ports::{BoxFuture, StoreError};

use crate::metrics::{Counter, Metrics};

/// Younger than this, a value is served as it is.
const FRESH: Duration = Duration::from_secs(15);
/// Younger than this, it is served and read anew behind the reader; older, the reader waits for the new one.
const FRESH_ENOUGH: Duration = Duration::from_secs(30);
/// A reader waits no longer than this for the table.
const PATIENCE: Duration = Duration::from_secs(1);
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
    entries: Arc<Mutex<HashMap<String, Entry<T>>>>,
    tasks: TaskTracker,
    metrics: Metrics,
}

#[derive(Debug)]
struct Entry<T> {
    /// `None` is an answer too: there is no such record.
    value: Option<Arc<T>>,
    read_at: Instant,
    refreshing: bool,
}

impl<T: Send + Sync + 'static> Cache<T> {
    pub(super) fn new(tasks: TaskTracker, metrics: Metrics) -> Self {
        Self { entries: Arc::default(), tasks, metrics }
    }

    /// The value of a key. Fails only when it was never read and cannot be read now.
    pub(super) async fn get(
        &self,
        key: &str,
        read: impl FnOnce(String) -> Reading<T>,
    ) -> Result<Option<Arc<T>>, Refresh> {
        let known = {
            let mut entries = lock(&self.entries);
            match entries.get_mut(key) {
                Some(entry) if entry.read_at.elapsed() < FRESH || entry.refreshing => {
                    return Ok(entry.value.clone());
                }
                Some(entry) => {
                    entry.refreshing = true;
                    Some((entry.value.clone(), entry.read_at.elapsed() < FRESH_ENOUGH))
                }
                None => None,
            }
        };
        let refreshed = self.refresh(key, read(key.to_owned()));
        match known {
            Some((value, true)) => Ok(value),
            Some((value, false)) => {
                if let Ok(Ok(Ok(value))) = timeout(PATIENCE, refreshed).await {
                    return Ok(value);
                }
                self.metrics.count(Counter::RecordsStale);
                Ok(value)
            }
            None => match timeout(PATIENCE, refreshed).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) | Err(_) => Err(Refresh::Unreachable(Arc::new(StoreError {
                    kind: voice_core::ports::StoreErrorKind::Unavailable,
                    source: None,
                }))),
            },
        }
    }

    /// Reads a value behind its readers; it goes on when they no longer wait.
    fn refresh(&self, key: &str, reading: Reading<T>) -> oneshot::Receiver<Result<Option<Arc<T>>, Refresh>> {
        let (sender, receiver) = oneshot::channel();
        let (entries, key) = (Arc::clone(&self.entries), key.to_owned());
        let refresh = async move {
            let result = reading.await.map(|value| value.map(Arc::new));
            store(&mut lock(&entries), key, &result);
            // Nobody waits when the old value was served.
            let _ = sender.send(result);
        };
        self.tasks.spawn(refresh.instrument(tracing::info_span!("refresh")));
        receiver
    }
}

fn store<T>(entries: &mut HashMap<String, Entry<T>>, key: String, result: &Result<Option<Arc<T>>, Refresh>) {
    let now = Instant::now();
    match result {
        Ok(value) => {
            make_room(entries);
            entries.insert(key, Entry { value: value.clone(), read_at: now, refreshing: false });
        }
        Err(_) => {
            if let Some(entry) = entries.get_mut(&key) {
                // Good for a while more, so that not every reader waits for a table that is out of reach.
                entry.read_at = now.checked_sub(FRESH).unwrap_or(now);
                entry.refreshing = false;
            }
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

fn lock<T>(
    entries: &Mutex<HashMap<String, Entry<T>>>,
) -> std::sync::MutexGuard<'_, HashMap<String, Entry<T>>> {
    // A panic elsewhere leaves the map whole: every change to it is one statement.
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn cache() -> Cache<u32> {
        Cache::new(TaskTracker::new(), Metrics::default())
    }

    fn unreachable() -> Refresh {
        Refresh::Unreachable(Arc::new(StoreError {
            kind: voice_core::ports::StoreErrorKind::Unavailable,
            source: None,
        }))
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
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(value(&cache, Err(unreachable())).await, Some(1));
        assert_eq!(cache.metrics.value(Counter::RecordsStale), 1);
        let before = Instant::now();
        let hung = cache.get("key", |_| Box::pin(std::future::pending())).await.unwrap();
        assert_eq!(
            (hung.map(|value| *value), before.elapsed()),
            (Some(1), Duration::ZERO),
            "it is not waited for again"
        );
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(value(&cache, Ok(Some(2))).await, Some(1), "that reading still hangs");
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
    async fn many_readers_cause_one_reading() {
        let (cache, readings) = (cache(), AtomicU32::new(0));
        assert_eq!(value(&cache, Ok(Some(1))).await, Some(1));
        tokio::time::advance(Duration::from_secs(20)).await;
        for _ in 0..10 {
            let read = |_| -> Reading<u32> {
                readings.fetch_add(1, Ordering::Relaxed);
                Box::pin(std::future::pending())
            };
            cache.get("key", read).await.unwrap();
        }
        assert_eq!(readings.into_inner(), 1);
    }

    #[test]
    fn it_never_grows_beyond_its_bound() {
        let mut entries = HashMap::new();
        for key in 0..=CAPACITY {
            store::<u32>(&mut entries, key.to_string(), &Ok(None));
        }
        assert!(entries.len() <= CAPACITY);
    }
}
