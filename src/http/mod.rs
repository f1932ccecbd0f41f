//! The service's routes. The only place that knows axum.

mod answers;
mod api;
mod arrival;
mod background;
mod elsewhere;
mod ended;
mod failover;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handoff;
mod handoff_record;
mod health;
mod hold;
mod launched;
mod overflow;
mod parties;
mod problem;
mod relay;
mod returning;
mod server;
mod signed;
mod socket;
mod status;
mod twiml;
mod warm_transfer;
mod whisper;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get};
use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use voice_core::ports::{CallPlacer, CallerCounter, HandoffStore, LaunchStore, Telephony, UseCaseSource};
use voice_core::private::Private;
use voice_protocols::signature::SignatureValidator;

use crate::catalog::Catalog;
use crate::config::{ConnectionSettings, PublicUrl};
use crate::metrics::Metrics;
use crate::outbound::Lines;
use crate::session::{Calls, Ports};

/// What the routes need.
#[derive(Clone, Debug)]
pub struct Service(Arc<Parts>);

#[derive(Debug)]
pub struct Parts {
    pub public_url: PublicUrl,
    /// `None` when nobody has to sign.
    pub signatures: Option<SignatureValidator>,
    pub default_use_case: String,
    pub default_model: Option<String>,
    pub time_zone: TimeZone,
    /// Who answers.
    pub use_cases: Arc<dyn UseCaseSource>,
    /// Who calls, and what is called.
    pub catalog: Catalog,
    pub calls: Calls,
    pub ports: Ports,
    pub handoffs: Arc<dyn HandoffStore>,
    pub launches: Arc<dyn LaunchStore>,
    pub callers: Arc<dyn CallerCounter>,
    /// `None` when the carrier cannot be asked for anything.
    pub telephony: Option<Arc<dyn Telephony>>,
    pub placer: Arc<dyn CallPlacer>,
    /// Kept for the calls that it has placed.
    pub lines: Lines,
    /// `sip:…`, for `/failover`.
    pub sip_endpoint: Option<String>,
    /// There is no operator API when there are none.
    pub api_tokens: Vec<Private<String>>,
    pub connections: ConnectionSettings,
    /// Cancelled when no new calls are taken any more.
    pub draining: CancellationToken,
    /// Cancelled when calls in progress must end.
    pub shutting_down: CancellationToken,
}

impl Service {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    fn metrics(&self) -> &Metrics {
        &self.ports.metrics
    }
}

impl std::ops::Deref for Service {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// A webhook has some thirty short fields, and a request of an operator not many more.
const LARGEST_BODY: usize = 64 * 1024;

fn router(service: Service) -> Router {
    let webhooks = Router::new()
        .route("/twiml", webhook(twiml::answer))
        .route("/twiml/{use_case}", webhook(twiml::answer))
        .route("/incoming-call", webhook(twiml::answer))
        .route("/twiml/ended/{call_sid}", webhook(ended::ended))
        .route("/twiml/ended/{call_sid}/{launch}", webhook(ended::ended))
        .route("/twiml/handoff/{call_sid}", webhook(handoff::handoff_ended))
        .route("/twiml/handoff-status/{call_sid}", webhook(warm_transfer::person_status))
        .route("/twiml/overflow/{use_case}", webhook(overflow::overflow_ended))
        .route("/twiml/whisper/{call_sid}", webhook(whisper::whisper))
        .route("/twiml/whisper/{call_sid}/accept", webhook(whisper::accept))
        .route("/twiml/hold/{call_sid}", webhook(hold::hold))
        .route("/twiml/return/{call_sid}/{reason}", webhook(returning::returned))
        .route("/twiml/status", webhook(status::status))
        .route("/twiml/status/{id}", webhook(status::status))
        .route("/twiml/outbound/{launch}", webhook(launched::answered))
        .route("/twiml/machine/{launch}", webhook(launched::machine))
        .route("/failover", webhook(failover::failover))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn_with_state(service.clone(), twiml::always_twiml));
    Router::new()
        .merge(webhooks)
        .merge(api::routes(&service).layer(DefaultBodyLimit::max(LARGEST_BODY)))
        .route("/relay/{call_sid}", get(relay::connect))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .with_state(service)
}

/// Twilio posts, unless somebody has told it to get.
fn webhook<H, T>(handler: H) -> MethodRouter<Service>
where
    H: Handler<T, Service>,
    T: 'static,
{
    get(handler.clone()).post(handler)
}

/// Serves until `stop` is cancelled; connections that are upgraded live on.
pub async fn serve(listener: TcpListener, service: Service, stop: CancellationToken) -> std::io::Result<()> {
    let (limits, metrics) = (service.connections.clone(), service.metrics().clone());
    server::serve(listener, router(service), limits, metrics, stop).await;
    Ok(())
}
