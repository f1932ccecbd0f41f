//! Load on a service in a process of its own, so that its processor time and memory can be told from ours.

pub(crate) mod site;
mod tools;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rehearsal::bedrock::{BedrockOptions, Brain, Fixed, Pace};
use rehearsal::load::{LoadObserver, LoadPlan, LoadReport};

use self::site::{Site, SiteOptions, Table};

/// The model behind the load.
#[derive(Clone, Copy, Debug)]
pub struct ModelPace {
    pub tokens: u32,
    pub first_token: Duration,
    pub between_tokens: Duration,
}

/// Starts stand-ins and a service, puts the load on it, and reports.
pub async fn run(mut plan: LoadPlan, pace: ModelPace, configuration: &Path) -> anyhow::Result<LoadReport> {
    let table = Table::start().await?;
    let observer = Arc::new(LoadObserver::new());
    let (brain, endpoint): (Arc<dyn Brain>, _) = match plan.tools {
        None => (Arc::new(Fixed { tokens: pace.tokens }), None),
        Some(kind) => {
            plan.use_case = Some(tools::USE_CASE.to_owned());
            (tools::brain(pace.tokens, observer.clone()), tools::start(kind, &observer, &table.store).await?)
        }
    };
    let model = BedrockOptions {
        pace: Pace { first_token: pace.first_token, between_tokens: pace.between_tokens },
        brain,
        observer: Some(observer.clone()),
        ..BedrockOptions::default()
    };
    let settings = vec![("MAX_CALLS", most_calls(&plan).to_string())];
    let configuration = configuration.to_owned();
    let options = SiteOptions { model, settings, configuration, ..SiteOptions::default() };
    let site = Site::start(table, options).await?;
    let report = rehearsal::load::run(plan, site.carrier.clone(), observer, site.service.id()).await;
    site.stop().await?;
    if let Some(endpoint) = endpoint {
        endpoint.shutdown().await;
    }
    report
}

/// Every call, the one that warms up, and those of whose sockets there will be none.
fn most_calls(plan: &LoadPlan) -> u32 {
    plan.calls + 1 + plan.twiml_requests.map_or(0, |requests| requests.count)
}
