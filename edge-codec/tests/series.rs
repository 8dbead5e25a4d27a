#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "compact", feature = "senml", feature = "sparkplug"))]
//! Columnar access: the series of a batch are its rows, by sensor, in every format.

#[path = "support/forms.rs"]
mod forms;
#[path = "support/session.rs"]
mod session;
mod support;

use edge_codec::{Batch, BatchId, Limits, Reading, Series, SeriesValues, Value};
use forms::{FormEncoder, forms};
use std::collections::BTreeMap;
use support::{Rng, cases, seed};

/// Rows of a series.
fn rows<'a>(series: &Series<'a>) -> Vec<Reading<'a>> {
    let values: Vec<Value<'a>> = match &series.values {
        SeriesValues::F64(values) => values.iter().map(|v| Value::F64(*v)).collect(),
        SeriesValues::I64(values) => values.iter().map(|v| Value::I64(*v)).collect(),
        SeriesValues::U64(values) => values.iter().map(|v| Value::U64(*v)).collect(),
        SeriesValues::Bool(values) => values.iter().map(|v| Value::Bool(*v)).collect(),
        SeriesValues::Other(values) => {
            let kinds: Vec<_> = values.iter().map(std::mem::discriminant).collect();
            let number = !matches!(values[0], Value::Text(_) | Value::Bytes(_) | Value::Null);
            assert!(!number || kinds.iter().any(|k| *k != kinds[0]), "numbers of one kind have their list");
            values.clone()
        }
    };
    assert_eq!(values.len(), series.times.len());
    let quality = |at: usize| series.qualities.get(at).copied().unwrap_or(0);
    assert!(series.qualities.is_empty() || series.qualities.len() == values.len());
    let rows = values.into_iter().zip(&series.times).enumerate();
    rows.map(|(at, (value, time))| Reading {
        sensor: series.sensor,
        time: *time,
        value,
        quality: quality(at),
    })
    .collect()
}

fn by_sensor(batch: Batch<'_>) -> Vec<Reading<'static>> {
    let mut sensors: BTreeMap<u32, Vec<Reading<'static>>> = BTreeMap::new();
    for reading in batch.map(|r| r.unwrap().into_owned()) {
        sensors.entry(reading.sensor).or_default().push(reading);
    }
    sensors.into_values().flatten().collect()
}

/// Readings of some sensors: polls, late ones, holes, and a sensor that changes its kind.
fn readings(rng: &mut Rng, ids: &[u32]) -> Vec<Reading<'static>> {
    let polls = rng.below(2) == 0;
    let value = |rng: &mut Rng, sensor: usize, n: usize| match (sensor % 5, rng.below(12)) {
        (0, _) => Value::F64(20.0 + n as f64 / 8.0),
        (1, _) => Value::I64(n as i64 * 7),
        (2, _) => Value::Bool(n.is_multiple_of(3)),
        (3, 0) => Value::Text("stopped".into()),
        (3, _) => Value::F64(rng.below(100) as f64 / 10.0),
        _ => Value::U64(u64::MAX - n as u64),
    };
    let mut all = Vec::new();
    for n in 0..1 + rng.below(30) {
        for (nth, sensor) in ids.iter().enumerate().take(1 + rng.below(ids.len())) {
            let late = if polls { 0 } else { rng.below(3_000) as i64 };
            let time = 1_580_515_200_000 + 1_000 * n as i64 - late;
            let quality = if rng.below(9) == 0 { 0x8000_0000 } else { 0 };
            all.push(Reading { sensor: *sensor, time, value: value(rng, nth, n), quality });
        }
    }
    all
}

#[test]
fn series_are_the_rows_by_sensor() {
    let (table, limits) = (support::plain_table(), Limits::default());
    let ids: Vec<u32> = table.iter().map(|s| s.id).collect();
    let mut rng = Rng(seed());
    let n = cases(2_000);
    for case in 0..n {
        let sent = readings(&mut rng, &ids);
        for form in forms() {
            let mut encoder = FormEncoder::new(form, &table, &sent);
            if form.keeps_identity() && case % 2 == 0 {
                encoder = encoder.identify(BatchId { gateway: 1, lane: 0, epoch: 0, first_seq: 9 }, false);
            }
            sent.iter().for_each(|r| encoder.push(r).unwrap());
            let bytes = encoder.finish_under(usize::MAX).unwrap();
            let taken = [0, 1, sent.len() / 2, sent.len()][rng.below(4)];
            encoder.read(&bytes, &limits, |batch| {
                let mut batch = batch.unwrap();
                assert_eq!(batch.by_ref().take(taken).count(), taken);
                let expected = by_sensor(batch.clone());
                let series = batch.into_series().unwrap();
                assert!(series.is_sorted_by_key(|s| s.sensor), "{form:?}");
                let got: Vec<_> = series.iter().flat_map(rows).collect();
                let same = got.len() == expected.len() && got.iter().zip(&expected).all(|(a, b)| a.same(b));
                assert!(same, "{form:?} after {taken}: {got:?} is not {expected:?}");
            });
        }
    }
    println!("executed codec.series: {} cases", n * forms().len() as u64);
}

#[test]
fn doubles_stand_for_every_number_and_missing_for_the_rest() {
    let other =
        vec![Value::F64(0.5), Value::I64(-2), Value::Bool(true), Value::Null, Value::Text("x".into())];
    assert_eq!(*SeriesValues::Other(other).to_f64(-1.0), [0.5, -2.0, 1.0, -1.0, -1.0]);
    assert_eq!(*SeriesValues::U64(vec![u64::MAX]).to_f64(0.0), [18_446_744_073_709_551_616.0]);
    assert_eq!(*SeriesValues::Bool(vec![false, true]).to_f64(9.0), [0.0, 1.0]);
    assert_eq!(*SeriesValues::I64(vec![3]).to_f64(9.0), [3.0]);
    assert_eq!(*SeriesValues::F64(vec![1.5]).to_f64(9.0), [1.5]);
}
