//! Spans on their way to the collector: a bounded queue, and the task that sends what is in it, many at a time.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::collector::{Collector, SendError, Signal};
use super::export::SCOPE;
use crate::metrics::{Counter, Metrics};

/// Turns that may wait; each has about ten spans.
const MOST_WAITING: usize = 1024;
/// Turns that are sent together.
const BATCH: usize = 128;
/// How long the first of a batch waits for others.
const GATHERING: Duration = Duration::from_secs(1);
/// Before a collector that was busy or away is asked again.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

#[derive(Clone, Debug)]
pub(super) struct SpanQueue {
    queue: mpsc::Sender<Vec<Span>>,
    metrics: Metrics,
}

/// The other end of the queue.
#[derive(Debug)]
pub(super) struct SpanSender {
    queue: mpsc::Receiver<Vec<Span>>,
    collector: Collector,
    resource: Resource,
    metrics: Metrics,
    stop: CancellationToken,
}

impl SpanQueue {
    /// Takes spans that belong together, or drops them when there is no room.
    pub(super) fn push(&self, spans: Vec<Span>) {
        if let Err(refused) = self.queue.try_send(spans) {
            self.metrics.add(Counter::SpansDropped, refused.into_inner().len() as u64);
        }
    }
}

pub(super) fn span_queue(
    collector: Collector,
    resource: Resource,
    metrics: Metrics,
    stop: CancellationToken,
) -> (SpanQueue, SpanSender) {
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    let queue = SpanQueue { queue: sender, metrics: metrics.clone() };
    (queue, SpanSender { queue: receiver, collector, resource, metrics, stop })
}

impl SpanSender {
    /// Sends what comes, until told to stop; then what is left.
    pub(super) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(first) = self.next().await {
            batch.push(first);
            if self.queue.len() < BATCH {
                let stop = self.stop.cancelled();
                let _ = tokio::time::timeout(GATHERING, stop).await;
            }
            while batch.len() < BATCH
                && let Ok(more) = self.queue.try_recv()
            {
                batch.push(more);
            }
            self.send(batch.drain(..).flatten().collect()).await;
        }
    }

    async fn next(&mut self) -> Option<Vec<Span>> {
        tokio::select! {
            biased;
            first = self.queue.recv() => first,
            () = self.stop.cancelled() => None,
        }
    }

    async fn send(&mut self, spans: Vec<Span>) {
        let sent = spans.len() as u64;
        let body = self.request(spans).encode_to_vec();
        let dropped = match self.send_again_and_again(body).await {
            Ok(answer) => rejected(&answer).min(sent),
            Err(()) => sent,
        };
        self.metrics.add(Counter::SpansDropped, dropped);
    }

    /// One that stops has no time for pauses.
    async fn send_again_and_again(&mut self, body: Vec<u8>) -> Result<Vec<u8>, ()> {
        let mut pauses = PAUSES.into_iter();
        loop {
            match self.collector.send(Signal::Traces, body.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(SendError::Later) if !self.stop.is_cancelled() => {
                    let Some(pause) = pauses.next() else { return Err(()) };
                    let _ = tokio::time::timeout(pause, self.stop.cancelled()).await;
                }
                Err(_) => return Err(()),
            }
        }
    }

    fn request(&self, spans: Vec<Span>) -> ExportTraceServiceRequest {
        let scope = InstrumentationScope {
            name: SCOPE.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }];
        let resource = Some(self.resource.clone());
        let spans = ResourceSpans { resource, scope_spans, schema_url: String::new() };
        ExportTraceServiceRequest { resource_spans: vec![spans] }
    }
}

/// Spans that the collector did not want although it took the others.
fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    answer.partial_success.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
}
