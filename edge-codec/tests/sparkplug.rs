#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "sparkplug")]
//! Sparkplug B payloads, held against the message of the specification written as prost structs here (promise 4).

#[path = "support/tahu.rs"]
mod tahu;

use edge_codec::sparkplug::{self, Birth, MetricValue, Payload, datatype};
use edge_codec::{DecodeError, EncodeError, Format, Limits, Reading, SensorTable, Value, quality};
use prost::Message;
use tahu::{T, TahuMetric, TahuPayload, TahuProperties, TahuProperty, TahuValue, metric, payload};

fn decode(bytes: &[u8]) -> Result<Vec<Reading<'static>>, DecodeError> {
    sparkplug::decode(bytes, &Limits::default()).map(|b| b.map(|r| r.unwrap().into_owned()).collect())
}

fn table() -> SensorTable<'static> {
    let mut table = SensorTable::new();
    table.insert(7, "line2/temp", "Cel");
    table.insert(300, "line2/count", "");
    table
}

fn at(sensor: u32, value: Value<'static>, quality: u32) -> Reading<'static> {
    Reading { sensor, time: T as i64, value, quality }
}

fn readings() -> Vec<Reading<'static>> {
    vec![
        at(7, Value::F64(53.6), 0),
        at(7, Value::F64(-0.0), 0x8008_0000),
        at(300, Value::I64(-3), quality::UNCERTAIN),
        at(300, Value::I64(5), 0),
        at(300, Value::U64(u64::MAX), 0),
        at(7, Value::Bool(true), 0),
        at(7, Value::Text("x".into()), 0),
        at(7, Value::Bytes(vec![1, 2].into()), 0),
        at(7, Value::Null, quality::BAD),
    ]
}

#[test]
fn what_we_write_is_the_message_of_the_specification_byte_for_byte() {
    let table = table();
    for form in 0..3 {
        let enc = sparkplug::Encoder::new(&table).first_seq(254).sent_at(T + 9);
        let mut enc = [enc.clone(), enc.clone().birth(), enc.aliases()][form].clone();
        readings().iter().for_each(|r| enc.push(r).unwrap());
        let bytes = enc.finish_under(usize::MAX).unwrap();
        let read = TahuPayload::decode(&bytes[..]).unwrap();
        assert_eq!((read.timestamp, read.seq), (Some(T + 9), Some(254)));
        assert_eq!(read.metrics.len(), readings().len());
        let first = &read.metrics[0];
        assert_eq!(first.name.as_deref(), (form != 2).then_some("line2/temp"));
        assert_eq!(first.alias, (form != 0).then_some(7));
        assert_eq!(first.datatype, (form != 2).then_some(datatype::DOUBLE));
        assert_eq!((first.timestamp, &first.value), (Some(T), &Some(TahuValue::Double(53.6))));
        assert_eq!(read.metrics[8].is_null, Some(true));
        assert_eq!(read.metrics[2].value, Some(TahuValue::Long(-3_i64 as u64)));
        assert_eq!(read.metrics[2].datatype, Some(datatype::INT64), "needed to know the sign, in every form");
    }
}

#[test]
fn quality_and_a_births_unit_are_properties() {
    let table = table();
    let mut enc = sparkplug::Encoder::new(&table).birth();
    readings().iter().for_each(|r| enc.push(r).unwrap());
    let read = TahuPayload::decode(&enc.finish_under(usize::MAX).unwrap()[..]).unwrap();
    let properties = |at: usize| read.metrics[at].properties.clone().unwrap();
    assert_eq!(properties(0).keys, ["engUnit"]);
    assert_eq!(properties(0).values[0].text.as_deref(), Some("Cel"));
    let quality = properties(1);
    assert_eq!(
        (quality.keys, quality.values[0].kind, quality.values[0].int),
        (vec!["Quality".into()], Some(3), Some(0))
    );
    assert_eq!(properties(2).values[0].int, Some(500));
    assert!(read.metrics[3].properties.is_none(), "good");
}

#[test]
fn payloads_count_on_and_wrap_and_a_backlog_is_marked() {
    let table = table();
    let mut enc = sparkplug::Encoder::new(&table).first_seq(255).historical(true);
    let mut seqs = Vec::new();
    for _ in 0..3 {
        enc.push(&readings()[0]).unwrap();
        let bytes = enc.finish_under(1000).unwrap();
        let payload = Payload::read(&bytes, &Limits::default()).unwrap();
        let metric = payload.metrics().next().unwrap().unwrap();
        assert!(metric.is_historical);
        assert_eq!(payload.timestamp, Some(T), "the first reading's");
        seqs.push(payload.seq);
    }
    assert_eq!(seqs, [Some(255), Some(0), Some(1)]);
}

