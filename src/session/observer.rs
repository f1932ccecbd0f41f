//! Whoever watches how calls go: traces and measurements. Watching never holds up a call.

use std::fmt;
use std::time::{Duration, SystemTime};

use voice_core::ports::{CallContext, TurnTrace};

/// Is told what happened, from the task of the session that it happened in. Implementations do not block.
pub trait CallObserver: Send + Sync + fmt::Debug {
    fn turn_ended(&self, call: &CallContext, turn: &TurnTrace);
    fn session_ended(&self, call: &CallContext, session: &SessionTrace);
}

/// One session of a call, from its socket to its end.
#[derive(Clone, Debug)]
pub struct SessionTrace {
    pub started_at: SystemTime,
    pub duration: Duration,
    /// Which of the call's sessions this was: zero for the one that the call was answered for.
    pub resumes: u64,
    /// When the call was answered first.
    pub call_started_at: SystemTime,
    /// Why the session ended, as one lower-case word.
    pub ending: &'static str,
    /// The call is over with it, as far as this session can tell.
    pub is_last: bool,
}

/// Nobody watches.
#[derive(Clone, Copy, Debug)]
pub struct Unobserved;

impl CallObserver for Unobserved {
    fn turn_ended(&self, _call: &CallContext, _turn: &TurnTrace) {}
    fn session_ended(&self, _call: &CallContext, _session: &SessionTrace) {}
}
