//! Calls in progress: what is known when the webhook was answered, and the conversation over the socket.
//!
//! Knows tokio and the messages of the carrier. Decides nothing: turn-taking belongs to `voice_core::conversation`.

mod calls;
mod frame;
mod frame_rate;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod generation;
mod handshake;
mod journal;
mod observer;
mod prepared;
mod relay_codec;
mod relay_session;
mod turn_tracer;

#[cfg(test)]
mod departure_tests;
#[cfg(test)]
mod effects_tests;
#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod observation_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio_util::task::TaskTracker;
use voice_core::ports::{CallStore, LanguageModel, ToolRunner};

use crate::metrics::Metrics;

pub use calls::{CallSlot, Calls, LiveSession};
pub use frame::{CloseCode, Frame, SocketError};
pub use handshake::{part, setup_fits};
#[cfg(test)]
pub(crate) use journal::tests::{EndedInOutage, ended_in_an_outage};
pub use journal::{Journal, Journals};
pub use observer::{CallObserver, SessionTrace, Unobserved};
pub use prepared::{NoModel, PreparedCall, Webhook};
pub use relay_codec::Parting;
pub use relay_session::{Leave, SessionStart, run};

/// What a session needs of the outside world.
#[derive(Clone, Debug)]
pub struct Ports {
    pub model: Arc<dyn LanguageModel>,
    pub tools: Arc<dyn ToolRunner>,
    pub store: Arc<dyn CallStore>,
    pub metrics: Metrics,
    pub observer: Arc<dyn CallObserver>,
    /// What waits for the table, of all calls.
    pub journals: Journals,
    /// Every task of a session is spawned here.
    pub tasks: TaskTracker,
    /// Names the session in the table.
    pub owner: Arc<str>,
}

impl Ports {
    /// The ports under a name of its own, so that two sessions of one process are told apart.
    #[must_use]
    pub fn for_a_session(&self) -> Self {
        Self { owner: uuid::Uuid::new_v4().to_string().into(), ..self.clone() }
    }
}