#[test]
fn a_birth_gives_data_its_names_units_and_signs() {
    let table = table();
    let mut birth = sparkplug::Encoder::new(&table).birth();
    birth.push(&readings()[0]).unwrap();
    birth.push(&readings()[2]).unwrap();
    let birth = birth.finish_under(1000).unwrap();
    let mut data = sparkplug::Encoder::new(&table).aliases().first_seq(1);
    readings().iter().for_each(|r| data.push(r).unwrap());
    let data = data.finish_under(1000).unwrap();

    let known = Birth::read(&birth, &Limits::default()).unwrap();
    let batch = known.decode(&data, &Limits::default()).unwrap();
    assert_eq!(batch.sensors(), &table);
    for (got, sent) in batch.zip(readings()) {
        let got = got.unwrap();
        assert!(got.value.same(&sent.value) && got.sensor == sent.sensor && got.time == sent.time);
    }
    // Alone the same readings, without names.
    let alone = sparkplug::decode(&data, &Limits::default()).unwrap();
    assert_eq!(alone.sensors().get(7).map(|s| s.name.as_ref()), Some(""));
    assert!(alone.zip(readings()).all(|(got, sent)| got.unwrap().value.same(&sent.value)));

    // A sender that leaves the datatype of a negative number to the birth.
    let negative = TahuMetric {
        alias: Some(300),
        timestamp: Some(T),
        value: Some(TahuValue::Long(u64::MAX)),
        ..TahuMetric::default()
    };
    let bytes = payload(vec![negative.clone()]);
    let got = known.decode(&bytes, &Limits::default()).unwrap().next().unwrap().unwrap();
    assert_eq!(got.value, Value::I64(-1));
    let without_birth = Format::Sparkplug.decode(&bytes, &Limits::default()).unwrap();
    assert_eq!((without_birth.len(), without_birth.skipped()), (0, 1), "not guessed");
    let strange = payload(vec![TahuMetric { alias: Some(8), ..negative }]);
    let error = known.decode(&strange, &Limits::default()).map(|_| ()).unwrap_err();
    assert!(matches!(error, DecodeError::UnknownSensor { sensor: 8, .. }), "{error}");
}

#[test]
fn what_others_send_becomes_the_models_kinds() {
    let typed = |value, datatype| TahuMetric { datatype: Some(datatype), ..metric("m", value) };
    let got = decode(&payload(vec![
        typed(TahuValue::Int(0xffff_ff80), datatype::INT8),
        typed(TahuValue::Int(0xffff), datatype::INT16),
        typed(TahuValue::Int(u32::MAX), datatype::UINT32),
        typed(TahuValue::Float(1.5), datatype::FLOAT),
        typed(TahuValue::Long(T), datatype::DATE_TIME),
        typed(TahuValue::Boolean(false), datatype::BOOLEAN),
        metric("n", TahuValue::Text("s".into())),
        TahuMetric { is_null: Some(true), value: None, ..metric("n", TahuValue::Int(0)) },
    ]))
    .unwrap();
    let values: Vec<_> = got.iter().map(|r| (r.sensor, r.value.clone())).collect();
    let expected = [
        (0, Value::I64(-128)),
        (0, Value::I64(-1)),
        (0, Value::I64(i64::from(u32::MAX))),
        (0, Value::F64(1.5)),
        (0, Value::I64(T as i64)),
        (0, Value::Bool(false)),
        (1, Value::Text("s".into())),
        (1, Value::Null),
    ];
    assert_eq!(values, expected);
}

#[test]
fn datasets_and_templates_are_counted_and_the_rest_is_read() {
    let bytes = payload(vec![
        metric("a", TahuValue::DataSet(vec![8, 1])),
        metric("b", TahuValue::Double(1.0)),
        metric("c", TahuValue::Template(vec![])),
        TahuMetric { value: None, ..metric("d", TahuValue::Int(0)) },
    ]);
    let batch = Format::Sparkplug.decode(&bytes, &Limits::default()).unwrap();
    assert_eq!((batch.len(), batch.skipped(), batch.sensors().len()), (1, 3, 1));
    let kinds: Vec<_> = Payload::read(&bytes, &Limits::default())
        .unwrap()
        .metrics()
        .map(|m| matches!(m.unwrap().value, MetricValue::DataSet | MetricValue::Template))
        .collect();
    assert_eq!(kinds, [true, false, true, false]);
}

#[test]
fn one_doubtful_metric_does_not_refuse_its_payload() {
    let typed = |value, datatype| TahuMetric { datatype, ..metric("doubtful", value) };
    for doubtful in [
        typed(TahuValue::Int(1 << 31), None),
        typed(TahuValue::Long(1 << 63), None),
        typed(TahuValue::Int(300), Some(datatype::INT8)),
        TahuMetric { timestamp: Some(u64::MAX), ..metric("late", TahuValue::Double(1.0)) },
    ] {
        let bytes =
            payload(vec![metric("a", TahuValue::Double(1.0)), doubtful, metric("b", TahuValue::Double(2.0))]);
        let batch = Format::Sparkplug.decode(&bytes, &Limits::default()).unwrap();
        assert_eq!((batch.len(), batch.skipped(), batch.sensors().len()), (2, 1, 2));
        let values: Vec<_> = batch.map(|r| r.unwrap().value).collect();
        assert_eq!(values, [Value::F64(1.0), Value::F64(2.0)]);
    }
}

