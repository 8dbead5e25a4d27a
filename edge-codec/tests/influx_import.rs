#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "influx")]
//! Lines of others, and our own, are read as they were meant, and never guessed (promise 12).

mod support;

use edge_codec::influx::{Encoder, Precision, import};
use edge_codec::{DecodeError, Limits, Reading, Record, SensorTable, Source, Value};
use proptest::prelude::*;
use support::property;

const TOPIC: Source<'static> = Source { sensor: Some("telegraf"), arrival_ms: 99 };

fn read(lines: &str) -> Result<Vec<Record<'_>>, DecodeError> {
    import(lines.as_bytes(), Precision::Nanoseconds, &TOPIC, &Limits::default())
}

/// `NAME=VALUE [UNIT] @TIME`, the time followed by `?` if it is the arrival's.
fn shown(lines: &str) -> Vec<String> {
    let show = |r: &Record<'_>| {
        let (unit, mark) = (&r.unit, if r.arrival_time { "?" } else { "" });
        format!("{}={:?} [{unit}] @{}{mark} q{}", r.name(), r.value, r.time, r.quality)
    };
    read(lines).unwrap().iter().map(show).collect()
}

#[test]
fn every_field_of_every_line_is_a_reading() {
    let got = shown(
        "# a comment\n\ncpu,host=gw1,cpu=cpu0 usage_idle=98.2,busy=3i,big=18446744073709551615u,ok=t,state=\"up, \\\"so\\\" \\\\ =\" 1580515200123456789\r\n\
         mem used=1e3\n  env,unit=Cel value=21 1580515200000000000\n\0",
    );
    let cpu = "telegraf/cpu/cpu=cpu0/host=gw1";
    assert_eq!(
        got,
        [
            format!("{cpu}/usage_idle=F64(98.2) [] @1580515200123 q0"),
            format!("{cpu}/busy=I64(3) [] @1580515200123 q0"),
            format!("{cpu}/big=U64(18446744073709551615) [] @1580515200123 q0"),
            format!("{cpu}/ok=Bool(true) [] @1580515200123 q0"),
            format!("{cpu}/state=Text(\"up, \\\"so\\\" \\\\ =\") [] @1580515200123 q0"),
            "telegraf/mem/used=F64(1000.0) [] @99? q0".to_owned(),
            "telegraf/env/unit=Cel=F64(21.0) [] @1580515200000 q0".to_owned(),
        ]
    );
}

#[test]
fn the_name_is_the_same_in_whatever_order_tags_come() {
    let one = shown("m,a=1,b=2 x=1 0");
    assert_eq!(one, shown("m,b=2,a=1 x=1 0"));
    assert_ne!(one, shown("m,a=2,b=1 x=1 0"));
    let nobody = Source { sensor: None, arrival_ms: 0 };
    let all = import(b"m x=1", Precision::Nanoseconds, &nobody, &Limits::default()).unwrap();
    assert_eq!(all[0].name(), "m/x");
}

#[test]
fn escapes_of_names_and_backslashes_before_other_letters() {
    assert_eq!(shown(r"a\ b\,c,t\=g=v\ \,\=w f\ 1=1 0"), ["telegraf/a b,c/t=g=v ,=w/f 1=F64(1.0) [] @0 q0"]);
    assert_eq!(shown(r"c:\dir,p=C:\x v=1 0"), [r"telegraf/c:\dir/p=C:\x/v=F64(1.0) [] @0 q0"]);
    assert_eq!(shown("m x=\"two\nlines\" 0"), ["telegraf/m/x=Text(\"two\\nlines\") [] @0 q0"]);
}

