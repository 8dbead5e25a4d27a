//! Histogram of times that one thread fills and any thread reads, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// Histogram of times in nanoseconds, with sixteen buckets per power of two, so that a quantile is at most 6.25 % too large. Times above 68 s
/// count as 68 s. It takes 4.3 KiB.
///
/// ```
/// use edge_filter::control::Histogram;
///
/// let lateness = Histogram::default();
/// (1..=100).for_each(|us| lateness.record(1_000 * us));
/// assert_eq!((lateness.count(), lateness.max_ns()), (100, 100_000));
/// assert!((99_000..=105_188).contains(&lateness.quantile_ns(0.99)));
/// ```
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
    max_ns: AtomicU64,
}

const SUB: u32 = 4;
const TOP: u32 = 36;
const BUCKETS: usize = ((TOP - SUB + 1) as usize) << SUB;

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Histogram { buckets, sum_ns: AtomicU64::new(0), max_ns: AtomicU64::new(0) }
    }
}

fn bucket(ns: u64) -> usize {
    let ns = ns.min((1 << TOP) - 1);
    let bits = u64::BITS - ns.leading_zeros();
    let shift = bits.saturating_sub(SUB + 1);
    ((shift as usize) << SUB) + (ns >> shift) as usize
}

/// Returns the largest time of a bucket, in nanoseconds.
fn top_ns(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket >> SUB).saturating_sub(1);
    let first = bucket - (shift << SUB);
    ((first + 1) << shift) - 1
}

impl Histogram {
    /// Counts a time. It never waits.
    pub fn record(&self, ns: u64) {
        if let Some(bucket) = self.buckets.get(bucket(ns)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        self.max_ns.fetch_max(ns, Ordering::Relaxed);
    }

    /// Returns the number of times that were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Returns the sum of all times, exactly.
    #[must_use]
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns.load(Ordering::Relaxed)
    }

    /// Returns the longest time exactly.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.max_ns.load(Ordering::Relaxed)
    }

    /// Returns the time within which the share `q` (0 to 1) of all times lie, rounded up to the end of its bucket; 0 if none was counted.
    #[must_use]
    pub fn quantile_ns(&self, q: f64) -> u64 {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let wanted = (total as f64 * q.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut sum = 0;
        for (bucket, count) in counts.iter().enumerate() {
            sum += count;
            if sum >= wanted {
                return top_ns(bucket).min(self.max_ns());
            }
        }
        0
    }

    /// Returns the number of times of at most `ns`, rounded down to whole buckets, as Prometheus needs it.
    #[must_use]
    pub fn at_most(&self, ns: u64) -> u64 {
        let within = self.buckets.iter().enumerate().filter(|(bucket, _)| top_ns(*bucket) <= ns);
        within.map(|(_, bucket)| bucket.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_within_its_bucket_and_buckets_are_narrow() {
        let mut last = 0;
        for ns in (0..5_000).chain((12..36).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 7])) {
            let place = bucket(ns);
            assert!(ns <= top_ns(place) && place < BUCKETS, "{ns}");
            assert!(top_ns(place) - ns <= ns / 16, "{ns}");
            assert!(place >= last || ns < 5_000, "{ns}");
            last = place;
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_are_those_of_the_times() {
        let histogram = Histogram::default();
        assert_eq!((histogram.quantile_ns(0.5), histogram.count()), (0, 0));
        (1..=1_000).for_each(|ms| histogram.record(ms * 1_000_000));
        for (q, exact) in [(0.0, 1_000_000), (0.5, 500_000_000), (0.999, 999_000_000), (1.0, 1_000_000_000)] {
            let found = histogram.quantile_ns(q);
            assert!(found >= exact && found <= exact + exact / 16, "{q}: {found}");
        }
        assert_eq!((histogram.count(), histogram.max_ns()), (1_000, 1_000_000_000));
        assert_eq!(histogram.sum_ns(), 500_500_000_000);
        assert!(histogram.at_most(500_000_000).abs_diff(500) <= 32);
        let edge_ns = top_ns(bucket(500_000_000));
        assert!(
            histogram.at_most(edge_ns) >= 500 && histogram.at_most(edge_ns - 1) < 500,
            "a bucket counts from its end on"
        );
    }
}
