//! How often something may happen: so many times at once, and so many times a second in the long run.

use std::time::Duration;

use tokio::time::Instant;

/// What a bucket holds when it is full, and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub burst: u32,
    pub per_second: f64,
}

/// Starts full.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    rate: Rate,
    tokens: f64,
    filled_at: Instant,
}

impl TokenBucket {
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: f64::from(rate.burst), filled_at: now }
    }

    /// Whether it may happen once more now; then it has happened.
    pub fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let is_there = self.tokens >= 1.0;
        if is_there {
            self.tokens -= 1.0;
        }
        is_there
    }

    /// Whether nothing has happened for so long that a new bucket would say the same.
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= f64::from(self.rate.burst)
    }

    fn fill(&mut self, now: Instant) {
        let passed: Duration = now.saturating_duration_since(self.filled_at);
        let more = passed.as_secs_f64() * self.rate.per_second;
        self.tokens = (self.tokens + more).min(f64::from(self.rate.burst));
        self.filled_at = self.filled_at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { burst: 3, per_second: 2.0 };

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(RATE, start);
        let taken = |bucket: &mut TokenBucket, at: Duration| {
            std::iter::from_fn(|| bucket.take(start + at).then_some(())).count()
        };
        assert!(bucket.is_full(start));
        assert_eq!(taken(&mut bucket, Duration::ZERO), 3);
        assert!(!bucket.is_full(start));
        assert_eq!(taken(&mut bucket, Duration::from_millis(400)), 0);
        assert_eq!(taken(&mut bucket, Duration::from_millis(1100)), 2);
        assert_eq!(taken(&mut bucket, Duration::from_mins(1)), 3, "it never holds more than a burst");
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_allow(steps in proptest::collection::vec(0_u64..400, 1..300)) {
            let start = Instant::now();
            let mut bucket = TokenBucket::new(RATE, start);
            let (mut now, mut taken) = (start, 0_u32);
            for step in steps {
                now += Duration::from_millis(step);
                taken += u32::from(bucket.take(now));
                let most = 3.0 + now.duration_since(start).as_secs_f64() * RATE.per_second;
                prop_assert!(f64::from(taken) <= most + 1e-6, "{taken} of {most}");
            }
        }
    }
}
