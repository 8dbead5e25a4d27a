//! Cover: the time that readings cover, the areas under them, and the time for which they were good.

use super::aggregate::Sum;
use crate::snapshot_serde::as_array;

/// Reading as a window uses it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) time: i64,
    /// Value, if it may be used; `None` for a bad or non-finite one.
    pub(super) good: Option<f64>,
}

as_array!(Sample { time, good });

impl Sample {
    /// Returns the same value at a later time.
    pub(super) fn held_to(self, time: i64) -> Self {
        Sample { time, ..self }
    }
}

/// Areas under the readings, in value times milliseconds, and the time for which they were good, and for which they were bad or not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cover {
    stepped: Sum,
    sloped: Sum,
    good_ms: f64,
    bad_ms: f64,
    good: u64,
    bad: u64,
}

as_array!(Cover { stepped, sloped, good_ms, bad_ms, good, bad });

impl Cover {
    pub(super) fn seen(&mut self, good: bool) {
        let counter = if good { &mut self.good } else { &mut self.bad };
        *counter = counter.saturating_add(1);
    }

    /// Adds time of which nothing is known: before the first reading of all, or behind the last one.
    pub(super) fn unknown(&mut self, from: i64, to: i64) {
        self.bad_ms += to.saturating_sub(from).max(0) as f64;
    }

    /// Adds the part of the time from `from` to `to`, two readings that follow each other, that lies within the window. Between two good
    /// readings there is a line, whose value at the window's bound is interpolated; before a bad reading the good one is held.
    pub(super) fn span(&mut self, start: i64, end: i64, from: Sample, to: Sample) {
        let (a, b) = (from.time.max(start), to.time.min(end));
        if b <= a {
            return;
        }
        let ms = b.saturating_sub(a) as f64;
        let Some(before) = from.good else {
            self.bad_ms += ms;
            return;
        };
        self.good_ms += ms;
        self.stepped.add(before * ms);
        let after = to.good.unwrap_or(before);
        let whole = to.time.saturating_sub(from.time) as f64;
        let at = |time: i64| before + (after - before) * (time.saturating_sub(from.time) as f64 / whole);
        self.sloped.add((at(a) / 2.0 + at(b) / 2.0) * ms);
    }

    /// Returns the good part in percent: by time, or by number if the readings cover no time.
    pub(super) fn good_pct(&self) -> f64 {
        let (good, bad) = if self.good_ms + self.bad_ms > 0.0 {
            (self.good_ms, self.bad_ms)
        } else {
            (self.good as f64, self.bad as f64)
        };
        // A bad reading just before the end covers hardly any time, and is bad all the same.
        if self.bad == 0 && self.bad_ms == 0.0 {
            100.0
        } else {
            (good / (good + bad) * 100.0).min(100.0_f64.next_down())
        }
    }

    pub(super) fn average(&self, sloped: bool) -> Option<f64> {
        let area = if sloped { self.sloped } else { self.stepped };
        (self.good_ms > 0.0).then(|| area.total() / self.good_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_reading_that_covers_no_time_is_bad_all_the_same() {
        let mut cover = Cover::default();
        cover.seen(true);
        cover.span(0, 100, Sample { time: 0, good: Some(1.0) }, Sample { time: 100, good: None });
        assert_eq!(cover.good_pct(), 100.0);
        cover.seen(false);
        assert_eq!(cover.good_pct(), 100.0_f64.next_down());
    }
}
