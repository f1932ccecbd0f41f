//! Where secrets of tools come from: variables of the environment, and AWS Secrets Manager.
//!
//! Implements the `SecretSource` port. Values are never logged, and a record can name only those variables that were
//! handed in, so that it cannot send the service's own credentials anywhere.

mod cache;
mod secrets_manager;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use tokio_util::task::TaskTracker;
use tracing::warn;
use voice_core::ports::{BoxFuture, SecretError, SecretSource};
use voice_core::private::Private;
use voice_core::use_case::SecretRef;

use self::cache::Cache;
use self::secrets_manager::SecretsManager;
use crate::metrics::{Counter, Metrics};
use crate::telemetry::causes;

/// Secrets of the environment by the name of their variable.
pub type EnvironmentSecrets = BTreeMap<String, Private<String>>;

#[derive(Debug)]
pub struct Secrets {
    environment: EnvironmentSecrets,
    remote: Cache<SecretsManager>,
    metrics: Metrics,
}

impl Secrets {
    /// Secrets that are known are fetched anew as `tasks`, behind those who use them.
    pub fn new(
        environment: EnvironmentSecrets,
        client: aws_sdk_secretsmanager::Client,
        metrics: Metrics,
        tasks: TaskTracker,
    ) -> Self {
        Self { environment, remote: Cache::new(SecretsManager::new(client), tasks), metrics }
    }

    async fn find(&self, reference: &SecretRef) -> Result<Private<String>, SecretError> {
        match reference {
            SecretRef::Environment(name) => {
                self.environment.get(name).cloned().ok_or_else(|| error(name, "is not set"))
            }
            SecretRef::SecretsManager { id, key } => {
                let secret = self.remote.get(id).await?;
                match key {
                    None => Ok(secret),
                    Some(key) => part(&secret, key).ok_or_else(|| error(id, "has no text under that key")),
                }
            }
        }
    }
}

impl SecretSource for Secrets {
    fn secret<'a>(&'a self, reference: &'a SecretRef) -> BoxFuture<'a, Result<Private<String>, SecretError>> {
        Box::pin(async move {
            self.find(reference).await.inspect_err(|error| {
                self.metrics.count(Counter::SecretsFailed);
                warn!(error = %causes(error), "a secret cannot be had");
            })
        })
    }

    fn refused(&self, reference: &SecretRef) {
        match reference {
            // The environment of a process does not change.
            SecretRef::Environment(_) => {}
            SecretRef::SecretsManager { id, .. } => self.remote.doubt(id),
        }
    }
}

/// A value of a secret that is a JSON object.
fn part(secret: &Private<String>, key: &str) -> Option<Private<String>> {
    match serde_json::from_str::<Value>(secret.expose()).ok()?.get(key)? {
        Value::String(text) => Some(Private::new(text.clone())),
        Value::Number(number) => Some(Private::new(number.to_string())),
        _ => None,
    }
}

fn error(name: impl Into<String>, reason: &'static str) -> SecretError {
    SecretError { name: name.into(), reason, source: None }
}

/// Where secrets are fetched from.
trait Vault: Send + Sync + fmt::Debug {
    fn fetch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Private<String>, FetchError>>;
}

/// Why a secret was not fetched.
#[derive(Debug)]
enum FetchError {
    /// There is no such secret, or it is not for us: an older value must not be used any more.
    Refused(SecretError),
    /// Out of reach for the moment.
    Unavailable(SecretError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_selects_a_value_of_a_json_object() {
        let secret = Private::new(r#"{"token":"t0ken","pin":1234,"deep":{}}"#.to_owned());
        let of = |key: &str| part(&secret, key).map(Private::into_inner);
        assert_eq!(of("token").as_deref(), Some("t0ken"));
        assert_eq!(of("pin").as_deref(), Some("1234"));
        assert_eq!((of("deep"), of("nothing")), (None, None));
        assert_eq!(part(&Private::new("plain".to_owned()), "token"), None);
    }

    #[tokio::test]
    async fn only_variables_that_were_handed_in_can_be_named() {
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(aws_sdk_secretsmanager::config::BehaviorVersion::latest())
            .build();
        let client = aws_sdk_secretsmanager::Client::from_conf(config);
        let known = [("TOOL_SECRET_A".to_owned(), Private::new("a".to_owned()))].into();
        let metrics = Metrics::default();
        let secrets = Secrets::new(known, client, metrics.clone(), TaskTracker::new());
        let of = |name: &str| SecretRef::Environment(name.to_owned());
        assert_eq!(secrets.secret(&of("TOOL_SECRET_A")).await.unwrap().expose(), "a");
        let missing = secrets.secret(&of("TWILIO_AUTH_TOKEN")).await.unwrap_err();
        assert_eq!(missing.to_string(), "the secret \"TWILIO_AUTH_TOKEN\" is not set");
        assert_eq!(metrics.value(Counter::SecretsFailed), 1);
    }
}
