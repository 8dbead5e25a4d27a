//! Shared timestamps. Sensors that are polled together have one list of instants, a clock, and each uses a range of it.

#![deny(clippy::indexing_slicing)]

use crate::compact::stream::ans::Decoder;
use crate::compact::stream::bits::EG_MAX;
use crate::compact::stream::coder::Coder;
use crate::compact::stream::op_buffer::OpBuffer;
use crate::zigzag::{unzigzag, zigzag};

/// Exp-Golomb order of the start of a batch's first clock without a table, since milliseconds since 1970 have 41 bits.
const START_LOW: u32 = 40;
/// Exp-Golomb order of the start of the other clocks, which start near the first.
const NEAR_LOW: u32 = 10;
/// Exp-Golomb order of the number of a clock's steps.
pub(super) const STEPS_LOW: u32 = 0;

/// Coding of a clock: the start, then for each step the number `r` of units by which it differs from the period.
#[derive(Clone, Debug)]
pub(crate) struct ClockPlan {
    /// Instant from which the start of a batch's first clock is counted.
    pub(super) origin: i64,
    /// Exp-Golomb order of the first clock's start; others use [`NEAR_LOW`].
    pub(super) start_low: u32,
    /// Unit of the steps in milliseconds, above 0.
    pub(super) unit: i64,
    /// Period of the clock, in units.
    pub(super) period: i64,
    pub(super) coder: Coder,
}

impl ClockPlan {
    /// Returns a plan with the unit and period of these instants, and with `coder`.
    pub(super) fn of(times: &[i64], coder: Coder) -> Self {
        let (mut unit, mut first, mut steps) = (0, 0, Vec::with_capacity(times.len()));
        for (a, b) in times.iter().zip(times.get(1..).unwrap_or_default()) {
            let step = b.wrapping_sub(*a);
            if unit != 1 && step != first {
                unit = gcd(unit, step.unsigned_abs());
            }
            first = if steps.is_empty() { step } else { first };
            steps.push(step);
        }
        unit = gcd(unit, first.unsigned_abs());
        let unit = i64::try_from(unit).unwrap_or(1).max(1);
        steps.sort_unstable();
        let period = steps.get(steps.len() / 2).map_or(0, |s| s / unit);
        Self { origin: 0, start_low: START_LOW, unit, period, coder }
    }

    /// Computes the zigzag residuals of the steps. Returns `false` if the steps are not whole units.
    pub(super) fn residuals(&self, times: &[i64], out: &mut Vec<u64>) -> bool {
        out.clear();
        let mut rest = 0;
        // A division takes longer than all the rest, and most steps are the period.
        let usual = self.unit.wrapping_mul(self.period);
        out.extend(times.iter().zip(times.get(1..).unwrap_or_default()).map(|(a, b)| {
            let step = b.wrapping_sub(*a);
            let units = if step == usual { self.period } else { step / self.unit };
            rest |= step.wrapping_sub(units.wrapping_mul(self.unit));
            zigzag(units.wrapping_sub(self.period))
        }));
        rest == 0
    }

    /// Writes the plan into a batch, without `origin` and `start_low`, which only plans of tables have.
    pub(super) fn describe(&self, ops: &mut OpBuffer) {
        ops.raw(self.unit as u64);
        ops.raw(zigzag(self.period));
        ops.coder(&self.coder);
    }

    pub(super) fn read(decoder: &mut Decoder<'_>) -> Option<Self> {
        let unit = i64::try_from(decoder.bits.raw()).ok().filter(|u| *u > 0)?;
        let period = unzigzag(decoder.bits.raw());
        let coder = Coder::read(&mut decoder.bits)?;
        Some(Self { origin: 0, start_low: START_LOW, unit, period, coder })
    }

    /// Returns the number that is written for the start, and its Exp-Golomb order. `learned`: the plan is a table's, which counts in units;
    /// `first`: start of the batch's first clock, if this is another one. `None`: the plan cannot hold the start.
    pub(super) fn start(&self, learned: bool, start: i64, first: Option<i64>) -> Option<(u64, u32)> {
        let (from, low) = first.map_or((self.origin, self.start_low), |first| (first, NEAR_LOW));
        let from = start.wrapping_sub(from);
        let unit = if learned { self.unit } else { 1 };
        let number = zigzag(from.checked_div(unit)?);
        (from % unit == 0 && number >> low < EG_MAX).then_some((number, low))
    }