#[test]
fn times_by_precision_are_cut_towards_the_past() {
    for (precision, text, ms) in [
        (Precision::Nanoseconds, "-1", -1),
        (Precision::Nanoseconds, "1580515200123999999", 1_580_515_200_123),
        (Precision::Microseconds, "1580515200123999", 1_580_515_200_123),
        (Precision::Milliseconds, "1580515200123", 1_580_515_200_123),
        (Precision::Seconds, "1580515200", 1_580_515_200_000),
    ] {
        let line = format!("m x=1 {text}");
        let all = import(line.as_bytes(), precision, &TOPIC, &Limits::default()).unwrap();
        assert_eq!((all[0].time, all[0].arrival_time), (ms, false), "{text}");
    }
    let far =
        import(b"m x=1 9223372036854775807", Precision::Seconds, &TOPIC, &Limits::default()).unwrap_err();
    assert!(far.to_string().contains("time out of range"), "{far}");
}

#[test]
fn what_is_no_line_is_refused_at_its_place() {
    for (lines, place, words) in [
        ("m", 1, "a blank before the fields"),
        ("m x=1\nn", 7, "a blank before the fields"),
        ("m,a x=1", 3, "`=` behind a tag's key"),
        ("m,a= x=1", 4, "a tag's value"),
        ("m,=1 x=1", 2, "a tag's key"),
        (",a=1 x=1", 0, "a measurement"),
        ("m =1", 2, "a field's key"),
        ("m x", 3, "`=` behind a field's key"),
        ("m x=", 4, "expected a number"),
        ("m x=abc", 4, "found \"abc\""),
        ("m x=1.5i", 4, "found \"1.5i\""),
        ("m x=nan", 4, "found \"nan\""),
        ("m x=-1u", 4, "found \"-1u\""),
        ("m x=1 soon", 6, "expected a time"),
        ("m x=1 1 2", 8, "the end of the line"),
        ("m x=\"open", 9, "ends at byte 9"),
        ("m x=1,x=2", 9, "twice"),
        ("m,a=1,a=2 x=1", 9, "twice"),
        ("m x=1,", 6, "a field's key"),
        ("{\"value\":1}", 11, "a blank before the fields"),
    ] {
        let error = read(lines).expect_err(lines);
        let said = error.to_string();
        assert!(said.contains(words), "{lines}: {said}");
        assert!(said.contains(&format!("byte {place}")), "{lines}: {said}");
    }
}

#[test]
fn limits_hold_and_long_tags_do_not_multiply() {
    let limits = Limits::default().readings(2).fields(3).text_bytes(8);
    let read =
        |lines: &str| import(lines.as_bytes(), Precision::Nanoseconds, &TOPIC, &limits).map(|all| all.len());
    assert_eq!(read("m a=1,b=2"), Ok(2));
    for (lines, what) in [
        ("m a=1,b=2\nm c=3", "readings"),
        ("m,a=1,b=2,c=3,d=4 x=1", "fields"),
        ("m a=1,b=2,c=3,d=4", "fields"),
        ("measurement x=1", "text bytes"),
        ("m x=\"123456789\"", "text bytes"),
    ] {
        let error = read(lines).unwrap_err();
        assert!(matches!(error, DecodeError::Limit { what: found, .. } if found == what), "{lines}: {error}");
    }
    let fields: Vec<_> = (0..200).map(|n| format!("{n}=1")).collect();
    let line = format!("m,t={} {}", "v".repeat(10_000), fields.join(","));
    let error = import(line.as_bytes(), Precision::Nanoseconds, &TOPIC, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("sixteen times"), "{error}");
}

fn any_value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(Value::F64),
        any::<i64>().prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        any::<bool>().prop_map(Value::Bool),
        any::<String>().prop_map(|text| Value::Text(text.into())),
        any::<Vec<u8>>().prop_map(|bytes| Value::Bytes(bytes.into())),
        Just(Value::Null),
    ]
}

