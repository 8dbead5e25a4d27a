//! Search of a plan for values that no earlier plan describes.

#![deny(clippy::indexing_slicing)]

use super::delta_prediction::{Order, residuals_of};
use super::integer_dictionary;
use super::kind::Kind;
use super::non_decimal_grid;
use super::number_form::{DIVISORS, NumberForm, Rounding};
use super::plan::{Plan, Scratch};
use super::predictor_choice::{self, Predictor, small};
use super::transform::{self, Transform};
use crate::compact::stream::bits::bit_len;
use crate::compact::stream::coder::Coder;
use crate::compact::stream::distribution_choice::coder;
use crate::zigzag::zigzag;

/// Returns the smallest plan that a quick search finds for all values (given as bits), and its size with the values in 1/256 bits.
pub(crate) fn plan(kind: Kind, values: &[u64], effort: Effort, scratch: &mut Scratch) -> (Plan, u64) {
    let found = if kind == Kind::F64 { forms(values, effort, scratch) } else { Vec::new() };
    let (about, form) = found.first().copied().unwrap_or((0, NumberForm::Bits64));
    let (mut plan, mut size) = of_form((kind, form), values, effort.told, scratch);
    if form.has_ulps() {
        // A sample flatters corrections, which the rest of a column may need more of: an exact form that is nearly as good
        // gets its chance, and a list of the values themselves if those are few.
        let near = found.iter().find(|(size, form)| !form.has_ulps() && *size <= about * 2);
        let listed = integer_dictionary::are_few(values).then_some(NumberForm::Bits64);
        for form in near.map(|f| f.1).into_iter().chain(listed) {
            let other = of_form((kind, form), values, effort.told, scratch);
            if other.1 < size {
                (plan, size) = other;
            }
        }
    }
    let may_be = plan.form.has_ulps() || plan.form == NumberForm::Bits64;
    let gridded = if kind == Kind::F64 && may_be { on_grid(values, effort, scratch) } else { None };
    gridded.filter(|other| other.1 + GRID < size).unwrap_or((plan, size))
}

/// Estimated size of a grid's first place and step, in 1/256 bits.
const GRID: u64 = 128 * 256;

/// Returns a plan for values on a grid that no decimal describes, and its size. `None`: the values are on no such grid.
pub(crate) fn on_grid(values: &[u64], effort: Effort, scratch: &mut Scratch) -> Option<(Plan, u64)> {
    let (form, grid) = non_decimal_grid::find(&runs_of(values, effort.sample), &mut scratch.ulps)?;
    PlanBasis { form, grid }.plan(Kind::F64, values, scratch)
}

/// Completes a plan whose form is known. Returns it, and its size with the values in 1/256 bits.
pub(crate) fn with_form(kind: Kind, form: NumberForm, values: &[u64], scratch: &mut Scratch) -> (Plan, u64) {
    of_form((kind, form), values, false, scratch)
}

/// Completes a plan whose form is known; `told` as in [`Effort`]. Falls back to the bits of the values if the form cannot represent them.
fn of_form(
    (kind, form): (Kind, NumberForm),
    values: &[u64],
    told: bool,
    scratch: &mut Scratch,
) -> (Plan, u64) {
    let mut plan = unfinished(kind, form);
    if kind == Kind::Null || !plan.integers(values, scratch) {
        plan = unfinished(kind, NumberForm::Bits64);
        plan.integers(values, scratch);
    }
    rest(plan, values, told, scratch)
}

/// Part of a plan that takes long to find, so that later batches reuse it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlanBasis {
    pub(crate) form: NumberForm,
    /// Transform that makes the grid; [`Transform::Nothing`] if the values are on none.
    pub(crate) grid: Transform,
}

impl PlanBasis {
    /// Basis of integers, and of doubles by their bits.
    pub(crate) const BITS: Self = Self { form: NumberForm::Bits64, grid: Transform::Nothing };

    pub(crate) fn of(plan: &Plan) -> Self {
        let is_grid = non_decimal_grid::of(plan.form, &plan.transform).is_some();
        Self { form: plan.form, grid: if is_grid { plan.transform.clone() } else { Transform::Nothing } }
    }

    /// Completes the plan, and leaves its integers in `scratch`. Returns it with its size, values included, in 1/256 bits. `None`: it cannot
    /// represent the values.
    pub(crate) fn plan(&self, kind: Kind, values: &[u64], scratch: &mut Scratch) -> Option<(Plan, u64)> {
        let mut plan = unfinished(kind, self.form);
        plan.transform.clone_from(&self.grid);
        if !plan.integers(values, scratch) {
            return None;
        }
        if plan.transform != Transform::Nothing {
            let size = finish(&mut plan, predictor_choice::choose(&scratch.integers), scratch);
            return Some((plan, size));
        }
        coarsen(&mut plan, scratch);
        Some(rest(plan, values, true, scratch))
    }
}

