//! Grid of doubles that is even but not decimal, as the counts of a converter become by any factor and offset. A value is a step of many units
//! of a fine decimal, and a rest in units of the last place.

#![deny(clippy::indexing_slicing)]

use super::number_form::{DIVISORS, NumberForm, Rounding, scale};
use super::rounding::{POW10, from_ordinal, ordinal};
use super::transform::Transform;
use crate::compact::stream::bits::bit_len;
use crate::zigzag::zigzag;

/// Finest grid in units of the last place; a finer one saves too little.
const FINEST: f64 = 256.0;
/// Largest distance of a value from its grid point, in units of the last place. Each operation of a scaling adds a rounding error of up to 0.5,
/// and printing with 15 digits one of up to 9.
const NEAR: f64 = 16.0;
/// Bits of a distance from which it is no rounding, so that the value is not on the grid.
const OFF: u32 = 40;
/// Most points of a grid, which is more than a converter has.
const PLACES: f64 = (1_u64 << 40) as f64;
/// Limit of a grid's integers, so that differences do not overflow.
const MOST: f64 = (1_u64 << 62) as f64;

/// Smallest step of a grid. Smaller ones are a common measure of decimals, which are hit exactly or not.
const COARSE: i64 = 1 << 20;

/// Returns first point and step of a form and transform that are a grid. `None`: they are none.
pub(crate) fn of(form: NumberForm, transform: &Transform) -> Option<(i64, i64)> {
    match transform {
        Transform::Affine { first, step } if form.has_ulps() && *step >= COARSE => Some((*first, *step)),
        _ => None,
    }
}

/// Computes the grid points `first + step × x` next to the values, and the values' distances from them in units of the last place. A value that
/// is not on the grid gets the point of the value before, and its whole distance.
pub(crate) fn integers(
    form: NumberForm,
    (first, step): (i64, i64),
    values: &[u64],
    out: &mut Vec<i64>,
    ulps: &mut Vec<i64>,
) -> bool {
    let NumberForm::Decimal { e, divisor, .. } = form else { return false };
    let scale = scale(e, divisor);
    let place = |value: f64| (value * scale - first as f64) / step as f64;
    let on = |place: i64| first.wrapping_add(step.wrapping_mul(place)) as u64;
    out.clear();
    out.extend(values.iter().map(|bits| whole(place(f64::from_bits(*bits)).round())));
    let mut doubles: Vec<u64> = out.iter().map(|x| on(*x)).collect();
    if form.restore(&mut doubles).is_err() {
        return false;
    }
    ulps.clear();
    ulps.extend(values.iter().zip(&doubles).map(|(bits, double)| distance(*bits, *double)));
    let mut before = 0;
    for ((x, ulps), bits) in out.iter_mut().zip(ulps).zip(values) {
        if bit_len(zigzag(*ulps)) > OFF {
            let mut double = [on(before)];
            if form.restore(&mut double).is_err() {
                return false;
            }
            *x = before;
            *ulps = distance(*bits, double.first().copied().unwrap_or(0));
        }
        before = *x;
    }
    true
}

fn whole(place: f64) -> i64 {
    // Neither NaN nor a place outside of every grid is below.
    if place.abs() < PLACES { place as i64 } else { 0 }
}

fn distance(bits: u64, origin: u64) -> i64 {
    ordinal(f64::from_bits(bits)).wrapping_sub(ordinal(f64::from_bits(origin)))
}

