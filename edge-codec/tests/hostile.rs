#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "senml", feature = "sparkplug", feature = "influx"))]
//! No input can panic, hang or pass a limit (promise 12).

#[path = "support/any_bytes.rs"]
mod any_bytes;
mod support;

use any_bytes::{
    IMPORT, LINES, PLAIN, batch, consume, field_map, json_import, lines_import, place, plain_import,
    sparkplug_birth, sparkplug_data, sparkplug_session,
};
use edge_codec::json::FieldMap;
use edge_codec::protobuf::columns;
use edge_codec::sparkplug::Birth;
use edge_codec::{BatchId, DecodeError, Limits, Reading, SensorTable, Value, cbor, protobuf};
use support::{KINDS, Kind, Rng, cases, fuzz_cases, seed};

/// Bytes of version, identity and mark in the batch of columns.
const COLUMNS_HEADER: usize = 2 + 9 + 2 + 2 + 3 + 2;

#[test]
fn every_truncation_is_refused_where_the_format_has_an_end() {
    for kind in KINDS {
        let good = batch(kind);
        let all = consume(kind, &good).unwrap();
        for end in 0..good.len() {
            match (kind, consume(kind, &good[..end])) {
                (_, Err(e)) => assert!(place(&e) <= end, "{kind:?} {end}: {e}"),
                // Protobuf has no end mark: a cut between two rows is a shorter batch, never a longer one.
                (Kind::Protobuf | Kind::Sparkplug, Ok(n)) => assert!(n < all || end + 2 >= good.len()),
                // In the header: an empty batch. Values of all kinds: a cut behind it is noticed.
                (Kind::Columns, Ok(n)) => assert_eq!((n, end <= COLUMNS_HEADER), (0, true), "{end}"),
                (_, Ok(n)) => panic!("{kind:?}: {end} of {} bytes gave {n} readings", good.len()),
            }
        }
    }
}

/// Rest of a cut batch of columns: nothing that could be taken for the whole, unless all of its readings are there.
#[test]
fn cut_columns_are_refused_or_empty_in_the_header_or_have_all_readings() {
    let value = |kind: u32, n: i64| match kind {
        1 => Value::Null,
        2 => Value::I64(n),
        3 => Value::Text("on".into()),
        _ => Value::F64(n as f64 / 8.0),
    };
    // Sensors, kinds of values, the first number, whether there are qualities and an identity.
    let cases =
        [(2, 1, 7, false, false), (2, 1, 7, true, true), (13, 4, 0, true, false), (3, 1, 0, false, true)];
    for (sensors, kinds, number, qualities, identity) in cases {
        let mut table = SensorTable::new();
        (0..sensors).for_each(|n| drop(table.insert(number + n, format!("line{n}/temp"), "Cel")));
        let mut encoder = columns::Encoder::new(&table);
        if identity {
            encoder.set_id(BatchId { gateway: 9, lane: 1, epoch: 2, first_seq: 300 });
            encoder.set_possible_duplicate(true);
        }
        // Without readings a batch is its header.
        let header = encoder.finish_under(1_000).unwrap().len();
        let readings = (0..100_u32).map(|n| Reading {
            sensor: number + n % sensors,
            time: 1_700_000_000_000 + i64::from(n) * 250,
            value: value(n % kinds, n.into()),
            quality: u32::from(qualities && n > 50) << 31,
        });
        let readings: Vec<_> = readings.collect();
        readings.iter().for_each(|r| encoder.push(r).unwrap());
        let batch = encoder.finish_under(usize::MAX).unwrap();
        let (mut empty, mut complete) = (0, 0);
        for end in 0..batch.len() {
            let Ok(cut) = columns::decode(&batch[..end], &Limits::default()) else { continue };
            if cut.len() == 0 {
                assert!(end <= header, "{end} of {} bytes gave no reading", batch.len());
                empty += 1;
                continue;
            }
            let names = cut.sensors().clone();
            let cut: Vec<_> = cut.map(Result::unwrap).collect();
            assert_eq!(cut.len(), readings.len(), "{end} of {} bytes", batch.len());
            for (cut, whole) in cut.iter().zip(&readings) {
                assert_eq!((cut.time, &cut.value), (whole.time, &whole.value));
                let name = |table: &SensorTable<'_>, sensor| table.get(sensor).unwrap().name.to_string();
                assert_eq!(name(&names, cut.sensor), name(&table, whole.sensor));
            }
            complete += 1;
        }
        // Version; identity and mark. Qualities and numbers of sensors, unless the kinds of values are gone with them.
        let behind = if kinds > 1 { 0 } else { usize::from(qualities) + usize::from(number > 0) };
        assert_eq!((empty, complete), (if identity { 3 } else { 1 }, behind), "{sensors} sensors");
    }
}

