//! The service's routes. The only place that knows axum.

mod ended;
mod health;
mod relay;
mod signed;
mod socket;
mod twiml;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::serve::ListenerExt;
use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use voice_protocols::signature::SignatureValidator;

use crate::catalog::Catalog;
use crate::config::PublicUrl;
use crate::metrics::Metrics;
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
    pub catalog: Catalog,
    pub calls: Calls,
    pub ports: Ports,
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

/// A webhook has some thirty short fields.
const LARGEST_BODY: usize = 64 * 1024;

fn router(service: Service) -> Router {
    let answer = || get(twiml::answer).post(twiml::answer);
    let webhooks = Router::new()
        .route("/twiml", answer())
        .route("/twiml/{use_case}", answer())
        .route("/incoming-call", answer())
        .route("/twiml/ended/{call_sid}", get(ended::ended).post(ended::ended))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn_with_state(service.clone(), twiml::always_twiml));
    Router::new()
        .merge(webhooks)
        .route("/relay/{call_sid}", get(relay::connect))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .with_state(service)
}

/// Serves until `stop` is cancelled; connections that are upgraded live on.
pub async fn serve(listener: TcpListener, service: Service, stop: CancellationToken) -> std::io::Result<()> {
    // Without this the kernel holds small messages back for some 40 ms.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
    });
    let app = router(service).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
}
