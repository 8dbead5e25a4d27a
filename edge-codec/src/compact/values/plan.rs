//! Plan of one column: kind of the values, number form, transform to small integers, and coders. A plan stands in the batch or in a session
//! table.

#![deny(clippy::indexing_slicing)]

use super::delta_prediction::{Order, residuals_of, rest_of};
use super::integer_dictionary;
use super::kind::Kind;
use super::non_decimal_grid;
use super::number_form::{self, NumberForm, Powers, Rounding};
use super::rounding::{from_ordinal, ordinal};
use super::transform::{self, Transform};
use crate::compact::list_bytes::list_bytes;
use crate::compact::stream::ans::Decoder;
use crate::compact::stream::bits::bit_len;
use crate::compact::stream::coder::Coder;
use crate::compact::stream::op_buffer::OpBuffer;
use crate::zigzag::{unzigzag, zigzag};

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) form: NumberForm,
    pub(crate) transform: Transform,
    pub(crate) order: Order,
    pub(crate) center: i64,
    pub(crate) main: Coder,
    pub(crate) ulps: Option<Coder>,
    /// Coder of the first number, in a session table's plan: the first integer is `center + unzigzag(r)`. `None` in a batch's own plan, whose
    /// first integer is `center`.
    pub(crate) head: Option<Coder>,
}

/// Entry of the session table for the plan of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TablePlan<'t> {
    /// The batch has no session table, so each column carries its plan.
    NoTable,
    /// The table has no plan for the sensor. A bit says so, and the column carries its plan.
    Missing,
    /// The table has this plan. A bit says whether the column follows it or carries another.
    Learned(&'t Plan),
}

/// Estimated bits of a plan's kind, form, order and coders, and of the lengths of its numbers.
const TOLD: u64 = 40;

/// Parts of a plan that the next plan in the batch may share, so that they are written once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedParts {
    kind: Kind,
    form: NumberForm,
    order: Order,
    /// True if the form's integers are predicted as they are, without a transform.
    plain: bool,
    main: (usize, u32),
    ulps: Option<(usize, u32)>,
}

/// Buffers of the conversions, kept between columns to save allocations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) integers: Vec<i64>,
    pub(crate) ulps: Vec<i64>,
    pub(crate) residuals: Vec<u64>,
}

impl Scratch {
    /// Returns the bytes outside of the buffers' owner.
    pub(crate) fn heap_bytes(&self) -> usize {
        list_bytes(&self.integers) + list_bytes(&self.ulps) + list_bytes(&self.residuals)
    }
}

impl Plan {
    /// Writes the plan without its coders.
    pub(crate) fn describe(&self, ops: &mut OpBuffer) {
        ops.bits(self.kind as u64, 3);
        if self.kind == Kind::F64 {
            self.form.describe(ops);
        }
        self.transform.describe(ops);
        ops.bits(self.order as u64, 2);
        ops.raw(zigzag(self.center));
    }

    /// Writes a plan into a batch. The parts that it shares with the plan written before it take one bit.
    fn describe_after(&self, before: Option<SharedParts>, ops: &mut OpBuffer) {
        let own = self.shared();
        let alike = before.is_some_and(|b| {
            (b.kind, b.form, b.order) == (own.kind, own.form, own.order) && b.plain && own.plain
        });
        if before.is_some() {
            ops.flag(alike);
        }
        if alike {
            ops.raw(zigzag(self.center));
        } else {
            self.describe(ops);
        }
        let same = alike && before.is_some_and(|b| (b.main, b.ulps) == (own.main, own.ulps));
        if alike {
            ops.flag(same);
        }
        if !same {
            ops.coder(&self.main);
            self.ulps.iter().for_each(|coder| ops.coder(coder));
        }
    }

    /// Returns the parts that the next plan may share with this one.
    fn shared(&self) -> SharedParts {
        SharedParts {
            kind: self.kind,
            form: self.form,
            order: self.order,
            plain: self.transform == Transform::Nothing,
            main: self.main.name(),
            ulps: self.ulps.as_ref().map(Coder::name),
        }
    }

