#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "compact")]
//! Compact batches give back every reading to the last bit, and every row's own number (promises 4 and 9).

#[path = "support/session.rs"]
mod session;
mod support;

use edge_codec::compact::{Encoder, Level};
use edge_codec::{BatchId, EncodeError, Limits, Reading, SensorTable, Value};
use proptest::prelude::*;
use session::{Reader, Session};
use std::collections::BTreeMap;
use support::{IDS, non_finite, property, reading, samples, table};

const ID: BatchId = BatchId { gateway: 7, lane: 1, epoch: 2, first_seq: 1000 };

/// Sensors that a batch can be read with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Bare,
    Names,
    Table,
    Learned,
}

const FORMS: [Form; 4] = [Form::Bare, Form::Names, Form::Table, Form::Learned];

/// An encoder of a form behind one face.
struct Any {
    session: Option<Session>,
    encoder: Encoder<SensorTable<'static>>,
}

impl Any {
    fn new(form: Form, level: Level, sample: &[Reading<'_>]) -> Self {
        let session = match form {
            Form::Bare | Form::Names => None,
            Form::Table => Some(Session::names(3, &table())),
            Form::Learned => Some(Session::learn(3, &table(), sample)),
        };
        let encoder = match (&session, form) {
            (Some(session), _) => session.encoder(level),
            (None, Form::Names) => Encoder::new(table()).level(level),
            (None, _) => Encoder::numbered().level(level),
        };
        Self { session, encoder }
    }

    /// Another party, which has read the table anew.
    fn reader(&self) -> Reader {
        self.session.as_ref().map_or_else(Reader::without_table, Session::reader)
    }
}

fn limits() -> Limits {
    Limits::default()
}

/// Returns what arrives without an identity: ordered by time, each sensor's readings as they were.
fn by_sensor<'r>(readings: impl IntoIterator<Item = Reading<'r>>) -> BTreeMap<u32, Vec<Reading<'r>>> {
    let mut sensors: BTreeMap<u32, Vec<Reading<'r>>> = BTreeMap::new();
    readings.into_iter().for_each(|r| sensors.entry(r.sensor).or_default().push(r));
    sensors
}

fn assert_same(got: &[Reading<'_>], sent: &[Reading<'_>]) {
    assert_eq!(got.len(), sent.len());
    got.iter().zip(sent).for_each(|(got, sent)| assert!(got.same(sent), "sent {sent:?}, got {got:?}"));
}

fn check(form: Form, level: Level, readings: &[Reading<'static>], max: usize) {
    // With an identity: exactly as pushed, whatever the cuts.
    let mut any = Any::new(form, level, readings);
    any.encoder = any.encoder.id(ID).possible_duplicate(true);
    let seqs: Vec<u64> = (0..readings.len() as u64).map(|n| 1000 + n + n / 5 * 3).collect();
    for (seq, r) in seqs.iter().zip(readings) {
        any.encoder.push_at(*seq, r).unwrap();
    }
    let mut at = 0;
    while !any.encoder.is_empty() {
        let bytes = match any.encoder.finish_under(max) {
            Ok(bytes) => bytes,
            Err(EncodeError::ReadingTooLarge { reading, needed, .. }) => {
                assert!(needed > max);
                assert!(reading.same(&readings[at]));
                at += 1;
                continue;
            }
            Err(other) => panic!("{other}"),
        };
        assert!(bytes.len() <= max);
        let reader = any.reader();
        let mut batch = reader.decode(&bytes, &limits()).unwrap();
        let header = *batch.header();
        assert_eq!(header.id.unwrap(), BatchId { first_seq: seqs[at], ..ID });
        assert!(header.pd);
        let said = batch.len();
        assert!(said > 0);
        for _ in 0..said {
            assert_eq!(batch.next_seq(), Some(seqs[at]));
            let got = batch.next().unwrap().unwrap();
            assert!(got.same(&readings[at]), "{form:?} {level:?} sent {:?}, got {got:?}", readings[at]);
            if form != Form::Bare {
                let entry = batch.sensors().get(got.sensor).unwrap().clone();
                assert_eq!(Some(&entry), table().get(got.sensor));
            }
            at += 1;
        }
        assert!(batch.next().is_none() && batch.next_seq().is_none());
    }
    assert_eq!(at, readings.len());

    // Without one: each sensor's own order.
    let mut any = Any::new(form, level, readings);
    readings.iter().for_each(|r| any.encoder.push(r).unwrap());
    let bytes = any.encoder.finish_under(usize::MAX).unwrap();
    let reader = any.reader();
    let batch = reader.decode(&bytes, &limits()).unwrap();
    assert_eq!((batch.header().id, batch.next_seq()), (None, None));
    let got: Vec<_> = batch.map(Result::unwrap).collect();
    for start in [0, 1, got.len() / 2, got.len()] {
        // One by one, then all of the rest at once.
        let mut batch = reader.decode(&bytes, &limits()).unwrap();
        let mut again: Vec<_> = batch.by_ref().take(start).map(Result::unwrap).collect();
        batch.for_each(|reading| again.push(reading.unwrap()));
        assert_same(&again, &got);
    }
    let got = by_sensor(got);
    let sent = by_sensor(readings.iter().cloned());
    assert!(got.keys().eq(sent.keys()));
    got.values().zip(sent.values()).for_each(|(got, sent)| assert_same(got, sent));
}

#[test]
fn compact_batches_give_back_every_bit_and_every_number() {
    let strategy = (
        proptest::collection::vec(reading(), 0..80),
        proptest::sample::select(FORMS.to_vec()),
        proptest::sample::select(vec![Level::Fast, Level::Small]),
        proptest::sample::select(vec![usize::MAX, 2000, 300, 100]),
    );
    property("codec.compact.roundtrip", 10_000, &strategy, |(readings, form, level, max)| {
        check(form, level, &readings, max);
        Ok(())
    });
}

/// Kinds of values that plants have, as whole steps make them: decimals, averages, counts that were scaled, what is odd.
const PLANT_KINDS: u8 = 12;

fn plant_value(kind: u8, step: i64) -> Value<'static> {
    match kind {
        0 => Value::F64(step as f64 / 100.0),
        1 => Value::F64(f64::from(step as f32 / 7.0)),
        2 => Value::F64((step as f64 / 3.0 * 1e13).round() / 1e13),
        3 => Value::I64(step * 25 - 7),
        4 => Value::U64(u64::MAX - step.unsigned_abs()),
        5 => Value::Bool(step % 2 == 0),
        6 => Value::F64([0.0, 1.5, f64::NAN, -0.0, 1e300][step.unsigned_abs() as usize % 5]),
        7 => Value::Text(format!("state {}", step % 4).into()),
        8 => Value::F64(step as f64 * 10.0 / 4095.0),
        9 => Value::F64(-50.0 + step as f64 * 300.0 / 4095.0),
        10 => Value::I64((step % 97) << 55),
        _ => Value::F64(format!("{:.5e}", step as f64 * 1.37e-3).parse().unwrap()),
    }
}

