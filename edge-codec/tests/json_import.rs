#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "json")]
//! Payloads of sensors are read as configured and never guessed (promise 12).

use edge_codec::json::{FieldMap, TimeUnit, import};
use edge_codec::{DecodeError, Limits, Record, Source, Value, quality};
use std::borrow::Cow;

const TOPIC: Source<'static> = Source { sensor: Some("plant/oven"), arrival_ms: 99 };

fn read<'a>(payload: &'a str, map: &FieldMap) -> Result<Vec<Record<'a>>, DecodeError> {
    import(payload.as_bytes(), map, &TOPIC, &Limits::default())
}

fn one<'a>(payload: &'a str, map: &FieldMap) -> Record<'a> {
    let mut all = read(payload, map).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn value(json: &str) -> Value<'static> {
    one(&format!(r#"{{"value":{json}}}"#), &FieldMap::default()).value.into_owned()
}

#[test]
fn the_default_names_in_any_order() {
    let r = one(
        r#" {"unit":"°F","ts":1580515200000,"extra":[{}],"quality":1083113472,"value":97.4,"sensor":"line2/temp"} "#,
        &FieldMap::default(),
    );
    let expected = Record {
        sensor: "line2/temp".into(),
        field: "".into(),
        unit: "°F".into(),
        time: 1_580_515_200_000,
        arrival_time: false,
        value: Value::F64(97.4),
        quality: 1_083_113_472,
        numeric_quality: true,
    };
    assert_eq!(r, expected);
    assert_eq!(r.into_reading(7).sensor, 7);
}

/// A number may be one of another scheme, in which 0 is bad. A word is none, nor is a quality that is not there.
#[test]
fn a_quality_that_is_a_number_is_told_from_a_word_and_from_none() {
    let quality = |quality: &str| {
        let payload = format!("{{\"sensor\":\"a\",\"ts\":1,\"value\":1{quality}}}");
        let record = one(&payload, &FieldMap::default());
        (record.quality, record.numeric_quality)
    };
    assert_eq!(quality(",\"quality\":0"), (0, true));
    assert_eq!(quality(",\"quality\":192"), (192, true));
    assert_eq!(quality(",\"quality\":\"good\""), (0, false));
    assert_eq!(quality(",\"quality\":\"Bad\""), (0x8000_0000, false));
    assert_eq!([quality(""), quality(",\"quality\":null")], [(0, false); 2]);
}

#[test]
fn absent_or_null_fields_take_topic_arrival_time_and_good() {
    for payload in [r#"{"value":1}"#, r#"{"value":1,"sensor":null,"ts":null,"unit":null,"quality":null}"#] {
        let r = one(payload, &FieldMap::default());
        assert_eq!((r.sensor.as_ref(), r.unit.as_ref(), r.quality), ("plant/oven", "", quality::GOOD));
        assert_eq!((r.time, r.arrival_time), (99, true));
    }
    let nobody = Source { sensor: None, arrival_ms: 0 };
    let e = import(br#"{"value":1}"#, &FieldMap::default(), &nobody, &Limits::default()).unwrap_err();
    assert!(matches!(&e, DecodeError::Missing { field, .. } if field == "sensor"), "{e}");
}

#[test]
fn arrays_keep_their_order_and_their_marks() {
    let map = FieldMap::default();
    let all = read(r#"[{"value":1,"ts":5},{"value":2},{"sensor":"b","value":3,"ts":4}]"#, &map).unwrap();
    let got: Vec<_> = all.iter().map(|r| (r.sensor.as_ref(), r.time, r.arrival_time)).collect();
    assert_eq!(got, [("plant/oven", 5, false), ("plant/oven", 99, true), ("b", 4, false)]);
    assert!(read("[]", &map).unwrap().is_empty());
}

#[test]
fn configured_keys_and_pointers_into_nested_objects() {
    let flat = FieldMap::default().value("temp");
    let r = one(r#"{"temp": 97.4, "unit":"F"}"#, &flat);
    assert_eq!((r.value, r.unit.as_ref()), (Value::F64(97.4), "F"));
    let nested = FieldMap::default()
        .sensor("/dev/id")
        .value("/data/t/c")
        .unit("/data/u")
        .time("/data/at", TimeUnit::Seconds);
    let r =
        one(r#"{"data":{"x":{"c":0},"t":{"c":-3,"d":1},"u":"K","at":12},"c":9,"dev":{"id":"p7"}}"#, &nested);
    assert_eq!((r.sensor.as_ref(), r.value, r.unit.as_ref(), r.time), ("p7", Value::I64(-3), "K", 12_000));
    let e = read(r#"{"data":[{"t":{"c":1}}]}"#, &nested).unwrap_err();
    assert!(matches!(&e, DecodeError::Missing { field, .. } if field == "/data/t/c"), "{e}");
}

#[test]
fn pointers_go_into_arrays_by_index() {
    let map = FieldMap::default().value("/b/1/v").unit("/b/0").time("/t/10/0", TimeUnit::Seconds);
    let payload = r#"{"b":["K",{"v":5,"w":[1]},{"v":6}],"t":[0,1,2,3,4,5,6,7,8,9,[10]],"c":[{"v":7}]}"#;
    let r = one(payload, &map);
    assert_eq!((r.value, r.unit.as_ref(), r.time), (Value::I64(5), "K", 10_000));
    assert_eq!(one(r#"{"b":{"1":{"v":8}}}"#, &map).value, Value::I64(8), "an object may have such a key");
    for (pointer, array) in [("/b/01", "[1,2]"), ("/b/-", "[1,2]"), ("/b/2", "[1,2]"), ("/b/0/v", "[[1]]")] {
        let e = read(&format!(r#"{{"b":{array}}}"#), &FieldMap::default().value(pointer)).unwrap_err();
        assert!(matches!(&e, DecodeError::Missing { field, .. } if field == pointer), "{pointer}: {e}");
    }
    let e = read(r#"{"b":["K",{"v":1,"v":2}]}"#, &map).unwrap_err();
    assert!(matches!(e, DecodeError::Duplicate { .. }), "{e}");
    for (depth, payload) in [(1, r#"{"b":["K"]}"#), (3, r#"{"b":["K",{"w":[]}]}"#)] {
        let limits = Limits::default().depth(depth);
        let e = import(payload.as_bytes(), &map, &TOPIC, &limits).unwrap_err();
        assert!(
            matches!(e, DecodeError::Limit { what: "depth", found, .. } if found == depth as u64 + 1),
            "{e}"
        );
    }
}

#[test]
fn numbers_are_exact() {
    assert_eq!(value("9007199254740993"), Value::I64((1 << 53) + 1));
    assert_eq!(value("-9223372036854775808"), Value::I64(i64::MIN));
    assert_eq!(value("18446744073709551615"), Value::U64(u64::MAX));
    for v in
        ["53.60000000000001", "-0.0120000000000004", "5e-324", "1.7976931348623157e308", "-0.0", "1.0", "1e3"]
    {
        assert!(value(v).same(&Value::F64(v.parse().unwrap())), "{v}");
    }
    assert_eq!(value("true"), Value::Bool(true));
    assert_eq!(value("null"), Value::Null);
    assert_eq!(value(r#""97.4""#), Value::Text("97.4".into()), "text that looks like a number stays text");
    for bad in ["1e400", "01", "+1", ".5", "1.", "NaN", "Infinity", "0x1"] {
        assert!(read(&format!(r#"{{"value":{bad}}}"#), &FieldMap::default()).is_err(), "{bad}");
    }
}

#[test]
fn text_borrows_unless_it_has_escapes() {
    let r = one(r#"{"sensor":"a","value":"plain","unit":"\u00b0C"}"#, &FieldMap::default());
    assert!(matches!(r.sensor, Cow::Borrowed("a")));
    assert!(matches!(r.value, Value::Text(Cow::Borrowed("plain"))));
    assert_eq!(r.unit, "°C");
}

#[test]
fn times_in_the_configured_unit() {
    let at = |unit, ts: &str| {
        let map = FieldMap::default().time("ts", unit);
        let payload = format!(r#"{{"value":0,"ts":{ts}}}"#);
        read(&payload, &map).map(|all| all[0].time)
    };
    assert_eq!(at(TimeUnit::Seconds, "1580515200"), Ok(1_580_515_200_000));
    assert_eq!(at(TimeUnit::Seconds, "1580515200.123"), Ok(1_580_515_200_123));
    assert_eq!(at(TimeUnit::Milliseconds, "1580515200123"), Ok(1_580_515_200_123));
    assert_eq!(at(TimeUnit::Microseconds, "1580515200123456"), Ok(1_580_515_200_123));
    assert_eq!(at(TimeUnit::Nanoseconds, "1580515200123456789"), Ok(1_580_515_200_123));
    assert_eq!(at(TimeUnit::Nanoseconds, "18446744073709551615"), Ok(18_446_744_073_709));
    assert_eq!(at(TimeUnit::Rfc3339, r#""2020-02-01T01:00:00.123+01:00""#), Ok(1_580_515_200_123));
    // What is not of the configured kind is refused and not understood otherwise.
    for (unit, ts) in [
        (TimeUnit::Milliseconds, r#""2020-02-01T00:00:00Z""#),
        (TimeUnit::Rfc3339, "1580515200"),
        (TimeUnit::Rfc3339, r#""yesterday""#),
        (TimeUnit::Seconds, r#""1580515200""#),
        (TimeUnit::Seconds, "9223372036854775807"),
        (TimeUnit::Milliseconds, "true"),
    ] {
        assert!(matches!(at(unit, ts), Err(DecodeError::Unexpected { .. })), "{unit:?} {ts}");
    }
}

#[test]
fn quality_is_a_status_code_or_one_of_three_words() {
    let q = |json: &str| {
        let payload = format!(r#"{{"value":0,"quality":{json}}}"#);
        read(&payload, &FieldMap::default()).map(|all| all[0].quality)
    };
    assert_eq!(q("2147483648"), Ok(quality::BAD));
    assert_eq!(q(r#""Good""#), Ok(quality::GOOD));
    assert_eq!(q(r#""UNCERTAIN""#), Ok(quality::UNCERTAIN));
    assert_eq!(q(r#""bad""#), Ok(quality::BAD));
    for bad in ["-1", "4294967296", "0.5", "true", r#""192""#, r#""ok""#] {
        assert!(matches!(q(bad), Err(DecodeError::Unexpected { .. })), "{bad}");
    }
}

#[test]
fn errors_name_place_and_kind() {
    let map = FieldMap::default();
    let e = |payload| read(payload, &map).unwrap_err();
    assert!(matches!(e(r#"{"value":1"#), DecodeError::Truncated { offset: 10, .. }));
    assert_eq!(e("{\"value\":1}\n {}"), DecodeError::Trailing { offset: 13, found: 2 });
    assert!(matches!(e("{\"value\":1,\n\n x}"), DecodeError::Malformed { offset: 14, .. }));
    assert!(matches!(e("7"), DecodeError::Malformed { .. }));
    assert!(matches!(e("[1]"), DecodeError::Malformed { .. }));
    assert!(matches!(e(r#"{"value":[1]}"#), DecodeError::Unexpected { .. }));
    assert!(matches!(e(r#"{"value":1,"unit":5}"#), DecodeError::Unexpected { .. }));
    assert!(matches!(e(r#"{"valu":1}"#), DecodeError::Missing { .. }));
    let utf8 = import(b"{\"value\":\"\xff\"}", &map, &TOPIC, &Limits::default()).unwrap_err();
    assert!(matches!(utf8, DecodeError::Malformed { offset: 10, .. }), "{utf8}");
    let fields = import(br#"{"a":1,"b":2,"c":3}"#, &map, &TOPIC, &Limits::default().fields(2)).unwrap_err();
    assert!(matches!(fields, DecodeError::Limit { what: "fields", limit: 2, found: 3, .. }));
}

/// Returns what an object with several values gives: names, values.
fn each<'a>(payload: &'a str, map: &FieldMap) -> Vec<(String, Value<'a>)> {
    read(payload, map).unwrap().into_iter().map(|r| (r.name().into_owned(), r.value)).collect()
}

#[test]
fn each_number_of_an_object_is_a_reading_if_the_map_says_so() {
    let map = FieldMap::default().each("");
    let payload =
        r#"{"temp":97.4,"unit":"F","rpm":1200,"on":true,"note":"x","more":{"a":1},"list":[2],"no":null}"#;
    let oven = |field: &str, value| (format!("plant/oven/{field}"), value);
    let expected =
        [oven("temp", Value::F64(97.4)), oven("rpm", Value::I64(1200)), oven("on", Value::Bool(true))];
    assert_eq!(each(payload, &map), expected);
    let records = read(payload, &map).unwrap();
    assert!(records.iter().all(|r| r.unit == "F" && r.arrival_time && r.sensor == "plant/oven"));
    assert!(matches!(read(payload, &FieldMap::default()), Err(DecodeError::Missing { .. })), "not by itself");
}

#[test]
fn each_goes_to_a_nested_object_and_beside_a_value() {
    let map = FieldMap::default().each("/data").unit("/data/u").time("at", TimeUnit::Seconds);
    let payload = r#"[{"at":5,"sensor":"p7","data":{"b":-3,"u":"K","a\u0062":9007199254740993,"in":{"c":1}},"d":2},
        {"sensor":"p8","value":0.5,"data":{}}]"#;
    let expected = [
        ("p7/b".to_owned(), Value::I64(-3)),
        ("p7/ab".to_owned(), Value::I64((1 << 53) + 1)),
        ("p8".to_owned(), Value::F64(0.5)),
    ];
    assert_eq!(each(payload, &map), expected);
    let times: Vec<_> = read(payload, &map).unwrap().iter().map(|r| (r.time, r.unit.to_string())).collect();
    assert_eq!(times, [(5000, "K".into()), (5000, "K".into()), (99, String::new())]);
}

#[test]
fn each_entry_of_a_list_is_a_reading() {
    let map = FieldMap::default().sensor("id").unit("u").quality("q").each("/list");
    let got = |payload| {
        let all = read(payload, &map).unwrap();
        all.into_iter()
            .map(|r| (r.sensor.into_owned(), r.unit.into_owned(), r.time, r.value.into_owned(), r.quality))
            .collect::<Vec<_>>()
    };
    let row = |id: &str, unit: &str, time, n, quality| {
        (id.to_owned(), unit.to_owned(), time, Value::I64(n), quality)
    };
    let payload = r#"{"list":[{"id":"a","value":1,"u":"C"},{"id":"b","value":2}]}"#;
    assert_eq!(got(payload), [row("a", "C", 99, 1, 0), row("b", "", 99, 2, 0)]);
    // What an entry lacks is that of the object around the list, wherever it stands there.
    let payload = r#"{"u":"F","list":[{"id":"a","value":1,"u":"C","q":"good"},{"value":2,"ts":6}],"id":"p7","ts":5,"q":"bad"}"#;
    assert_eq!(got(payload), [row("a", "C", 5, 1, 0), row("p7", "F", 6, 2, quality::BAD)]);
    // One beside the list, after it; lists and lists of readings within an entry are no readings.
    let payload = r#"[{"value":7,"list":[{"value":1,"list":[{"value":8}],"more":3}]},{"list":[]}]"#;
    assert_eq!(got(payload), [row("plant/oven", "", 99, 1, 0), row("plant/oven", "", 99, 7, 0)]);
    let deep = FieldMap::default().value("/v/0").time("/a/2", TimeUnit::Seconds).each("/a/1/list");
    let payload = r#"{"a":[0,{"list":[{"v":[3]}],"b":1},7]}"#;
    assert_eq!(each(payload, &deep), [("plant/oven".to_owned(), Value::I64(3))]);
    assert_eq!(read(payload, &deep).unwrap()[0].time, 7000, "the way goes on behind the list");
}

#[test]
fn an_entry_of_a_list_that_is_no_reading_is_refused() {
    let map = FieldMap::default().each("/list");
    for payload in [r#"{"list":[1]}"#, r#"{"list":[null]}"#, r#"{"list":[[{"value":1}]]}"#] {
        assert!(matches!(read(payload, &map), Err(DecodeError::Malformed { .. })), "{payload}");
    }
    let e = read(r#"{"list":[{"value":1},{"temp":2}],"value":3}"#, &map).unwrap_err();
    assert!(matches!(&e, DecodeError::Missing { field, offset: 30 } if field == "value"), "{e}");
    let payload = br#"{"list":[{"value":1},{"value":2},{"value":3}]}"#;
    let e = import(payload, &map, &TOPIC, &Limits::default().readings(2)).unwrap_err();
    assert!(matches!(e, DecodeError::Limit { what: "readings", limit: 2, found: 3, .. }), "{e}");
    let within = br#"{"list":[{"value":1,"list":{"x":3}}]}"#;
    assert_eq!(import(within, &map, &TOPIC, &Limits::default().readings(1)).unwrap().len(), 1);
    let long = format!(r#"{{"sensor":"\n{}","list":[{{"value":1}}]}}"#, "x".repeat(64));
    let e = read(&long, &map).unwrap_err();
    assert!(matches!(e, DecodeError::Limit { what: "text bytes", limit: 64, found: 65, .. }), "{e}");
}

#[test]
fn each_is_limited_as_single_values_are() {
    let map = FieldMap::default().each("");
    let limits = Limits::default().readings(2);
    let e = import(br#"{"a":1,"b":2,"c":3}"#, &map, &TOPIC, &limits).unwrap_err();
    assert!(matches!(e, DecodeError::Limit { what: "readings", limit: 2, found: 3, .. }), "{e}");
    assert_eq!(import(br#"{"a":1,"b":2}"#, &map, &TOPIC, &limits).unwrap().len(), 2);
    let map_of_texts = FieldMap::default().each("").numbers_in_text(true);
    for value in ["-1", "18446744073709551615", "1.5", "true", "\"2\""] {
        let of = |count| format!("[{}]", vec![format!("{{\"a\":{value}}}"); count].join(","));
        assert_eq!(import(of(2).as_bytes(), &map_of_texts, &TOPIC, &limits).unwrap().len(), 2, "{value}");
        let e = import(of(3).as_bytes(), &map_of_texts, &TOPIC, &limits).unwrap_err();
        assert!(matches!(e, DecodeError::Limit { what: "readings", limit: 2, found: 3, .. }), "{value}: {e}");
    }
    let long = format!(r#"{{"sensor":"\n{}","a":1}}"#, "x".repeat(64));
    let e = read(&long, &map).unwrap_err();
    assert!(matches!(e, DecodeError::Limit { what: "text bytes", limit: 64, found: 65, .. }), "{e}");
    assert_eq!(read(&long.replace("\\n", ""), &map).unwrap().len(), 1, "without an escape nothing is copied");
    assert!(matches!(read(r#"{"note":"x"}"#, &map), Err(DecodeError::Missing { .. })));
}

#[test]
fn numbers_in_quotation_marks_are_numbers_where_that_is_asked_for() {
    let payload = r#"{"value":"21.5","ts":"1580515200","unit":"7","sensor":"8"}"#;
    let plain = FieldMap::default().time("ts", TimeUnit::Seconds);
    let error = read(payload, &plain).unwrap_err().to_string();
    assert!(error.contains("expected a time in seconds"), "{error}");
    let asked = plain.clone().numbers_in_text(true);
    let r = one(payload, &asked);
    assert_eq!((r.value, r.time), (Value::F64(21.5), 1_580_515_200_000));
    assert_eq!((r.unit.as_ref(), r.sensor.as_ref()), ("7", "8"), "names stay text");
    for (text, expected) in [
        (r#""-5""#, Value::I64(-5)),
        (r#""1\u0030""#, Value::I64(10)),
        (r#""on""#, Value::Text("on".into())),
        (r#""nan""#, Value::Text("nan".into())),
        (r#"" 1""#, Value::Text(" 1".into())),
        ("true", Value::Bool(true)),
    ] {
        let payload = format!(r#"{{"value":{text}}}"#);
        assert_eq!(one(&payload, &asked).value, expected, "{text}");
        let is_text = matches!(one(&payload, &plain).value, Value::Text(_));
        assert_eq!(is_text, text.starts_with('"'), "{text}: not guessed");
    }
    let each = FieldMap::default().each("");
    let payload = r#"{"a":"1","b":2,"c":"x","unit":"C"}"#;
    let names = |map: &FieldMap| {
        read(payload, map).unwrap().iter().map(|r| r.field.clone().into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&each), ["b"]);
    assert_eq!(names(&each.numbers_in_text(true)), ["a", "b"]);
}
