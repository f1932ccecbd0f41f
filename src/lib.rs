//! Trunkline answers telephone calls with AI agents: one service between Twilio, which carries the call, and a model,
//! which does the thinking. ARCHITECTURE.md says how it is put together.

pub mod app;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod ecs;
pub mod escalation;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod language_models;
pub mod lifecycle;
pub mod metrics;
pub mod outbound;
pub mod prices;
pub mod secrets;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod telephony;
pub mod templates;
pub mod token_bucket;
pub mod tools;
mod warm_up;