/// Finds a form and a step for values that lie on a grid, except a few at both ends. `None`: they do not.
pub(crate) fn find(sample: &[u64], ulps: &mut Vec<i64>) -> Option<(NumberForm, Transform)> {
    let mut values: Vec<f64> = sample.iter().map(|b| f64::from_bits(*b)).filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    let ends = values.len() / 32;
    let values = values.get(ends..values.len() - ends)?;
    let (least, most) = (values.first()?, values.last()?);
    let size = least.abs().max(most.abs());
    let ulp = from_ordinal(ordinal(size) + 1) - size;
    let step = common(values, ulp)?;
    let middle = *values.get(values.len() / 2)?;
    let step = refined(values, middle, step, ulp)?;
    let low = (least - middle) / step;
    let high = (most - middle) / step;
    let steps = high.round() - low.round();
    let mut places = Vec::new();
    let candidates = fine(size).filter_map(|(form, scale)| {
        // Of both ends, so that what is left over of the step is smallest between them.
        let step = ((exact(*most, scale)? - exact(*least, scale)?) as f64 / steps).round() as i64;
        if step < COARSE {
            return None;
        }
        let first = i64::try_from(exact(middle, scale)?).ok()?;
        integers(form, (first, step), sample, &mut places, ulps).then_some(())?;
        let bits: u64 = ulps.iter().map(|u| u64::from(bit_len(zigzag(*u)))).sum();
        Some((bits, form, Transform::Affine { first, step }))
    });
    candidates.min_by_key(|c| c.0).map(|(_, form, transform)| (form, transform))
}

/// Returns the finest decimals for values up to `size` whose integers do not overflow.
fn fine(size: f64) -> impl Iterator<Item = (NumberForm, f64)> {
    let powers = (0..16_u8).zip(POW10).rev();
    let scales =
        powers.flat_map(|(e, power)| (0_u8..).zip(DIVISORS).map(move |(divisor, d)| (e, divisor, power * d)));
    let finest = scales.filter(move |(.., scale)| size * scale < MOST).take(2 * DIVISORS.len());
    finest.flat_map(|(e, divisor, scale)| {
        [Rounding::Nothing, Rounding::Digits15]
            .map(|rounding| (NumberForm::Decimal { e, divisor, rounding, ulps: true }, scale))
    })
}

/// Returns `value × scale`, rounded once to an integer. `None`: it is too large.
fn exact(value: f64, scale: f64) -> Option<i128> {
    let high = value * scale;
    let low = value.mul_add(scale, -high);
    (high.abs() < MOST * 2.0).then(|| high as i128 + (high.fract() + low).round() as i128)
}

/// Returns about the greatest common measure of the differences of rising values, by Euclid's algorithm with a tolerance. `None`: there is
/// none.
fn common(values: &[f64], ulp: f64) -> Option<f64> {
    let rest = values.get(1..).unwrap_or_default();
    let gaps = values.iter().zip(rest).map(|(a, b)| b - a).filter(|gap| *gap > NEAR * ulp);
    let mut gaps: Vec<f64> = gaps.collect();
    gaps.sort_unstable_by(f64::total_cmp);
    let mut step = *gaps.first()?;
    for gap in gaps {
        let (mut a, mut b) = (gap, step);
        loop {
            let times = (a / b).round();
            let left = (a - times * b).abs();
            if left <= NEAR * ulp * (times + 1.0) {
                break;
            }
            (a, b) = (b, left);
            if b < FINEST * ulp {
                return None;
            }
        }
        step = b;
    }
    (step >= FINEST * ulp).then_some(step)
}

