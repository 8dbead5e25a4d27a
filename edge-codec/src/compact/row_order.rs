//! Order of a batch's readings. The order by time costs nothing; any other one is a list of columns.

#![deny(clippy::indexing_slicing)]

use crate::compact::shared_timestamps::Span;
use crate::compact::stream::ans::Decoder;
use crate::compact::stream::coder::Coder;
use crate::compact::stream::distribution_choice;
use crate::compact::stream::op_buffer::OpBuffer;
use crate::zigzag::{unzigzag, zigzag};
use std::ops::Range;

/// Returns the column of each reading in the order by time: sorted by the latest time of their clock so far, then by column, then as within
/// their column.
pub(super) fn by_time(clocks: &[&[i64]], spans: &[Span], readings: usize) -> Vec<u32> {
    if let ([_, _], [a, b]) = (clocks, spans) {
        return two(Run::new(clocks, a), Run::new(clocks, b), readings);
    }
    let mut order = Vec::with_capacity(readings);
    let instants: usize = clocks.iter().map(|times| times.len()).sum();
    match clocks {
        _ if instants.saturating_mul(spans.len()) > WALK * readings + 1024 => {
            return sorted(clocks, spans, readings);
        }
        [clock] if rises(clock) => {
            one_clock(clock.len(), spans, &mut order);
        }
        _ => merge(clocks, spans, &mut order),
    }
    order
}

/// Most columns looked at per reading in a walk along the clocks, which looks at every column at every instant. Beyond it, as with many clocks
/// or sparse columns, sorting is faster.
const WALK: usize = 16;

/// Iterator over the times of a column, each replaced by the latest of its clock so far.
struct Run<'a> {
    times: std::slice::Iter<'a, i64>,
    latest: i64,
}

impl<'a> Run<'a> {
    fn new(clocks: &[&'a [i64]], span: &Span) -> Self {
        let times = clocks.get(span.clock).copied().unwrap_or_default();
        let (before, times) = times.split_at_checked(span.skip).unwrap_or_default();
        let times = times.get(..times.len().saturating_sub(span.cut)).unwrap_or_default();
        Self { times: times.iter(), latest: before.iter().copied().max().unwrap_or(i64::MIN) }
    }

    fn next(&mut self) -> Option<i64> {
        self.latest = self.latest.max(*self.times.next()?);
        Some(self.latest)
    }
}

/// Merges two columns. It branches rather than selects, because the branch of regular columns is predicted long before the times are known.
fn two(mut first: Run<'_>, mut second: Run<'_>, readings: usize) -> Vec<u32> {
    let mut order = vec![0; readings];
    let (mut a, mut b) = (first.next(), second.next());
    for column in &mut order {
        if b.is_none_or(|b| a.is_some_and(|a| a <= b)) {
            a = first.next();
        } else {
            *column = 1;
            b = second.next();
        }
    }
    order
}

fn sorted(clocks: &[&[i64]], spans: &[Span], readings: usize) -> Vec<u32> {
    let latest = |times: &&[i64]| {
        let mut latest = i64::MIN;
        let times = times.iter().map(|time| {
            latest = latest.max(*time);
            latest
        });
        times.collect::<Vec<i64>>()
    };
    let latest: Vec<Vec<i64>> = clocks.iter().map(latest).collect();
    let mut rows = Vec::with_capacity(readings);
    for (column, span) in (0_u32..).zip(spans) {
        let times = latest.get(span.clock).map_or(&[][..], Vec::as_slice);
        let times = times.get(span.skip..times.len().saturating_sub(span.cut)).unwrap_or_default();
        rows.extend(times.iter().map(|time| (*time, column)));
    }
    // Each column is sorted, which the stable sort makes use of.
    rows.sort();
    rows.into_iter().map(|(_, column)| column).collect()
}

fn one_clock(len: usize, spans: &[Span], order: &mut Vec<u32>) {
    let full = spans.iter().all(|s| s.skip == 0 && s.cut == 0);
    for row in 0..len {
        if full {
            order.extend(0..spans.len() as u32);
        } else {
            let here = (0..).zip(spans).filter(|(_, s)| row >= s.skip && row + s.cut < len);
            order.extend(here.map(|(column, _)| column));
        }
    }
}

/// State of the walk along one of the clocks that are merged.
struct ClockWalk<'a> {
    times: &'a [i64],
    columns: &'a [u32],
    /// Indices of the instants at which every column of the clock has a reading; empty if an instant of the clock is not later than the one before.
    full: Range<usize>,
    /// Index of the first instant that is not done.
    at: usize,
    /// Index behind the instants from `at` on that are emitted together.
    end: usize,
}

impl<'a> ClockWalk<'a> {
    fn new(times: &'a [i64]) -> Self {
        let full = if rises(times) { 0..times.len() } else { 0..0 };
        Self { times, columns: &[], full, at: 0, end: 0 }
    }

