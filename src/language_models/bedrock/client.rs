//! SDK clients for Bedrock, made for calls: no retries of their own, short connection time-outs, a pool each.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::Builder;
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::config::timeout::TimeoutConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

#[derive(Clone, Copy, Debug)]
pub struct ClientSettings {
    /// How many connection pools.
    pub pools: usize,
    pub connect_timeout: Duration,
}

impl Default for ClientSettings {
    /// Four pools carry some four hundred streams at once, where Bedrock allows about a hundred on a connection.
    fn default() -> Self {
        Self { pools: 4, connect_timeout: Duration::from_secs(2) }
    }
}

/// Makes the clients; region, credentials and endpoint are those of `config`.
pub fn clients(config: &SdkConfig, settings: ClientSettings) -> Vec<Client> {
    let pool = || {
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https()
    };
    let client = |_| {
        let config = Builder::from(config)
            .http_client(pool())
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(settings.connect_timeout).build());
        Client::from_conf(config.build())
    };
    (0..settings.pools).map(client).collect()
}
