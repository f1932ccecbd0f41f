//! Keeps connections and credentials ready, so that the first turn after idle hours is as fast as any other.
//!
//! Tokens of one word are counted, which Bedrock documents as free of charge. Whatever it answers, the connection is open,
//! the credentials are there and the clocks are compared; so it does not matter whether the model or the role allows it.

use std::time::Duration;

use aws_sdk_bedrockruntime::error::{BuildError, SdkError};
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, ConverseTokensRequest, CountTokensInput, Message,
};
use futures_util::future::join_all;
use tokio::time::timeout;
use tracing::debug;

use super::client::Pool;
use super::failure::{self, Remedy};
use super::{Bedrock, Models};

/// Asked about when no model is known.
const ANY_MODEL: &str = "amazon.nova-micro-v1:0";
/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);

impl Bedrock {
    /// Uses every connection pool that was not used for this time.
    pub async fn warm_up(&self, idle_for: Duration) {
        join_all(self.0.clients.idle_for(idle_for).map(|pool| self.0.use_pool(pool))).await;
    }
}

impl Models {
    async fn use_pool(&self, pool: &Pool) {
        let Ok(input) = one_word() else { return };
        pool.note_use();
        let credentials = self.clients.credentials.generation();
        let model = self.default_model.as_deref().unwrap_or(ANY_MODEL);
        let counting = pool.client.count_tokens().model_id(model).input(input).send();
        let problem = match timeout(PATIENCE, counting).await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => {
                let failure = failure::of_sdk_error(&error);
                if failure.remedy == Remedy::NewCredentials {
                    self.clients.credentials.give_up(credentials);
                } else if let SdkError::ServiceError(_) = error {
                    // A refusal does as well.
                    return;
                }
                failure.detail
            }
            Err(_) => "no answer".to_owned(),
        };
        // Calls will tell louder if it matters.
        debug!(error.detail = %problem, "a connection to Bedrock could not be kept warm");
    }
}

fn one_word() -> Result<CountTokensInput, BuildError> {
    let word =
        Message::builder().role(ConversationRole::User).content(ContentBlock::Text("Hello".to_owned()));
    let request = ConverseTokensRequest::builder().messages(word.build()?).build();
    Ok(CountTokensInput::Converse(request))
}
