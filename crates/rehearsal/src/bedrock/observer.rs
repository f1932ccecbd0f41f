//! Who watches the stand-in at work, for latency measurements. Not for what was asked: see the recorded requests.

use std::fmt::Debug;
use std::time::Instant;

/// Is told what happens, as it happens. Calls come from the connection's own task, so an observer must not block.
pub trait Observer: Send + Sync + Debug {
    /// Called once for each observation, in order within one request.
    fn observe(&self, observation: Observation);
}

/// What happened to a request. `call` is the request's metadata entry `callSid`, when there is one.
///
/// After `RequestArrived` come any number of `TokenSent` and then one of `Finished` and `Cancelled`. A refused
/// request finishes at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The whole request has been read.
    RequestArrived { call: Option<String>, at: Instant },
    /// A token of text, counted from 0 within its answer; `at` is taken right before its bytes go to the socket.
    TokenSent { call: Option<String>, index: u32, at: Instant },
    /// All that the answer holds was handed over, its fault included when it was scripted to have one.
    Finished { call: Option<String>, at: Instant },
    /// The client left before that, or the stand-in was shut down.
    Cancelled { call: Option<String>, at: Instant },
}
