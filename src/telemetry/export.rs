//! What is exported to a collector, from its start with the service to its last request.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::metrics::MeterProvider;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::collector::Collector;
use super::instruments::{Instruments, observe};
use super::metric_export::MetricSender;
use super::observer::Observer;
use super::span_queue::span_queue;
use crate::config::{ExportSettings, TelemetrySettings};
use crate::metrics::Metrics;
use crate::prices::Prices;
use crate::session::{CallObserver, Calls, Unobserved};

/// Under which spans and measurements are told.
pub(super) const SCOPE: &str = "trunkline";
/// How long the end of the process waits for the collector.
const FLUSHING: Duration = Duration::from_secs(3);

/// The exporting half of a service. Without a collector it does nothing and costs nothing.
#[derive(Debug)]
pub struct Telemetry {
    observer: Arc<dyn CallObserver>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What is looked at whenever measurements are sent.
#[derive(Clone, Debug)]
pub struct Watched {
    pub metrics: Metrics,
    pub calls: Calls,
    /// The tasks of the service.
    pub tasks: TaskTracker,
}

impl Telemetry {
    /// Begins to export, if there is a collector. Fails when no secure connection can be made from this machine.
    pub fn start(settings: &TelemetrySettings, watched: Watched) -> Result<Self, reqwest::Error> {
        match &settings.export {
            Some(export) => Self::export(export, settings.prices.clone(), watched),
            None => Ok(Self {
                observer: Arc::new(Unobserved),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
            }),
        }
    }

    fn export(settings: &ExportSettings, prices: Prices, watched: Watched) -> Result<Self, reqwest::Error> {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let metrics = watched.metrics.clone();
        let collector = Collector::new(settings, metrics.clone())?;
        let resource = resource(settings);
        let (sender, provider) =
            MetricSender::new(collector.clone(), resource.clone(), settings.interval, stop.clone());
        tasks.spawn(sender.run());
        let scope = InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION")).build();
        let meter = provider.meter_with_scope(scope);
        observe(&meter, watched);
        let (spans, sender) = span_queue(collector, (&resource).into(), metrics.clone(), stop.clone());
        tasks.spawn(sender.run());
        let instruments = Instruments::new(&meter);
        let observer = Observer::new(spans, settings.traced, instruments, prices, metrics);
        Ok(Self { observer: Arc::new(observer), tasks, stop })
    }

    /// Who is to be told of turns and sessions.
    pub fn observer(&self) -> Arc<dyn CallObserver> {
        Arc::clone(&self.observer)
    }

    /// Sends what has not been sent, for a few seconds at most. What is told afterwards is lost.
    pub async fn shut_down(self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(FLUSHING, self.tasks.wait()).await.is_err() {
            tracing::warn!("the collector did not take the last of the telemetry in time");
        }
    }
}

/// What is told of this process with everything. Its own id keeps its counters apart from those of other tasks.
fn resource(settings: &ExportSettings) -> Resource {
    let own = [
        ("service.name", settings.service_name.clone()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", uuid::Uuid::new_v4().to_string()),
        ("telemetry.sdk.language", "rust".to_owned()),
        ("telemetry.sdk.name", "opentelemetry".to_owned()),
    ];
    // The environment may name the instance, and not the service, which has a variable of its own.
    let given = settings.resource.iter().filter(|(name, _)| name != "service.name").cloned();
    let given = given.map(|(name, value)| KeyValue::new(name, value));
    Resource::builder_empty()
        .with_attributes(own.map(|(name, value)| KeyValue::new(name, value)))
        .with_attributes(given)
        .build()
}
