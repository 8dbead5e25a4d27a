#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "influx")]
//! Lines that InfluxDB reads as they were meant (promise 4).

mod support;

use edge_codec::influx::{Encoder, Precision};
use edge_codec::{EncodeError, Reading, SensorTable, Value};
use proptest::prelude::*;
use support::property;

const T: i64 = 1_580_515_200_123;

fn table() -> SensorTable<'static> {
    let mut table = SensorTable::new();
    table.insert(0, "line2/temp", "Cel");
    table.insert(1, "a b,c=d\"e", "");
    table.insert(2, "back\\slash", "");
    table.insert(3, "feed\n", "");
    table
}

fn at(sensor: u32, value: Value<'static>, quality: u32) -> Reading<'static> {
    Reading { sensor, time: T, value, quality }
}

fn lines(readings: &[Reading<'_>]) -> String {
    let table = table();
    let mut enc = Encoder::new(&table).precision(Precision::Milliseconds);
    readings.iter().for_each(|r| enc.push(r).unwrap());
    String::from_utf8(enc.finish_under(usize::MAX).unwrap().to_vec()).unwrap()
}

#[test]
fn every_kind_of_value_has_its_field() {
    let got = lines(&[
        at(0, Value::F64(53.6), 0),
        at(0, Value::F64(1.0), 0),
        at(0, Value::F64(1e300), 0),
        at(0, Value::F64(-0.0), 0),
        at(0, Value::I64(-5), 0x8000_0000),
        at(0, Value::U64(u64::MAX), 0),
        at(0, Value::Bool(true), 0),
        at(0, Value::Text("say \"hi\" \\ bye,\nx=1".into()), 0),
        at(0, Value::Bytes(vec![0, 0xff].into()), 0),
        at(0, Value::Null, 0),
        at(0, Value::Null, 5),
    ]);
    let fields: Vec<_> = got
        .split_terminator(" 1580515200123\n")
        .map(|line| line.strip_prefix("readings,sensor=line2/temp,unit=Cel ").unwrap())
        .collect();
    let expected = [
        "value=53.6",
        "value=1",
        "value=1e300",
        "value=-0",
        "int=-5i,quality=2147483648i",
        "uint=18446744073709551615u",
        "bool=t",
        "text=\"say \\\"hi\\\" \\\\ bye,\nx=1\"",
        "bytes=\"AP8\"",
        "quality=0i",
        "quality=5i",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn tags_are_escaped_and_what_cannot_be_is_refused() {
    assert_eq!(
        lines(&[at(1, Value::F64(1.5), 0)]),
        "readings,sensor=a\\ b\\,c\\=d\"e value=1.5 1580515200123\n"
    );
    let table = table();
    let mut enc = Encoder::new(&table);
    for bad in [at(2, Value::Null, 0), at(3, Value::Null, 0), at(0, Value::F64(f64::NAN), 0)] {
        assert!(matches!(enc.push(&bad), Err(EncodeError::NotCarried { format: "line protocol", .. })));
    }
    assert!(enc.is_empty());
}

#[test]
fn measurement_and_precision_are_chosen() {
    let table = table();
    let mut enc = Encoder::new(&table).measurement("my plant,\\1");
    enc.push(&at(0, Value::Bool(false), 0)).unwrap();
    let bytes = enc.finish_under(1000).unwrap();
    assert_eq!(bytes, "my\\ plant\\,_1,sensor=line2/temp,unit=Cel bool=f 1580515200123000000\n");
    let far = Reading { time: i64::MAX / 1_000_000 + 1, ..at(0, Value::Bool(false), 0) };
    assert!(matches!(enc.push(&far), Err(EncodeError::NotCarried { .. })));
    Encoder::new(&table).precision(Precision::Milliseconds).push(&far).unwrap();
}

/// A line that begins with `#` is a comment: the server would take none of the readings and say nothing.
#[test]
fn no_measurement_makes_a_comment_of_its_lines() {
    let table = table();
    for (name, written) in [("#1", "_1"), ("##", "_#"), ("line#2", "line#2"), ("", "_")] {
        let mut enc = Encoder::new(&table).measurement(name).precision(Precision::Milliseconds);
        enc.push(&at(0, Value::I64(1), 0)).unwrap();
        let line = format!("{written},sensor=line2/temp,unit=Cel int=1i 1580515200123\n");
        assert_eq!(enc.finish_under(1000).unwrap(), line);
    }
}

#[test]
fn batches_are_cut_between_lines() {
    let table = table();
    let mut enc = Encoder::new(&table);
    (0..100).for_each(|n| enc.push(&at(0, Value::I64(n), 0)).unwrap());
    let mut all = String::new();
    while !enc.is_empty() {
        let batch = enc.finish_under(300).unwrap();
        assert!(batch.len() <= 300 && batch.ends_with(b"\n"));
        all.push_str(std::str::from_utf8(&batch).unwrap());
    }
    assert_eq!(all.lines().count(), 100);
    assert!(enc.finish_under(0).unwrap().is_empty());
}

/// A reader of line protocol as InfluxDB describes it, for one tag and the fields we write.
fn parse(line: &str) -> Option<(String, String, i64)> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut chars) = (false, line.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted || parts.len() == 1 => parts.last_mut()?.push(chars.next()?),
            '"' if parts.len() == 2 => {
                quoted = !quoted;
                parts.last_mut()?.push(c);
            }
            ' ' if !quoted => parts.push(String::new()),
            other => parts.last_mut()?.push(other),
        }
    }
    let [series, field, time] = <[String; 3]>::try_from(parts).ok()?;
    Some((series.strip_prefix("readings,sensor=")?.to_owned(), field, time.parse().ok()?))
}

#[test]
fn every_name_and_text_reads_back() {
    let name = "[^\\p{Cc}\\\\]{1,20}";
    property("codec.influx", 5_000, &(name, any::<String>(), any::<f64>()), |(name, text, number)| {
        let mut table = SensorTable::new();
        table.insert(0, name.clone(), "");
        let mut enc = Encoder::new(&table);
        let finite = if number.is_finite() { number } else { 0.5 };
        for value in [Value::Text(text.clone().into()), Value::F64(finite)] {
            enc.push(&Reading { sensor: 0, time: T, value, quality: 0 }).unwrap();
            let bytes = enc.finish_under(usize::MAX).unwrap();
            let line = std::str::from_utf8(&bytes).unwrap().strip_suffix('\n').unwrap();
            let (series, field, time) = parse(line).unwrap();
            prop_assert_eq!((&series, time), (&name, T * 1_000_000));
            match field.strip_prefix("value=") {
                Some(v) => prop_assert_eq!(v.parse::<f64>().unwrap().to_bits(), finite.to_bits()),
                None => prop_assert_eq!(field, format!("text=\"{text}\"")),
            }
        }
        Ok(())
    });
}