    fn take(&mut self, columns: &'a [u32], spans: &[Span]) {
        self.columns = columns;
        for span in columns.iter().filter_map(|column| spans.get(*column as usize)) {
            let end = self.times.len().saturating_sub(span.cut);
            self.full = self.full.start.max(span.skip)..self.full.end.min(end);
        }
    }

    fn next(&self) -> Option<i64> {
        self.times.get(self.at).copied()
    }

    /// Selects all instants up to the time `now`.
    fn advance(&mut self, now: i64) {
        self.end = self.at;
        while self.times.get(self.end).is_some_and(|t| *t <= now) {
            self.end += 1;
        }
    }

    /// Emits the instants before `limit`, while no other clock has one.
    fn alone(&mut self, limit: i64, spans: &[Span], order: &mut Vec<u32>) {
        while let Some(now) = self.next().filter(|now| *now < limit) {
            if self.full.contains(&self.at) {
                let rest = self.times.get(self.at..self.full.end).unwrap_or_default();
                let run = rest.iter().take_while(|t| **t < limit).count();
                match self.columns {
                    [column] => order.extend(std::iter::repeat_n(*column, run)),
                    columns => (0..run).for_each(|_| order.extend_from_slice(columns)),
                }
                self.at += run;
                continue;
            }
            self.advance(now);
            for column in self.columns {
                if let Some(span) = spans.get(*column as usize) {
                    self.emit(*column, span, order);
                }
            }
            self.at = self.end;
        }
    }

    fn emit(&self, column: u32, span: &Span, order: &mut Vec<u32>) {
        let from = self.at.max(span.skip);
        let to = self.end.min(self.times.len().saturating_sub(span.cut));
        order.extend(std::iter::repeat_n(column, to.saturating_sub(from)));
    }
}

/// Returns whether each time is later than the one before.
pub(super) fn rises(times: &[i64]) -> bool {
    times.iter().zip(times.get(1..).unwrap_or_default()).fold(true, |rises, (a, b)| rises & (a < b))
}

fn merge(clocks: &[&[i64]], spans: &[Span], order: &mut Vec<u32>) {
    let mut walks: Vec<ClockWalk<'_>> = clocks.iter().map(|times| ClockWalk::new(times)).collect();
    let clock = |column: &u32| spans.get(*column as usize).map_or(0, |span| span.clock);
    let mut columns: Vec<u32> = (0..spans.len() as u32).collect();
    columns.sort_by_key(clock);
    for columns in columns.chunk_by(|a, b| clock(a) == clock(b)) {
        if let Some(walk) = columns.first().and_then(|column| walks.get_mut(clock(column))) {
            walk.take(columns, spans);
        }
    }
    // The next instant of each clock; of one that has ended the last there can be.
    let head = |walk: &ClockWalk<'_>| walk.next().unwrap_or(i64::MAX);
    let mut heads: Vec<i64> = walks.iter().map(head).collect();
    loop {
        let (first, now, limit) = earliest(&heads);
        if now < limit {
            // Alone until the others go on.
            if let (Some(walk), Some(slot)) = (walks.get_mut(first), heads.get_mut(first)) {
                walk.alone(limit, spans, order);
                *slot = head(walk);
            }
            continue;
        }
        together(&mut walks, &heads, now, spans, order);
        walks.iter().zip(&mut heads).for_each(|(walk, slot)| *slot = head(walk));
        if now == i64::MAX {
            return;
        }
    }
}

