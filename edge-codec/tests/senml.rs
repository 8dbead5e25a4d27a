#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "senml")]
//! Decoder of SenML packs: records are resolved as RFC 8428 resolves them.

use edge_codec::{Batch, DecodeError, Format, Limits, Value, senml};

/// An arrival for packs whose times count from now.
const NOW: i64 = 1_600_000_000_000;

/// Name, unit, time and value of every reading.
type Resolved = (String, String, i64, Value<'static>);

fn resolved(batch: Batch<'_>) -> Vec<Resolved> {
    let names = batch.sensors().clone();
    let all = batch.map(|r| {
        let r = r.unwrap();
        let sensor = names.get(r.sensor).unwrap();
        (sensor.name.to_string(), sensor.unit.to_string(), r.time, r.value.into_owned())
    });
    all.collect()
}

fn read(pack: &str) -> Vec<Resolved> {
    resolved(senml::json::decode_at(pack.as_bytes(), NOW, &Limits::default()).unwrap())
}

fn refused(pack: &str) -> DecodeError {
    senml::json::decode(pack.as_bytes(), &Limits::default()).unwrap_err()
}

fn is(name: &str, unit: &str, time: i64, value: impl Into<Is>) -> Resolved {
    (name.to_owned(), unit.to_owned(), time, value.into().0)
}

/// A value of the model.
struct Is(Value<'static>);
impl From<Value<'static>> for Is {
    fn from(v: Value<'static>) -> Self {
        Is(v)
    }
}
impl From<f64> for Is {
    fn from(v: f64) -> Self {
        Is(Value::F64(v))
    }
}
impl From<i64> for Is {
    fn from(v: i64) -> Self {
        Is(Value::I64(v))
    }
}

#[test]
fn rfc_8428_section_5_1_1_single_datapoint() {
    let got = read(r#"[ {"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1} ]"#);
    assert_eq!(got, [is("urn:dev:ow:10e2073a01080063", "Cel", NOW, 23.1)]);
}

#[test]
fn rfc_8428_section_5_1_2_multiple_datapoints() {
    let got = read(
        r#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},
            {"n":"current","u":"A","v":1.2}]"#,
    );
    let name = |n| format!("urn:dev:ow:10e2073a01080063:{n}");
    assert_eq!(got, [is(&name("voltage"), "V", NOW, 120.1), is(&name("current"), "A", NOW, 1.2)]);
    assert_eq!(read(WITH_TIMES), with_times(), "times before the base time");
}

/// Section 5.1.2, third example.
const WITH_TIMES: &str = r#"[{"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,
    "bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
    {"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3},{"n":"current","t":-3,"v":1.4},
    {"n":"current","t":-2,"v":1.5},{"n":"current","t":-1,"v":1.6},{"n":"current","v":1.7}]"#;

fn with_times() -> Vec<Resolved> {
    let name = |n: &str| format!("urn:dev:ow:10e2073a0108006:{n}");
    let current = |t: i64, v: f64| is(&name("current"), "A", 1_276_020_076_001 + 1000 * t, v);
    let mut all = vec![is(&name("voltage"), "V", 1_276_020_076_001, 120.1)];
    all.extend([(-5, 1.2), (-4, 1.3), (-3, 1.4), (-2, 1.5), (-1, 1.6), (0, 1.7)].map(|(t, v)| current(t, v)));
    all
}

const MEASUREMENTS: &str = r#"[{"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,"bu":"%RH","v":20},
    {"u":"lon","v":24.30621},{"u":"lat","v":60.07965},{"t":60,"v":20.3},{"u":"lon","t":60,"v":24.30622},
    {"u":"lat","t":60,"v":60.07965},{"t":120,"v":20.7},{"u":"lon","t":120,"v":24.30623},
    {"u":"lat","t":120,"v":60.07966},{"u":"%EL","t":150,"v":98},{"t":180,"v":21.2},
    {"u":"lon","t":180,"v":24.30628},{"u":"lat","t":180,"v":60.07967}]"#;

