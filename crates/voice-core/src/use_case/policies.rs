//! Limits and rules of a use case: silence, length, cost, calls that the service places, what may be stored.

use std::time::Duration;

use regex::Regex;

/// What happens when the caller says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Since the agent's last word was heard.
    pub after: Duration,
    /// Said one after the other; the goodbye sentence and the end of the call follow the last.
    pub prompts: Vec<String>,
}

/// How long a call may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxDuration {
    pub limit: Duration,
    /// So long before the end the caller is told.
    pub warn_before: Duration,
}

/// What one call may cost. Past it the call is ended politely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Tokens of all generations, read and written.
    pub tokens: Option<u64>,
    pub duration: Option<Duration>,
    pub tool_runs: Option<u32>,
}

/// How many calls one number may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallerLimit {
    pub calls: u32,
    pub window: Duration,
}

/// Rules for calls that the service places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboundRules {
    /// Calls are placed only then; always when absent.
    pub hours: Option<CallingHours>,
    pub machine: OnMachine,
}

/// A window of the day where the person is. Times are minutes since midnight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallingHours {
    pub from_minute: u16,
    /// Not included. Not before `from_minute`.
    pub until_minute: u16,
    /// Monday is 0. Never empty.
    pub days: Vec<u8>,
    /// IANA name; the service's time zone when absent.
    pub time_zone: Option<String>,
}

/// What is done when a machine answers a call that the service placed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnMachine {
    /// Nobody tries to find out.
    #[default]
    Ignore,
    HangUp,
    /// Leaves this message.
    Say(String),
}

/// What of a call is written to the table.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    pub keep: Keep,
    /// Masked wherever words of the call are stored or logged, besides card numbers, which always are.
    pub patterns: Vec<Regex>,
}

impl PartialEq for Storage {
    fn eq(&self, other: &Self) -> bool {
        let texts =
            |storage: &Self| storage.patterns.iter().map(|p| p.as_str().to_owned()).collect::<Vec<_>>();
        self.keep == other.keep && texts(self) == texts(other)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    #[default]
    Words,
    /// Neither words nor numbers; a session that breaks goes on without memory.
    Nothing,
}