/// Emits the instants of all clocks that have one at `now`. `i64::MAX`: all clocks have ended.
fn together(walks: &mut [ClockWalk<'_>], heads: &[i64], now: i64, spans: &[Span], order: &mut Vec<u32>) {
    if now < i64::MAX && walks.iter().zip(heads).all(|(w, head)| *head > now || w.full.contains(&w.at)) {
        let all = 0..spans.len() as u32;
        if heads.iter().all(|head| *head == now) {
            order.extend(all);
        } else {
            let due = all.zip(spans).filter(|(_, span)| heads.get(span.clock) == Some(&now));
            order.extend(due.map(|(column, _)| column));
        }
        walks.iter_mut().zip(heads).for_each(|(walk, head)| walk.at += usize::from(*head == now));
        return;
    }
    walks.iter_mut().for_each(|walk| walk.advance(now));
    for (column, span) in (0..).zip(spans) {
        if let Some(walk) = walks.get(span.clock) {
            walk.emit(column, span, order);
        }
    }
    walks.iter_mut().for_each(|walk| walk.at = walk.end);
}

/// Returns the clock with the earliest instant, that instant, and the earliest instant of the other clocks.
fn earliest(heads: &[i64]) -> (usize, i64, i64) {
    let (mut first, mut now, mut limit) = (0, i64::MAX, i64::MAX);
    for (nth, head) in heads.iter().enumerate() {
        if *head < now {
            (first, now, limit) = (nth, *head, now);
        } else {
            limit = limit.min(*head);
        }
    }
    (first, now, limit)
}

/// Returns the column that is expected after `column`; an order is written as differences to it.
fn following(column: u32, columns: usize) -> u32 {
    if column as usize + 1 >= columns { 0 } else { column + 1 }
}

/// Writes an order that is not the one by time.
pub(super) fn write(order: &[u32], columns: usize, ops: &mut OpBuffer) {
    let mut expected = 0;
    let steps: Vec<u64> = order
        .iter()
        .map(|column| {
            let step = zigzag(i64::from(*column) - i64::from(expected));
            expected = following(*column, columns);
            step
        })
        .collect();
    let (coder, _) = distribution_choice::coder(&steps);
    ops.coder(&coder);
    ops.numbers(&coder, &steps);
}

/// Reads an order. `lens`: lengths of the columns, which it must match. `None`: it does not.
pub(super) fn read(decoder: &mut Decoder<'_>, lens: &[usize], readings: usize) -> Option<Vec<u32>> {
    let coder = Coder::read(&mut decoder.bits)?;
    let mut left = lens.to_vec();
    let mut expected = 0;
    let mut order = Vec::with_capacity(readings);
    for _ in 0..readings {
        let step = unzigzag(decoder.number(&coder.dist, coder.low));
        let column = u32::try_from(i64::from(expected).wrapping_add(step)).ok()?;
        let left = left.get_mut(column as usize)?;
        *left = left.checked_sub(1)?;
        order.push(column);
        expected = following(column, lens.len());
    }
    Some(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(clock: usize, skip: usize, cut: usize) -> Span {
        Span { clock, skip, cut }
    }

    /// Returns the order of readings as docs/codec-formats.md defines it, by sorting.
    fn model(clocks: &[&[i64]], spans: &[Span]) -> Vec<u32> {
        let mut rows = Vec::new();
        for (column, span) in (0..).zip(spans) {
            let (times, mut latest) = (clocks[span.clock], i64::MIN);
            for (at, time) in times.iter().enumerate() {
                latest = latest.max(*time);
                if at >= span.skip && at + span.cut < times.len() {
                    rows.push((latest, column));
                }
            }
        }
        rows.sort();
        rows.into_iter().map(|r| r.1).collect()
    }

    #[test]
    fn merging_is_sorting() {
        let cases: [(&[&[i64]], &[Span]); 5] = [
            (&[&[1, 2, 3]], &[span(0, 1, 0), span(0, 0, 0), span(0, 0, 2)]),
            (&[&[1, 2, 3], &[1, 3, 5]], &[span(0, 0, 0), span(1, 0, 1), span(0, 1, 0), span(1, 1, 0)]),
            (&[&[5, 3, 3, 9], &[4, 5, 6]], &[span(0, 0, 0), span(1, 0, 0), span(0, 1, 1)]),
            (&[&[7, 7, 7]], &[span(0, 0, 0), span(0, 1, 0)]),
            (
                &[&[1, 2, 3, 4, 9, i64::MAX], &[i64::MIN, 4, 5, 6, i64::MAX]],
                &[span(0, 0, 1), span(1, 1, 0), span(0, 1, 0)],
            ),
        ];
        for (clocks, spans) in cases {
            let expected = model(clocks, spans);
            assert_eq!(by_time(clocks, spans, expected.len()), expected);
            assert_eq!(sorted(clocks, spans, expected.len()), expected);
        }
    }

    #[test]
    fn columns_that_have_few_of_the_instants_are_sorted() {
        let times: Vec<i64> = (0..200).collect();
        let spans: Vec<Span> = (0..200).rev().map(|at| span(0, at, 199 - at)).collect();
        let expected: Vec<u32> = (0..200).rev().collect();
        assert_eq!(by_time(&[&times], &spans, 200), expected);
        let clocks: Vec<&[i64]> = times.chunks(2).rev().collect();
        let spans: Vec<Span> = (0..100).map(|clock| span(clock, 0, 0)).collect();
        assert_eq!(by_time(&clocks, &spans, 200), model(&clocks, &spans));
    }

    #[test]
    fn another_order_comes_back() {
        let order = [2, 0, 1, 1, 2, 0, 0, 2];
        let mut ops = OpBuffer::default();
        write(&order, 3, &mut ops);
        let bytes = ops.write(<[u8]>::to_vec);
        let lens = [3, 2, 3];
        assert_eq!(read(&mut Decoder::new(&bytes).unwrap(), &lens, 8).unwrap(), order);
        assert!(read(&mut Decoder::new(&bytes).unwrap(), &[3, 1, 4], 8).is_none());
    }

    /// Of a clock that was set back the latest instant so far counts, also where a column has it not.
    #[test]
    fn instants_before_a_columns_first_count_for_its_order() {
        let clock: &[i64] = &[5, 9, 3, 12, 4];
        let times = |skip, cut| {
            let mut run = Run::new(&[clock], &span(0, skip, cut));
            std::iter::from_fn(|| run.next()).collect::<Vec<_>>()
        };
        assert_eq!((times(0, 0), times(2, 0)), (vec![5, 9, 9, 12, 12], vec![9, 12, 12]));
        assert_eq!((times(2, 2), times(1, 4)), (vec![9], vec![]));
    }
}
