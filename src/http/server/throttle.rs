//! How often one source is told in full that it was refused. Past that it is answered without a log line, so that nobody
//! can fill the log or have work done by guessing.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::source::Source;
use crate::token_bucket::{Rate, TokenBucket};

/// Enough to find out what is wrong with a setting.
const REFUSALS: Rate = Rate { burst: 50, per_second: 1.0 };
/// Sources beyond these have one bucket in common.
const MOST_SOURCES: usize = 10_000;
const BETWEEN_CLEARINGS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Throttle {
    sources: HashMap<Source, TokenBucket>,
    others: TokenBucket,
    cleared_at: Instant,
}

impl Throttle {
    pub(super) fn new(now: Instant) -> Self {
        Self { sources: HashMap::new(), others: TokenBucket::new(REFUSALS, now), cleared_at: now }
    }

    /// A request of this source is refused; `false` when that happens too often.
    pub(super) fn bears(&mut self, source: Source, now: Instant) -> bool {
        if let Some(bucket) = self.sources.get_mut(&source) {
            return bucket.take(now);
        }
        if self.sources.len() >= MOST_SOURCES {
            self.clear(now);
        }
        if self.sources.len() >= MOST_SOURCES {
            return self.others.take(now);
        }
        self.sources.entry(source).or_insert_with(|| TokenBucket::new(REFUSALS, now)).take(now)
    }

    /// Forgets those who have done nothing for a while.
    fn clear(&mut self, now: Instant) {
        if now.saturating_duration_since(self.cleared_at) >= BETWEEN_CLEARINGS {
            self.cleared_at = now;
            self.sources.retain(|_, bucket| !bucket.is_full(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn source(number: u32) -> Source {
        IpAddr::V4(Ipv4Addr::from_bits(number)).into()
    }

    #[test]
    fn each_source_has_its_own_measure() {
        let start = Instant::now();
        let mut throttle = Throttle::new(start);
        let borne = |throttle: &mut Throttle, number: u32, at: Instant| {
            (0..100).filter(|_| throttle.bears(source(number), at)).count()
        };
        assert_eq!(borne(&mut throttle, 1, start), 50);
        assert_eq!(borne(&mut throttle, 2, start), 50, "one does not suffer from another");
        assert_eq!(borne(&mut throttle, 1, start + Duration::from_secs(5)), 5);
    }

    #[test]
    fn sources_without_number_are_not_remembered_without_end() {
        let start = Instant::now();
        let mut throttle = Throttle::new(start);
        let many = 3 * u32::try_from(MOST_SOURCES).unwrap();
        let borne = (0..many).filter(|number| throttle.bears(source(*number), start)).count();
        assert_eq!((borne, throttle.sources.len()), (MOST_SOURCES + 50, MOST_SOURCES));
        assert!(throttle.bears(source(many), start + Duration::from_mins(1)));
        assert_eq!(throttle.sources.len(), 1, "those who went quiet made room");
    }
}
