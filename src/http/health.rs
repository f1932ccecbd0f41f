//! Whether the process lives, and whether it takes new calls.

use axum::extract::State;
use axum::http::StatusCode;

use super::Service;

/// Never fails because it is full or draining: that would have it replaced in the middle of calls.
pub(super) async fn health() -> &'static str {
    "Healthy"
}

pub(super) async fn ready(State(service): State<Service>) -> (StatusCode, &'static str) {
    if service.draining.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "Draining")
    } else {
        (StatusCode::OK, "Ready")
    }
}