/// Sensors as plants have them: one kind each, polled together or alone, steps of quantised values.
fn plant() -> impl Strategy<Value = Vec<Reading<'static>>> {
    let column = (0..PLANT_KINDS, 1_i64..500, any::<bool>());
    (proptest::collection::vec(column, 1..6), 1_usize..90, proptest::collection::vec(any::<i16>(), 540))
        .prop_map(move |(columns, rows, noise)| {
            let mut readings = Vec::new();
            for row in 0..rows {
                for (nth, (kind, scale, alone)) in columns.iter().enumerate() {
                    let wobble = i64::from(noise[(row * 6 + nth) % 540]) % scale;
                    let time = 1_600_000_000_000 + row as i64 * 1000 + if *alone { wobble % 16 } else { 0 };
                    let value = plant_value(*kind, *scale * 3 + wobble);
                    let quality = if noise[row % 540] % 50 == 0 { 0x8000_0000 } else { 0 };
                    readings.push(Reading { sensor: IDS[nth], time, value, quality });
                }
            }
            readings
        })
}

#[test]
fn plants_come_back_from_compact_batches_bit_for_bit() {
    let strategy = (plant(), proptest::sample::select(FORMS.to_vec()));
    property("codec.compact.plants", 10_000, &strategy, |(readings, form)| {
        check(form, Level::Fast, &readings, usize::MAX);
        Ok(())
    });
}

#[test]
fn one_of_everything_comes_back() {
    let readings: Vec<_> = samples().into_iter().chain(non_finite()).collect();
    for form in FORMS {
        for level in [Level::Fast, Level::Small] {
            check(form, level, &readings, usize::MAX);
            check(form, level, &[], usize::MAX);
        }
    }
}

/// A kept plan holds for values it was not made for: another kind, another range, a few odd ones.
#[test]
fn encoders_that_live_on_give_back_every_bit() {
    let batch = (0..PLANT_KINDS, 1_i64..2000, -100_000_i64..100_000, 1_usize..150, 0_u8..8);
    let strategy =
        (proptest::collection::vec(batch, 1..16), proptest::sample::select(FORMS.to_vec()), any::<u64>());
    property("codec.compact.lives", 4_000, &strategy, |(batches, form, seed)| {
        let mut rng = support::Rng(seed | 1);
        let mut readings =
            |(kind, range, middle, n, odd): (u8, i64, i64, usize, u8)| -> Vec<Reading<'static>> {
                let reading = |n: usize| {
                    let kind = if odd == 0 && rng.below(40) == 0 { 6 } else { kind };
                    let step = middle + rng.below(range as usize) as i64;
                    let sensor = IDS[n % 2];
                    Reading { sensor, time: n as i64 * 500, value: plant_value(kind, step), quality: 0 }
                };
                (0..n).map(reading).collect()
            };
        let mut any = Any::new(form, Level::Fast, &readings(batches[0]));
        for batch in batches {
            // A sensor goes on as it was for some batches.
            for _ in 0..3 {
                let sent = readings(batch);
                sent.iter().for_each(|r| any.encoder.push(r).unwrap());
                let bytes = any.encoder.finish_under(usize::MAX).unwrap();
                let reader = any.reader();
                let got: Vec<_> =
                    reader.decode(&bytes, &limits()).unwrap().map(|r| r.unwrap().into_owned()).collect();
                let (got, sent) = (by_sensor(got), by_sensor(sent));
                assert!(got.keys().eq(sent.keys()));
                got.values().zip(sent.values()).for_each(|(got, sent)| assert_same(got, sent));
            }
        }
        Ok(())
    });
}

