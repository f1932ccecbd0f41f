//! For `crate::fuzzing`: what a message of the socket means to the conversation.

use voice_core::conversation::Event;
use voice_protocols::relay::Inbound;

use super::relay_codec;

pub fn event(message: Inbound) -> Option<Event> {
    relay_codec::from_wire(message)
}
