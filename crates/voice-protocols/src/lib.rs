//! Every wire format of the Twilio side as plain types: ConversationRelay, TwiML, webhooks, signatures.
//!
//! Nothing here knows what an agent or a use case is, opens a socket or reads a clock. Readers are lenient
//! towards what vendors may add (fields, types, spellings) and never panic; writers produce only what is
//! documented.

pub mod relay;
pub mod relay_attributes;
pub mod signature;
pub mod twiml;
pub mod webhook;
