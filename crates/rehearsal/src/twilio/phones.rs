//! Telephones in other processes: a phone in a terminal holds a call of a carrier that runs with the stand-ins, so that
//! REST, conference rooms and everybody who is called find it. [`PhoneExchange`] is where the carrier is, [`PhoneLine`]
//! where the person is; between them a WebSocket on loopback carries acts and events as JSON.
//!
//! It is no protocol of Twilio's, and only for this machine.

mod exchange;
mod line;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::call::CallOptions;
use super::event::CallEvent;
use super::playback::SpeechPace;

pub use exchange::PhoneExchange;
pub use line::{Hook, PhoneLine};

/// What a telephone says first.
#[derive(Debug, Deserialize, Serialize)]
struct Lifted {
    purpose: Purpose,
    pace: Pace,
}

/// Why somebody lifts the receiver.
#[derive(Debug, Deserialize, Serialize)]
enum Purpose {
    Call(CallOptions),
    /// Waits for the next call that is placed to this number.
    Answer {
        number: String,
    },
}

/// A pace as JSON can say it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Pace {
    /// Everything at once when absent.
    chars_per_second: Option<f64>,
    tts_delay: Duration,
}

/// What a telephone is told.
#[derive(Debug, Deserialize, Serialize)]
enum Told {
    /// From now on a placed call reaches it.
    Ready,
    /// It holds this call.
    Began {
        sid: String,
    },
    Event(CallEvent),
    /// There is no call.
    Failed(String),
}

impl From<SpeechPace> for Pace {
    fn from(pace: SpeechPace) -> Self {
        let chars_per_second = (!pace.is_instant()).then_some(pace.chars_per_second);
        Self { chars_per_second, tts_delay: pace.tts_delay }
    }
}

impl From<Pace> for SpeechPace {
    fn from(pace: Pace) -> Self {
        let chars_per_second = pace.chars_per_second.unwrap_or(f64::INFINITY);
        Self { chars_per_second, tts_delay: pace.tts_delay }
    }
}
