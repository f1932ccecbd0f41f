//! The credentials that requests are signed with: kept until shortly before they expire, and given up when Bedrock does not
//! take them any more.
//!
//! The SDK's own cache keeps credentials for as long as their provider said, also when they were revoked meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_bedrockruntime::config::{
    ConfigBag, IdentityCache, ResolveCachedIdentity, RuntimeComponents, SharedIdentityCache,
};
use aws_smithy_runtime_api::client::identity::{
    Identity, IdentityCachePartition, IdentityFuture, SharedIdentityResolver,
};

/// New credentials are fetched this long before the old ones expire, so that whoever cannot fetch them at once has time.
const EARLY: Duration = Duration::from_mins(5);
/// A provider of credentials that takes longer has failed.
const FETCHING: Duration = Duration::from_secs(3);

/// Shared by all pools. Clones are the same cache.
#[derive(Clone, Debug)]
pub(super) struct CredentialsCache(Arc<Mutex<Generation>>);

/// What was fetched since the credentials were last given up.
#[derive(Debug)]
struct Generation {
    number: u64,
    cache: SharedIdentityCache,
    /// Good until they expire, should newer ones not be had.
    last: HashMap<IdentityCachePartition, Identity>,
}

impl Default for CredentialsCache {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Generation::new(0))))
    }
}

impl CredentialsCache {
    /// Which credentials are used now, for [`Self::give_up`].
    pub(super) fn generation(&self) -> u64 {
        self.lock().number
    }

    /// The credentials of this generation were refused: the next request fetches new ones. Of many requests that were
    /// refused together, only the first has an effect.
    pub(super) fn give_up(&self, generation: u64) {
        let mut current = self.lock();
        if current.number == generation {
            *current = Generation::new(generation + 1);
        }
    }

    fn keep(&self, generation: u64, partition: IdentityCachePartition, identity: &Identity) {
        let mut current = self.lock();
        if current.number == generation {
            current.last.insert(partition, identity.clone());
        }
    }

    fn last(&self, generation: u64, partition: IdentityCachePartition) -> Option<Identity> {
        let current = self.lock();
        let last = current.last.get(&partition).filter(|_| current.number == generation)?;
        let is_good = last.expiration().is_none_or(|expires| expires > SystemTime::now());
        is_good.then(|| last.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Generation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generation {
    fn new(number: u64) -> Self {
        let cache = IdentityCache::lazy().buffer_time(EARLY).load_timeout(FETCHING).build();
        Self { number, cache, last: HashMap::new() }
    }
}

impl ResolveCachedIdentity for CredentialsCache {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        config: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        let partition = resolver.cache_partition();
        let (generation, cache) = {
            let current = self.lock();
            (current.number, current.cache.clone())
        };
        IdentityFuture::new(async move {
            match cache.resolve_cached_identity(resolver, components, config).await {
                Ok(identity) => {
                    self.keep(generation, partition, &identity);
                    Ok(identity)
                }
                Err(error) => self.last(generation, partition).ok_or(error),
            }
        })
    }
}
