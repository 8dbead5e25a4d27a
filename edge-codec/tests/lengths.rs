#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "senml", feature = "sparkplug", feature = "influx", feature = "compact"))]
//! A batch takes the bytes that its encoder announced, whatever the lengths of its parts (promises 4 and 9).
//!
//! Identity, times, names, units, texts, byte strings, and the counts of readings and sensors all stand at lengths where
//! some format needs one more byte for them.

#[path = "support/forms.rs"]
mod forms;
#[path = "support/session.rs"]
mod session;
mod support;

use edge_codec::{BatchId, EncodeError, Reading, SensorTable, Value};
use forms::{Form, FormEncoder, forms};
use proptest::prelude::*;
use session::wide;
use support::property;

/// Lengths and counts beside those at which a varint, a CBOR head or a decimal grows.
const LENGTHS: [usize; 26] = [
    0, 1, 2, 9, 10, 22, 23, 24, 25, 99, 100, 126, 127, 128, 129, 130, 255, 256, 257, 300, 999, 1000, 16_383,
    16_384, 65_535, 65_536,
];

/// The parts that vary in length.
#[derive(Clone, Debug)]
struct Parts {
    id: Option<BatchId>,
    pd: bool,
    name: usize,
    unit: usize,
    text: usize,
    bytes: usize,
    sensors: usize,
    readings: usize,
    hole: u64,
    start: i64,
    step: i64,
    quality: u32,
}

fn parts() -> impl Strategy<Value = Parts> {
    let number = || {
        let step = (0..64_u32, -1_i64..=1).prop_map(|(bits, by)| (1_u64 << bits).saturating_add_signed(by));
        prop_oneof![Just(0), step]
    };
    let length = || prop_oneof![3 => Just(7_usize), 1 => proptest::sample::select(LENGTHS.to_vec())];
    let few = |most: usize| {
        let counts: Vec<usize> = LENGTHS.into_iter().filter(|n| (1..=most).contains(n)).collect();
        prop_oneof![3 => Just(3_usize), 1 => proptest::sample::select(counts)]
    };
    let id = (number(), any::<u8>(), number(), number());
    let id = proptest::option::weighted(
        0.9,
        id.prop_map(|(gateway, lane, epoch, first_seq)| BatchId {
            gateway,
            lane,
            epoch: epoch as u32,
            // Room for the readings and a hole.
            first_seq: first_seq.min(u64::MAX - 100_000),
        }),
    );
    // From 2^28 s on, SenML takes times as they are.
    let start = prop_oneof![Just(1_580_515_200_000_i64), (0..(1_i64 << 40)), number().prop_map(|n| n as i64)];
    let step = prop_oneof![Just(0), Just(1000), number().prop_map(|n| (n >> 16) as i64), -300..300_i64];
    let lengths = (length(), length(), length(), length());
    (id, any::<bool>(), lengths, few(300), few(1000), 1..1000_u64, (start, step), any::<u32>()).prop_map(
        |(id, pd, (name, unit, text, bytes), sensors, readings, hole, (start, step), quality)| Parts {
            id,
            pd,
            name,
            unit,
            text,
            bytes,
            sensors,
            readings,
            hole,
            start,
            step,
            quality: quality & (quality >> 1).wrapping_neg(),
        },
    )
}

impl Parts {
    fn table(&self) -> SensorTable<'static> {
        let mut table = SensorTable::new();
        for sensor in 0..self.sensors as u32 {
            // The first has the long name: a thousand of them would be another test.
            let (name, unit) = if sensor == 0 { (self.name, self.unit) } else { (1, 0) };
            table.insert(sensor, format!("s{sensor}{}", "x".repeat(name)), "u".repeat(unit));
        }
        table
    }

    fn readings(&self) -> Vec<Reading<'static>> {
        let value = |n: usize| match n {
            0 => Value::Text("t".repeat(self.text).into()),
            1 => Value::Bytes(vec![b'b'; self.bytes].into()),
            _ => Value::I64(n as i64 * 1000),
        };
        let reading = |n: usize| Reading {
            sensor: (n % self.sensors) as u32,
            time: self.start.saturating_add(self.step.saturating_mul(n as i64)),
            value: value(n),
            quality: if n % 7 == 3 { self.quality } else { 0 },
        };
        (0..self.readings).map(reading).collect()
    }
}

