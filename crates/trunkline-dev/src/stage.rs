//! The real service in this process, between an embedded DynamoDB, a stand-in for Twilio and a model: a stand-in, or
//! Bedrock itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use rehearsal::bedrock::{BedrockOptions, BedrockStandIn};
use rehearsal::dynamodb::{Behaviour, Delay, DynamoDbFront, DynamoDbOptions, EmbeddedDynamoDb};
use rehearsal::scenario::{Configuration, OperatorApi};
use rehearsal::twilio::rest::{RestOptions, RestStandIn};
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
/// The number that the service may call from.
pub const OWN_NUMBER: &str = "+18005550199";
/// Who takes callers when their use case names nobody.
const SIP_ENDPOINT: &str = "sip:support@pbx.example";
/// How people speak.
const HUMAN: SpeechPace = SpeechPace { chars_per_second: 15.0, tts_delay: Duration::from_millis(300) };

#[derive(Debug)]
pub struct StageOptions {
    pub listen: SocketAddr,
    pub dynamodb: DynamoDbOptions,
    pub model: Model,
    /// What is loaded into the table; nothing when absent.
    pub configuration: Option<PathBuf>,
    /// What is changed of it.
    pub changes: Vec<Configuration>,
    pub auth_token: String,
    /// Where the stand-in for Twilio's REST API listens.
    pub rest: SocketAddr,
    /// The code that is sent to whoever is to prove who they are; made up every time when absent.
    pub verify_code: Option<String>,
    /// For the operator API; at least 16 characters.
    pub api_token: String,
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
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen: free,
            dynamodb: DynamoDbOptions::default(),
            model: Model::StandIn(BedrockOptions::default()),
            configuration: None,
            changes: Vec::new(),
            auth_token: "stage-auth-token".to_owned(),
            rest: free,
            verify_code: None,
            api_token: "stage-operator-token".to_owned(),
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
    pub api_token: String,
    pub dynamodb: EmbeddedDynamoDb,
    /// Absent when Bedrock itself answers.
    pub bedrock: Option<BedrockStandIn>,
    /// What the service takes for Twilio's REST API, unless its settings say otherwise.
    pub rest: RestStandIn,
    pub metrics: Metrics,
    pub store: DynamoDbStore,
    pub stop: CancellationToken,
    service: JoinHandle<std::io::Result<()>>,
    /// Places calls as long as nobody else offers to.
    carrier: Carrier,
    slow_front: Option<DynamoDbFront>,
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
            Some(delay) => Some(DynamoDbFront::start(dynamodb.endpoint(), Behaviour::Delay(delay)).await?),
            None => None,
        };
        let table_endpoint = slow_front.as_ref().map_or_else(|| dynamodb.endpoint(), DynamoDbFront::endpoint);
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
        let rest = RestOptions {
            address: options.rest,
            code: options.verify_code,
            ..RestOptions::new(&options.auth_token)
        };
        let rest = RestStandIn::start(rest).await?;
        let own = own_settings(address, &options.auth_token, &options.api_token, &rest);
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
        for change in &options.changes {
            samples::change(change, &store).await?;
        }
        let aws = AwsConfigs { secrets: table.clone(), dynamodb: table, bedrock: model_config };
        let app = App::new(&settings, &aws, TaskTracker::new())?;
        let metrics = app.service.ports.metrics.clone();
        let stop = CancellationToken::new();
        // Not with the service's own tasks, which it waits for at its end.
        let service = TaskTracker::new().spawn(lifecycle::serve(listener, app, stop.clone()));
        let public_url = setting("PUBLIC_URL").unwrap_or_default();
        let carrier = carrier(address, &public_url, &options.auth_token, HUMAN, &rest)?;
        Ok(Self {
            address,
            public_url,
            auth_token: options.auth_token,
            api_token: options.api_token,
            dynamodb,
            bedrock,
            rest,
            carrier,
            metrics,
            store,
            stop,
            service,
            slow_front,
        })
    }

    /// A carrier that brings calls to this stage, and from now on places those that the service asks for.
    pub fn carrier(&self, speech: SpeechPace) -> anyhow::Result<Carrier> {
        carrier(self.address, &self.public_url, &self.auth_token, speech, &self.rest)
    }

    /// Where the service is asked to place calls.
    pub fn operator_api(&self) -> anyhow::Result<OperatorApi> {
        let service = format!("http://{}", self.address).parse()?;
        Ok(OperatorApi { service, token: self.api_token.clone() })
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
        self.carrier.shutdown().await?;
        self.rest.shutdown().await;
        if let Some(bedrock) = &self.bedrock {
            bedrock.shutdown().await;
        }
        if let Some(front) = self.slow_front {
            front.shutdown().await?;
        }
        self.dynamodb.shutdown().await
    }
}

/// What the service is told of its surroundings.
fn own_settings(
    address: SocketAddr,
    auth_token: &str,
    api_token: &str,
    rest: &RestStandIn,
) -> Vec<(&'static str, String)> {
    let (twilio, account) = (rest.endpoint(), rest.options());
    vec![
        ("PORT", address.port().to_string()),
        ("LISTEN_ADDRESS", address.ip().to_string()),
        ("PUBLIC_URL", format!("http://{address}")),
        ("TABLE_NAME", TABLE.to_owned()),
        ("STACK_USE_CASE", "restaurant-ordering".to_owned()),
        ("MODEL_IDENTIFIER", MODEL.to_owned()),
        ("TWILIO_AUTH_TOKEN", auth_token.to_owned()),
        ("TWILIO_ACCOUNT_SID", account.account_sid.clone()),
        ("TWILIO_API_SID", account.api_key_sid.clone()),
        ("TWILIO_API_SECRET", account.api_key_secret.clone()),
        ("TWILIO_API_URL", twilio.clone()),
        ("TWILIO_VERIFY_URL", twilio),
        ("TWILIO_VERIFY_SERVICE_SID", account.verify_service_sid.clone()),
        ("SIP_ENDPOINT", SIP_ENDPOINT.to_owned()),
        ("API_TOKEN", api_token.to_owned()),
        ("OUTBOUND_CALLER_IDS", OWN_NUMBER.to_owned()),
        // Tools may find servers on this machine.
        ("DANGEROUS_ALLOW_PRIVATE_TOOL_HOSTS", "true".to_owned()),
    ]
}

fn carrier(
    address: SocketAddr,
    public_url: &str,
    auth_token: &str,
    speech: SpeechPace,
    rest: &RestStandIn,
) -> anyhow::Result<Carrier> {
    let carrier = Carrier::new(CarrierOptions {
        service: format!("http://{address}").parse()?,
        public_url: public_url.to_owned(),
        auth_token: Some(auth_token.to_owned()),
        connect_to: None,
        speech,
    })?;
    Ok(carrier.with_switchboard(rest.switchboard()))
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
