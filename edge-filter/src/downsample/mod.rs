//! Batch downsampling: which of the readings at hand to keep when there is room for `n_out`.
//!
//! For plots and for thinning a backlog after an outage. **None of these states an error bound**: what lies between the
//! kept readings is not bounded by anything (a spike in a bucket of LTTB may vanish). [`m4`] and [`minmax`] keep the
//! largest and the smallest value of every bin, and so of the whole series.
//!
//! The results are those of the Python package `tsdownsample` 0.1.5 given times and values, tie for tie; only that an
//! index never appears twice (M4 there repeats the first value of a bin if it is also the smallest). Readings whose
//! value is NaN are left out first. Times are Unix milliseconds and must not fall; equal times are one instant.
//!
//! ```
//! use edge_filter::downsample;
//! let times: Vec<i64> = (0..1000).collect();
//! let values: Vec<f64> = times.iter().map(|&t| if t == 437 { 99.0 } else { (t as f64 / 100.0).sin() }).collect();
//! let kept = downsample::m4(&times, &values, 40)?;
//! assert!(kept.len() <= 40 && kept.contains(&437));
//! # Ok::<(), edge_filter::ParamError>(())
//! ```

#![deny(clippy::indexing_slicing)]

mod bins;
mod lttb;
mod minmaxlttb;

use crate::ParamError;
use bins::Bins;

/// Largest Triangle Three Buckets (Steinarsson 2013). It divides the readings into buckets of equal count, and keeps from each the reading that
/// spans the largest triangle with its neighbours. The first and the last reading are always kept. It takes about 2 ns per reading.
///
/// # Errors
/// If `n_out` is less than 3, the slices differ in length or the times fall.
pub fn lttb(times: &[i64], values: &[f64], n_out: usize) -> Result<Vec<usize>, ParamError> {
    at_least_three(n_out)?;
    downsampled(times, values, n_out, |times, values| lttb::lttb(times, values, n_out))
}

/// LTTB among `minmax_ratio` times `n_out` extrema (Van Der Donckt and others 2023), whose result is close to that of LTTB although it works on
/// a fraction of the points. It is plain [`lttb`] if there are no more than `minmax_ratio` readings per kept one.
///
/// # Errors
/// As [`lttb`], or if `minmax_ratio` is less than 2, or `n_out` times `minmax_ratio` is odd.
pub fn minmaxlttb(
    times: &[i64],
    values: &[f64],
    n_out: usize,
    minmax_ratio: usize,
) -> Result<Vec<usize>, ParamError> {
    at_least_three(n_out)?;
    if minmax_ratio < 2 {
        return Err(ParamError::new("minmax_ratio", "2 or more", minmax_ratio));
    }
    let candidates = n_out.saturating_mul(minmax_ratio);
    if !candidates.is_multiple_of(2) {
        return Err(ParamError::new("minmax_ratio", "even if `n_out` is odd", minmax_ratio));
    }
    downsampled(times, values, n_out, |times, values| {
        minmaxlttb::minmaxlttb(times, values, n_out, minmax_ratio)
    })
}

/// M4 (Jugel and others 2014): the first, smallest, largest and last reading of each of `n_out / 4` bins of equal time. A line plot `n_out / 4`
/// pixels wide looks the same as that of all readings.
///
/// # Errors
/// If `n_out` is 0 or not a multiple of 4, the slices differ in length or the times fall.
pub fn m4(times: &[i64], values: &[f64], n_out: usize) -> Result<Vec<usize>, ParamError> {
    multiple_of(4, "4, 8, 12 and so on", n_out)?;
    downsampled(times, values, n_out, |times, values| {
        per_bin(times, values, n_out / 4, 4, |kept, bin, low, high| {
            kept.extend([bin.start, low.min(high), low.max(high), bin.end.saturating_sub(1)]);
        })
    })
}

