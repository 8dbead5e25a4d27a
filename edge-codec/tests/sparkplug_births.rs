#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "sparkplug")]
//! Births and the data of their sessions as other senders write them: without aliases, with aliases of 64 bits, with names beside them
//! (promise 4).

#[path = "support/tahu.rs"]
mod tahu;

use edge_codec::sparkplug::{self, Birth, datatype};
use edge_codec::{DecodeError, Limits, Reading, Value};
use tahu::{T, TahuMetric, TahuProperties, TahuProperty, TahuValue, metric, payload};

fn born(metrics: Vec<TahuMetric>) -> Birth {
    Birth::read(&payload(metrics), &Limits::default()).unwrap()
}

/// Name, unit and value of each reading.
fn read(birth: &Birth, metrics: Vec<TahuMetric>) -> Vec<(String, String, Value<'static>)> {
    let bytes = payload(metrics);
    let batch = birth.decode(&bytes, &Limits::default()).unwrap();
    assert_eq!(batch.skipped(), 0);
    let sensors = batch.sensors().clone();
    batch
        .map(|r| r.unwrap())
        .map(|r| {
            let sensor = sensors.get(r.sensor).unwrap();
            (sensor.name.to_string(), sensor.unit.to_string(), r.value.into_owned())
        })
        .collect()
}

fn row(name: &str, unit: &str, value: Value<'static>) -> (String, String, Value<'static>) {
    (name.to_owned(), unit.to_owned(), value)
}

fn typed(name: &str, datatype: u32, unit: &str) -> TahuMetric {
    let unit = TahuProperty { kind: Some(datatype::STRING), int: None, text: Some(unit.to_owned()) };
    let properties = TahuProperties { keys: vec!["engUnit".to_owned()], values: vec![unit] };
    let value = TahuValue::Int(0);
    TahuMetric { datatype: Some(datatype), properties: Some(properties), ..metric(name, value) }
}

fn aliased(alias: u64, value: TahuValue) -> TahuMetric {
    TahuMetric { name: None, alias: Some(alias), ..metric("", value) }
}

