//! Remembers secrets, so that no tool waits for one that is known: it is fetched anew behind its users every few minutes,
//! and used for an hour when it is out of reach.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, warn};
use voice_core::ports::SecretError;
use voice_core::private::Private;

use super::{FetchError, Vault, error};
use crate::telemetry::causes;

/// Older than this, a secret is fetched anew behind whoever uses it.
const FRESH: Duration = Duration::from_mins(5);
/// So long the last value is used when there is no newer one.
const USABLE: Duration = Duration::from_hours(1);
/// Nobody waits longer for a secret, whoever fetches it.
const DEADLINE: Duration = Duration::from_secs(2);
/// After a failure nobody asks again for so long, if there is a value to go on with; nor is a value doubted sooner.
const PAUSE: Duration = Duration::from_secs(10);
/// More secrets than any set of use cases names.
const MOST: usize = 256;

#[derive(Debug)]
pub(super) struct Cache<V> {
    vault: Arc<V>,
    slots: Arc<Mutex<HashMap<String, Slot>>>,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Slot {
    known: Option<Known>,
    /// A fetch that all who need it wait for. Its sender is gone when it has ended, however it has.
    pending: Option<Pending>,
}

#[derive(Clone, Debug)]
struct Known {
    value: Private<String>,
    fetched_at: Instant,
    /// When it was last tried to fetch it, whatever came of that.
    tried_at: Instant,
    due: Due,
}

/// When a value is fetched anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    At(Instant),
    /// Somebody would not accept it: whoever uses it next waits for a newer one.
    Now,
}

type Pending = watch::Receiver<Option<Result<Private<String>, Failed>>>;

/// A [`SecretError`] for all who wait.
#[derive(Clone, Debug)]
struct Failed {
    reason: &'static str,
    cause: Option<String>,
}

impl Failed {
    fn of(error: &SecretError) -> Self {
        let cause = error.source().map(|source| causes(source).to_string());
        Self { reason: error.reason, cause }
    }

    fn error(self, id: &str) -> SecretError {
        SecretError { source: self.cause.map(Into::into), ..error(id, self.reason) }
    }
}

impl<V: Vault + 'static> Cache<V> {
    pub(super) fn new(vault: V, tasks: TaskTracker) -> Self {
        Self { vault: Arc::new(vault), slots: Arc::default(), tasks }
    }

    /// The value that is known, or a newer one when there is none or it was doubted.
    pub(super) async fn get(&self, id: &str) -> Result<Private<String>, SecretError> {
        let now = Instant::now();
        let (known, pending) = {
            let mut slots = lock(&self.slots);
            let slot = slot(&mut slots, id);
            let known = slot.known.clone().filter(|known| now < known.fetched_at + USABLE);
            match &known {
                Some(Known { value, due: Due::At(due), .. }) if now < *due => return Ok(value.clone()),
                _ => (known, self.fetching(slot, id)),
            }
        };
        match known {
            Some(Known { value, due: Due::At(_), .. }) => Ok(value),
            known => fetched(pending, id).await.or_else(|error| known.map(|known| known.value).ok_or(error)),
        }
    }

    /// Has the value fetched anew by whoever uses it next, unless that has just been done.
    pub(super) fn doubt(&self, id: &str) {
        if let Some(known) = lock(&self.slots).get_mut(id).and_then(|slot| slot.known.as_mut())
            && known.tried_at.elapsed() >= PAUSE
        {
            known.due = Due::Now;
        }
    }

    /// The fetch that is under way, or a new one.
    fn fetching(&self, slot: &mut Slot, id: &str) -> Pending {
        if let Some(pending) = slot.pending.as_ref().filter(|pending| pending.has_changed().is_ok()) {
            return pending.clone();
        }
        let (sender, receiver) = watch::channel(None);
        slot.pending = Some(receiver.clone());
        let (vault, slots, id) = (Arc::clone(&self.vault), Arc::clone(&self.slots), id.to_owned());
        let fetch = async move {
            // A little less than whoever waits, so that the last good value is still of use.
            let fetched = timeout(DEADLINE.mul_f32(0.9), vault.fetch(&id)).await;
            let fetched = fetched
                .unwrap_or_else(|_| Err(FetchError::Unavailable(error(&id, "takes too long to fetch"))));
            let result = self::slot(&mut lock(&slots), &id).note(fetched);
            sender.send_replace(Some(result));
        };
        self.tasks.spawn(fetch.instrument(tracing::info_span!(parent: None, "secret")));
        receiver
    }
}

impl Slot {
    fn note(&mut self, fetched: Result<Private<String>, FetchError>) -> Result<Private<String>, Failed> {
        self.pending = None;
        let now = Instant::now();
        match fetched {
            Ok(value) => {
                let due = Due::At(now + FRESH);
                self.known = Some(Known { value: value.clone(), fetched_at: now, tried_at: now, due });
                Ok(value)
            }
            Err(FetchError::Refused(error)) => {
                if self.known.take().is_some() {
                    warn!(error = %causes(&error), "a secret is not used any more");
                }
                Err(Failed::of(&error))
            }
            Err(FetchError::Unavailable(error)) => match &mut self.known {
                Some(known) if now < known.fetched_at + USABLE => {
                    warn!(error = %causes(&error), "the last value of a secret is used");
                    (known.tried_at, known.due) = (now, Due::At(now + PAUSE));
                    Ok(known.value.clone())
                }
                _ => {
                    self.known = None;
                    Err(Failed::of(&error))
                }
            },
        }
    }
}

