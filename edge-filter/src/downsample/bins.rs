//! Bins of equal time, with the same edges as those of `tsdownsample`.

use std::ops::Range;

/// Iterator over the bins that contain readings, in order, as ranges of indices.
///
/// An edge is `first + i * (last / n - first / n)`, computed in doubles in two halves and cut to whole milliseconds;
/// a bin holds what is at or before its edge. Since rounding decides where a reading on an edge belongs, the order of
/// the operations is part of the result. The last bin reaches to the last reading even if its edge was rounded down
/// (there the reading is lost then: one in two thousand sizes on the series of the tests).
pub(super) struct Bins<'a> {
    times: &'a [i64],
    first: f64,
    step: f64,
    count: usize,
    bin: usize,
    start: usize,
}

impl<'a> Bins<'a> {
    pub(super) fn new(times: &'a [i64], count: usize) -> Self {
        let end = |time: Option<&i64>| time.map_or(0.0, |&t| t as f64);
        let (first, last) = (end(times.first()), end(times.last()));
        let step = last / count as f64 - first / count as f64;
        Bins { times, first, step, count, bin: 0, start: 0 }
    }

    fn edge(&self, bin: usize) -> i64 {
        let half = bin as f64 / 2.0;
        (self.first + self.step * half + self.step * half + 1e-12) as i64
    }
}

impl Iterator for Bins<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        while self.bin < self.count {
            self.bin += 1;
            let edge = self.edge(self.bin);
            let rest = self.times.get(self.start..)?;
            if self.bin == self.count && !rest.is_empty() {
                return Some(self.start..self.times.len());
            }
            // A bin whose first reading is already on the edge is empty, as there.
            if *rest.first()? >= edge {
                continue;
            }
            let before = rest.partition_point(|&time| time < edge);
            let on_edge = rest.get(before).is_some_and(|&time| time == edge);
            let start = self.start;
            self.start = start + before + usize::from(on_edge);
            return Some(start..self.start);
        }
        None
    }
}
