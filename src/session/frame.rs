//! A WebSocket as a session sees it: text, closing, and nothing of the library behind it.

use std::error::Error;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    /// ConversationRelay has none.
    Binary,
    /// A message that is larger than the connection takes. Nothing behind it can be read.
    Oversize,
    /// Pings and pongs: a sign of life.
    Other,
    Ping,
    Close(CloseCode),
}

/// Close codes that we send or tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    Normal,
    /// 1008: the other side does not keep to the protocol.
    Policy,
    /// 1009: a message was larger than any that is read. Twilio takes that for a lost socket, and asks what comes next.
    TooLarge,
    /// 1011: something failed that may work in a moment. Twilio asks what comes next.
    Internal,
    /// 1012: the service goes away; another task can go on.
    Restart,
    Other(u16),
}

impl CloseCode {
    /// The other side meant to end it.
    pub const fn is_normal(self) -> bool {
        self.number() == Self::Normal.number()
    }

    pub const fn number(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::Policy => 1008,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::Restart => 1012,
            Self::Other(code) => code,
        }
    }
}

/// The socket is gone or cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("the socket failed")]
pub struct SocketError(#[source] pub Box<dyn Error + Send + Sync>);