/// Refines the step by ever longer distances, each measured by the step so far. `None`: a value is off the grid.
fn refined(values: &[f64], middle: f64, mut step: f64, ulp: f64) -> Option<f64> {
    let mut distances: Vec<f64> = values.iter().map(|v| v - middle).collect();
    distances.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    for distance in distances {
        let times = (distance / step).round();
        if times != 0.0 {
            if (distance - times * step).abs() > step / 8.0 {
                return None;
            }
            step = distance / times;
        }
    }
    (step >= FINEST * ulp).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A converter's counts, within a tenth of its range.
    fn counts(n: u64) -> Vec<u64> {
        (0..n).map(|n| 1500 + n * n * 7919 % 331).collect()
    }

    fn doubles(scaled: impl Fn(f64) -> f64) -> Vec<u64> {
        counts(300).into_iter().map(|count| scaled(count as f64).to_bits()).collect()
    }

    /// The bits that come back.
    fn back(form: NumberForm, (first, step): (i64, i64), places: &[i64], ulps: &[i64]) -> Vec<u64> {
        let mut doubles: Vec<u64> =
            places.iter().map(|x| first.wrapping_add(step.wrapping_mul(*x)) as u64).collect();
        form.restore(&mut doubles).unwrap();
        let moved =
            doubles.iter().zip(ulps).map(|(bits, ulps)| ordinal(f64::from_bits(*bits)).wrapping_add(*ulps));
        moved.map(|ordinal| from_ordinal(ordinal).to_bits()).collect()
    }

    fn found(values: &[u64]) -> Option<(NumberForm, (i64, i64))> {
        let (form, transform) = find(values, &mut Vec::new())?;
        Some((form, of(form, &transform).expect("what was found is a grid")))
    }

    #[test]
    fn counts_are_found_again_whatever_they_were_scaled_by() {
        let scalings: [fn(f64) -> f64; 6] = [
            |c| c * 10.0 / 4095.0,
            |c| c * (10.0 / 4095.0),
            |c| c / 4095.0 * 100.0,
            |c| -50.0 + c * 300.0 / 4095.0,
            |c| (c * 16.0 / 65535.0 + 4.0) * std::f64::consts::SQRT_2,
            |c| -1e6 * c / 3.7,
        ];
        for (nth, scaled) in scalings.into_iter().enumerate() {
            let values = doubles(scaled);
            let (form, grid) = found(&values).unwrap_or_else(|| panic!("scaling {nth}"));
            let (mut places, mut ulps) = (Vec::new(), Vec::new());
            assert!(integers(form, grid, &values, &mut places, &mut ulps));
            let way = if scaled(1.0) > scaled(0.0) { 1 } else { -1 };
            let moved: Vec<i64> = counts(300).iter().zip(&places).map(|(c, x)| *c as i64 - way * x).collect();
            assert!(moved.iter().all(|by| Some(by) == moved.first()), "scaling {nth}: {moved:?}");
            let far = ulps.iter().filter(|u| u.unsigned_abs() > 8).count();
            assert_eq!(
                (far, back(form, grid, &places, &ulps) == values),
                (0, true),
                "scaling {nth}: {ulps:?}"
            );
        }
    }

    #[test]
    fn a_value_off_the_grid_leaves_the_others_on_it() {
        let off = [
            f64::NAN,
            f64::INFINITY,
            -9999.0,
            0.0,
            -0.0,
            1e300,
            f64::MIN,
            5e-324,
            f64::from_bits(0xfff4_0000_0000_0001),
        ];
        let clean = doubles(|c| c * 10.0 / 4095.0);
        let (form, grid) = found(&clean).unwrap();
        let mut values = clean.clone();
        for (nth, odd) in off.iter().enumerate() {
            values[nth * 31 + 1] = odd.to_bits();
        }
        let (mut places, mut ulps, mut before) = (Vec::new(), Vec::new(), Vec::new());
        assert!(integers(form, grid, &clean, &mut before, &mut ulps));
        assert!(integers(form, grid, &values, &mut places, &mut ulps));
        assert_eq!(back(form, grid, &places, &ulps), values);
        assert!(places.iter().zip(&before).filter(|(a, b)| a != b).count() <= off.len());
        let (other, _) = found(&values).expect("a few odd ones are no reason to give up");
        assert_eq!(other, form);
    }

    #[test]
    fn values_without_a_grid_have_none() {
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[f64::NAN.to_bits(); 20]), None);
        assert_eq!(found(&[1.5_f64.to_bits(); 20]), None);
        assert_eq!(found(&doubles(|c| (c / 100.0).sin())), None);
        assert_eq!(found(&doubles(|c| c.sqrt())), None);
        let huge = [f64::MAX, f64::MIN, 1e300, -1e300, 5e-324, 0.0].map(f64::to_bits);
        assert_eq!(found(&huge), None);
    }
}
