//! Distance of the kept readings from the measured ones.

use std::collections::VecDeque;

/// Interpretation of the kept readings between their times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Each value holds until the next.
    Hold,
    /// A straight line from one to the next.
    Line,
}

/// Compares originals with what can be read off the kept ones as soon as the next of these is known. Keeps 16 bytes per
/// original since the last kept one.
#[derive(Clone, Debug)]
pub(super) struct Distance {
    pub(super) reading: Reading,
    open: VecDeque<(i64, f64)>,
    last: Option<(i64, f64)>,
    max: f64,
    squares: f64,
    compared: u64,
}

impl Distance {
    pub(super) fn new(reading: Reading) -> Self {
        Distance { reading, open: VecDeque::new(), last: None, max: 0.0, squares: 0.0, compared: 0 }
    }

    /// A usable original.
    pub(super) fn original(&mut self, time: i64, value: f64) {
        self.open.push_back((time, value));
    }

    /// Compares the readings before a kept one with the line that it ends. `None`: it has no usable number, so that nothing can be read off.
    pub(super) fn kept(&mut self, time: i64, value: Option<f64>) {
        let next = value.map(|value| (time, value));
        while let Some(&(at, original)) = self.open.front().filter(|(at, _)| *at < time) {
            self.open.pop_front();
            self.compare(at, original, next);
        }
        self.last = next;
    }

    /// Ends the comparison, because no later reading comes: at the end, and where the clock was set back.
    pub(super) fn finish(&mut self) {
        while let Some((at, original)) = self.open.pop_front() {
            self.compare(at, original, None);
        }
        self.last = None;
    }

    /// Returns the largest distance and the root of the mean square; `None` if nothing could be compared.
    pub(super) fn max_and_rms(&self) -> Option<(f64, f64)> {
        (self.compared > 0).then(|| (self.max, (self.squares / self.compared as f64).sqrt()))
    }

    fn compare(&mut self, at: i64, original: f64, next: Option<(i64, f64)>) {
        let Some((from, held)) = self.last else { return };
        let read = match (self.reading, next) {
            (Reading::Line, Some((to, value))) if to > from => {
                let part = at.saturating_sub(from) as f64 / to.saturating_sub(from) as f64;
                held + (value - held) * part
            }
            _ => held,
        };
        let distance = (original - read).abs();
        self.max = self.max.max(distance);
        self.squares += distance * distance;
        self.compared += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_and_interpolated_by_hand() {
        for (reading, max) in [(Reading::Hold, 4.0), (Reading::Line, 1.0)] {
            let mut distance = Distance::new(reading);
            distance.kept(0, Some(0.0));
            for (time, value) in [(0, 0.0), (1, 1.0), (2, 3.0), (3, 4.0)] {
                distance.original(time, value);
            }
            distance.original(4, 4.0);
            distance.kept(4, Some(4.0));
            distance.finish();
            assert_eq!(distance.max_and_rms().map(|(max, _)| max), Some(max));
        }
        let mut distance = Distance::new(Reading::Hold);
        distance.original(1, 5.0);
        distance.kept(2, None);
        distance.original(3, 5.0);
        distance.finish();
        assert_eq!(distance.max_and_rms(), None, "nothing was kept that can be read");
    }
}
