//! For `crate::fuzzing`: bodies of the operator API, and what sessions say when they end.

use axum::http::HeaderMap;
use voice_core::ports::OutboundRequest;

use super::handoff::HandoffData;
use super::{api, ended};

/// A body of `POST /api/calls`; `None` when it is refused.
pub fn order(body: &[u8]) -> Option<OutboundRequest> {
    api::order(body, &HeaderMap::new()).ok()
}

/// Why the session ended, and whether it hands the call over.
pub fn handoff_data(text: &str) -> (Option<String>, bool) {
    (ended::reason_code(text), HandoffData::parse(text).is_some())
}