/// Takes all readings in one batch, in as many bytes as it takes and no fewer.
fn check(form: Form, parts: &Parts) {
    let table = parts.table();
    let sent: Vec<_> = parts.readings().into_iter().filter(|r| form.carries(r)).collect();
    if sent.is_empty() || sent.iter().any(|r| r.time.checked_sub(sent[0].time).is_none()) {
        return;
    }
    let seq = |id: BatchId, n: usize| id.first_seq + n as u64 + if n == 0 { 0 } else { parts.hole };
    let filled = || {
        let mut enc = FormEncoder::new(form, &table, &sent);
        match parts.id {
            Some(id) => {
                enc = enc.identify(id, parts.pd);
                (0..).zip(&sent).for_each(|(n, r)| enc.push_at(seq(id, n), r).unwrap());
            }
            None => sent.iter().for_each(|r| enc.push(r).unwrap()),
        }
        enc
    };
    let mut enc = filled();
    let batch = enc.finish_under(usize::MAX).unwrap();
    enc.read(&batch, &wide(), |read| {
        let mut read = read.unwrap_or_else(|e| panic!("{form:?}: {e}"));
        assert_eq!(read.len(), sent.len(), "{form:?}");
        let id = parts.id.filter(|_| form.keeps_identity());
        assert_eq!((read.header().id, read.header().pd), (id, parts.pd && id.is_some()));
        let names = read.sensors().clone();
        let mut got = Vec::new();
        while read.len() > 0 {
            assert_eq!(read.next_seq(), id.map(|id| seq(id, got.len())));
            got.push(read.next().unwrap().unwrap());
        }
        let mut sent = sent.clone();
        if parts.id.is_none() && matches!(form, Form::Compact(..)) {
            // By time then, but each sensor's as they were pushed.
            got.sort_by_key(|r| r.sensor);
            sent.sort_by_key(|r| r.sensor);
        }
        for (got, sent) in got.iter().zip(&sent) {
            if form.keeps_names() {
                let (a, b) = (table.get(sent.sensor).unwrap(), names.get(got.sensor).unwrap());
                assert_eq!((&a.name, &a.unit), (&b.name, &b.unit), "{form:?}");
            }
            let expected = Reading { quality: form.quality(sent.quality), ..sent.clone() };
            let sensor = if form.keeps_numbers() { got.sensor } else { sent.sensor };
            assert!(expected.same(&Reading { sensor, ..got.clone() }), "{form:?}: {sent:?} became {got:?}");
        }
    });
    // The compact encoder has no hint: it measures what it has made.
    if matches!(form, Form::Compact(..)) {
        return;
    }
    assert_eq!(
        filled().finish_under(batch.len()).as_ref(),
        Ok(&batch),
        "{form:?}: it fits into what it takes"
    );
    match filled().finish_under(batch.len() - 1) {
        Ok(less) => assert!(less.len() < batch.len(), "{form:?}"),
        Err(EncodeError::ReadingTooLarge { needed, .. }) => assert!(needed >= batch.len() || sent.len() > 1),
        Err(EncodeError::NoRoom { .. }) => {}
        Err(e) => panic!("{form:?}: {e}"),
    }
}

#[test]
fn batches_take_what_encoders_say_at_every_length_of_their_parts() {
    property("codec.lengths", 2_000, &parts(), |parts| {
        forms().into_iter().for_each(|form| check(form, &parts));
        Ok(())
    });
}

fn usual() -> Parts {
    let id = Some(BatchId { gateway: 7, lane: 1, epoch: 2, first_seq: 1000 });
    let (start, step) = (1_580_515_200_000, 1000);
    Parts {
        id,
        pd: true,
        name: 7,
        unit: 3,
        text: 7,
        bytes: 7,
        sensors: 3,
        readings: 3,
        hole: 1,
        start,
        step,
        quality: 1 << 31,
    }
}

/// Each part alone at each length, so that none is left to chance.
#[test]
fn each_part_alone_is_measured_at_every_length() {
    for form in forms() {
        for length in LENGTHS {
            let count = length.max(1);
            for parts in [
                Parts { name: length, ..usual() },
                Parts { unit: length, ..usual() },
                Parts { text: length, ..usual() },
                Parts { bytes: length, ..usual() },
                Parts { readings: count, ..usual() },
                Parts { sensors: count.min(1000), readings: count.min(1000), ..usual() },
            ] {
                check(form, &parts);
            }
        }
    }
}

/// Three bytes of length, and four.
#[test]
fn long_texts_and_names_are_measured() {
    for form in forms() {
        for length in [(1 << 21) - 1, 1 << 21] {
            check(form, &Parts { text: length, ..usual() });
        }
        check(form, &Parts { name: 1 << 14, bytes: 1 << 21, unit: 1 << 16, ..usual() });
    }
}

/// As many sensors as a batch can have, and as many readings.
#[test]
fn full_batches_are_measured() {
    for form in forms() {
        check(form, &Parts { sensors: 16_384, readings: 16_384, ..usual() });
    }
}