/// Section 5.1.4 is the same in resolved form: nothing but name, unit, absolute time and value.
#[test]
fn rfc_8428_section_5_1_4_resolved_data() {
    let record = |(u, t, v): (&str, i64, f64)| {
        format!(r#"{{"n":"urn:dev:ow:10e2073a01080063","u":"{u}","t":{t},"v":{v}}}"#, t = 1_320_067_464 + t)
    };
    let rows = [
        ("%RH", 0, 20.0),
        ("lon", 0, 24.30621),
        ("lat", 0, 60.07965),
        ("%RH", 60, 20.3),
        ("lon", 60, 24.30622),
        ("lat", 60, 60.07965),
        ("%RH", 120, 20.7),
        ("lon", 120, 24.30623),
        ("lat", 120, 60.07966),
        ("%EL", 150, 98.0),
        ("%RH", 180, 21.2),
        ("lon", 180, 24.30628),
        ("lat", 180, 60.07967),
    ];
    assert_eq!(read(&format!("[{}]", rows.map(record).join(","))), read(MEASUREMENTS));
}

#[test]
fn rfc_8428_section_5_1_3_multiple_measurements() {
    let got = read(MEASUREMENTS);
    let at = |unit, t: i64, v: Is| is("urn:dev:ow:10e2073a01080063", unit, 1_320_067_464_000 + t * 1000, v.0);
    assert_eq!(got.len(), 13);
    assert_eq!(got[0], at("%RH", 0, 20.into()));
    assert_eq!(got[3], at("%RH", 60, 20.3.into()));
    assert_eq!(got[9], at("%EL", 150, 98.into()));
    assert_eq!(got[12], at("lat", 180, 60.07967.into()));
}

#[test]
fn rfc_8428_section_5_1_5_multiple_data_types() {
    let got = read(
        r#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},
            {"n":"label","vs":"Machine Room"},{"n":"open","vb":false},{"n":"nfc-reader","vd":"aGkgCg"}]"#,
    );
    let values: Vec<_> = got.into_iter().map(|(.., value)| value).collect();
    let hi = Value::Bytes(b"hi \n".to_vec().into());
    assert_eq!(values, [Value::F64(23.1), Value::Text("Machine Room".into()), Value::Bool(false), hi]);
}