/// Removes the decimals and the corrections that no value of the batch needs.
fn coarsen(plan: &mut Plan, scratch: &mut Scratch) {
    let NumberForm::Decimal { e, ulps, .. } = &mut plan.form else { return };
    while *e > 0 && scratch.integers.iter().all(|x| x % 10 == 0) {
        *e -= 1;
        scratch.integers.iter_mut().for_each(|x| *x /= 10);
    }
    if *ulps && scratch.ulps.iter().all(|x| *x == 0) {
        (*ulps, plan.ulps) = (false, None);
        scratch.ulps.clear();
    }
}

fn unfinished(kind: Kind, form: NumberForm) -> Plan {
    let (transform, order, main) = (Transform::Nothing, Order::Above, Coder::plain());
    let ulps = form.has_ulps().then(|| main.clone());
    Plan { kind, form, transform, order, center: 0, main, ulps, head: None }
}

/// Completes a plan for the form's integers in `scratch`, and replaces them by those that are predicted. Returns its size too.
fn rest(mut plan: Plan, values: &[u64], told: bool, scratch: &mut Scratch) -> (Plan, u64) {
    let predictor = predictor_choice::choose(&scratch.integers);
    let step = transform::step(&scratch.integers, predictor.least);
    let predictor = take_out((&mut plan, step), predictor, values, told, scratch);
    let size = finish(&mut plan, predictor, scratch);
    // Not all values of a grid are on it.
    let is_grid = non_decimal_grid::of(plan.form, &plan.transform).is_some();
    let listed = if is_grid { None } else { listed(&plan, size, scratch) };
    listed.unwrap_or((plan, size))
}

/// Returns a plan with a dictionary of the distinct integers, and its size, if that is below `size`; the places in the dictionary are then in
/// `scratch`. `None`: a dictionary does not pay.
fn listed(plain: &Plan, size: u64, scratch: &mut Scratch) -> Option<(Plan, u64)> {
    let most = usize::try_from((size >> 8).checked_sub(integer_dictionary::bits(&[]))?).unwrap_or(usize::MAX);
    let (mut list, mut places) = integer_dictionary::make(&scratch.integers, most)?;
    if let Some((first, step)) = plain.transform.affine() {
        list.iter_mut().for_each(|x| *x = first.wrapping_add(step.wrapping_mul(*x)));
    }
    let (bits, longest) = (integer_dictionary::bits(&list), bit_len(list.len() as u64).into());
    let (mut indexed, mut before) = (0, 0);
    for at in &places {
        indexed += small(zigzag(at - before)).min(longest);
        before = *at;
    }
    // The coders know better: this only spares them what is far off.
    if (bits + indexed / 2) << 8 >= size {
        return None;
    }
    let mut listed = Plan { transform: Transform::Dictionary(list), ..plain.clone() };
    std::mem::swap(&mut scratch.integers, &mut places);
    let less = finish(&mut listed, predictor_choice::choose(&scratch.integers), scratch) + (bits << 8);
    if less >= size {
        std::mem::swap(&mut scratch.integers, &mut places);
        return None;
    }
    Some((listed, less))
}

/// Divides the integers in `scratch` by their common step. With `told`, only if that saves more than the step takes in the batch.
fn take_out(
    (plan, step): (&mut Plan, u64),
    predictor: Predictor,
    values: &[u64],
    told: bool,
    scratch: &mut Scratch,
) -> Predictor {
    let first = predictor.least;
    let Some(step) = i64::try_from(step).ok().filter(|step| *step > 1) else { return predictor };
    plan.transform = Transform::Affine { first, step };
    // A common measure this large is a grid, too, and gets the integers that will be written.
    let is_grid = non_decimal_grid::of(plan.form, &plan.transform).is_some();
    let held =
        if is_grid { plan.integers(values, scratch) } else { plan.transform.apply(&mut scratch.integers) };
    if !held {
        // The distance between two integers may be too large for one.
        plan.transform = Transform::Nothing;
        plan.integers(values, scratch);
        return predictor;
    }
    let stepped = predictor_choice::choose(&scratch.integers);
    if told && !is_grid && stepped.bits + transform::told(first, step) >= predictor.bits {
        plan.transform = Transform::Nothing;
        scratch.integers.iter_mut().for_each(|x| *x = first.wrapping_add(step.wrapping_mul(*x)));
        return predictor;
    }
    stepped
}