    /// Writes the start, and the residuals of [`residuals`](Self::residuals) unless they are all 0.
    pub(super) fn write(&self, ops: &mut OpBuffer, start: (u64, u32), residuals: &[u64]) {
        ops.eg(start.0, start.1);
        if !residuals.is_empty() {
            let regular = is_regular(residuals);
            ops.flag(!regular);
            if !regular {
                ops.numbers(&self.coder, residuals);
            }
        }
    }

    /// Returns the cost of the residuals in 1/256 bits.
    pub(super) fn cost(&self, residuals: &[u64]) -> u64 {
        if is_regular(residuals) { 0 } else { self.coder.cost_all(residuals) }
    }

    /// Appends the clock's instants: the start, and `steps` more.
    pub(super) fn instants(
        &self,
        learned: bool,
        decoder: &mut Decoder<'_>,
        first: Option<i64>,
        steps: usize,
        out: &mut Vec<i64>,
    ) {
        let (from, low) = first.map_or((self.origin, self.start_low), |first| (first, NEAR_LOW));
        let unit = if learned { self.unit } else { 1 };
        let mut time = from.wrapping_add(unit.wrapping_mul(unzigzag(decoder.bits.eg(low))));
        let (unit, period) = (self.unit, self.period);
        out.reserve(steps.saturating_add(1));
        out.push(time);
        if steps > 0 && !decoder.bits.flag() {
            let step = unit.wrapping_mul(period);
            out.extend((0..steps).map(|_| {
                time = time.wrapping_add(step);
                time
            }));
            return;
        }
        let from = out.len();
        out.resize(from + steps, time);
        let rest = out.get_mut(from..).unwrap_or_default();
        decoder.fill(&self.coder.dist, self.coder.low, rest, |n| {
            time = time.wrapping_add(unit.wrapping_mul(period.wrapping_add(unzigzag(n))));
            time
        });
    }
}

/// Returns whether all steps are the period.
fn is_regular(residuals: &[u64]) -> bool {
    residuals.iter().all(|r| *r == 0)
}

pub(super) fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Range of a clock that a sensor uses: all instants but the first `skip` and the last `cut`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) clock: usize,
    pub(super) skip: usize,
    pub(super) cut: usize,
}

/// Finds the clocks of columns, and the range of each column. Returns the clocks' instants.
pub(super) fn share(columns: &[&[i64]], spans: &mut Vec<Span>) -> Vec<Vec<i64>> {
    let mut clocks: Vec<Vec<i64>> = Vec::new();
    spans.clear();
    let mut last = 0;
    for times in columns {
        let others = (0..clocks.len()).rev().filter(|c| *c != last);
        let near = std::iter::once(last).chain(others).take(CLOCKS_TRIED);
        let found = near.into_iter().find_map(|c| Some((c, fit(clocks.get(c)?, times)?)));
        let (clock, fit) = found.unwrap_or_else(|| {
            clocks.push(Vec::new());
            (clocks.len() - 1, Fit::After(0))
        });
        last = clock;
        let Some(instants) = clocks.get_mut(clock) else { continue };
        let skip = match fit {
            Fit::After(skip) => skip,
            Fit::Before(more) => {
                instants.splice(0..0, times.iter().take(more).copied());
                spans.iter_mut().filter(|s| s.clock == clock).for_each(|s| s.skip += more);
                0
            }
        };
        instants.extend_from_slice(times.get(instants.len() - skip..).unwrap_or_default());
        // Its length for now: what is cut off is known when the clock has its last instant.
        spans.push(Span { clock, skip, cut: times.len() });
    }
    for span in spans.iter_mut() {
        span.cut = clocks.get(span.clock).map_or(0, Vec::len) - span.skip - span.cut;
    }
    clocks
}

/// Most clocks that are tried for a column. Without a limit, a thousand sensors with a thousand clocks would need a million comparisons.
const CLOCKS_TRIED: usize = 16;