/// Aliases are optional, and data should not repeat the datatype (Sparkplug 3.0 §6.4.6): the birth says which integers are negative.
#[test]
fn data_by_name_has_the_datatypes_and_units_of_a_birth_without_aliases() {
    let birth = born(vec![
        typed("temp", datatype::INT32, "Cel"),
        typed("level", datatype::INT64, "mm"),
        typed("count", datatype::UINT32, ""),
    ]);
    let data = vec![
        metric("count", TahuValue::Int(u32::MAX)),
        metric("temp", TahuValue::Int(-5_i32 as u32)),
        metric("level", TahuValue::Long(-7_i64 as u64)),
        metric("new", TahuValue::Double(1.5)),
    ];
    let expected = [
        row("count", "", Value::I64(u32::MAX.into())),
        row("temp", "Cel", Value::I64(-5)),
        row("level", "mm", Value::I64(-7)),
        row("new", "", Value::F64(1.5)),
    ];
    assert_eq!(read(&birth, data.clone()), expected);
    // One number for one sensor, in each message of the session.
    let numbers = |metrics: Vec<TahuMetric>| -> Vec<u32> {
        let bytes = payload(metrics);
        birth.decode(&bytes, &Limits::default()).unwrap().map(|r| r.unwrap().sensor).collect()
    };
    let forward = numbers(data.clone());
    let back: Vec<u32> = numbers(data.into_iter().rev().collect()).into_iter().rev().collect();
    assert_eq!(forward, back);
    let named = |(name, _, _): &(String, String, Value<'_>)| birth.sensors().iter().find(|s| s.name == *name);
    assert!(expected.iter().zip(forward).all(|(row, number)| named(row).is_none_or(|s| s.id == number)));
}

/// An alias is a `uint64`.
#[test]
fn aliases_of_64_bits_are_known_by_their_birth() {
    let wide = [1 << 32, 1 << 32 | 1, u64::MAX];
    let named = |alias: u64, name| TahuMetric { alias: Some(alias), ..typed(name, datatype::INT32, "V") };
    let birth = born(vec![
        named(wide[0], "a"),
        named(0, "b"),
        named(wide[1], "c"),
        typed("d", datatype::INT32, "A"),
        named(wide[2], "e"),
    ]);
    assert_eq!(birth.sensors().get(0).unwrap().name, "b", "what can be a number is one");
    let minus = |n: i32| TahuValue::Int(-n as u32);
    let data = vec![
        aliased(wide[2], minus(5)),
        aliased(wide[1], minus(3)),
        aliased(0, minus(2)),
        aliased(wide[0], minus(1)),
        metric("d", minus(4)),
    ];
    let expected = [("e", "V", -5), ("c", "V", -3), ("b", "V", -2), ("a", "V", -1), ("d", "A", -4)];
    assert_eq!(read(&birth, data.clone()), expected.map(|(name, unit, v)| row(name, unit, Value::I64(v))));

    // Alone, each still has a number of its own.
    let alone = payload(vec![
        aliased(wide[0], TahuValue::Int(1)),
        aliased(0, TahuValue::Int(2)),
        aliased(wide[1], TahuValue::Int(3)),
        aliased(wide[0], TahuValue::Int(4)),
        metric("d", TahuValue::Int(5)),
    ]);
    let batch = sparkplug::decode(&alone, &Limits::default()).unwrap();
    let readings: Vec<Reading<'_>> = batch.map(|r| r.unwrap()).collect();
    let numbers: Vec<u32> = readings.iter().map(|r| r.sensor).collect();
    assert_eq!(numbers, [1, 0, 2, 1, 3]);
    assert!(readings.iter().all(|r| r.time == T as i64));
}

#[test]
fn an_alias_that_was_not_born_is_no_other_sensors_number() {
    // `a` gets a number although it has no alias: 0.
    let birth = born(vec![typed("a", datatype::INT32, "V")]);
    for alias in [0, 7, 1 << 32] {
        let bytes = payload(vec![aliased(alias, TahuValue::Double(1.0))]);
        let error = birth.decode(&bytes, &Limits::default()).map(drop).unwrap_err();
        assert!(matches!(error, DecodeError::UnknownSensor { .. }), "{alias}: {error}");
        let skipped = payload(vec![aliased(alias, TahuValue::DataSet(vec![]))]);
        let error = birth.decode(&skipped, &Limits::default()).map(drop).unwrap_err();
        assert!(matches!(error, DecodeError::UnknownSensor { .. }), "{alias}: {error}");
        let named = TahuMetric { alias: Some(alias), ..metric("b", TahuValue::Double(1.0)) };
        let a = metric("a", TahuValue::Double(2.0));
        let expected = [row("b", "", Value::F64(1.0)), row("a", "V", Value::F64(2.0))];
        assert_eq!(read(&birth, vec![named, a]), expected);
    }
    let strange = payload(vec![TahuMetric { name: None, ..metric("", TahuValue::Double(1.0)) }]);
    let batch = birth.decode(&strange, &Limits::default()).unwrap();
    assert_eq!(batch.sensors().iter().map(|s| s.name.as_ref()).collect::<Vec<_>>(), [""]);
}

/// Senders that repeat the name in data mean the sensor of the birth.
#[test]
fn names_beside_aliases_keep_the_births_unit() {
    let birth = born(vec![TahuMetric { alias: Some(3), ..typed("a", datatype::INT32, "V") }]);
    let both = TahuMetric { alias: Some(3), ..metric("a", TahuValue::Int(u32::MAX)) };
    assert_eq!(
        read(&birth, vec![both.clone(), both]),
        [row("a", "V", Value::I64(-1)), row("a", "V", Value::I64(-1))]
    );
    assert_eq!(read(&birth, vec![metric("a", TahuValue::Int(u32::MAX))]), [row("a", "V", Value::I64(-1))]);
}