#[test]
fn an_encoder_that_remembers_encodes_new_values_as_well() {
    for form in FORMS {
        let mut any = Any::new(form, Level::Fast, &samples());
        for round in 0..40_i64 {
            // A new character every few batches: decimals, integers beyond 2^53, noise, texts.
            let value = |n: i64| match round / 10 {
                0 => Value::F64((round * 100 + n) as f64 / 10.0),
                1 => Value::I64(i64::MAX - n * round),
                2 => Value::F64(f64::from_bits(((n * round) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))),
                _ => Value::Text(format!("{n}").into()),
            };
            let at =
                |n: i64| Reading { sensor: IDS[(n % 3) as usize], time: n * 5, value: value(n), quality: 0 };
            let readings: Vec<_> = (0..60).map(at).collect();
            readings.iter().for_each(|r| any.encoder.push(r).unwrap());
            let bytes = any.encoder.finish_under(usize::MAX).unwrap();
            let reader = any.reader();
            let got: Vec<_> =
                reader.decode(&bytes, &limits()).unwrap().map(|r| r.unwrap().into_owned()).collect();
            assert_same(&got, &readings);
        }
    }
}

/// Topics on which no sensor gets a plan still have clocks, and readers have them only if they are announced.
#[test]
fn a_table_of_clocks_alone_is_announced_and_read() {
    let text = |n: i64| Value::Text(if n / 250 % 2 == 0 { "RUN" } else { "STOP" }.into());
    let null_at_times = |n: i64| if n % 3 == 0 { Value::Null } else { Value::F64(20.0 + n as f64 / 10.0) };
    let as_javascript = |n: i64| match n % 3 {
        0 => Value::I64(20),
        1 => Value::F64(20.5),
        _ => Value::I64(21),
    };
    let kinds: [&dyn Fn(i64) -> Value<'static>; 4] =
        [&text, &|_| Value::Null, &null_at_times, &as_javascript];
    for value in kinds {
        let poll = |n: i64| IDS[..2].iter().map(move |id| (n, *id));
        let reading = |(n, sensor)| Reading { sensor, time: n * 50, value: value(n), quality: 0 };
        let readings: Vec<_> = (0..2000).flat_map(poll).map(reading).collect();
        let (sample, rest) = readings.split_at(1000);
        let mut any = Any::new(Form::Learned, Level::Fast, sample);
        let names = Session::names(3, &table()).announced().len();
        assert!(any.session.as_ref().unwrap().announced().len() > names, "nothing was learned");
        for batch in rest.chunks(100) {
            batch.iter().for_each(|r| any.encoder.push(r).unwrap());
            let bytes = any.encoder.finish_under(usize::MAX).unwrap();
            let reader = any.reader();
            let got: Vec<_> = reader.decode(&bytes, &limits()).unwrap().map(Result::unwrap).collect();
            assert_same(&got, batch);
        }
    }
}

/// Names that share nearly all take few bytes in a batch, and many in a reader.
#[test]
fn names_of_more_than_a_reader_takes_come_in_several_batches() {
    let mut table = SensorTable::new();
    let name = |n: u32| format!("enterprise/site/area/hall-7/line-12/cell-3/machine-4711/signals/{n:05}");
    (0..16_384).for_each(|n| drop(table.insert(n, name(n), "Cel")));
    let mut encoder = Encoder::new(&table);
    let reading = |sensor| Reading { sensor, time: 5, value: Value::I64(1), quality: 0 };
    (0..16_384).for_each(|n| encoder.push(&reading(n)).unwrap());
    let (mut next, mut first_of) = (0, Vec::new());
    while !encoder.is_empty() {
        first_of.push(next);
        let bytes = encoder.finish_under(1 << 20).unwrap();
        let batch = edge_codec::compact::decode(&bytes, &Limits::default()).unwrap();
        assert!(batch.sensors().iter().all(|sensor| sensor.name == name(sensor.id)));
        for got in batch {
            assert!(got.unwrap().same(&reading(next)), "{next}");
            next += 1;
        }
    }
    assert_eq!(next, 16_384);
    let in_a_mib = u32::try_from((1 << 20) / (name(0).len() + "Cel".len())).unwrap();
    assert_eq!(first_of, [0, in_a_mib], "as many as a reader takes");
}