/// Position of a column's start relative to a clock.
enum Fit {
    /// The column starts so many instants after the clock.
    After(usize),
    /// The column starts so many instants before the clock.
    Before(usize),
}

/// Returns the position of a column on a clock. `None`: their instants differ somewhere in the range that both have.
fn fit(clock: &[i64], times: &[i64]) -> Option<Fit> {
    let at = |list: &[i64], time: &i64| {
        let near = list.iter().take(4).position(|t| t == time);
        near.or_else(|| list.iter().position(|t| t == time))
    };
    let agree = |a: &[i64], b: &[i64]| {
        let both = a.len().min(b.len());
        a.get(..both) == b.get(..both)
    };
    if let Some(skip) = at(clock, times.first()?) {
        return agree(clock.get(skip..)?, times).then_some(Fit::After(skip));
    }
    let more = at(times, clock.first()?)?;
    agree(times.get(more..)?, clock).then_some(Fit::Before(more))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back(times: &[i64]) {
        let mut plan = ClockPlan::of(times, Coder::fixed(2, 3).unwrap());
        let mut residuals = Vec::new();
        for learned in [false, true] {
            plan.origin = if learned { times[0] - 5 * plan.unit } else { 0 };
            assert!(plan.residuals(times, &mut residuals), "{plan:?}");
            for first in [None, Some(times[0].wrapping_sub(plan.unit * 3))] {
                let Some(start) = plan.start(learned, times[0], first) else { continue };
                let mut ops = OpBuffer::default();
                plan.write(&mut ops, start, &residuals);
                let bytes = ops.write(<[u8]>::to_vec);
                let mut decoder = Decoder::new(&bytes).unwrap();
                let mut out = Vec::new();
                plan.instants(learned, &mut decoder, first, times.len() - 1, &mut out);
                assert_eq!(out, times);
                assert!(decoder.ended_well());
            }
        }
    }

    #[test]
    fn instants_come_back() {
        comes_back(&[1_580_515_200_000]);
        comes_back(&[
            1_580_515_200_000,
            1_580_515_210_000,
            1_580_515_221_000,
            1_580_515_221_000,
            1_580_515_200_000,
        ]);
        comes_back(&[5, 5, 5]);
        comes_back(&[100, 110, 120, 130]);
        comes_back(&[-7, 1 << 40, i64::MIN, i64::MAX, 0]);
    }

    /// A reader takes no code of more than 55 zeros, and a table's clock may have a low order.
    #[test]
    fn a_start_too_far_from_a_learned_origin_is_none_of_its_plan() {
        let mut plan = ClockPlan::of(&[0, 1, 2], Coder::plain());
        let far = [i64::MIN, i64::MIN + 127, i64::MIN + 128, i64::MIN + 300, -1, 0, i64::MAX - 128, i64::MAX];
        let mut held = Vec::new();
        for (start_low, origin) in [(8, 0), (8, 77), (9, 0), (60, 5)] {
            (plan.start_low, plan.origin) = (start_low, origin);
            for time in far.map(|from| from.wrapping_add(origin)) {
                let Some(start) = plan.start(true, time, None) else { continue };
                let mut ops = OpBuffer::default();
                plan.write(&mut ops, start, &[]);
                let bytes = ops.write(<[u8]>::to_vec);
                let (mut decoder, mut out) = (Decoder::new(&bytes).unwrap(), Vec::new());
                plan.instants(true, &mut decoder, None, 0, &mut out);
                assert_eq!((out, decoder.ended_well()), (vec![time], true), "{start_low} {origin}");
                held.push(time);
            }
        }
        assert!(held.len() > 2 * far.len(), "{} of {}", held.len(), 4 * far.len());
    }

    #[test]
    fn columns_of_one_poll_share_a_clock() {
        let mut spans = Vec::new();
        let clocks = share(&[&[1, 2], &[0, 1, 2], &[2, 3], &[1, 3], &[9]], &mut spans);
        assert_eq!(clocks, [vec![0, 1, 2, 3], vec![1, 3], vec![9]]);
        let span = |clock, skip, cut| Span { clock, skip, cut };
        assert_eq!(spans, [span(0, 1, 1), span(0, 0, 1), span(0, 2, 0), span(1, 0, 0), span(2, 0, 0)]);
    }
}