/// Sets order, center and coders for the integers in `scratch`. Returns their size in 1/256 bits.
fn finish(plan: &mut Plan, predictor: Predictor, scratch: &mut Scratch) -> u64 {
    (plan.order, plan.center) = (predictor.order, predictor.center);
    tune(plan, scratch)
}

/// Chooses the coders for the integers in `scratch`. Returns the size of the column in 1/256 bits.
pub(crate) fn tune(plan: &mut Plan, scratch: &mut Scratch) -> u64 {
    let Scratch { integers, ulps, residuals, .. } = scratch;
    residuals_of(plan.order, plan.center, integers, residuals);
    let from = usize::from(matches!(plan.order, Order::Delta | Order::Line)).min(residuals.len());
    let (main, mut cost) = coder(residuals.get(from..).unwrap_or_default());
    plan.main = main;
    if plan.ulps.is_some() {
        residuals.clear();
        residuals.extend(ulps.iter().map(|u| zigzag(*u)));
        let (coder, more) = coder(residuals);
        plan.ulps = Some(coder);
        cost += more;
    }
    cost
}

/// Effort of the search for number forms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Number of values by which forms are judged.
    sample: usize,
    /// Number of values in the first, coarse ranking of the forms with corrections, which are many.
    few: usize,
    /// Number of the best of that ranking, which are judged again by the whole sample.
    again: usize,
    /// True if forms with corrections are tried even where an exact form does well.
    always: bool,
    /// True if center and step stand in the batch with the values; false if a table holds them for many batches.
    told: bool,
}

/// Effort in a batch with a table, for a column about which nothing is known.
pub(crate) const QUICK: Effort = Effort { sample: 96, few: 12, again: 3, always: false, told: false };
/// Effort in a batch without a table, which carries its plans itself.
pub(crate) const ALONE: Effort = Effort { told: true, ..QUICK };
/// Effort for a session table, whose plans serve many batches.
pub(crate) const THOROUGH: Effort = Effort { sample: 768, few: 96, again: 8, always: true, told: false };

/// Returns forms that represent all values, the smallest first, each with the estimated size of a sample in bits.
pub(crate) fn forms(values: &[u64], effort: Effort, scratch: &mut Scratch) -> Vec<(u64, NumberForm)> {
    let sample = runs_of(values, effort.sample);
    let mut found = Vec::new();
    let decimal = |e, divisor, rounding, ulps| NumberForm::Decimal { e, divisor, rounding, ulps };
    let mut offer = |form: NumberForm, scratch: &mut Scratch| {
        // The sample may have been lucky: what it holds by few digits, the others may need more for.
        let (size, least) = weigh(form, &sample, scratch)
            .filter(|_| form.has_ulps() || form.integers(values, &mut scratch.integers, &mut scratch.ulps))?;
        let told = if effort.told { bit_len(zigzag(least)).into() } else { 0 };
        found.push((size + told, form));
        Some(size)
    };
    offer(NumberForm::Bits64, scratch);
    // More digits than needed only make larger numbers.
    let exact =
        (0..15).find_map(|e| offer(decimal(e, 0, Rounding::Nothing, false), scratch).map(|size| (e, size)));
    (4..12).find(|p| offer(NumberForm::Digits(*p), scratch).is_some());
    offer(NumberForm::Bits32, scratch);
    let good = exact.is_some_and(|(e, size)| e <= 7 && size < 20 * sample.len() as u64);
    if effort.always || !good {
        for divisor in 1..DIVISORS.len() as u8 {
            (0..7).find(|e| offer(decimal(*e, divisor, Rounding::Digits15, false), scratch).is_some());
        }
        for form in corrected(&sample, effort, scratch) {
            offer(form, scratch);
        }
    }
    found.sort_by_key(|f| f.0);
    found
}

/// Returns at most `most` values as a sample: neighbours from the start, the middle and the end.
fn runs_of(values: &[u64], most: usize) -> Vec<u64> {
    let run = most / 3;
    if values.len() <= most {
        return values.to_vec();
    }
    let starts = [0, (values.len() - run) / 2, values.len() - run];
    starts.iter().filter_map(|at| values.get(*at..at + run)).flatten().copied().collect()
}

/// Returns the most promising decimal forms with corrections, which miss some values by units in the last place.
fn corrected(sample: &[u64], effort: Effort, scratch: &mut Scratch) -> Vec<NumberForm> {
    let few = runs_of(sample, effort.few);
    let mut ranked: Vec<(u64, NumberForm)> = Vec::new();
    for rounding in [Rounding::Nothing, Rounding::Digits15, Rounding::Single] {
        for divisor in 0..DIVISORS.len() as u8 {
            for e in 0..10 {
                let form = NumberForm::Decimal { e, divisor, rounding, ulps: true };
                ranked.extend(weigh(form, &few, scratch).map(|(size, _)| (size, form)));
            }
        }
    }
    ranked.sort_by_key(|r| r.0);
    ranked.into_iter().take(effort.again).map(|r| r.1).collect()
}

