//! Load on a service in a process of its own, so that its processor time and memory can be told from ours.

mod tools;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rehearsal::bedrock::{BedrockOptions, BedrockStandIn, Brain, Fixed, Pace};
use rehearsal::dynamodb::{DynamoDbOptions, EmbeddedDynamoDb};
use rehearsal::load::{LoadObserver, LoadPlan, LoadReport};
use rehearsal::twilio::{Carrier, CarrierOptions, SpeechPace};
use trunkline::store::DynamoDbStore;

use crate::samples;
use crate::service_process::{AUTH_TOKEN, ServiceProcess, Surroundings};
use crate::stage::{TABLE, local_aws};

/// The model behind the load.
#[derive(Clone, Copy, Debug)]
pub struct ModelPace {
    pub tokens: u32,
    pub first_token: Duration,
    pub between_tokens: Duration,
}

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
    let surroundings =
        Surroundings { dynamodb: dynamodb.endpoint(), bedrock: bedrock.endpoint(), public_url: None };
    let settings = [("MAX_CALLS", most_calls(&plan).to_string())];
    let mut service = ServiceProcess::start(&surroundings, &settings).await?;
    let carrier = Carrier::new(CarrierOptions {
        service: service.url().parse()?,
        public_url: service.url(),
        auth_token: Some(AUTH_TOKEN.to_owned()),
        connect_to: None,
        speech: SpeechPace::INSTANT,
    })?;
    let report = rehearsal::load::run(plan, carrier.clone(), observer, service.id()).await;
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
