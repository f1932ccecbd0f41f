//! A stand-in for Twilio: it places calls to the service as Twilio would, follows the TwiML, opens the relay socket,
//! speaks the agent's tokens at a human pace and reports what was heard.
//!
//! It is not for judging conversations: [`crate::scenario`] and [`crate::load`] do that with what happens here.

mod acts;
mod call;
mod callbacks;
mod callee;
mod carrier;
mod clauses;
mod course;
mod event;
mod form;
mod leg;
mod line;
mod live_calls;
mod person;
pub mod phones;
mod placed;
mod playback;
mod relay_session;
mod reporter;
pub mod rest;
mod rooms;
mod settings;
mod switchboard;
pub mod twiml;
mod xml;

#[cfg(test)]
mod tests;

pub use call::{Call, CallOptions};
pub use callee::{Answers, Callee, Part, Script};
pub use carrier::{Carrier, CarrierOptions};
pub use event::{CallEvent, CallerAct, Party};
pub use live_calls::{CallRecord, CallStatus};
pub use playback::SpeechPace;
pub use switchboard::Switchboard;

pub(crate) use course::setup as relay_setup;
pub(crate) use form::{CallIdentity, ConnectEnding, SessionResult, sid};
pub(crate) use leg::{Leg, Output};
pub(crate) use line::{Answer, Line, RelaySocket};
pub(crate) use settings::RelaySettings;
