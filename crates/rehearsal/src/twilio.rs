//! A stand-in for Twilio: it places calls to the service as Twilio would, follows the TwiML, opens the relay socket,
//! speaks the agent's tokens at a human pace and reports what was heard.
//!
//! It is not for judging conversations: [`crate::scenario`] and [`crate::load`] do that with what happens here.

mod call;
mod carrier;
mod clauses;
mod course;
mod form;
mod leg;
mod line;
mod playback;
mod relay_session;
mod settings;
pub mod twiml;
mod xml;

#[cfg(test)]
mod tests;

pub use call::{Call, CallEvent, CallOptions, CallerAct, Party};
pub use carrier::{Carrier, CarrierOptions};
pub use playback::SpeechPace;

pub(crate) use course::setup as relay_setup;
pub(crate) use form::{CallIdentity, ConnectEnding, SessionResult, sid};
pub(crate) use leg::{Leg, Output};
pub(crate) use line::{Answer, Line, RelaySocket};
pub(crate) use settings::RelaySettings;