#[test]
fn rfc_8428_section_5_1_6_a_later_base_name_keeps_the_base_time() {
    let got = read(
        r#"[{"bn":"2001:db8::2/","bt":1.320078429e+09,"n":"temperature","u":"Cel","v":25.2},
            {"n":"humidity","u":"%RH","v":30},
            {"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3},{"n":"humidity","u":"%RH","v":67}]"#,
    );
    let t = 1_320_078_429_000;
    assert_eq!(got[1], is("2001:db8::2/humidity", "%RH", t, 30));
    assert_eq!(got[3], is("2001:db8::1/humidity", "%RH", t, 67));
}

#[test]
fn rfc_8428_section_5_1_7_a_record_of_base_fields_alone_is_no_reading_and_not_skipped() {
    let pack = r#"[{"bn":"urn:dev:ow:10e2073a01080063:"},{"n":"temp","u":"Cel","v":23.1},{"n":"heat","u":"/","v":1},
        {"n":"fan","u":"/","v":0}]"#;
    let batch = senml::json::decode_at(pack.as_bytes(), NOW, &Limits::default()).unwrap();
    assert_eq!((batch.len(), batch.skipped()), (3, 0));
    let lights =
        read(r#"[{"bt":1.320078429e+09,"bu":"/","n":"2001:db8::3","v":1},{"n":"2001:db8::4","v":1}]"#);
    assert_eq!(lights[1], is("2001:db8::4", "/", 1_320_078_429_000, 1));
    let soon = read(r#"[{"bt":0.02,"n":"lamp","v":1}]"#);
    assert_eq!(soon[0].2, NOW + 20, "20 ms from now");
}

/// The bytes of section 6; the same measurements as [`WITH_TIMES`].
#[test]
fn rfc_8428_section_6_cbor() {
    let hex = "87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b0010622361412005006776\
        6f6c7461676501615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333a3006763757272656e7406\
        2302fb3ff4cccccccccccda3006763757272656e74062202fb3ff6666666666666a3006763757272656e74062102f93e00a30067\
        63757272656e74062002fb3ff999999999999aa3006763757272656e74060002fb3ffb333333333333";
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    assert_eq!(resolved(senml::cbor::decode(&bytes, &Limits::default()).unwrap()), with_times());
    assert_eq!(resolved(Format::SenmlCbor.decode(&bytes, &Limits::default()).unwrap()), with_times());
    for end in 0..bytes.len() {
        assert!(senml::cbor::decode(&bytes[..end], &Limits::default()).is_err(), "{end}");
    }
}

#[test]
fn relative_times_need_an_arrival_and_end_at_two_to_the_28() {
    let pack = |t: &str| format!(r#"[{{"n":"a","t":{t},"v":1}}]"#);
    for t in ["0", "-5", "268435455.999"] {
        let error = refused(&pack(t));
        assert!(error.to_string().contains("time of arrival"), "{error}");
    }
    assert_eq!(read(&pack("-5.5"))[0].2, NOW - 5500);
    assert_eq!(read(&pack("268435456"))[0].2, 268_435_456_000, "absolute");
    assert_eq!(read(r#"[{"n":"a","bt":268435455,"t":1,"v":1}]"#)[0].2, 268_435_456_000, "their sum counts");
    let at = |format: Format| format.decode_at(pack("-1").as_bytes(), NOW, &Limits::default()).unwrap().len();
    assert_eq!(at(Format::SenmlJson), 1);
    assert!(matches!(refused(&pack("1e300")), DecodeError::Malformed { .. }));
}

#[test]
fn base_values_and_sums_are_added_and_a_sum_is_a_sensor_of_its_own() {
    let got = read(
        r#"[{"bn":"m","bu":"W","bt":1e9,"bv":100,"bs":5,"v":1,"s":0.5},{"v":0.25},{"s":2},{"vs":"x","bs":0}]"#,
    );
    let t = 1_000_000_000_000;
    assert_eq!(
        got,
        [
            is("m#sum", "W.s", t, 5.5),
            is("m", "W", t, 101),
            is("m#sum", "W.s", t, 5),
            is("m", "W", t, 100.25),
            is("m#sum", "W.s", t, 7),
            is("m", "W", t, 100),
            is("m#sum", "W.s", t, 0),
            is("m", "W", t, Value::Text("x".into())),
        ]
    );
    let big = read(r#"[{"n":"c","bt":1e9,"v":9007199254740993},{"bv":1,"n":"c","v":9007199254740993}]"#);
    assert_eq!(big[1].3, Value::I64((1 << 53) + 2), "integers are added as integers");
}

#[test]
fn versions_above_ours_are_refused_and_those_with_more_units_are_read() {
    let pack = |v: &str| format!(r#"[{{"bver":{v},"n":"a","bt":1e9,"v":1}}]"#);
    for good in ["5", "10", "26"] {
        assert_eq!(read(&pack(good)).len(), 1);
    }
    for bad in [11_u64, 12, 27, 42] {
        match refused(&pack(&bad.to_string())) {
            DecodeError::Version { found, supported: 10, offset } => assert!(found == bad && offset > 0),
            other => panic!("{other}"),
        }
    }
    assert!(matches!(refused(&pack("-1")), DecodeError::Unexpected { .. }));
}

#[test]
fn unknown_labels_are_passed_over_unless_they_must_be_understood() {
    assert_eq!(read(r#"[{"n":"a","bt":1e9,"ut":5,"x":[{"y":[1]}],"v":1,"ct":"60"}]"#).len(), 1);
    let error = refused(r#"[{"n":"a","bt":1e9,"v":1,"foo_":2}]"#);
    assert!(matches!(&error, DecodeError::Unexpected { field, .. } if field == "foo_"), "{error}");
    // The same in CBOR: {0: "a", -3: 10^9, 2: 1, "x": [1], "foo_": 2}.
    let head = [0x81, 0xa5, 0, 0x61, b'a', 0x22, 0x1a, 0x3b, 0x9a, 0xca, 0, 2, 1];
    let with = |label: &[u8]| [&head[..], b"\x61x\x81\x01", label, &[2]].concat();
    assert_eq!(senml::cbor::decode(&with(b"\x63foo"), &Limits::default()).unwrap().len(), 1);
    let error = senml::cbor::decode(&with(b"\x64foo_"), &Limits::default()).unwrap_err();
    assert!(
        matches!(&error, DecodeError::Unexpected { field, offset: 22, .. } if field == "foo_"),
        "{error}"
    );
    assert!(matches!(
        senml::cbor::decode(&with(b"\x61x"), &Limits::default()),
        Err(DecodeError::Duplicate { offset: 17, .. })
    ));
}

#[test]
fn records_that_are_wrong_are_refused_with_field_and_place() {
    for (record, what) in [
        (r#"{"n":"a","v":1,"vs":"x"}"#, "vs"),
        (r#"{"n":"a","v":"1"}"#, "v"),
        (r#"{"n":"a","v":true}"#, "v"),
        (r#"{"n":"a","vb":1}"#, "vb"),
        (r#"{"n":"a","vs":1}"#, "vs"),
        (r#"{"n":"a","vd":"a b"}"#, "vd"),
        (r#"{"n":5,"v":1}"#, "n"),
        (r#"{"n":"a","t":"now","v":1}"#, "t"),
        (r#"{"n":"a","v":1,"quality":-1}"#, "quality"),
        (r#"{"n":"a","v":1,"edge-id":"x"}"#, "edge-id"),
        (r#"{"n":"a","v":1,"edge-pd":2}"#, "edge-pd"),
    ] {
        match refused(&format!("[{record}]")) {
            DecodeError::Unexpected { field, offset, .. } => assert!(field == what && offset > 5, "{record}"),
            other => panic!("{record}: {other}"),
        }
    }
    assert!(
        matches!(refused(r#"[{"bt":1e9,"v":1}]"#), DecodeError::Missing { .. }),
        "a record without a name"
    );
    assert!(matches!(refused(r#"[{"n":"a","n":"b","v":1}]"#), DecodeError::Duplicate { .. }));
    assert!(matches!(refused(r#"{"n":"a","v":1}"#), DecodeError::Malformed { .. }));
    let none = senml::json::decode(br#"[{"n":"a"},{"u":"V","t":1}]"#, &Limits::default()).unwrap();
    assert_eq!((none.len(), none.skipped()), (0, 2));
}

/// A long base name before many short names: a few kilobytes would become megabytes.
#[test]
fn a_base_name_does_not_multiply() {
    let records: Vec<_> = (0..2000).map(|i| format!(r#"{{"n":"{i}","v":0}}"#)).collect();
    let pack = format!(r#"[{{"bn":"{}","bt":1e9}},{}]"#, "b".repeat(30_000), records.join(","));
    assert!(refused(&pack).to_string().contains("resolved names"));
}

#[test]
fn decimal_fractions_of_others_are_read_or_refused_with_their_place() {
    let pack = |value: &[u8]| {
        let head = [0x81, 0xa3, 0, 0x61, b'a', 0x22, 0x1a, 0x3b, 0x9a, 0xca, 0, 2];
        [&head[..], value].concat()
    };
    let read = |value: &[u8]| {
        let bytes = pack(value);
        senml::cbor::decode(&bytes, &Limits::default())
            .map(|mut b| b.next().unwrap().unwrap().into_owned().value)
    };
    // RFC 8949 §3.4.4: 273.15 is 27315 × 10^-2.
    assert_eq!(read(&[0xc4, 0x82, 0x21, 0x19, 0x6a, 0xb3]), Ok(Value::F64(273.15)));
    assert_eq!(read(&[0xc4, 0x82, 0x38, 0x63, 0x01]), Ok(Value::F64(1e-100)));
    for bad in [
        &[0xc4, 0x82, 0x19, 0x03, 0xe8, 0x01][..],
        &[0xc4, 0x83, 0x21, 0x01, 0x01],
        &[0xc4, 0x81, 0x21],
        &[0xc4, 0x01],
        &[0xc4, 0x82, 0x21, 0xc2, 0x41, 0x01],
        &[0xc5, 0x82, 0x21, 0x01],
        &[0xf9, 0x7e, 0x00],
        &[0xf6],
    ] {
        assert!(read(bad).is_err(), "{bad:x?}");
    }
}
