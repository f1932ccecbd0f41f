//! Exact percentiles of all samples, by the nearest rank.

use std::fmt;
use std::time::Duration;

/// A sorted set of samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    sorted: Vec<Duration>,
}

impl Distribution {
    pub fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self { sorted: samples }
    }

    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The smallest sample that `percent` of all samples do not exceed, in milliseconds; none without samples.
    pub fn percentile_ms(&self, percent: usize) -> Option<f64> {
        let rank = (self.sorted.len() * percent.min(100)).div_ceil(100).max(1);
        self.sorted.get(rank - 1).map(|sample| sample.as_secs_f64() * 1000.0)
    }
}

impl fmt::Display for Distribution {
    /// The columns p50, p90, p99 and max, in milliseconds.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for percent in [50, 90, 99, 100] {
            match self.percentile_ms(percent) {
                Some(value) => write!(formatter, "{value:>10.2}")?,
                None => write!(formatter, "{:>10}", "-")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn milliseconds(values: &[u64]) -> Distribution {
        Distribution::of(values.iter().map(|value| Duration::from_millis(*value)).collect())
    }

    #[test]
    fn percentiles_are_samples() {
        let distribution = milliseconds(&(1..=100).rev().collect::<Vec<_>>());
        assert_eq!(distribution.percentile_ms(50), Some(50.0));
        assert_eq!(distribution.percentile_ms(99), Some(99.0));
        assert_eq!(distribution.percentile_ms(100), Some(100.0));
        assert_eq!(distribution.percentile_ms(0), Some(1.0));
        assert_eq!(milliseconds(&[7]).percentile_ms(50), Some(7.0));
        assert_eq!(milliseconds(&[1, 2]).percentile_ms(51), Some(2.0));
        assert_eq!(milliseconds(&[]).percentile_ms(50), None);
    }

    proptest! {
        #[test]
        fn enough_samples_lie_below(values in proptest::collection::vec(0_u64..1000, 1..200), percent in 1_usize..=100) {
            let Some(value) = milliseconds(&values).percentile_ms(percent) else { panic!("no samples") };
            #[expect(clippy::cast_precision_loss, reason = "the values are below 1000")]
            let below = values.iter().filter(|sample| **sample as f64 <= value + 1e-9).count();
            prop_assert!(below * 100 >= percent * values.len());
        }
    }
}
