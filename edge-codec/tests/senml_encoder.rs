#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "senml")]
//! Encoder of SenML packs: small base fields, and a refusal of everything that a pack cannot say.

use edge_codec::{BatchId, EncodeError, Format, Limits, Reading, SensorTable, Value, senml};

fn table() -> SensorTable<'static> {
    let mut table = SensorTable::new();
    table.insert(1, "line2/temp", "Cel");
    table.insert(2, "line2/press", "Cel");
    table.insert(3, "line 3", "");
    table
}

fn reading(value: Value<'static>) -> Reading<'static> {
    Reading { sensor: 1, time: 1_580_515_200_250, value, quality: 0 }
}

#[test]
fn what_a_pack_cannot_say_is_refused_when_it_is_pushed() {
    let table = table();
    let mut enc = senml::cbor::Encoder::new(&table);
    let good = reading(Value::I64(1));
    for bad in [
        reading(Value::Null),
        reading(Value::F64(f64::NAN)),
        reading(Value::F64(f64::NEG_INFINITY)),
        Reading { sensor: 3, ..good.clone() },
        Reading { time: 268_435_455_999, ..good.clone() },
        Reading { time: 253_402_300_800_000, ..good.clone() },
    ] {
        assert!(matches!(enc.push(&bad), Err(EncodeError::NotCarried { format: "SenML", .. })), "{bad:?}");
    }
    assert!(enc.is_empty());
    enc.push(&Reading { time: 268_435_456_000, ..good }).unwrap();
}

#[test]
fn packs_are_as_small_as_their_base_fields_make_them() {
    let table = table();
    let mut json = senml::json::Encoder::new(&table);
    json.push(&reading(Value::F64(21.5))).unwrap();
    json.push(&Reading { sensor: 2, quality: 0x8000_0000, ..reading(Value::I64(3)) }).unwrap();
    json.push(&Reading { time: 1_580_515_199_000, ..reading(Value::Bytes(vec![1].into())) }).unwrap();
    assert_eq!(
        json.finish_under(1000).unwrap(),
        r#"[{"bn":"line2/","bu":"Cel","bt":1580515200.25,"n":"temp","v":21.5},{"n":"press","v":3,"quality":2147483648},{"n":"temp","t":-1.25,"vd":"AQ"}]"#
    );
    let mut one = senml::json::Encoder::new(&table);
    one.push(&reading(Value::Bool(true))).unwrap();
    assert_eq!(
        one.finish_under(1000).unwrap(),
        r#"[{"bn":"line2/temp","bu":"Cel","bt":1580515200.25,"vb":true}]"#
    );
    assert_eq!(one.finish_under(1000).unwrap(), r#"[{"bver":10}]"#, "a pack has at least one record");
}

#[test]
fn quality_stands_under_a_label_others_must_understand_if_asked_for() {
    let table = table();
    let bad = Reading { quality: 0x8008_0000, ..reading(Value::I64(3)) };
    let mut json = senml::json::Encoder::new(&table).quality_must_be_understood(true);
    json.push(&bad).unwrap();
    let bytes = json.finish_under(1000).unwrap();
    assert!(bytes.windows(10).any(|w| w == b"\"quality_\""));
    let mut cbor = senml::cbor::Encoder::new(&table).quality_must_be_understood(true);
    cbor.push(&bad).unwrap();
    let packed = cbor.finish_under(1000).unwrap();
    for got in
        [senml::json::decode(&bytes, &Limits::default()), senml::cbor::decode(&packed, &Limits::default())]
    {
        assert_eq!(got.unwrap().next().unwrap().unwrap().quality, 0x8008_0000);
    }
}

#[test]
fn decimal_fractions_are_shorter_and_read_to_the_same_bits() {
    let table = table();
    let values = [53.6, -0.05, 1250.0, 1e-7, -0.0, 0.1 + 0.2, 1e22, 5e-324, 1.5];
    let encode = |decimal: bool| {
        let mut enc = senml::cbor::Encoder::new(&table).decimal_fractions(decimal);
        values.iter().for_each(|v| enc.push(&reading(Value::F64(*v))).unwrap());
        enc.finish_under(1000).unwrap()
    };
    let (plain, decimal) = (encode(false), encode(true));
    assert!(decimal.len() + 8 < plain.len(), "{} {}", decimal.len(), plain.len());
    assert!(decimal.windows(6).any(|w| w == [0xc4, 0x82, 0x20, 0x19, 0x02, 0x18]), "53.6 is 536 × 10^-1");
    for bytes in [&plain, &decimal] {
        let got = senml::cbor::decode(bytes, &Limits::default()).unwrap();
        assert!(got.zip(values).all(|(got, sent)| got.unwrap().value.same(&Value::F64(sent))));
    }
}

#[test]
fn identity_and_mark_stand_in_the_first_record() {
    let table = table();
    let id = BatchId { gateway: 0xfeed, lane: 1, epoch: 2, first_seq: 7 };
    let mut enc = senml::json::Encoder::new(&table).id(id).possible_duplicate(true);
    enc.push(&reading(Value::I64(1))).unwrap();
    enc.push_at(20, &reading(Value::I64(2))).unwrap();
    let bytes = enc.finish_under(1000).unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    let head = r#"[{"edge-id":"000000000000feed-1-2-7","edge-pd":1,"edge-seqs":[1,12,1],"bn":"line2/temp","#;
    assert!(text.starts_with(head), "{text}");
    let mut batch = senml::json::decode(&bytes, &Limits::default()).unwrap();
    assert_eq!((batch.header().id, batch.header().pd), (Some(id), true));
    assert_eq!(batch.next_seq(), Some(7));
    batch.next();
    assert_eq!(batch.next_seq(), Some(20));
}

/// Names as deep topics make them: a reader bounds what base fields add to each record.
#[test]
fn many_sensors_under_a_long_name_are_read_back() {
    for (prefix, unit) in [
        (60, "Cel"),
        (64, "Cel"),
        (130, "Cel"),
        (500, "Cel"),
        (5, "a unit of many words, far longer than any of the registry"),
    ] {
        let mut table = SensorTable::new();
        let name = |n: u32| format!("{}/{n}", "site/".repeat(prefix / 5));
        (0..200).for_each(|n| drop(table.insert(n, name(n), unit.repeat(3))));
        let mut packs = Vec::new();
        let mut encoder = senml::json::Encoder::new(&table);
        (0..200).for_each(|sensor| encoder.push(&Reading { sensor, ..reading(Value::I64(1)) }).unwrap());
        packs.push((encoder.finish_under(usize::MAX).unwrap(), Format::SenmlJson));
        let mut encoder = senml::cbor::Encoder::new(&table);
        (0..200).for_each(|sensor| encoder.push(&Reading { sensor, ..reading(Value::I64(1)) }).unwrap());
        packs.push((encoder.finish_under(usize::MAX).unwrap(), Format::SenmlCbor));
        for (pack, format) in packs {
            let read = format
                .decode(&pack, &Limits::default())
                .unwrap_or_else(|e| panic!("{format:?} {prefix}: {e}"));
            let names: Vec<String> = read.sensors().iter().map(|sensor| sensor.name.to_string()).collect();
            assert_eq!(names, (0..200).map(name).collect::<Vec<_>>());
        }
    }
}
