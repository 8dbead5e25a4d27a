//! Smallest and largest value of a window that only moves forward, at constant cost per value.

use std::collections::VecDeque;

/// Two monotonic queues for the extremes of a window. Each value enters and leaves each of them once.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Extremes {
    // Rising, resp. falling from front to back; positions rise.
    smallest: VecDeque<(i64, f64)>,
    largest: VecDeque<(i64, f64)>,
}

impl Extremes {
    /// Returns the most bytes of the two queues over a window of so many values.
    pub(super) fn bytes(values: usize) -> usize {
        2 * values.next_power_of_two().max(4) * size_of::<(i64, f64)>()
    }

    /// Adds a finite value, at or after the position of the last one.
    pub(super) fn push(&mut self, position: i64, value: f64) {
        while self.smallest.back().is_some_and(|&(_, v)| v >= value) {
            self.smallest.pop_back();
        }
        while self.largest.back().is_some_and(|&(_, v)| v <= value) {
            self.largest.pop_back();
        }
        self.smallest.push_back((position, value));
        self.largest.push_back((position, value));
    }

    /// Removes the values before `position`.
    pub(super) fn expire(&mut self, position: i64) {
        for queue in [&mut self.smallest, &mut self.largest] {
            while queue.front().is_some_and(|&(p, _)| p < position) {
                queue.pop_front();
            }
        }
    }

    /// Returns the largest value less the smallest; `None` if the window is empty.
    pub(super) fn range(&self) -> Option<f64> {
        Some(self.largest.front()?.1 - self.smallest.front()?.1)
    }

    pub(super) fn clear(&mut self) {
        self.smallest.clear();
        self.largest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rising series fills one queue, and a falling one after it the other.
    #[test]
    fn no_window_takes_more_than_is_said() {
        for values in [1, 2, 12, 32, 33, 1_000] {
            let mut extremes = Extremes::default();
            for position in 0..4_000_i64 {
                let value = if position < 2_000 { position } else { -position };
                extremes.push(position, value as f64);
                extremes.expire(position + 2 - values);
            }
            let capacity = extremes.smallest.capacity() + extremes.largest.capacity();
            let most = Extremes::bytes(usize::try_from(values).unwrap_or(0));
            assert!(capacity * size_of::<(i64, f64)>() <= most, "{values}: {capacity} places");
        }
    }

    #[test]
    fn the_range_is_that_of_the_window_recomputed() {
        let mut extremes = Extremes::default();
        let mut seed = 7_u64;
        let values: Vec<f64> = (0..2000)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((seed >> 60) as f64) - 8.0
            })
            .collect();
        for (i, &v) in values.iter().enumerate() {
            extremes.push(i as i64, v);
            extremes.expire(i as i64 - 12);
            let window = &values[i.saturating_sub(12)..=i];
            let high = window.iter().copied().fold(f64::MIN, f64::max);
            let low = window.iter().copied().fold(f64::MAX, f64::min);
            assert_eq!(extremes.range(), Some(high - low), "{i}");
        }
        extremes.clear();
        assert_eq!(extremes.range(), None);
    }
}
