//! The real service in this process, between an embedded DynamoDB and a model: a stand-in, or Bedrock itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use rehearsal::bedrock::{BedrockOptions, BedrockStandIn};
use rehearsal::dynamodb::{Delay, DynamoDbOptions, EmbeddedDynamoDb, SlowFront};
use rehearsal::twilio::{Carrier, CarrierOptions, SpeechPace};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trunkline::app::{App, AwsConfigs};
use trunkline::config::Settings;
use trunkline::lifecycle;
use trunkline::metrics::Metrics;
use trunkline::store::DynamoDbStore;

use crate::samples;

pub const TABLE: &str = "trunkline-dev";
pub const REGION: &str = "us-east-1";
/// What the stand-in is asked for; it answers to any name.
pub const MODEL: &str = "stand-in.waiter";

#[derive(Debug)]
pub struct StageOptions {
    pub listen: SocketAddr,
    pub dynamodb: DynamoDbOptions,
    pub model: Model,
    /// What is loaded into the table; nothing when absent.
    pub configuration: Option<PathBuf>,
    pub auth_token: String,
    /// Settings of the service that differ from the stage's own.
    pub settings: Vec<(String, String)>,
}

/// Who answers.
#[derive(Debug)]
pub enum Model {
    StandIn(BedrockOptions),
    /// Amazon Bedrock, with the credentials and region of the environment.
    Real,
}

impl Default for StageOptions {
    /// Everything in memory and on ports that are free, with the stand-in's waiter.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            dynamodb: DynamoDbOptions::default(),
            model: Model::StandIn(BedrockOptions::default()),
            configuration: None,
            auth_token: "stage-auth-token".to_owned(),
            settings: Vec::new(),
        }
    }
}

/// A running stage. Dropping it does not stop it; [`Stage::stop`] does.
#[derive(Debug)]
pub struct Stage {
    pub address: SocketAddr,
    pub public_url: String,
    pub auth_token: String,
    pub dynamodb: EmbeddedDynamoDb,
    /// Absent when Bedrock itself answers.
    pub bedrock: Option<BedrockStandIn>,
    pub metrics: Metrics,
    pub store: DynamoDbStore,
    pub stop: CancellationToken,
    service: JoinHandle<std::io::Result<()>>,
    slow_front: Option<SlowFront>,
}

impl Stage {
    pub async fn start(options: StageOptions) -> anyhow::Result<Self> {
        Box::pin(Self::start_with_table_delay(options, None)).await
    }

    /// Like [`Stage::start`], with a delay between the service and its table.
    pub async fn start_with_table_delay(options: StageOptions, delay: Option<Delay>) -> anyhow::Result<Self> {
        let dynamodb = EmbeddedDynamoDb::start(options.dynamodb).await?;
        dynamodb.create_table(TABLE).await?;
        let slow_front = match delay {
            Some(delay) => Some(SlowFront::start(dynamodb.endpoint(), delay).await?),
            None => None,
        };
        let table_endpoint = slow_front.as_ref().map_or_else(|| dynamodb.endpoint(), SlowFront::endpoint);
        let table = local_aws(&table_endpoint).await;
        let (bedrock, model_config) = match options.model {
            Model::StandIn(options) => {
                let bedrock = BedrockStandIn::start(options).await?;
                let config = local_aws(&bedrock.endpoint()).await;
                (Some(bedrock), config)
            }
            Model::Real => (None, trunkline::app::aws_config().await?),
        };
        let listener = TcpListener::bind(options.listen).await.with_context(|| {
            format!("cannot listen on {}; is `cargo dev` running already?", options.listen)
        })?;
        let address = listener.local_addr()?;
        let own = [
            ("PORT", address.port().to_string()),
            ("LISTEN_ADDRESS", address.ip().to_string()),
            ("PUBLIC_URL", format!("http://{address}")),
            ("TABLE_NAME", TABLE.to_owned()),
            ("STACK_USE_CASE", "restaurant-ordering".to_owned()),
            ("MODEL_IDENTIFIER", MODEL.to_owned()),
            ("TWILIO_AUTH_TOKEN", options.auth_token.clone()),
        ];
        let setting = |name: &str| {
            let given =
                options.settings.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            given.or_else(|| own.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone()))
        };
        let settings = Settings::read(&setting)?;
        let store = trunkline::app::store(&table, TABLE.to_owned(), settings.keep_calls);
        if let Some(configuration) = &options.configuration {
            samples::load(configuration, &store).await?;
        }
        let app =
            App::new(&settings, &AwsConfigs { dynamodb: table, bedrock: model_config }, TaskTracker::new())?;
        let metrics = app.service.ports.metrics.clone();
        let stop = CancellationToken::new();
        // Not with the service's own tasks, which it waits for at its end.
        let service = TaskTracker::new().spawn(lifecycle::serve(listener, app, stop.clone()));
        Ok(Self {
            address,
            public_url: setting("PUBLIC_URL").unwrap_or_default(),
            auth_token: options.auth_token,
            dynamodb,
            bedrock,
            metrics,
            store,
            stop,
            service,
            slow_front,
        })
    }

    /// A carrier that brings calls to this stage.
    pub fn carrier(&self, speech: SpeechPace) -> anyhow::Result<Carrier> {
        Carrier::new(CarrierOptions {
            service: format!("http://{}", self.address).parse()?,
            public_url: self.public_url.clone(),
            auth_token: Some(self.auth_token.clone()),
            connect_to: None,
            speech,
        })
    }

    /// Runs until the service has stopped.
    pub async fn wait(&mut self) -> anyhow::Result<()> {
        (&mut self.service).await.context("the service panicked")?.context("the service failed")
    }

    /// Stops the service, then what is around it.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.wait().await?;
        self.shut_down_stand_ins().await
    }

    pub async fn shut_down_stand_ins(self) -> anyhow::Result<()> {
        if let Some(bedrock) = &self.bedrock {
            bedrock.shutdown().await;
        }
        if let Some(front) = self.slow_front {
            front.shutdown().await?;
        }
        self.dynamodb.shutdown().await
    }
}

/// The SDK's configuration for a stand-in on this machine: no account and no profile is looked for.
pub async fn local_aws(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new("local", "local", None, None, "stand-in"))
        .endpoint_url(endpoint)
        .load()
        .await
}
