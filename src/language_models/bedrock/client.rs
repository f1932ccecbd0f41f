//! SDK clients for Bedrock, made for calls: no retries of their own, short time-outs, a pool each, and which pool is due for
//! a request.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::Builder;
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::config::timeout::TimeoutConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use tokio::time::Instant;

use super::credentials::CredentialsCache;

#[derive(Clone, Copy, Debug)]
pub struct ClientSettings {
    /// How many connection pools; at least one.
    pub pools: usize,
    pub connect_timeout: Duration,
    /// When a connection on which no response has begun counts as dead, and is not used any more.
    pub response_timeout: Duration,
}

impl Default for ClientSettings {
    /// Four pools carry some four hundred streams at once, where Bedrock allows about a hundred on a connection.
    fn default() -> Self {
        Self { pools: 4, connect_timeout: Duration::from_secs(2), response_timeout: Duration::from_secs(3) }
    }
}

/// Connections to Bedrock, in pools: a pool keeps one HTTP/2 connection to an origin, and that carries only so many
/// streams.
pub struct Clients {
    pools: Vec<Pool>,
    pub(super) credentials: CredentialsCache,
}

/// One client, and with it one connection pool.
pub(super) struct Pool {
    pub(super) client: Client,
    used_at: Mutex<Option<Instant>>,
}

impl Clients {
    /// Makes the clients; region, credentials and endpoint are those of `config`.
    pub fn new(config: &SdkConfig, settings: ClientSettings) -> Self {
        let credentials = CredentialsCache::default();
        let pools = (0..settings.pools).map(|_| Pool {
            client: client(config, settings, credentials.clone()),
            used_at: Mutex::default(),
        });
        Self { pools: pools.collect(), credentials }
    }

    /// One pool, whatever it is connected to.
    #[cfg(feature = "fuzzing")]
    pub fn of(client: Client) -> Self {
        Self {
            pools: vec![Pool { client, used_at: Mutex::default() }],
            credentials: CredentialsCache::default(),
        }
    }

    /// The same call always begins with the same pool, so that its connection is warm after the first turn. `hops` leads to
    /// others: a connection that died without a sign would make every attempt on it wait in vain.
    pub(super) fn pool_for(&self, call_sid: &str, hops: usize) -> Option<&Pool> {
        let sum =
            call_sid.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        self.pools.get(sum.wrapping_add(hops).checked_rem(self.pools.len())?)
    }

    /// Pools that were not used for so long.
    pub(super) fn idle_for(&self, time: Duration) -> impl Iterator<Item = &Pool> {
        self.pools.iter().filter(move |pool| pool.is_idle_for(time))
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Clients").field("pools", &self.pools.len()).finish_non_exhaustive()
    }
}

impl Pool {
    pub(super) fn note_use(&self) {
        *self.used_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_idle_for(&self, time: Duration) -> bool {
        let used_at = *self.used_at.lock().unwrap_or_else(PoisonError::into_inner);
        used_at.is_none_or(|used_at| used_at.elapsed() >= time)
    }
}

pub(super) fn client(config: &SdkConfig, settings: ClientSettings, credentials: CredentialsCache) -> Client {
    let pool = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(settings.connect_timeout)
        // Only this one makes the SDK close the connection, which others would wait on next.
        .read_timeout(settings.response_timeout)
        .build();
    let config = Builder::from(config)
        .http_client(pool)
        .identity_cache(credentials)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    Client::from_conf(config.build())
}
