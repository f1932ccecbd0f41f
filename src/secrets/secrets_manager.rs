//! Fetches secrets from AWS Secrets Manager.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use voice_core::ports::{BoxFuture, SecretError};
use voice_core::private::Private;

use super::{FetchError, Vault, error};

#[derive(Debug)]
pub(super) struct SecretsManager {
    client: Client,
}

impl SecretsManager {
    pub(super) const fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Vault for SecretsManager {
    fn fetch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Private<String>, FetchError>> {
        Box::pin(async move {
            let found = self.client.get_secret_value().secret_id(id).send().await;
            let found = found.map_err(|failure| failed(id, failure))?;
            let missing = || FetchError::Refused(error(id, "is not text"));
            found.secret_string.map(Private::new).ok_or_else(missing)
        })
    }
}

fn failed<E, R>(id: &str, failure: SdkError<E, R>) -> FetchError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let code = failure.code().unwrap_or_default();
    let reason = match code {
        "ResourceNotFoundException" => "does not exist",
        "AccessDeniedException" => "may not be read by this service",
        "InvalidParameterException" | "InvalidRequestException" | "DecryptionFailure" => "cannot be read",
        _ => "is out of reach",
    };
    let is_refused = reason != "is out of reach";
    let error = SecretError { name: id.to_owned(), reason, source: Some(Box::new(failure)) };
    if is_refused { FetchError::Refused(error) } else { FetchError::Unavailable(error) }
}
