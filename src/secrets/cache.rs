//! Remembers secrets for a few minutes, so that no tool waits for them often, and for an hour when they are out of reach.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};
use tracing::warn;
use voice_core::ports::SecretError;
use voice_core::private::Private;

use super::{FetchError, Vault, error};
use crate::telemetry::causes;

/// A secret that was changed is used this much longer.
const FRESH: Duration = Duration::from_mins(5);
/// So long the last value is used when there is no newer one.
const USABLE: Duration = Duration::from_hours(1);
/// Nobody waits longer for a secret, whoever fetches it.
const DEADLINE: Duration = Duration::from_secs(2);
/// After a failure nobody asks again for so long, if there is a value to go on with.
const PAUSE: Duration = Duration::from_secs(10);
/// More secrets than any set of use cases names.
const MOST: usize = 256;

#[derive(Debug)]
pub(super) struct Cache<V> {
    vault: V,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

/// One secret. Whoever holds the lock fetches it for all.
type Slot = AsyncMutex<Option<Known>>;

#[derive(Clone, Debug)]
struct Known {
    value: Private<String>,
    fetched_at: Instant,
    /// Not fetched again before.
    next_fetch: Instant,
}

impl<V: Vault> Cache<V> {
    pub(super) fn new(vault: V) -> Self {
        Self { vault, slots: Mutex::default() }
    }

    pub(super) async fn get(&self, id: &str) -> Result<Private<String>, SecretError> {
        let slot = self.slot(id);
        let value = timeout(DEADLINE, async { self.fetch_if_old(id, &mut *slot.lock().await).await }).await;
        value.unwrap_or_else(|_| Err(error(id, "takes too long to fetch")))
    }

    fn slot(&self, id: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST && !slots.contains_key(id) {
            slots.clear();
        }
        Arc::clone(slots.entry(id.to_owned()).or_default())
    }

    async fn fetch_if_old(&self, id: &str, slot: &mut Option<Known>) -> Result<Private<String>, SecretError> {
        if let Some(known) = slot.as_ref().filter(|known| Instant::now() < known.next_fetch) {
            return Ok(known.value.clone());
        }
        // A little less than whoever waits, so that the last good value is still of use.
        let fetched = timeout(DEADLINE.mul_f32(0.9), self.vault.fetch(id)).await;
        let fetched =
            fetched.unwrap_or_else(|_| Err(FetchError::Unavailable(error(id, "takes too long to fetch"))));
        let now = Instant::now();
        match fetched {
            Ok(value) => {
                *slot = Some(Known { value: value.clone(), fetched_at: now, next_fetch: now + FRESH });
                Ok(value)
            }
            Err(FetchError::Refused(error)) => {
                *slot = None;
                Err(error)
            }
            Err(FetchError::Unavailable(error)) => go_on_with(slot, now, error),
        }
    }
}

/// The last good value, while it is not too old.
fn go_on_with(
    slot: &mut Option<Known>,
    now: Instant,
    error: SecretError,
) -> Result<Private<String>, SecretError> {
    match slot {
        Some(known) if now < known.fetched_at + USABLE => {
            warn!(error = %causes(&error), "the last value of a secret is used");
            known.next_fetch = now + PAUSE;
            Ok(known.value.clone())
        }
        _ => {
            *slot = None;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::time::advance;
    use voice_core::ports::BoxFuture;

    use super::*;

    #[derive(Debug, Default)]
    struct FakeVault {
        behaviour: Mutex<Behaviour>,
        fetches: AtomicUsize,
    }

    #[derive(Clone, Copy, Debug, Default)]
    enum Behaviour {
        #[default]
        Answers,
        Refuses,
        IsOutOfReach,
        Hangs,
    }

    impl Vault for FakeVault {
        fn fetch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Private<String>, FetchError>> {
            let count = self.fetches.fetch_add(1, Ordering::Relaxed) + 1;
            let behaviour = *self.behaviour.lock().unwrap();
            Box::pin(async move {
                tokio::task::yield_now().await;
                match behaviour {
                    Behaviour::Answers => Ok(Private::new(format!("{id}-{count}"))),
                    Behaviour::Refuses => Err(FetchError::Refused(error(id, "does not exist"))),
                    Behaviour::IsOutOfReach => Err(FetchError::Unavailable(error(id, "is out of reach"))),
                    Behaviour::Hangs => std::future::pending().await,
                }
            })
        }
    }

    fn cache() -> Cache<FakeVault> {
        Cache::new(FakeVault::default())
    }

    fn behave(cache: &Cache<FakeVault>, behaviour: Behaviour) {
        *cache.vault.behaviour.lock().unwrap() = behaviour;
    }

    async fn value(cache: &Cache<FakeVault>, id: &str) -> Result<String, String> {
        cache.get(id).await.map(Private::into_inner).map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_is_fetched_once_for_all_and_again_when_it_is_old() {
        let cache = cache();
        let all = join_all((0..10).map(|_| value(&cache, "a"))).await;
        assert!(all.iter().all(|value| value.as_deref() == Ok("a-1")), "{all:?}");
        advance(FRESH.mul_f32(0.99)).await;
        assert_eq!(value(&cache, "a").await.as_deref(), Ok("a-1"));
        advance(FRESH.mul_f32(0.02)).await;
        assert_eq!(value(&cache, "a").await.as_deref(), Ok("a-2"));
        assert_eq!(value(&cache, "b").await.as_deref(), Ok("b-3"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_value_bridges_an_hour() {
        for outage in [Behaviour::IsOutOfReach, Behaviour::Hangs] {
            let cache = cache();
            value(&cache, "a").await.unwrap();
            behave(&cache, outage);
            advance(FRESH).await;
            assert_eq!(value(&cache, "a").await.as_deref(), Ok("a-1"));
            value(&cache, "a").await.unwrap();
            assert_eq!(cache.vault.fetches.load(Ordering::Relaxed), 2, "it is left in peace for a while");
            advance(USABLE).await;
            assert!(value(&cache, "a").await.is_err());
            behave(&cache, Behaviour::Answers);
            assert_eq!(value(&cache, "a").await.as_deref(), Ok("a-4"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_is_refused_is_not_used_any_more() {
        let cache = cache();
        value(&cache, "a").await.unwrap();
        behave(&cache, Behaviour::Refuses);
        advance(FRESH).await;
        assert_eq!(value(&cache, "a").await.unwrap_err(), "the secret \"a\" does not exist");
        behave(&cache, Behaviour::IsOutOfReach);
        assert!(value(&cache, "a").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_deadline() {
        let cache = cache();
        behave(&cache, Behaviour::Hangs);
        let begun = Instant::now();
        let all = join_all((0..3).map(|_| value(&cache, "a"))).await;
        assert!(all.iter().all(Result::is_err), "{all:?}");
        assert!(begun.elapsed() <= DEADLINE + Duration::from_millis(10));
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_remembered() {
        let cache = cache();
        for number in 0..2 * MOST {
            value(&cache, &number.to_string()).await.unwrap();
        }
        assert!(cache.slots.lock().unwrap().len() <= MOST);
    }
}