#[test]
fn qualities_of_others_are_good_stale_or_bad() {
    let with = |code: u32| {
        let property = TahuProperty { kind: Some(3), int: Some(code), text: None };
        let note = TahuProperty { kind: Some(12), int: None, text: Some("x".into()) };
        let properties =
            TahuProperties { keys: vec!["note".into(), "Quality".into()], values: vec![note, property] };
        let metric = TahuMetric { properties: Some(properties), ..metric("a", TahuValue::Double(1.0)) };
        decode(&payload(vec![metric])).unwrap()[0].quality
    };
    assert_eq!([with(192), with(216), with(500)], [0, 0, 0x4090_0000]);
    assert_eq!([with(0), with(64), with(0x8000_0202)], [quality::BAD; 3]);
}

#[test]
fn a_metric_without_a_time_takes_the_payloads_and_then_the_arrival() {
    let timeless = TahuMetric { timestamp: None, ..metric("a", TahuValue::Double(1.0)) };
    assert_eq!(decode(&payload(vec![timeless.clone()])).unwrap()[0].time, T as i64 + 5);
    let bare = TahuPayload { metrics: vec![timeless], ..TahuPayload::default() }.encode_to_vec();
    assert!(matches!(decode(&bare), Err(DecodeError::Missing { .. })));
    let at = Format::Sparkplug.decode_at(&bare, 77, &Limits::default()).unwrap().next().unwrap().unwrap();
    assert_eq!(at.time, 77);
}

#[test]
fn names_get_numbers_that_are_no_alias() {
    let aliased = TahuMetric { alias: Some(0), ..metric("a", TahuValue::Double(1.0)) };
    let bytes = payload(vec![
        metric("bdSeq", TahuValue::Long(1)),
        aliased.clone(),
        metric("Node Control/Rebirth", TahuValue::Boolean(false)),
        metric("bdSeq", TahuValue::Long(2)),
    ]);
    let numbers: Vec<_> = decode(&bytes).unwrap().iter().map(|r| r.sensor).collect();
    assert_eq!(numbers, [1, 0, 2, 1]);
    let renamed = payload(vec![aliased.clone(), TahuMetric { name: Some("b".into()), ..aliased.clone() }]);
    assert!(matches!(decode(&renamed), Err(DecodeError::Duplicate { .. })), "one alias, two names");
}

#[test]
fn a_body_carries_another_format() {
    let bytes = sparkplug::with_body(T, 9, "edge", b"\x08\x01");
    let tahu = TahuPayload::decode(&bytes[..]).unwrap();
    assert_eq!((tahu.uuid.as_deref(), tahu.body.as_deref()), (Some("edge"), Some(&b"\x08\x01"[..])));
    let payload = Payload::read(&bytes, &Limits::default()).unwrap();
    assert_eq!((payload.uuid, payload.body, payload.seq), (Some("edge"), Some(&b"\x08\x01"[..]), Some(9)));
    assert_eq!(payload.metrics().len(), 0);
    // A compressed payload of others has its metrics in there: that they are not read is said.
    let batch = sparkplug::decode(&bytes, &Limits::default()).unwrap();
    assert_eq!((batch.len(), batch.skipped()), (0, 1));
}

#[test]
fn times_before_1970_are_refused_when_pushed() {
    let table = table();
    let mut enc = sparkplug::Encoder::new(&table);
    let early = Reading { time: -1, ..readings()[0].clone() };
    assert!(matches!(enc.push(&early), Err(EncodeError::NotCarried { format: "Sparkplug", .. })));
}

#[test]
fn errors_name_the_byte() {
    let good = payload(vec![metric("abc", TahuValue::Text("xyz".into()))]);
    let at = good.windows(3).position(|w| w == b"xyz").unwrap();
    let mut bad = good.clone();
    bad[at + 1] = 0xff;
    assert!(matches!(decode(&bad), Err(DecodeError::Malformed { offset, .. }) if offset == at + 1));
    let error = sparkplug::decode(&good, &Limits::default().text_bytes(2)).unwrap_err();
    let name = good.windows(3).position(|w| w == b"abc").unwrap();
    assert_eq!(error, DecodeError::Limit { what: "text bytes", offset: name, limit: 2, found: 3 });
    let unpaired = TahuProperties { keys: vec!["Quality".into()], values: vec![] };
    let broken = TahuMetric { properties: Some(unpaired), ..metric("a", TahuValue::Double(1.0)) };
    assert!(matches!(decode(&payload(vec![broken])), Err(DecodeError::Malformed { .. })));
}