/// Returns the estimated size in bits of the sample in a form, by differences or distances, whichever is less; and the least integer. `None`:
/// the form cannot represent the sample.
fn weigh(form: NumberForm, sample: &[u64], scratch: &mut Scratch) -> Option<(u64, i64)> {
    if !form.integers(sample, &mut scratch.integers, &mut scratch.ulps) {
        return None;
    }
    let least = scratch.integers.iter().copied().min().unwrap_or(0);
    let (mut steps, mut distances, mut before) = (0, 0, least);
    for x in &scratch.integers {
        steps += small(zigzag(x.wrapping_sub(std::mem::replace(&mut before, *x))));
        distances += small(x.wrapping_sub(least) as u64);
    }
    let ulps: u64 = scratch.ulps.iter().map(|u| small(zigzag(*u))).sum();
    Some((steps.min(distances) + ulps, least))
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: u64 = 600;

    /// One of the numbers below `most`, without a pattern (the finalizer of SplitMix64).
    fn noise(n: u64, most: u64) -> u64 {
        let x = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % most
    }

    fn doubles(value: impl Fn(u64) -> f64) -> Vec<u64> {
        (0..N).map(|n| value(n).to_bits()).collect()
    }

    /// The plan for values, and bits per value with the plan's list.
    fn found(values: &[u64]) -> (Plan, f64) {
        let (plan, size) = plan(Kind::F64, values, QUICK, &mut Scratch::default());
        (plan, size as f64 / 256.0 / values.len() as f64)
    }

    #[test]
    fn a_value_outside_of_the_sample_may_have_more_digits() {
        let values = doubles(|n| noise(n, 300) as f64 / 10.0 + if n == 250 { 0.05 } else { 0.0 });
        let (plan, bits) = found(&values);
        assert_eq!(
            plan.form,
            NumberForm::Decimal { e: 2, divisor: 0, rounding: Rounding::Nothing, ulps: false }
        );
        assert!(bits < 11.0, "{bits}");
    }

    #[test]
    fn a_value_outside_of_the_sample_may_be_no_decimal() {
        let values = doubles(|n| if n == 250 { 777.0 / 1.3 } else { noise(n, 300) as f64 / 10.0 });
        let (plan, bits) = found(&values);
        assert!(plan.form.has_ulps() && bits < 9.5, "{:?}: {bits}", plan.form);
    }

    #[test]
    fn noise_is_taken_around_its_middle() {
        let bell = |n: u64| (0..8).map(|k| noise(n * 8 + k, 100)).sum::<u64>() as f64 / 10.0;
        let (plan, bits) = found(&doubles(bell));
        assert_eq!(plan.order, Order::Around);
        let mut other = Plan { order: Order::Delta, ..plan };
        let mut scratch = Scratch::default();
        assert!(other.refit(&doubles(bell), &mut scratch));
        let differences = tune(&mut other, &mut scratch) as f64 / 256.0 / N as f64;
        assert!(bits + 0.3 < differences, "{bits} and {differences}");
    }

    /// Its integers are those that will be written, for which the center is.
    #[test]
    fn a_common_measure_may_be_a_grid() {
        let values = [-1.5e-154, 0.0, 0.0, -7_832_475_271_168.0, 5e-324].map(f64::to_bits);
        let mut scratch = Scratch::default();
        let form = NumberForm::Decimal { e: 0, divisor: 0, rounding: Rounding::Nothing, ulps: true };
        let (plan, _) = with_form(Kind::F64, form, &values, &mut scratch);
        assert!(non_decimal_grid::of(plan.form, &plan.transform).is_some(), "{:?}", plan.transform);
        assert!(plan.integers(&values, &mut scratch));
        let integers = &scratch.integers;
        let center = if plan.order.has_head() { integers.first() } else { integers.iter().min() };
        assert_eq!(center, Some(&plan.center), "{:?} {integers:?}", plan.order);
    }

    /// Two values, as a coarse converter gives them, and one far below.
    #[test]
    fn a_rare_value_does_not_set_the_center() {
        let values = doubles(|n| match n {
            250 => -0.026,
            _ => [-0.024_000_000_000_000_9, -0.021_999_999_999_998_4][usize::from(noise(n, 5) < 2)],
        });
        let (plan, bits) = found(&values);
        assert_eq!((plan.order, plan.center), (Order::Above, 1));
        assert!(bits < 2.0, "{bits}");
    }
}
