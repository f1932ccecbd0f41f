//! Load on a service in a process of its own, so that its processor time and memory can be told from ours.

mod tools;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rehearsal::bedrock::{BedrockOptions, BedrockStandIn, Brain, Fixed, Pace};
use rehearsal::dynamodb::{DynamoDbOptions, EmbeddedDynamoDb};
use rehearsal::load::{LoadObserver, LoadPlan, LoadReport};
use rehearsal::twilio::{Carrier, CarrierOptions, SpeechPace};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use trunkline::store::DynamoDbStore;

use crate::samples;
use crate::stage::{MODEL, REGION, TABLE, local_aws};

/// The model behind the load.
#[derive(Clone, Copy, Debug)]
pub struct ModelPace {
    pub tokens: u32,
    pub first_token: Duration,
    pub between_tokens: Duration,
}

const STARTING: Duration = Duration::from_secs(20);
const STOPPING: Duration = Duration::from_secs(30);
const AUTH_TOKEN: &str = "load-auth-token";

/// Starts stand-ins and a service, puts the load on it, and reports.
pub async fn run(mut plan: LoadPlan, pace: ModelPace, configuration: &Path) -> anyhow::Result<LoadReport> {
    let dynamodb = EmbeddedDynamoDb::start(DynamoDbOptions::default()).await?;
    dynamodb.create_table(TABLE).await?;
    let store = store(&dynamodb).await;
    samples::load(configuration, &store).await?;
    let observer = Arc::new(LoadObserver::new());
    let (brain, endpoint): (Arc<dyn Brain>, _) = match plan.tools {
        None => (Arc::new(Fixed { tokens: pace.tokens }), None),
        Some(kind) => {
            plan.use_case = Some(tools::USE_CASE.to_owned());
            (tools::brain(pace.tokens, observer.clone()), tools::start(kind, &observer, &store).await?)
        }
    };
    let bedrock = BedrockStandIn::start(BedrockOptions {
        pace: Pace { first_token: pace.first_token, between_tokens: pace.between_tokens },
        brain,
        observer: Some(observer.clone()),
        ..BedrockOptions::default()
    })
    .await?;
    let mut service = Service::start(&dynamodb.endpoint(), &bedrock.endpoint(), most_calls(&plan)).await?;
    let carrier = Carrier::new(CarrierOptions {
        service: service.url().parse()?,
        public_url: service.url(),
        auth_token: Some(AUTH_TOKEN.to_owned()),
        connect_to: None,
        speech: SpeechPace::INSTANT,
    })?;
    let report = rehearsal::load::run(plan, carrier.clone(), observer, service.child.id()).await;
    carrier.shutdown().await?;
    service.stop().await?;
    bedrock.shutdown().await;
    if let Some(endpoint) = endpoint {
        endpoint.shutdown().await;
    }
    dynamodb.shutdown().await?;
    report
}

/// Every call, the one that warms up, and those of whose sockets there will be none.
fn most_calls(plan: &LoadPlan) -> u32 {
    plan.calls + 1 + plan.twiml_requests.map_or(0, |requests| requests.count)
}

async fn store(dynamodb: &EmbeddedDynamoDb) -> DynamoDbStore {
    let aws = local_aws(&dynamodb.endpoint()).await;
    trunkline::app::store(&aws, TABLE.to_owned(), Duration::from_hours(24))
}

/// The service as `trunkline serve`, by this same program.
struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    async fn start(dynamodb: &str, bedrock: &str, calls: u32) -> anyhow::Result<Self> {
        let address = free_address().await?;
        let program = std::env::current_exe().context("this program was not found")?;
        let child = Command::new(program)
            .arg("serve")
            .envs([
                ("AWS_ACCESS_KEY_ID", "local"),
                ("AWS_SECRET_ACCESS_KEY", "local"),
                ("AWS_REGION", REGION),
                ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb),
                ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", bedrock),
                ("TABLE_NAME", TABLE),
                ("STACK_USE_CASE", "restaurant-ordering"),
                ("MODEL_IDENTIFIER", MODEL),
                ("TWILIO_AUTH_TOKEN", AUTH_TOKEN),
                ("LISTEN_ADDRESS", "127.0.0.1"),
                ("LOG_FORMAT", "json"),
                ("RUST_LOG", "warn"),
            ])
            // The tool's endpoint is on this machine too.
            .env("DANGEROUS_ALLOW_PRIVATE_TOOL_HOSTS", "true")
            .env("PORT", address.port().to_string())
            .env("PUBLIC_URL", format!("http://{address}"))
            .env("MAX_CALLS", calls.to_string())
            .env("DRAIN_SECONDS", "5")
            .stdin(Stdio::null())
            .stdout(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("the service was not started")?;
        let mut service = Self { child, address };
        timeout(STARTING, service.is_up()).await.context("the service did not come up")??;
        Ok(service)
    }

    async fn is_up(&mut self) -> anyhow::Result<()> {
        while TcpStream::connect(self.address).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the service ended with {status}");
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(id) = self.child.id() else { return Ok(()) };
        Command::new("kill")
            .args(["-TERM", &id.to_string()])
            .status()
            .await
            .context("the service was not stopped")?;
        let deadline = Instant::now() + STOPPING;
        if tokio::time::timeout_at(deadline, self.child.wait()).await.is_err() {
            self.child.kill().await?;
            bail!("the service did not stop in time");
        }
        Ok(())
    }
}

async fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    Ok(listener.local_addr()?)
}
