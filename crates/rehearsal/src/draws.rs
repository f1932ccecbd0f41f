//! Numbers that look drawn by lot and are the same for the same seed, so that a run can be repeated. Not for secrets.

use std::time::Duration;

/// A sequence of draws, by `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// The sequence of one of many, for example of one request or one caller.
    pub fn of(seed: u64, number: u64) -> Self {
        let mut draws = Self { state: seed };
        let start = draws.number() ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        Self { state: start }
    }

    /// The next number, any of all.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// The next number below `end`; 0 when `end` is.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end.max(1)
    }

    /// True in so many of a hundred draws.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A time between both, to the millisecond.
    pub fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let range = u64::try_from(longest.saturating_sub(shortest).as_millis()).unwrap_or(u64::MAX);
        shortest + Duration::from_millis(self.below(range.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u64, number: u64) -> Vec<u64> {
        let mut draws = Draws::of(seed, number);
        (0..4).map(|_| draws.number()).collect()
    }

    #[test]
    fn the_same_seed_and_number_draw_the_same() {
        assert_eq!(first(1, 2), first(1, 2));
        assert_ne!(first(1, 2), first(1, 3));
        assert_ne!(first(1, 2), first(2, 2));
    }

    #[test]
    fn draws_keep_to_their_range_and_reach_its_ends() {
        let mut draws = Draws::of(7, 0);
        let (shortest, longest) = (Duration::from_millis(3), Duration::from_millis(5));
        let times: Vec<u128> = (0..200).map(|_| draws.between(shortest, longest).as_millis()).collect();
        assert_eq!((times.iter().min(), times.iter().max()), (Some(&3), Some(&5)));
        assert_eq!(draws.between(longest, shortest), longest);
        assert_eq!(draws.below(0), 0);
        let hits = (0..10_000).filter(|_| draws.percent(20)).count();
        assert!((1800..2200).contains(&hits), "{hits}");
    }
}
