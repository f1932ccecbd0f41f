//! The messages of a ConversationRelay socket: one JSON object per text frame, in both directions.
//!
//! Not for the handshake (see [`crate::signature`]) and not for the markup that opens the socket (see
//! [`crate::twiml`]).

mod frame;
mod handoff;
mod inbound;
mod outbound;

pub use handoff::{Handoff, LIVE_AGENT_HANDOFF};
pub use inbound::{Dtmf, ErrorReport, Inbound, Info, Interrupt, Prompt, Setup};
pub use outbound::{Interruptible, Outbound, Play, Text};

/// Why a frame could not be read.
///
/// It names fields and positions but never repeats the frame's content, because it is logged and the content
/// is what somebody said on the telephone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedFrame {
    #[error("the frame is not JSON: it breaks at line {line}, column {column}")]
    NotJson { line: usize, column: usize },
    #[error("the frame is JSON but not an object")]
    NotAnObject,
    #[error("the frame has no `{0}`")]
    Missing(&'static str),
    #[error("`{field}` is not {expected}")]
    Invalid { field: &'static str, expected: &'static str },
    /// Only from [`Outbound::parse`]: the types that we send are known, the ones that we receive are not.
    #[error("the frame's `type` is none that can be sent")]
    UnknownType,
}
