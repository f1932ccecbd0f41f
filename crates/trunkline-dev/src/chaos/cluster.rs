//! Several tasks of the service on one table behind a balancer, with stand-ins around them: what a production looks like
//! from the carrier's side. Who goes wrong when is decided elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rehearsal::balancer::{Balancer, Policy};
use rehearsal::bedrock::{BedrockOptions, BedrockStandIn, Observation, Observer};
use rehearsal::dynamodb::{DynamoDbOptions, EmbeddedDynamoDb};
use rehearsal::twilio::{Carrier, CarrierOptions, SpeechPace};
use tokio::sync::watch;
use trunkline::store::DynamoDbStore;

use crate::samples;
use crate::service_process::{AUTH_TOKEN, ServiceProcess, Surroundings};
use crate::stage::{TABLE, local_aws};

/// Twilio asks what comes next about so long after a socket was lost.
const FAILURE_DELAY: Duration = Duration::from_millis(1200);
/// Three times as fast as people, so that an answer has a middle and a run does not take for ever.
const VOICE: SpeechPace = SpeechPace { chars_per_second: 45.0, tts_delay: Duration::from_millis(100) };
const READY: Duration = Duration::from_secs(10);

/// What a cluster is made of.
#[derive(Debug)]
pub(super) struct ClusterOptions {
    pub(super) members: usize,
    /// Of every member; they win over those that suit most.
    pub(super) settings: Vec<(&'static str, String)>,
    pub(super) policy: Policy,
    /// The model; its observer is the cluster's own.
    pub(super) model: BedrockOptions,
    pub(super) voice: SpeechPace,
    pub(super) configuration: PathBuf,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            members: 1,
            settings: Vec::new(),
            policy: Policy::First,
            model: BedrockOptions::default(),
            voice: VOICE,
            configuration: PathBuf::from("configuration"),
        }
    }
}

/// A running cluster. Dropping it kills the members.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) dynamodb: EmbeddedDynamoDb,
    bedrock: BedrockStandIn,
    pub(super) balancer: Balancer,
    pub(super) carrier: Carrier,
    pub(super) store: DynamoDbStore,
    surroundings: Surroundings,
    settings: Vec<(&'static str, String)>,
    members: Vec<ServiceProcess>,
    /// How many requests the model has got.
    requests: watch::Receiver<u64>,
}

impl Cluster {
    /// Starts everything, and waits until all members are ready.
    pub(super) async fn start(options: ClusterOptions) -> anyhow::Result<Self> {
        let dynamodb = EmbeddedDynamoDb::start(DynamoDbOptions::default()).await?;
        dynamodb.create_table(TABLE).await?;
        let aws = local_aws(&dynamodb.endpoint()).await;
        let store = trunkline::app::store(&aws, TABLE.to_owned(), Duration::from_hours(24));
        samples::load(&options.configuration, &store).await?;
        let (counted, requests) = watch::channel(0);
        let observer: Arc<dyn Observer> = Arc::new(Requests(counted));
        let bedrock =
            BedrockStandIn::start(BedrockOptions { observer: Some(observer), ..options.model }).await?;
        let balancer = Balancer::start(options.policy).await?;
        let surroundings = Surroundings {
            dynamodb: dynamodb.endpoint(),
            bedrock: bedrock.endpoint(),
            public_url: Some(balancer.url()),
        };
        let carrier = Carrier::new(CarrierOptions {
            service: balancer.url().parse()?,
            public_url: balancer.url(),
            auth_token: Some(AUTH_TOKEN.to_owned()),
            connect_to: None,
            speech: options.voice,
        })?;
        let carrier = carrier.with_failure_delay(FAILURE_DELAY).with_fresh_connections()?;
        // What goes wrong on purpose is no news.
        let mut settings = vec![("RUST_LOG", "error".to_owned()), ("MAX_CALLS", "1000".to_owned())];
        settings.extend(options.settings);
        let members = Vec::new();
        let mut cluster =
            Self { dynamodb, bedrock, balancer, carrier, store, surroundings, settings, members, requests };
        for _ in 0..options.members {
            cluster.add_member().await?;
        }
        Ok(cluster)
    }

    /// Starts one more, and waits until the balancer gives it connections.
    pub(super) async fn add_member(&mut self) -> anyhow::Result<SocketAddr> {
        self.forget_the_gone();
        let member = ServiceProcess::start(&self.surroundings, &self.settings).await?;
        let address = member.address();
        self.members.push(member);
        self.balancer.add(address);
        self.balancer.ready(address, READY).await?;
        Ok(address)
    }

    /// In the order in which they were started, which is that of the balancer.
    pub(super) fn members(&self) -> &[ServiceProcess] {
        &self.members
    }

    /// Kills the member that was started first. The balancer finds out by itself.
    pub(super) async fn kill_first(&mut self) -> anyhow::Result<()> {
        self.take_first()?.kill().await
    }

    /// Sends SIGTERM to the member that was started first and waits until it has ended by itself. The balancer finds out by
    /// itself.
    pub(super) async fn retire_first(&mut self, within: Duration) -> anyhow::Result<()> {
        let mut member = self.take_first()?;
        member.terminate().await?;
        member.ended(within).await
    }

    /// How many requests the model has got.
    pub(super) fn model_requests(&self) -> watch::Receiver<u64> {
        self.requests.clone()
    }

    /// Ends the calls, then the members, then what is around them.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.carrier.shutdown().await?;
        for mut member in self.members {
            member.stop().await?;
        }
        self.balancer.shutdown().await?;
        self.bedrock.shutdown().await;
        self.dynamodb.shutdown().await
    }

    fn take_first(&mut self) -> anyhow::Result<ServiceProcess> {
        if self.members.is_empty() {
            bail!("the cluster has no member");
        }
        Ok(self.members.remove(0))
    }

    /// Whoever runs tasks tells the balancer which are gone; it does so before the next one starts.
    fn forget_the_gone(&self) {
        for target in self.balancer.targets() {
            if self.members.iter().all(|member| member.address() != target.address) {
                self.balancer.remove(target.address);
            }
        }
    }
}

/// Counts the requests to the model.
#[derive(Debug)]
struct Requests(watch::Sender<u64>);

impl Observer for Requests {
    fn observe(&self, observation: Observation) {
        if let Observation::RequestArrived { .. } = observation {
            self.0.send_modify(|requests| *requests += 1);
        }
    }
}

/// Waits until a count has reached `number`.
pub(super) async fn until_count(
    mut count: watch::Receiver<u64>,
    number: u64,
    within: Duration,
) -> anyhow::Result<()> {
    let reached = tokio::time::timeout(within, count.wait_for(|count| *count >= number)).await;
    reached.with_context(|| format!("{number} requests did not arrive within {within:?}"))?.map(drop)?;
    Ok(())
}
