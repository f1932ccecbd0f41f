//! A collector for tests: takes OTLP over HTTP, keeps it, and answers as it is told to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric, NumberDataPoint};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// What came, by signal.
    requests: Mutex<Vec<(String, Vec<u8>)>>,
    /// How the next request of a signal is answered.
    refusals: Mutex<Vec<(&'static str, StatusCode)>>,
    came: Notify,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/v1/{signal}", post(take)).with_state(Arc::clone(&shared));
        TaskTracker::new().spawn(async move { axum::serve(listener, routes).await });
        Self { address, shared }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request of this signal is answered so; those that follow are taken.
    pub(crate) fn refuse(&self, signal: &'static str, status: StatusCode) {
        self.shared.refusals.lock().unwrap().push((signal, status));
    }

    /// All that came, as it came.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.shared.requests.lock().unwrap().iter().flat_map(|(_, body)| body.clone()).collect()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let requests = self.shared.requests.lock().unwrap();
        let requests = requests.iter().filter(|(signal, _)| signal == "traces");
        let requests = requests.map(|(_, body)| ExportTraceServiceRequest::decode(body.as_slice()).unwrap());
        let resources = requests.flat_map(|request| request.resource_spans);
        resources.flat_map(|spans| spans.scope_spans).flat_map(|spans| spans.spans).collect()
    }

    /// All of the last request.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let resources = self.last_metrics().unwrap_or_default().resource_metrics;
        resources.into_iter().flat_map(|each| each.scope_metrics).flat_map(|each| each.metrics).collect()
    }

    pub(crate) fn resource(&self) -> Resource {
        let mut last = self.last_metrics().expect("measurements came");
        last.resource_metrics.pop().unwrap().resource.unwrap()
    }

    /// The newest value of a counter or gauge without attributes.
    pub(crate) fn value(&self, name: &str) -> Option<i64> {
        let metric = self.metrics().into_iter().find(|metric| metric.name == name)?;
        match numbers(metric.data?).pop()?.value? {
            Value::AsInt(value) => Some(value),
            Value::AsDouble(_) => None,
        }
    }

    /// Waits until something is true of what came.
    pub(crate) async fn until(&self, longest: Duration, mut holds: impl FnMut(&Self) -> bool) {
        let held = async {
            loop {
                let came = self.shared.came.notified();
                if holds(self) {
                    return;
                }
                came.await;
            }
        };
        timeout(longest, held).await.expect("it comes in time");
    }

    fn last_metrics(&self) -> Option<ExportMetricsServiceRequest> {
        let requests = self.shared.requests.lock().unwrap();
        let (_, last) = requests.iter().rev().find(|(signal, _)| signal == "metrics")?;
        Some(ExportMetricsServiceRequest::decode(last.as_slice()).unwrap())
    }
}

async fn take(State(shared): State<Arc<Shared>>, Path(signal): Path<String>, body: Bytes) -> StatusCode {
    let refusal = {
        let mut refusals = shared.refusals.lock().unwrap();
        let found = refusals.iter().position(|(refused, _)| *refused == signal);
        found.map(|index| refusals.remove(index).1)
    };
    if refusal.is_none() {
        shared.requests.lock().unwrap().push((signal, body.to_vec()));
    }
    shared.came.notify_waiters();
    refusal.unwrap_or(StatusCode::OK)
}

/// The points of a counter or gauge.
pub(crate) fn numbers(data: Data) -> Vec<NumberDataPoint> {
    match data {
        Data::Gauge(gauge) => gauge.data_points,
        Data::Sum(sum) => sum.data_points,
        _ => Vec::new(),
    }
}

pub(crate) fn histogram(data: Data) -> Vec<HistogramDataPoint> {
    match data {
        Data::Histogram(histogram) => histogram.data_points,
        _ => Vec::new(),
    }
}
