//! Measurements on their way to the collector: read now and then, and sent whole each time, so that one that is lost is made
//! good by the next.

use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Temporality};
use prost::Message;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::collector::{Collector, Signal};

/// Reads all instruments of one provider and sends what they say.
#[derive(Debug)]
pub(super) struct MetricSender {
    reader: Reader,
    /// Kept because its instruments tell nothing without it.
    _provider: SdkMeterProvider,
    collector: Collector,
    interval: Duration,
    stop: CancellationToken,
}

/// The provider wants a reader of its own; this is one that two can hold.
#[derive(Clone, Debug)]
struct Reader(Arc<ManualReader>);

impl MetricSender {
    /// The sender, and the provider whose instruments it reads.
    pub(super) fn new(
        collector: Collector,
        resource: Resource,
        interval: Duration,
        stop: CancellationToken,
    ) -> (Self, SdkMeterProvider) {
        let reader = Reader(Arc::new(ManualReader::builder().build()));
        let provider =
            SdkMeterProvider::builder().with_reader(reader.clone()).with_resource(resource).build();
        (Self { reader, _provider: provider.clone(), collector, interval, stop }, provider)
    }

    /// Sends at each interval, and once more when told to stop.
    pub(super) async fn run(self) {
        let mut ticks = interval_at(Instant::now() + self.interval, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stopped = tokio::select! {
                _ = ticks.tick() => false,
                () = self.stop.cancelled() => true,
            };
            self.send().await;
            if stopped {
                return;
            }
        }
    }

    async fn send(&self) {
        let mut measured = ResourceMetrics::default();
        if let Err(error) = self.reader.collect(&mut measured) {
            tracing::warn!(%error, "measurements could not be read");
            return;
        }
        let body = ExportMetricsServiceRequest::from(&measured).encode_to_vec();
        // The next one says it all again.
        let _ = self.collector.send(Signal::Metrics, body).await;
    }
}

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, measured: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(measured)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