/// Smallest and largest reading of each of `n_out / 2` bins of equal time.
///
/// # Errors
/// If `n_out` is 0 or odd, the slices differ in length or the times fall.
pub fn minmax(times: &[i64], values: &[f64], n_out: usize) -> Result<Vec<usize>, ParamError> {
    multiple_of(2, "2, 4, 6 and so on", n_out)?;
    downsampled(times, values, n_out, |times, values| minmax_of(times, values, n_out))
}

fn minmax_of(times: &[i64], values: &[f64], n_out: usize) -> Vec<usize> {
    per_bin(times, values, n_out / 2, 2, |kept, _, low, high| kept.extend([low.min(high), low.max(high)]))
}

/// Chooses readings per bin: all of a bin with no more than `all` readings, `some` of the others.
fn per_bin(
    times: &[i64],
    values: &[f64],
    bins: usize,
    all: usize,
    mut some: impl FnMut(&mut Vec<usize>, std::ops::Range<usize>, usize, usize),
) -> Vec<usize> {
    let mut kept = Vec::with_capacity(bins.saturating_mul(all).min(values.len()));
    for bin in Bins::new(times, bins) {
        let inside = values.get(bin.clone()).unwrap_or_default();
        match extrema(inside) {
            Some((low, high)) if inside.len() > all => {
                some(&mut kept, bin.clone(), bin.start + low, bin.start + high);
            }
            _ => kept.extend(bin),
        }
    }
    kept
}

/// Returns the indices of the smallest and the largest value, the first of equals; `None` if there are no values.
fn extrema(values: &[f64]) -> Option<(usize, usize)> {
    let first = *values.first()?;
    let (mut low, mut high) = ((0, first), (0, first));
    for (i, &v) in values.iter().enumerate() {
        if v < low.1 {
            low = (i, v);
        }
        if v > high.1 {
            high = (i, v);
        }
    }
    Some((low.0, high.0))
}

/// Runs the part that all methods share: it checks the slices, leaves NaN out, and gives no index twice.
fn downsampled(
    times: &[i64],
    values: &[f64],
    n_out: usize,
    choose: impl FnOnce(&[i64], &[f64]) -> Vec<usize>,
) -> Result<Vec<usize>, ParamError> {
    if times.len() != values.len() {
        return Err(ParamError::new("times", "as many as `values`", times.len()));
    }
    if let Some(at) = times.iter().zip(times.iter().skip(1)).position(|(a, b)| a > b) {
        return Err(ParamError::new("times", "rising", format_args!("a fall after index {at}")));
    }
    if !values.iter().any(|v| v.is_nan()) {
        return Ok(chosen(times, values, n_out, choose));
    }
    let present: Vec<usize> = (0..).zip(values).filter(|(_, v)| !v.is_nan()).map(|(i, _)| i).collect();
    let picked = chosen(&picked(times, &present), &picked(values, &present), n_out, choose);
    Ok(self::picked(&present, &picked))
}

fn chosen(
    times: &[i64],
    values: &[f64],
    n_out: usize,
    choose: impl FnOnce(&[i64], &[f64]) -> Vec<usize>,
) -> Vec<usize> {
    if n_out >= values.len() {
        return (0..values.len()).collect();
    }
    let mut kept = choose(times, values);
    kept.dedup();
    kept
}

fn picked<T: Copy>(values: &[T], indices: &[usize]) -> Vec<T> {
    indices.iter().filter_map(|&i| values.get(i).copied()).collect()
}

fn at_least_three(n_out: usize) -> Result<(), ParamError> {
    if n_out >= 3 { Ok(()) } else { Err(ParamError::new("n_out", "3 or more", n_out)) }
}

fn multiple_of(step: usize, must_be: &'static str, n_out: usize) -> Result<(), ParamError> {
    if n_out > 0 && n_out.is_multiple_of(step) {
        Ok(())
    } else {
        Err(ParamError::new("n_out", must_be, n_out))
    }
}

#[cfg(test)]
mod tests;
