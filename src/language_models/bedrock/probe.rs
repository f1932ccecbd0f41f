//! Asks a model for one word, for an operator who wants to know whether it can be used. No call is involved.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, ConverseStreamOutput as StreamEvent, InferenceConfiguration, Message,
};
use tokio::time::{Instant, timeout};

use super::client::{ClientSettings, client};
use super::credentials::CredentialsCache;
use crate::telemetry::causes;

/// The models of one account and region.
#[derive(Clone, Debug)]
pub struct ModelProbe {
    client: Client,
}

/// Why a model did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    /// Bedrock's name for it, such as `AccessDeniedException`; `None` when Bedrock said nothing.
    pub code: Option<String>,
    pub detail: String,
}

/// It costs next to nothing, and every model takes it.
const QUESTION: &str = "Say OK.";
const LONGEST_ANSWER: i32 = 8;

impl ModelProbe {
    /// Region, credentials and endpoint are those of `config`.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: client(config, ClientSettings::default(), CredentialsCache::default()) }
    }

    /// How long the model's first token took, which includes a new connection when this is the first request.
    pub async fn ask(&self, model: &str, patience: Duration) -> Result<Duration, NoAnswer> {
        let began = Instant::now();
        let silent = |_| NoAnswer { code: None, detail: format!("nothing came within {patience:?}") };
        timeout(patience, self.first_token(model)).await.map_err(silent)??;
        Ok(began.elapsed())
    }

    async fn first_token(&self, model: &str) -> Result<(), NoAnswer> {
        let question = Message::builder()
            .role(ConversationRole::User)
            .content(ContentBlock::Text(QUESTION.to_owned()))
            .build()
            .map_err(|error| NoAnswer { code: None, detail: error.to_string() })?;
        let inference = InferenceConfiguration::builder().max_tokens(LONGEST_ANSWER).build();
        let request = self.client.converse_stream().model_id(model).messages(question);
        let mut answer =
            request.inference_config(inference).send().await.map_err(|error| no_answer(&error))?;
        loop {
            match answer.stream.recv().await.map_err(|error| no_answer(&error))? {
                Some(StreamEvent::ContentBlockDelta(_)) => return Ok(()),
                Some(_) => {}
                None => {
                    return Err(NoAnswer { code: None, detail: "the answer holds no word".to_owned() });
                }
            }
        }
    }
}

fn no_answer<E, R>(error: &SdkError<E, R>) -> NoAnswer
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error.as_service_error() {
        Some(refused) => NoAnswer {
            code: Some(refused.code().unwrap_or("unknown").to_owned()),
            detail: refused.message().unwrap_or_default().to_owned(),
        },
        None => NoAnswer { code: None, detail: causes(error).to_string() },
    }
}
