#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "senml", feature = "sparkplug", feature = "influx"))]
//! Readings come out as they went in, to the bit, in batches that stay under their size (promises 4, 9 and 12).

mod support;

use edge_codec::{BatchId, EncodeError, Limits, Reading, SensorTable, Value, json, quality};
use proptest::prelude::*;
use support::{AnyEncoder, KINDS, Kind, property, reading, samples, series, table};

/// A time that every format can carry.
const NOW: i64 = 1_580_515_200_000;

/// Same reading but for the sensor's number, which JSON does not carry: name and unit must be the same then.
fn agree(
    kind: Kind,
    sent: &Reading<'_>,
    table: &SensorTable<'_>,
    got: &Reading<'_>,
    names: &SensorTable<'_>,
) -> bool {
    let (a, b) = (table.get(sent.sensor).unwrap(), names.get(got.sensor).unwrap());
    let number = !kind.keeps_numbers() || sent.sensor == got.sensor;
    let got = Reading { sensor: sent.sensor, ..got.clone() };
    let expected = Reading { quality: kind.quality(sent.quality), ..sent.clone() };
    number && a.name == b.name && a.unit == b.unit && expected.same(&got)
}

/// Drains an encoder and checks every batch against the readings that were pushed.
fn drain(kind: Kind, readings: &[Reading<'static>], max: usize) -> Result<(), TestCaseError> {
    let table = kind.table();
    let start =
        BatchId { gateway: 0xfeed_0000_0000_0001, lane: 1, epoch: 7, first_seq: u64::from(u32::MAX) - 3 };
    let mut enc = AnyEncoder::new(kind, &table).identify(start, true);
    let sent: Vec<_> = readings.iter().filter(|r| kind.carries(r)).collect();
    for r in readings {
        match enc.push(r) {
            Ok(()) => prop_assert!(kind.carries(r)),
            Err(EncodeError::NotCarried { .. }) => {
                prop_assert!(!kind.carries(r));
            }
            Err(e) => return Err(TestCaseError::fail(e.to_string())),
        }
    }
    let mut next = 0;
    while !enc.is_empty() {
        let batch = match enc.finish_under(max) {
            Ok(batch) => batch,
            Err(EncodeError::ReadingTooLarge { reading, needed, .. }) => {
                prop_assert!(needed > max && reading.same(sent[next]));
                next += 1;
                continue;
            }
            Err(e) => return Err(TestCaseError::fail(e.to_string())),
        };
        prop_assert!(batch.len() <= max, "{kind:?}: {} > {max}", batch.len());
        let decoded = kind.decode(&batch, &Limits::default()).unwrap();
        let n = decoded.len();
        prop_assert!(n > 0);
        let id = BatchId { first_seq: start.first_seq + next as u64, ..start };
        let kept = kind.keeps_identity();
        prop_assert_eq!((decoded.header().id, decoded.header().pd), (kept.then_some(id), kept));
        prop_assert_eq!(decoded.skipped(), 0);
        let names = decoded.sensors().clone();
        for (got, sent) in decoded.zip(&sent[next..]) {
            let got = got.unwrap();
            prop_assert!(agree(kind, sent, &table, &got, &names), "{kind:?}: {sent:?} became {got:?}");
        }
        next += n;
        prop_assert_eq!(enc.len(), sent.len() - next);
        greedy(kind, &sent[next - n..sent.len().min(next + 1)], n, max)?;
    }
    prop_assert_eq!(next, sent.len());
    Ok(())
}

/// The batch was not cut too early: with the next reading it would be too long, or its time too far away.
fn greedy(kind: Kind, with_next: &[&Reading<'_>], n: usize, max: usize) -> Result<(), TestCaseError> {
    if !kind.looks_ahead()
        && with_next.len() > n
        && with_next[n].time.checked_sub(with_next[0].time).is_some()
    {
        let table = kind.table();
        let start =
            BatchId { gateway: 0xfeed_0000_0000_0001, lane: 1, epoch: 7, first_seq: u64::from(u32::MAX) };
        let mut enc = AnyEncoder::new(kind, &table).identify(start, true);
        with_next.iter().for_each(|r| enc.push(r).unwrap());
        // The identity's text or varint may differ by a byte or two in length.
        prop_assert!(enc.finish_under(usize::MAX).unwrap().len() + 5 > max);
    }
    Ok(())
}

#[test]
fn every_reading_survives_every_format_in_batches_under_any_size() {
    let strategy = (proptest::collection::vec(reading(), 0..60), 150_usize..3000);
    for kind in KINDS {
        property(&format!("codec.roundtrip.{kind:?}"), 20_000, &strategy, |(readings, max)| {
            drain(kind, &readings, max)
        });
    }
}

#[test]
fn the_fixed_samples_survive_in_one_batch() {
    for kind in KINDS {
        drain(kind, &kind.samples(), usize::MAX).unwrap();
    }
}

/// Negative control: the comparison the property rests on sees one flipped bit, a sign of zero, a millisecond.
#[test]
fn the_comparison_catches_planted_differences() {
    let table = table();
    let r = Reading { sensor: 0, time: 5, value: Value::F64(0.0), quality: 0 };
    let same = |other: Reading<'_>| agree(Kind::Cbor, &r, &table, &other, &table);
    assert!(same(r.clone()));
    assert!(!same(Reading { value: Value::F64(-0.0), ..r.clone() }));
    assert!(!same(Reading { value: Value::F64(f64::from_bits(1)), ..r.clone() }));
    assert!(!same(Reading { value: Value::I64(0), ..r.clone() }));
    assert!(!same(Reading { time: 6, ..r.clone() }));
    assert!(!same(Reading { quality: 1, ..r.clone() }));
    assert!(!same(Reading { sensor: 300, ..r.clone() }));
}

#[test]
fn an_empty_encoder_gives_an_empty_batch_and_an_impossible_size_changes_nothing() {
    for kind in KINDS {
        let table = kind.table();
        let mut enc = AnyEncoder::new(kind, &table);
        let batch = enc.finish_under(1000).unwrap();
        let decoded = kind.decode(&batch, &Limits::default()).unwrap();
        assert_eq!((decoded.len(), decoded.header().id, decoded.header().pd), (0, None, false));
        enc.push(&samples()[0]).unwrap();
        assert!(matches!(enc.finish_under(1), Err(EncodeError::NoRoom { max: 1, .. })), "{kind:?}");
        assert_eq!(enc.len(), 1);
    }
}

#[test]
fn a_reading_that_cannot_fit_is_handed_back_and_the_rest_goes_on() {
    let big = Reading { sensor: 0, time: NOW, value: Value::Text("y".repeat(500).into()), quality: 0 };
    let small = Reading { sensor: 0, time: NOW, value: Value::Bool(true), quality: 0 };
    let id = BatchId { gateway: 1, lane: 0, epoch: 1, first_seq: 10 };
    for kind in KINDS {
        let table = kind.table();
        let mut enc = AnyEncoder::new(kind, &table).identify(id, false);
        for r in [&small, &big, &small] {
            enc.push(r).unwrap();
        }
        assert_eq!(kind.decode(&enc.finish_under(400).unwrap(), &Limits::default()).unwrap().len(), 1);
        match enc.finish_under(400) {
            Err(EncodeError::ReadingTooLarge { max: 400, needed, reading }) => {
                assert!(needed > 500);
                assert!(reading.same(&big));
            }
            other => panic!("{kind:?}: {other:?}"),
        }
        let last = enc.finish_under(400).unwrap();
        let last = kind.decode(&last, &Limits::default()).unwrap();
        let seq = last.header().id.map(|id| id.first_seq);
        let expected = kind.keeps_identity().then_some(12);
        assert_eq!(seq, expected, "the row that was handed back keeps its number");
        assert_eq!(last.len(), 1);
    }
}

#[test]
fn a_batch_has_no_more_readings_than_a_decoder_takes_by_default() {
    for kind in KINDS {
        let table = kind.table();
        let mut enc = AnyEncoder::new(kind, &table);
        let r = Reading { sensor: 2, time: NOW, value: Value::Bool(true), quality: 0 };
        (0..65_537).for_each(|_| enc.push(&r).unwrap());
        let sizes = [enc.finish_under(usize::MAX).unwrap(), enc.finish_under(usize::MAX).unwrap()];
        let limits = Limits::default().bytes(usize::MAX);
        assert_eq!(sizes.map(|b| kind.decode(&b, &limits).unwrap().len()), [65_536, 1], "{kind:?}");
        assert!(enc.is_empty());
    }
}

#[test]
fn an_unknown_sensor_is_not_taken() {
    for kind in KINDS {
        let table = kind.table();
        let mut enc = AnyEncoder::new(kind, &table);
        let r = Reading { sensor: 4, time: 0, value: Value::Null, quality: 0 };
        assert_eq!(enc.push(&r), Err(EncodeError::UnknownSensor { sensor: 4 }));
        assert!(enc.is_empty());
    }
}

#[test]
fn json_writes_null_and_bad_for_nan_only_when_told_to() {
    let table = table();
    let mut enc = json::Encoder::new(&table).non_finite(json::NonFinite::Null);
    let nan = Reading { sensor: 0, time: 0, value: Value::F64(f64::NAN), quality: 0 };
    enc.push(&nan).unwrap();
    enc.push(&Reading { quality: 0x8008_0000, ..nan.clone() }).unwrap();
    let bytes = enc.finish_under(1000).unwrap();
    let got: Vec<_> = json::decode(&bytes, &Limits::default()).unwrap().map(Result::unwrap).collect();
    assert!(got.iter().all(|r| r.value == Value::Null));
    assert_eq!(got.iter().map(|r| r.quality).collect::<Vec<_>>(), [quality::BAD, 0x8008_0000]);
}

/// Real series, whole: 300 instants of temperatures with noisy low bits and of bursty counters.
#[test]
fn real_series_are_bit_exact_through_all_formats() {
    for csv in [include_str!("data/nab_temps.csv"), include_str!("data/nab_counters.csv")] {
        let (table, readings) = series(csv, "");
        assert!(readings.len() >= 300);
        for kind in KINDS {
            let mut enc = AnyEncoder::new(kind, &table);
            readings.iter().for_each(|r| enc.push(r).unwrap());
            let mut sent = readings.iter();
            let mut bytes = 0;
            while !enc.is_empty() {
                let batch = enc.finish_under(4096).unwrap();
                bytes += batch.len();
                let decoded = kind.decode(&batch, &Limits::default()).unwrap();
                let names = decoded.sensors().clone();
                for got in decoded {
                    let sent = sent.next().unwrap();
                    assert!(agree(kind, sent, &table, &got.unwrap(), &names));
                }
            }
            assert!(sent.next().is_none());
            println!("{kind:?}: {:.1} bytes per reading", bytes as f64 / readings.len() as f64);
        }
    }
}
