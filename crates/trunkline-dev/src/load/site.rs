//! The service in a process of its own with stand-ins around it, whose table and model can go wrong. What is played on it
//! is decided elsewhere.

use std::path::PathBuf;
use std::time::Duration;

use rehearsal::bedrock::{BedrockOptions, BedrockStandIn};
use rehearsal::dynamodb::{Behaviour, DynamoDbFront, DynamoDbOptions, EmbeddedDynamoDb};
use rehearsal::twilio::{Carrier, CarrierOptions, SpeechPace};
use trunkline::store::DynamoDbStore;

use crate::samples;
use crate::service_process::{AUTH_TOKEN, Output, ServiceProcess, Surroundings};
use crate::stage::{TABLE, local_aws};

/// What a site is made of.
#[derive(Debug)]
pub(crate) struct SiteOptions {
    pub(crate) model: BedrockOptions,
    /// How fast the agent's voice is.
    pub(crate) speech: SpeechPace,
    /// From a lost socket to Twilio's question what comes next.
    pub(crate) failure_delay: Duration,
    /// Of the service; they win over those that suit most.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// What becomes of what the service writes to its log.
    pub(crate) output: Output,
    /// What is loaded into the table.
    pub(crate) configuration: PathBuf,
    /// Whether the service reaches its table through a front.
    pub(crate) with_front: bool,
}

/// A running site.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) dynamodb: EmbeddedDynamoDb,
    /// The table without the front.
    pub(crate) store: DynamoDbStore,
    pub(crate) front: Option<DynamoDbFront>,
    pub(crate) bedrock: BedrockStandIn,
    pub(crate) service: ServiceProcess,
    pub(crate) carrier: Carrier,
}

/// What has to be there before the service starts.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) dynamodb: EmbeddedDynamoDb,
    pub(crate) store: DynamoDbStore,
}

impl Default for SiteOptions {
    fn default() -> Self {
        Self {
            model: BedrockOptions::default(),
            speech: SpeechPace::INSTANT,
            failure_delay: Duration::ZERO,
            settings: Vec::new(),
            output: Output::Shown,
            configuration: "configuration".into(),
            with_front: false,
        }
    }
}

impl Table {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let dynamodb = EmbeddedDynamoDb::start(DynamoDbOptions::default()).await?;
        dynamodb.create_table(TABLE).await?;
        let aws = local_aws(&dynamodb.endpoint()).await;
        let store = trunkline::app::store(&aws, TABLE.to_owned(), Duration::from_hours(24));
        Ok(Self { dynamodb, store })
    }
}

impl Site {
    pub(crate) async fn start(table: Table, options: SiteOptions) -> anyhow::Result<Self> {
        let Table { dynamodb, store } = table;
        samples::load(&options.configuration, &store).await?;
        let front = if options.with_front {
            Some(DynamoDbFront::start(dynamodb.endpoint(), Behaviour::Pass).await?)
        } else {
            None
        };
        let bedrock = BedrockStandIn::start(options.model).await?;
        let surroundings = Surroundings {
            dynamodb: front.as_ref().map_or_else(|| dynamodb.endpoint(), DynamoDbFront::endpoint),
            bedrock: bedrock.endpoint(),
            public_url: None,
        };
        let service = ServiceProcess::start_with_output(&surroundings, &options.settings, options.output);
        let service = service.await?;
        let carrier = Carrier::new(CarrierOptions {
            service: service.url().parse()?,
            public_url: service.url(),
            auth_token: Some(AUTH_TOKEN.to_owned()),
            connect_to: None,
            speech: options.speech,
        })?;
        let carrier = carrier.with_failure_delay(options.failure_delay);
        Ok(Self { dynamodb, store, front, bedrock, service, carrier })
    }

    /// Ends the calls, then the service, then what is around it.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.carrier.shutdown().await?;
        self.service.stop().await?;
        self.bedrock.shutdown().await;
        if let Some(front) = self.front {
            front.shutdown().await?;
        }
        self.dynamodb.shutdown().await
    }
}