#[test]
fn every_flipped_bit_is_refused_or_read_without_panic() {
    for kind in KINDS {
        let good = batch(kind);
        let (mut refused, mut read) = (0, 0);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            match consume(kind, &bad) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
        // A checksum is the transport's; framing alone must still refuse some and values must let some through.
        assert!(refused > 0 && read > 0);
        println!("executed codec.bitflip.{kind:?}: {} cases", refused + read);
    }
}

#[test]
fn trailing_bytes_are_refused() {
    for kind in [Kind::Json, Kind::Cbor, Kind::SenmlJson, Kind::SenmlCbor] {
        let mut bytes = batch(kind);
        let end = bytes.len();
        bytes.push(b'1');
        let error = consume(kind, &bytes).unwrap_err();
        assert_eq!(error, DecodeError::Trailing { offset: end, found: 1 }, "{kind:?}");
    }
    let mut bytes = batch(Kind::Protobuf);
    bytes.push(0x4a);
    assert!(matches!(consume(Kind::Protobuf, &bytes), Err(DecodeError::Truncated { .. })));
}

fn mutate(rng: &mut Rng, good: &[u8]) -> Vec<u8> {
    let mut bad = good.to_vec();
    for _ in 0..=rng.below(6) {
        if bad.is_empty() {
            break;
        }
        let at = rng.below(bad.len());
        match rng.below(5) {
            0 => bad[at] = rng.next() as u8,
            1 => bad[at] = [0, 0x1f, 0x5f, 0x7f, 0x9b, 0xbb, 0xff, b'"', b'{', b'['][rng.below(10)],
            2 => drop(bad.remove(at)),
            3 => bad.insert(at, rng.next() as u8),
            _ => {
                let end = (at + rng.below(16)).min(bad.len());
                let piece = bad[at..end].to_vec();
                let to = rng.below(bad.len());
                bad.splice(to..to, piece);
            }
        }
    }
    bad
}

#[test]
fn fuzzed_batches_never_panic() {
    let n = fuzz_cases(1_000_000);
    for kind in KINDS {
        let good = batch(kind);
        let mut rng = Rng(seed());
        let mut read = 0;
        for _ in 0..n {
            read += u64::from(consume(kind, &mutate(&mut rng, &good)).is_ok());
        }
        assert!(read > 0, "mutations so wild that nothing behind the first check was reached");
        println!("executed codec.fuzz.{kind:?}: {n} cases ({read} read)");
    }
}

/// Births, data read with them, and payloads metric by metric.
#[test]
fn fuzzed_sparkplug_sessions_never_panic() {
    let n = fuzz_cases(1_000_000);
    let (birth, data) = sparkplug_session();
    let good = Birth::read(&birth, &Limits::default()).unwrap();
    let mut rng = Rng(seed() ^ 2);
    let (mut read, mut births) = (0_u64, 0_u64);
    for _ in 0..n {
        let bad = mutate(&mut rng, &data);
        read += u64::from(sparkplug_data(&good, &bad));
        let bad = mutate(&mut rng, &birth);
        births += u64::from(sparkplug_birth(&bad, &data));
    }
    assert!(read > 0 && births > 0);
    println!("executed codec.fuzz.birth: {n} cases ({births} read)");
    println!("executed codec.fuzz.data: {n} cases ({read} read)");
}

#[test]
fn fuzzed_imports_never_panic() {
    let n = fuzz_cases(1_000_000);
    let mut rng = Rng(seed() ^ 4);
    let map = field_map();
    let (mut json, mut lines, mut plain) = (0_u64, 0_u64, 0_u64);
    for _ in 0..n {
        json += u64::from(json_import(&map, &mutate(&mut rng, IMPORT)));
        lines += u64::from(lines_import(&mutate(&mut rng, LINES)));
        plain += u64::from(plain_import(&mutate(&mut rng, PLAIN)));
    }
    assert!(json > 0 && lines > 0 && plain > 0);
    println!(
        "executed codec.fuzz.import: {n} cases ({json} of JSON, {lines} of lines, {plain} of one value read)"
    );
}

#[test]
fn noise_never_panics() {
    let n = cases(250_000);
    let mut rng = Rng(seed() ^ 1);
    for _ in 0..n {
        let noise: Vec<u8> = (0..rng.below(64)).map(|_| rng.next() as u8).collect();
        for kind in KINDS {
            let _ = consume(kind, &noise);
        }
        json_import(&FieldMap::default(), &noise);
        lines_import(&noise);
        plain_import(&noise);
    }
    println!("executed codec.fuzz.noise: {n} cases");
}

