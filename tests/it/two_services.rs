//! Two services on one table, behind one address that leads to either.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rehearsal::twilio::{Call, CallOptions, Carrier, CarrierOptions, SpeechPace};
use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trunkline::app::{App, AwsConfigs};
use trunkline::config::Settings;
use trunkline::lifecycle;
use trunkline::metrics::Metrics;
use trunkline_dev::stage::{MODEL, Stage, StageOptions, TABLE, local_aws};

use crate::support::{DEFAULT, SOON, put};

/// Leads new connections to whoever it was told last; those that are there stay.
struct Front {
    url: String,
    target: Arc<Mutex<Option<SocketAddr>>>,
}

impl Front {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let (tasks, known) = (TaskTracker::new(), Arc::clone(&target));
        let connections = tasks.clone();
        tasks.spawn(async move {
            while let Ok((mut one, _)) = listener.accept().await {
                let target = *known.lock().unwrap();
                connections.spawn(async move {
                    if let Some(target) = target
                        && let Ok(mut other) = TcpStream::connect(target).await
                    {
                        let _ = copy_bidirectional(&mut one, &mut other).await;
                    }
                });
            }
        });
        Self { url, target }
    }

    fn lead_to(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = Some(target);
    }
}

/// The first service with everything around it, and a second one.
pub(crate) struct Two {
    pub(crate) first: Stage,
    pub(crate) second: Second,
    front: Front,
}

pub(crate) struct Second {
    address: SocketAddr,
    pub(crate) metrics: Metrics,
    stop: CancellationToken,
    service: JoinHandle<std::io::Result<()>>,
}

impl Two {
    /// New connections lead to the first. Calls are handed over as soon as it is told to stop.
    pub(crate) async fn start(items: impl IntoIterator<Item = Value>) -> Self {
        let front = Front::start().await;
        let settings = [("STACK_USE_CASE", DEFAULT), ("DRAIN_SECONDS", "0"), ("PUBLIC_URL", &front.url)];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let first = Stage::start(StageOptions { settings, ..StageOptions::default() }).await.unwrap();
        for item in items {
            put(&first, item).await;
        }
        front.lead_to(first.address);
        let second = Second::start(&first, &front.url).await;
        Self { first, second, front }
    }

    pub(crate) async fn call(&self, speech: SpeechPace) -> Call {
        let options = CarrierOptions {
            service: self.front.url.parse().unwrap(),
            public_url: self.front.url.clone(),
            auth_token: Some(self.first.auth_token.clone()),
            connect_to: None,
            speech,
        };
        Carrier::new(options).unwrap().call(CallOptions::default()).await.unwrap()
    }

    pub(crate) fn lead_to_second(&self) {
        self.front.lead_to(self.second.address);
    }

    /// SIGTERM for the first; the load balancer has noticed.
    pub(crate) fn stop_first(&self) {
        self.lead_to_second();
        self.first.stop.cancel();
    }

    /// Waits until both are gone. The table stays.
    pub(crate) async fn finish(&mut self) {
        self.stop_first();
        timeout(5 * SOON, self.first.wait()).await.unwrap().unwrap();
        self.second.stop.cancel();
        timeout(5 * SOON, &mut self.second.service).await.unwrap().unwrap().unwrap();
    }
}

impl Second {
    async fn start(first: &Stage, public_url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let port = address.port().to_string();
        let settings = [
            ("PORT", port.as_str()),
            ("LISTEN_ADDRESS", "127.0.0.1"),
            ("PUBLIC_URL", public_url),
            ("TABLE_NAME", TABLE),
            ("STACK_USE_CASE", DEFAULT),
            ("MODEL_IDENTIFIER", MODEL),
            ("TWILIO_AUTH_TOKEN", &first.auth_token),
            ("DRAIN_SECONDS", "0"),
            ("DANGEROUS_ALLOW_PRIVATE_TOOL_HOSTS", "true"),
        ];
        let setting = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let settings = Settings::read(&setting).unwrap();
        let table = local_aws(&first.dynamodb.endpoint()).await;
        let bedrock = local_aws(&first.bedrock.as_ref().unwrap().endpoint()).await;
        let aws = AwsConfigs { secrets: table.clone(), dynamodb: table, bedrock };
        let app = App::new(&settings, &aws, TaskTracker::new()).unwrap();
        let (metrics, stop) = (app.service.ports.metrics.clone(), CancellationToken::new());
        let service = TaskTracker::new().spawn(lifecycle::serve(listener, app, stop.clone()));
        Self { address, metrics, stop, service }
    }
}