    /// Reads into `before` what [`describe_after`](Self::describe_after) wrote, and returns the column's kind. `before` is the plan that was read
    /// last in this batch, `None` if there was none, and becomes the one read now. A null or mixed column has no plan here, and leaves `before` as
    /// it is. `Err` names the violation.
    pub(crate) fn read_after(
        before: &mut Option<Plan>,
        decoder: &mut Decoder<'_>,
    ) -> Result<Kind, &'static str> {
        let fixed = |d: &mut Decoder<'_>| Coder::read(&mut d.bits).ok_or("an unknown coder");
        let alike = before.is_some() && decoder.bits.bits(1) == 1;
        if let Some(plan) = before.as_mut().filter(|_| alike) {
            plan.center = unzigzag(decoder.bits.raw());
            if decoder.bits.bits(1) == 0 {
                plan.main = fixed(decoder)?;
                if let Some(ulps) = &mut plan.ulps {
                    *ulps = fixed(decoder)?;
                }
            }
            // Only plans without a step of their own are alike.
            let plain = plan.transform == Transform::Nothing;
            return plain.then_some(plan.kind).ok_or("a column is like one that has a step");
        }
        let kind = Kind::read(&mut decoder.bits);
        if !matches!(kind, Kind::Null | Kind::Mixed) {
            *before = Some(Self::read(kind, decoder, false, fixed)?);
        }
        Ok(kind)
    }

    /// Reads what [`describe`](Self::describe) wrote after the kind. The coders come from `coder`, in the order main, ulps, head. `Err` names
    /// the violation.
    pub(crate) fn read<'a>(
        kind: Kind,
        decoder: &mut Decoder<'a>,
        has_heads: bool,
        mut coder: impl FnMut(&mut Decoder<'a>) -> Result<Coder, &'static str>,
    ) -> Result<Self, &'static str> {
        let bits = &mut decoder.bits;
        let form = if kind == Kind::F64 { NumberForm::read(bits)? } else { NumberForm::Bits64 };
        let transform = Transform::read(bits)?;
        let order = *Order::ALL.get(bits.bits(2) as usize).ok_or("an unknown order")?;
        let center = unzigzag(bits.raw());
        let main = coder(decoder)?;
        let ulps = if kind == Kind::F64 && form.has_ulps() { Some(coder(decoder)?) } else { None };
        let head = if has_heads && order.has_head() { Some(coder(decoder)?) } else { None };
        Ok(Self { kind, form, transform, order, center, main, ulps, head })
    }

    /// Converts values (as bits) to the integers that are predicted. Returns `false` if the plan cannot represent one of them.
    pub(crate) fn integers(&self, values: &[u64], scratch: &mut Scratch) -> bool {
        if let Some(grid) = non_decimal_grid::of(self.form, &self.transform) {
            return non_decimal_grid::integers(
                self.form,
                grid,
                values,
                &mut scratch.integers,
                &mut scratch.ulps,
            );
        }
        self.plain_integers(values, scratch) && self.transform.apply(&mut scratch.integers)
    }

    /// Converts values to the form's integers, before the transform. Returns `false` if the form cannot represent one of them.
    fn plain_integers(&self, values: &[u64], scratch: &mut Scratch) -> bool {
        if self.kind == Kind::F64 {
            return self.form.integers(values, &mut scratch.integers, &mut scratch.ulps);
        }
        scratch.ulps.clear();
        scratch.integers.clear();
        scratch.integers.extend(values.iter().map(|v| *v as i64));
        true
    }

    /// Adapts a plan of an earlier batch to these values, and converts them to its integers. Returns `false` if it cannot represent them. A
    /// dictionary is made anew, because it holds the values of one batch.
    pub(crate) fn refit(&mut self, values: &[u64], scratch: &mut Scratch) -> bool {
        if non_decimal_grid::of(self.form, &self.transform).is_some() {
            let held = self.integers(values, scratch);
            self.recenter(&scratch.integers);
            return held;
        }
        if !self.plain_integers(values, scratch) {
            return false;
        }
        if let Transform::Dictionary(list) = &mut self.transform {
            let Some(made) = integer_dictionary::make(&scratch.integers, usize::MAX) else { return false };
            (*list, scratch.integers) = made;
        } else if !self.transform.apply(&mut scratch.integers) {
            self.transform = Transform::Nothing;
            self.plain_integers(values, scratch);
        }
        self.widen(&mut scratch.integers);
        self.recenter(&scratch.integers);
        true
    }

    /// Divides the integers by a common step, if they have one, and puts that step into the transform.
    fn widen(&mut self, integers: &mut [i64]) {
        let (least, most) = integers.iter().fold((i64::MAX, i64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
        // A distance that is too large for an integer is no multiple of what its bits say.
        if matches!(self.transform, Transform::Dictionary(_)) || most.checked_sub(least).is_none() {
            return;
        }
        let more = i64::try_from(transform::step(integers, least)).unwrap_or(1);
        let (first, step) = self.transform.affine().unwrap_or((0, 1));
        let (first, step) = (first.wrapping_add(step.wrapping_mul(least)), step.checked_mul(more));
        let wider = step.map(|step| Transform::Affine { first, step });
        // A grid would give values that are not on the step other integers.
        if let Some(wider) = wider.filter(|wider| non_decimal_grid::of(self.form, wider).is_none())
            && more > 1
            && (Transform::Affine { first: least, step: more }).apply(integers)
        {
            self.transform = wider;
            self.center = self.center.wrapping_sub(least) / more;
        }
    }

    /// Writes the integers in `scratch`. Returns their size by `measure`, in 1/256 bits.
    pub(crate) fn write(
        &self,
        ops: &mut OpBuffer,
        scratch: &mut Scratch,
        mut measure: impl FnMut(&Coder, &[u64]) -> u64,
    ) -> u64 {
        let mut cost = 0;
        let (order, center) = (self.order, self.center);
        if let Some((coder, first)) = self.head.as_ref().zip(scratch.integers.first()) {
            let head = ops.run(coder, |out| out.push(zigzag(first.wrapping_sub(center))));
            cost += measure(coder, head);
        }
        let rest = ops.run(&self.main, |out| rest_of(order, center, &scratch.integers, out));
        cost += measure(&self.main, rest);
        if let Some(coder) = &self.ulps {
            let ulps = ops.run(coder, |out| out.extend(scratch.ulps.iter().map(|u| zigzag(*u))));
            cost += measure(coder, ulps);
        }
        cost
    }

    /// Writes the plan and its integers into a batch. Returns the size of the integers by `measure`, as [`write`](Self::write) does.
    pub(crate) fn write_after(
        &self,
        before: &mut Option<SharedParts>,
        ops: &mut OpBuffer,
        scratch: &mut Scratch,
        measure: impl FnMut(&Coder, &[u64]) -> u64,
    ) -> u64 {
        self.describe_after(*before, ops);
        *before = Some(self.shared());
        self.write(ops, scratch, measure)
    }

    /// Returns the size of what [`write`](Self::write) writes, without the head, in 1/256 bits.
    pub(crate) fn cost(&self, scratch: &mut Scratch) -> u64 {
        let Scratch { integers, ulps, residuals, .. } = scratch;
        residuals_of(self.order, self.center, integers, residuals);
        let main = residuals.iter().skip(usize::from(self.order.has_head())).map(|r| self.main.cost(*r));
        let ulps = self.ulps.iter().flat_map(|coder| ulps.iter().map(|u| coder.cost(zigzag(*u))));
        main.sum::<u64>() + ulps.sum::<u64>()
    }

    /// Returns the size of the plan's dictionary in 1/256 bits; 0 if it has none.
    pub(crate) fn listed(&self) -> u64 {
        if let Transform::Dictionary(list) = &self.transform {
            integer_dictionary::bits(list) << 8
        } else {
            0
        }
    }

    /// Returns the estimated size of the plan in a batch, without its dictionary, in 1/256 bits.
    pub(crate) fn told(&self) -> u64 {
        let (first, step) = self.transform.affine().unwrap_or((0, 0));
        let raw = bit_len(zigzag(self.center)) + bit_len(zigzag(first)) + bit_len(step as u64);
        (TOLD + u64::from(raw)) << 8
    }

    /// Moves the center of a batch's own plan to the least or the first of these integers, as its order needs.
    pub(crate) fn recenter(&mut self, integers: &[i64]) {
        self.center = match self.order {
            Order::Above => integers.iter().copied().min().unwrap_or(0),
            Order::Around => self.center,
            Order::Delta | Order::Line => integers.first().copied().unwrap_or(0),
        };
    }

    /// Reads as many values as `out` has places. `Err` names the violation.
    pub(crate) fn restore(
        &self,
        decoder: &mut Decoder<'_>,
        out: &mut [u64],
        strings: usize,
    ) -> Result<(), &'static str> {
        if self.kind == Kind::Null {
            return Ok(());
        }
        self.restore_integers(decoder, out)?;
        if let Some(coder) = &self.ulps {
            decoder.mend(&coder.dist, coder.low, out, |v, ulps| {
                let moved = ordinal(f64::from_bits(v)).wrapping_add(unzigzag(ulps));
                from_ordinal(moved).to_bits()
            });
        }
        match self.kind {
            Kind::Text | Kind::Bytes if out.iter().any(|x| *x >= strings as u64) => {
                return Err("a text is not in the list of texts");
            }
            Kind::Bool if out.iter().any(|x| *x > 1) => return Err("a boolean is neither 0 nor 1"),
            _ => {}
        }
        Ok(())
    }

    /// Reads the integers, and converts them to doubles if the values are doubles. Simple forms are converted while they are read.
    fn restore_integers(&self, decoder: &mut Decoder<'_>, out: &mut [u64]) -> Result<(), &'static str> {
        let coders = (&self.main, self.head.as_ref());
        // An affine step is one of the center and the differences, too.
        let (first, step) = self.transform.affine().unwrap_or((0, 1));
        let center = (first.wrapping_add(step.wrapping_mul(self.center)), step);
        let doubles = self.kind == Kind::F64;
        match self.form {
            _ if !doubles || matches!(self.transform, Transform::Dictionary(_)) => {}
            NumberForm::Decimal { e, divisor, rounding: Rounding::Nothing, .. } => {
                let scale = number_form::scale(e, divisor);
                self.order.undo(center, coders, decoder, out, |m| (m as f64 / scale).to_bits());
                return Ok(());
            }
            NumberForm::Digits(p) => {
                let mut powers = Powers::new(p);
                self.order.undo(center, coders, decoder, out, |m| powers.value(m).to_bits());
                return powers.checked();
            }
            _ => {}
        }
        self.order.undo(center, coders, decoder, out, |m| m as u64);
        self.transform.look_up(out)?;
        if doubles { self.form.restore(out) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compact::values::plan_search;

    #[test]
    fn a_plan_that_is_refitted_holds_integers_however_far_apart() {
        let far = i64::MAX / 3;
        for step in [1, 3, 7, 1 << 20, far] {
            for from in [0, 5, i64::MIN] {
                let values: Vec<u64> =
                    (0..7).map(|n| from.wrapping_add(step.wrapping_mul(n * n % 5)) as u64).collect();
                for learned in [&[1, 2, 3][..], &[4, 8, 20], &[i64::MIN as u64, 0, u64::MAX]] {
                    let mut scratch = Scratch::default();
                    let (mut plan, _) =
                        plan_search::with_form(Kind::I64, NumberForm::Bits64, learned, &mut scratch);
                    assert!(plan.refit(&values, &mut scratch));
                    let (first, step) = plan.transform.affine().unwrap_or((0, 1));
                    let back =
                        scratch.integers.iter().map(|x| first.wrapping_add(step.wrapping_mul(*x)) as u64);
                    assert!(back.eq(values.iter().copied()), "{step} {from} {:?}", plan.transform);
                }
            }
        }
    }
}