fn limit_of(result: Result<usize, DecodeError>) -> (&'static str, usize, u64) {
    match result {
        Err(DecodeError::Limit { what, limit, found, .. }) => (what, limit, found),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_limit_is_named_with_what_was_found() {
    for kind in KINDS {
        let good = batch(kind);
        let (readings, sensors) = (kind.samples().len(), kind.sensors());
        let with = |limits: Limits| kind.decode(&good, &limits).map(|b| b.len());
        let d = Limits::default;
        assert_eq!(limit_of(with(d().bytes(10))), ("input bytes", 10, good.len() as u64));
        assert_eq!(limit_of(with(d().sensors(sensors - 1))).0, "sensors");
        assert_eq!(
            limit_of(with(d().readings(readings - 1))),
            ("readings", readings - 1, readings as u64),
            "{kind:?}"
        );
        assert_eq!(limit_of(with(d().text_bytes(200))), ("text bytes", 200, 300));
        let exact = d().bytes(good.len()).sensors(sensors).readings(readings).text_bytes(300);
        assert_eq!(with(exact), Ok(readings), "{kind:?}: a limit that is met is not passed");
    }
}

#[test]
fn deep_nesting_is_a_limit_and_not_a_stack_overflow() {
    let json = format!(r#"{{"readings":[],"x":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let (what, limit, found) = limit_of(consume(Kind::Json, json.as_bytes()));
    assert_eq!((what, limit, found), ("depth", 16, 17));
    // Objects count as arrays do.
    let objects =
        |begin: &str, end: &str| format!("{begin}{}1{}{end}", "{\"x\":".repeat(1_000), "}".repeat(1_000));
    let json_objects = objects(r#"{"readings":[],"x":"#, "}");
    assert_eq!(limit_of(consume(Kind::Json, json_objects.as_bytes())), ("depth", 16, 17));
    let pack_objects = objects(r#"[{"n":"a","x":"#, "}]");
    assert_eq!(limit_of(consume(Kind::SenmlJson, pack_objects.as_bytes())), ("depth", 16, 17));
    let maps = [&[0xa1, 0x61, b'x'].repeat(1_000)[..], &[0]].concat();
    assert_eq!(limit_of(consume(Kind::Cbor, &maps)), ("depth", 16, 17));
    let widest = Limits::default().depth(usize::MAX);
    let e = Kind::Json.decode(json.as_bytes(), &widest).unwrap_err();
    assert!(matches!(e, DecodeError::Limit { what: "depth", limit: 100, .. }), "{e}");

    let mut bytes = vec![0xa1, 0x61, b'x'];
    bytes.extend(std::iter::repeat_n(0x81, 100_000));
    bytes.push(0);
    assert_eq!(limit_of(consume(Kind::Cbor, &bytes)), ("depth", 16, 17));
    let pack = format!(r#"[{{"n":"a","x":{}1{}}}]"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(limit_of(consume(Kind::SenmlJson, pack.as_bytes())), ("depth", 16, 17));
    let mut pack = vec![0x81, 0xa1, 0x61, b'x'];
    pack.extend(std::iter::repeat_n(0x81, 100_000));
    assert_eq!(limit_of(consume(Kind::SenmlCbor, &pack)), ("depth", 16, 17));
    let mut tags = vec![0xa1, 0x61, b'x'];
    tags.extend(std::iter::repeat_n(0xc1, 100_000));
    tags.push(0);
    assert_eq!(limit_of(consume(Kind::Cbor, &tags)).0, "depth");
}

#[test]
fn duplicate_keys_are_refused_in_every_object() {
    for json in [
        r#"{"readings":[],"readings":[]}"#,
        r#"{"readings":[],"x":1,"\u0078":2}"#,
        r#"{"readings":[{"sensor":"a","ts":1,"value":1,"value":2}]}"#,
        r#"{"readings":[],"x":{"deep":[{"y":1,"y":2}]}}"#,
    ] {
        assert!(matches!(consume(Kind::Json, json.as_bytes()), Err(DecodeError::Duplicate { .. })), "{json}");
    }
    let bytes = [0xa2, 0x61, b'v', 1, 0x61, b'v', 1];
    assert_eq!(consume(Kind::Cbor, &bytes), Err(DecodeError::Duplicate { offset: 4, field: "v".into() }));
}

#[test]
fn a_newer_version_and_a_missing_part_are_named() {
    let mut newer = batch(Kind::Cbor);
    let at = newer.windows(3).position(|w| w == [0x61, b'v', 1]).unwrap() + 2;
    newer[at] = 2;
    let e = cbor::decode(&newer, &Limits::default()).unwrap_err();
    assert_eq!(e, DecodeError::Version { offset: at, found: 2, supported: 1 });
    let e = cbor::decode(&[0xa1, 0x61, b'v', 1], &Limits::default()).unwrap_err();
    assert_eq!(e, DecodeError::Missing { offset: 4, field: "rows".into() });
    let mut newer = batch(Kind::Protobuf);
    assert_eq!(newer[..2], [8, 1]);
    newer[1] = 2;
    let e = protobuf::decode(&newer, &Limits::default()).unwrap_err();
    assert_eq!(e, DecodeError::Version { offset: 0, found: 2, supported: 1 });
    assert!(matches!(consume(Kind::Protobuf, &[]), Err(DecodeError::Version { found: 0, .. })));
    assert!(matches!(consume(Kind::Json, b"{}"), Err(DecodeError::Missing { .. })));
}

#[test]
fn unknown_fields_are_passed_over() {
    let json =
        br#"{"future":{"a":[1,{"b":"c"}]},"readings":[{"sensor":"s","ts":1,"value":2,"future":[[]]}]}"#;
    assert_eq!(consume(Kind::Json, json), Ok(1));
    // {"t":0,"v":1,"rows":[[5,0,true]],"sensors":[[5,"s"]],"zz":{"a":[1(2),null]}}
    let mut cbor =
        vec![0xa5, 0x61, b't', 0, 0x61, b'v', 1, 0x64, b'r', b'o', b'w', b's', 0x81, 0x83, 5, 0, 0xf5];
    cbor.extend(b"\x67sensors\x81\x82\x05\x61s\x62zz\xa1\x61a\x82\xc1\x02\xf6");
    assert_eq!(consume(Kind::Cbor, &cbor), Ok(1));
    // Batch field 500 as varint, Row field 99 as fixed32.
    let row = [0x4a, 8, 0x30, 1, 0x9d, 0x06, 1, 2, 3, 4];
    let mut protobuf = vec![8, 1, 0xa0, 0x1f, 7, 0x42, 0];
    protobuf.extend(row);
    assert_eq!(consume(Kind::Protobuf, &protobuf), Ok(1));
}

/// A value of a kind that a newer schema has is an error: null would be a lie.
#[test]
fn a_protobuf_row_without_a_known_value_is_refused() {
    let input = [8, 1, 0x42, 0, 0x4a, 3, 0x98, 0x06, 1];
    assert!(matches!(consume(Kind::Protobuf, &input), Err(DecodeError::Missing { offset: 6, .. })));
}

#[test]
fn a_reading_of_a_sensor_outside_of_the_table_is_refused() {
    let mut cbor =
        vec![0xa4, 0x61, b't', 0, 0x61, b'v', 1, 0x64, b'r', b'o', b'w', b's', 0x81, 0x83, 5, 0, 0xf5];
    cbor.extend(b"\x67sensors\x80");
    assert_eq!(consume(Kind::Cbor, &cbor), Err(DecodeError::UnknownSensor { offset: 13, sensor: 5 }));
    let protobuf = [8, 1, 0x4a, 4, 8, 5, 0x30, 1];
    assert_eq!(consume(Kind::Protobuf, &protobuf), Err(DecodeError::UnknownSensor { offset: 4, sensor: 5 }));
}

/// An array in a wire type that is not its own would be a shorter one if it were passed over: units and names would be gone
/// without a word.
#[test]
fn an_array_of_protobuf_columns_in_another_wire_type_is_refused() {
    for number in 8..=21_u32 {
        let foreign: &[u32] = match number {
            // Strings.
            8 | 9 | 17 | 18 => &[0, 1, 5],
            // Doubles, one by one or packed.
            13 => &[0, 5],
            // Varints, one by one or packed.
            _ => &[1, 5],
        };
        for wire_type in foreign {
            let key = number << 3 | wire_type;
            let mut input = vec![8, 1];
            input.extend(if key < 128 { vec![key as u8] } else { vec![key as u8 | 128, (key >> 7) as u8] });
            input.resize(input.len() + [1, 8, 0, 0, 0, 4][*wire_type as usize], 1);
            let result = consume(Kind::Columns, &input);
            assert!(
                matches!(result, Err(DecodeError::Malformed { .. })),
                "field {number} in wire type {wire_type}: {result:?}"
            );
        }
    }
}