async fn fetched(mut pending: Pending, id: &str) -> Result<Private<String>, SecretError> {
    let too_slow = || error(id, "takes too long to fetch");
    match timeout(DEADLINE, pending.wait_for(Option::is_some)).await {
        Ok(Ok(result)) => match &*result {
            Some(result) => result.clone().map_err(|failed| failed.error(id)),
            None => Err(too_slow()),
        },
        Ok(Err(_)) | Err(_) => Err(too_slow()),
    }
}

/// Forgets all of them when they are too many, which does not happen unless somebody makes them up.
fn slot<'a>(slots: &'a mut HashMap<String, Slot>, id: &str) -> &'a mut Slot {
    if slots.len() >= MOST && !slots.contains_key(id) {
        slots.clear();
    }
    slots.entry(id.to_owned()).or_default()
}

/// Locks even after a panic elsewhere: every change to the map is one statement.
fn lock(slots: &Mutex<HashMap<String, Slot>>) -> MutexGuard<'_, HashMap<String, Slot>> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
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
        Cache::new(FakeVault::default(), TaskTracker::new())
    }

    /// Lets what goes on behind come to its end.
    async fn settled(cache: &Cache<FakeVault>) {
        cache.tasks.close();
        cache.tasks.wait().await;
    }

    fn behave(cache: &Cache<FakeVault>, behaviour: Behaviour) {
        *cache.vault.behaviour.lock().unwrap() = behaviour;
    }

    async fn value(cache: &Cache<FakeVault>, id: &str) -> Result<String, String> {
        cache.get(id).await.map(Private::into_inner).map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_is_fetched_once_for_all_and_again_behind_its_users() {
        let cache = cache();
        let all = join_all((0..10).map(|_| value(&cache, "a"))).await;
        assert!(all.iter().all(|value| value.as_deref() == Ok("a-1")), "{all:?}");
        advance(FRESH.mul_f32(0.99)).await;
        assert_eq!(value(&cache, "a").await.as_deref(), Ok("a-1"));
        advance(FRESH.mul_f32(0.02)).await;
        for _ in 0..2 {
            assert_eq!(value(&cache, "a").await.as_deref(), Ok("a-1"), "it is served at once");
        }
        settled(&cache).await;
        assert_eq!(value(&cache, "a").await.as_deref(), Ok("a-2"));
        assert_eq!(value(&cache, "b").await.as_deref(), Ok("b-3"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_value_bridges_an_hour_and_nobody_waits() {
        for outage in [Behaviour::IsOutOfReach, Behaviour::Hangs] {
            let cache = cache();
            value(&cache, "a").await.unwrap();
            behave(&cache, outage);
            advance(FRESH).await;
            let begun = Instant::now();
            assert_eq!(value(&cache, "a").await.as_deref(), Ok("a-1"));
            assert_eq!(begun.elapsed(), Duration::ZERO);
            settled(&cache).await;
            value(&cache, "a").await.unwrap();
            assert_eq!(cache.vault.fetches.load(Ordering::Relaxed), 2, "it is left in peace for a while");
            advance(USABLE).await;
            assert!(value(&cache, "a").await.is_err());
            behave(&cache, Behaviour::Answers);
            assert_eq!(value(&cache, "a").await.as_deref(), Ok("a-4"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_may_not_be_read_any_more_is_not_used_any_more() {
        let cache = cache();
        value(&cache, "a").await.unwrap();
        behave(&cache, Behaviour::Refuses);
        advance(FRESH).await;
        assert_eq!(value(&cache, "a").await.as_deref(), Ok("a-1"), "nobody knows yet");
        settled(&cache).await;
        assert_eq!(value(&cache, "a").await.unwrap_err(), "the secret \"a\" does not exist");
        behave(&cache, Behaviour::IsOutOfReach);
        assert!(value(&cache, "a").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_is_doubted_is_fetched_before_it_is_used_again() {
        let cache = cache();
        cache.doubt("a");
        value(&cache, "a").await.unwrap();
        cache.doubt("a");
        assert_eq!(value(&cache, "a").await.as_deref(), Ok("a-1"), "it was fetched a moment ago");
        advance(PAUSE).await;
        cache.doubt("a");
        assert_eq!(value(&cache, "a").await.as_deref(), Ok("a-2"));
        behave(&cache, Behaviour::IsOutOfReach);
        advance(PAUSE).await;
        cache.doubt("a");
        for _ in 0..2 {
            assert_eq!(value(&cache, "a").await.as_deref(), Ok("a-2"), "there is no better one");
            cache.doubt("a");
        }
        assert_eq!(cache.vault.fetches.load(Ordering::Relaxed), 3);
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
        assert!(lock(&cache.slots).len() <= MOST);
    }
}
