//! The vocabulary of Trunkline and its sans-IO cores.
//!
//! Nothing here opens a socket, reads a clock, spawns a task or logs. Time comes in as an argument, effects go out as
//! values, and the outside world is a handful of traits in [`ports`].

pub mod conversation;
pub mod history;
pub mod message;
pub mod playback;
pub mod ports;
pub mod private;
pub mod redaction;
pub mod speech_filter;
pub mod use_case;
