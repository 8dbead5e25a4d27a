//! Histogram of durations with fixed buckets, in the form that Prometheus reads. Pure.

/// Cumulative histogram of durations: how many were at most each bound of [`BOUNDS_MS`](Self::BOUNDS_MS) long, and how many were longer.
///
/// ```
/// use edge_bridge::Durations;
///
/// let mut pubacks = Durations::default();
/// [80, 100, 120].into_iter().for_each(|ms| pubacks.note(ms));
/// assert!(pubacks.up_to().any(|(bound_ms, count)| (bound_ms, count) == (100, 2)));
/// assert_eq!((pubacks.count(), pubacks.sum_ms()), (3, 300));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Durations {
    /// Count of each bucket. The last one is for durations above all bounds.
    counts: [u64; Self::BOUNDS_MS.len() + 1],
    sum_ms: u64,
}

impl Durations {
    /// Upper ends of the buckets, in milliseconds: from a commit on a fast disk to a large message on a thin line.
    pub const BOUNDS_MS: [u64; 12] = [5, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];

    /// Counts a duration in milliseconds.
    pub fn note(&mut self, ms: u64) {
        let bucket = Self::BOUNDS_MS.partition_point(|bound_ms| *bound_ms < ms);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum_ms = self.sum_ms.saturating_add(ms);
    }

    /// Iterates over the upper bounds in milliseconds, each with the number of durations that were no longer (Prometheus' `le` buckets).
    pub fn up_to(&self) -> impl Iterator<Item = (u64, u64)> {
        let counted = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        Self::BOUNDS_MS.into_iter().zip(counted)
    }

    /// Number of all durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Sum of all durations, in milliseconds.
    pub fn sum_ms(&self) -> u64 {
        self.sum_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_what_is_above_all_counts() {
        let mut durations = Durations::default();
        for ms in [0, 5, 6, 60_000, 60_001, u64::MAX] {
            durations.note(ms);
        }
        let counts: Vec<(u64, u64)> = durations.up_to().collect();
        assert_eq!((counts[0], counts[1], counts[10]), ((5, 2), (10, 3), (30_000, 3)));
        assert_eq!((counts[11], durations.count()), ((60_000, 4), 6));
        assert_eq!(durations.sum_ms(), u64::MAX, "no overflow");
    }
}