/// Telegraf's inputs write such tags, and two series must not become one.
#[test]
fn no_tag_has_a_meaning_of_its_own() {
    let got = shown(
        "temp,host=a,sensor=core0 temp=41 0\ntemp,host=b,sensor=core0 value=42 0\nhvac,unit=1 t=1 0\nhvac,unit=2 t=1 0",
    );
    let names: Vec<_> = got.iter().map(|line| line.rsplit_once("=F64").unwrap().0).collect();
    let expected =
        ["temp/host=a/sensor=core0/temp", "temp/host=b/sensor=core0", "hvac/unit=1/t", "hvac/unit=2/t"];
    assert_eq!(names, expected.map(|name| format!("telegraf/{name}")));
}

/// Name of the field that has a value, and the value as lines have it.
fn field_of(value: &Value<'static>) -> (&'static str, Option<Value<'static>>) {
    match value {
        Value::F64(_) => ("", Some(value.clone())),
        Value::I64(_) => ("int", Some(value.clone())),
        Value::U64(_) => ("uint", Some(value.clone())),
        Value::Bool(_) => ("bool", Some(value.clone())),
        Value::Text(_) => ("text", Some(value.clone())),
        Value::Bytes(bytes) => {
            let mut text = Vec::new();
            edge_codec::base64::encode_url(&mut text, bytes);
            ("bytes", Some(Value::Text(String::from_utf8(text).unwrap().into())))
        }
        Value::Null => ("", None),
    }
}

/// The writer is another program to the reader: every value, name and time that it can write is read as it was.
#[test]
fn what_the_encoder_writes_is_read_as_it_was_meant() {
    let readings = prop::collection::vec(
        (0_u32..3, any_value(), any::<u32>(), -4_000_000_000_000_i64..4_000_000_000_000),
        1..20,
    );
    property("own lines", 20_000, &readings, |readings| {
        let mut table = SensorTable::new();
        table.insert(0, "line2/temp", "Cel");
        table.insert(1, "a b,c=d\"e", "");
        table.insert(2, "ä=,", "m s");
        let mut encoder = Encoder::new(&table).measurement("odd, name");
        for (sensor, value, quality, time) in &readings {
            encoder
                .push(&Reading { sensor: *sensor, time: *time, value: value.clone(), quality: *quality })
                .unwrap();
        }
        let lines = encoder.finish_under(usize::MAX).unwrap();
        let mut records =
            import(&lines, Precision::Nanoseconds, &TOPIC, &Limits::default()).unwrap().into_iter();
        for (sensor, value, quality, time) in readings {
            let named = table.get(sensor).unwrap();
            let unit = if named.unit.is_empty() { String::new() } else { format!("/unit={}", named.unit) };
            let series = format!("telegraf/odd, name/sensor={}{unit}", named.name);
            let (field, given) = field_of(&value);
            if let Some(given) = given {
                let record = records.next().unwrap();
                prop_assert_eq!((&*record.sensor, &*record.field, record.time), (&*series, field, time));
                prop_assert_eq!(record.value, given);
            }
            if quality != 0 || value == Value::Null {
                let record = records.next().unwrap();
                prop_assert_eq!((&*record.sensor, &*record.field, record.time), (&*series, "quality", time));
                prop_assert_eq!(record.value, Value::I64(quality.into()));
            }
        }
        prop_assert!(records.next().is_none());
        Ok(())
    });
}

#[test]
fn no_bytes_make_the_reader_panic() {
    property("any bytes", 100_000, &prop::collection::vec(any::<u8>(), 0..200), |bytes| {
        let _ = import(&bytes, Precision::Nanoseconds, &TOPIC, &Limits::default());
        Ok(())
    });
    let line = "m\\ x,sensor=a\\,b,unit=C value=1.5,quality=5i,text=\"\\\"ä\\\\\" 1580515200000000000\n";
    for end in 0..line.len() {
        let _ = import(&line.as_bytes()[..end], Precision::Nanoseconds, &TOPIC, &Limits::default());
        for byte in [b'"', b'\\', b',', b'=', b' ', b'\n', 0, 0xff] {
            let mut bytes = line.as_bytes().to_vec();
            bytes[end] = byte;
            let _ = import(&bytes, Precision::Nanoseconds, &TOPIC, &Limits::default());
        }
    }
}
