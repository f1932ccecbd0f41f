//! How many messages a socket may bring. Twilio sends some tens a second at most.

use tokio::time::Instant;

use crate::token_bucket::{Rate, TokenBucket};

/// Several times what a hasty caller with partial transcripts and reports of playback makes.
const MESSAGES: Rate = Rate { burst: 1000, per_second: 200.0 };
/// So many dropped messages, with no pause long enough to make up for them, are a flood.
const MOST_DROPPED: u32 = 5000;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Taken,
    /// Too many came at once; this one is not looked at.
    Dropped,
    /// The peer does not stop.
    Flooded,
}

#[derive(Debug)]
pub(super) struct FrameRate {
    bucket: TokenBucket,
    /// Since the last pause.
    dropped: u32,
}

impl FrameRate {
    pub(super) fn new(now: Instant) -> Self {
        Self { bucket: TokenBucket::new(MESSAGES, now), dropped: 0 }
    }

    /// A message has come.
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        if self.dropped > 0 && self.bucket.is_full(now) {
            self.dropped = 0;
        }
        if self.bucket.take(now) {
            return Admission::Taken;
        }
        self.dropped += 1;
        if self.dropped > MOST_DROPPED { Admission::Flooded } else { Admission::Dropped }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_twilio_sends_is_never_dropped() {
        let start = Instant::now();
        let mut rate = FrameRate::new(start);
        for sent in 0..10_000 {
            let at = start + Duration::from_millis(sent * 10);
            assert_eq!(rate.admit(at), Admission::Taken, "one in ten milliseconds");
        }
    }

    #[test]
    fn a_burst_loses_messages_and_a_flood_the_socket() {
        let start = Instant::now();
        let mut rate = FrameRate::new(start);
        let mut admitted = |at: Instant, count: u32| -> Vec<Admission> {
            let mut kinds: Vec<_> = (0..count).map(|_| rate.admit(at)).collect();
            kinds.dedup();
            kinds
        };
        assert_eq!(admitted(start, 2000), [Admission::Taken, Admission::Dropped]);
        let after_a_pause = start + Duration::from_secs(5);
        assert_eq!(admitted(after_a_pause, 6000), [Admission::Taken, Admission::Dropped], "it is forgiven");
        assert_eq!(admitted(after_a_pause, 1), [Admission::Flooded]);
    }
}
