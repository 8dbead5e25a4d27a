//! Promise 13: M4 and MinMax keep every extreme; no downsampler invents, repeats or reorders a reading.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::downsample::{lttb, m4, minmax, minmaxlttb};
use proptest::prelude::*;

/// Rising times with gaps and equal ones; values with ties and NaN.
fn series() -> impl Strategy<Value = (Vec<i64>, Vec<f64>)> {
    let step = prop_oneof![8 => 1..2000_i64, 1 => Just(0), 1 => 1_000_000..2_000_000_i64];
    let value = prop_oneof![6 => -1e3..1e3, 3 => (-4..4_i32).prop_map(f64::from), 1 => Just(f64::NAN)];
    proptest::collection::vec((step, value), 0..600).prop_map(|readings| {
        let mut time = 1_600_000_000_000;
        readings
            .into_iter()
            .map(|(step, value)| {
                time += step;
                (time, value)
            })
            .unzip()
    })
}

fn extremes(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|v| !v.is_nan()).fold(None, |found, v| {
        let (low, high) = found.unwrap_or((v, v));
        Some((low.min(v), high.max(v)))
    })
}

fn keeps_extremes(values: &[f64], kept: &[usize]) -> bool {
    extremes(values.iter().copied()) == extremes(kept.iter().map(|&i| values[i]))
}

#[test]
fn m4_and_minmax_keep_every_extreme_and_all_keep_the_order() {
    let cases = support::budget(20_000);
    support::runner(cases)
        .run(&(series(), 1..40_usize), |((times, values), n)| {
            for kept in [m4(&times, &values, 4 * n).unwrap(), minmax(&times, &values, 2 * n).unwrap()] {
                prop_assert!(keeps_extremes(&values, &kept));
                prop_assert!(kept.len() <= 4 * n);
            }
            let all = [
                m4(&times, &values, 4 * n).unwrap(),
                minmax(&times, &values, 2 * n).unwrap(),
                lttb(&times, &values, n + 2).unwrap(),
                minmaxlttb(&times, &values, n + 2, 4).unwrap(),
            ];
            for kept in all {
                prop_assert!(kept.iter().zip(kept.iter().skip(1)).all(|(a, b)| a < b));
                prop_assert!(kept.iter().all(|&i| i < values.len() && !values[i].is_nan()));
            }
            Ok(())
        })
        .unwrap();
    println!("executed downsample_keeps_extremes: {cases} cases");
}

/// Negative control: LTTB does not keep every extreme, and the check finds it.
#[test]
fn the_check_of_extremes_finds_a_downsampler_that_loses_one() {
    let times: Vec<i64> = (0..1000).collect();
    let values: Vec<f64> =
        times.iter().map(|t| if t % 2 == 0 { 50.0 } else { -50.0 } + *t as f64 / 1e3).collect();
    let kept = lttb(&times, &values, 10).unwrap();
    assert!(!keeps_extremes(&values, &kept), "{kept:?}");
    assert!(keeps_extremes(&values, &m4(&times, &values, 12).unwrap()));
}
