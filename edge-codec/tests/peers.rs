#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "senml", feature = "sparkplug", feature = "influx"))]
//! Other libraries read what we write, and we read what they write (promise 4).

mod support;

use ciborium::Value as Item;
use edge_codec::protobuf::{columns, schema};
use edge_codec::{BatchId, Limits, Reading, Value, cbor, json, protobuf};
use prost::Message;
use support::{AnyEncoder, Kind, non_finite, property, reading, samples, table};

const ID: BatchId = BatchId { gateway: 0xfeed, lane: 0, epoch: 1, first_seq: 2 };

fn encode(kind: Kind, readings: &[Reading<'_>]) -> Vec<u8> {
    let table = table();
    let mut enc = AnyEncoder::new(kind, &table).identify(ID, true);
    readings.iter().for_each(|r| enc.push(r).unwrap());
    enc.finish_under(usize::MAX).unwrap().to_vec()
}

fn everything() -> Vec<Reading<'static>> {
    samples().into_iter().chain(non_finite()).collect()
}

#[test]
fn ciborium_reads_our_cbor_and_writes_it_byte_for_byte() {
    let bytes = encode(Kind::Cbor, &samples());
    let item: Item = ciborium::from_reader(bytes.as_slice()).unwrap();
    let keys: Vec<_> = item.as_map().unwrap().iter().map(|(k, _)| k.as_text().unwrap().to_owned()).collect();
    assert_eq!(keys, ["t", "v", "id", "pd", "rows", "sensors"]);
    let mut again = Vec::new();
    ciborium::into_writer(&item, &mut again).unwrap();
    assert_eq!(again, bytes, "shortest integers and floats, definite lengths");
}

/// SenML too: what ciborium writes again is the same, and every record's labels stand in the bytewise order of their
/// encodings (RFC 8949 §4.2.1).
#[test]
fn ciborium_reads_our_senml_and_writes_it_byte_for_byte() {
    let table = Kind::SenmlCbor.table();
    for kind in [Kind::SenmlCbor, Kind::SenmlDecimal] {
        let mut enc = AnyEncoder::new(kind, &table).identify(ID, true);
        for (n, reading) in kind.samples().iter().enumerate() {
            enc.push_at(2 * n as u64 + 2, reading).unwrap();
        }
        let bytes = enc.finish_under(usize::MAX).unwrap();
        let item: Item = ciborium::from_reader(&bytes[..]).unwrap();
        for record in item.as_array().unwrap() {
            let encoded = |label: &Item| {
                let mut out = Vec::new();
                ciborium::into_writer(label, &mut out).unwrap();
                out
            };
            let labels: Vec<_> = record.as_map().unwrap().iter().map(|(label, _)| encoded(label)).collect();
            assert!(labels.is_sorted(), "{labels:x?}");
        }
        let mut again = Vec::new();
        ciborium::into_writer(&item, &mut again).unwrap();
        assert_eq!(again, bytes);
    }
}

/// RFC 8949 §4.2.1: the keys stand in the bytewise order of their encodings.
#[test]
fn keys_are_in_deterministic_order() {
    let encoded = |key: &str| {
        let mut out = Vec::new();
        ciborium::into_writer(&key, &mut out).unwrap();
        out
    };
    assert!(["t", "v", "id", "pd", "rows", "seqs", "sensors"].map(encoded).is_sorted());
}

#[test]
fn we_read_cbor_in_any_key_order_and_with_longer_forms() {
    let text = |s: &str| Item::Text(s.into());
    let map = Item::Map(vec![
        (text("sensors"), Item::Array(vec![Item::Array(vec![5.into(), text("s"), text("Cel")])])),
        (
            text("rows"),
            Item::Array(vec![Item::Array(vec![5.into(), (-1).into(), Item::Float(1.5), 3.into()])]),
        ),
        (text("v"), 1.into()),
        (text("t"), 1000.into()),
    ]);
    let mut bytes = Vec::new();
    ciborium::into_writer(&map, &mut bytes).unwrap();
    // 1.5 as a double and the sensor's number in five bytes: longer than necessary is accepted.
    let at = bytes.windows(3).position(|w| w == [0xf9, 0x3e, 0x00]).unwrap();
    bytes.splice(at..at + 3, [&[0xfb_u8][..], &1.5_f64.to_be_bytes()].concat());
    let at = bytes.windows(3).position(|w| w == [0x84, 5, 0x20]).unwrap() + 1;
    bytes.splice(at..=at, [0x1a, 0, 0, 0, 5]);
    let batch = cbor::decode(&bytes, &Limits::default()).unwrap();
    let all: Vec<_> = batch.map(Result::unwrap).collect();
    assert_eq!(all, [Reading { sensor: 5, time: 999, value: Value::F64(1.5), quality: 3 }]);
}

#[test]
fn serde_json_reads_our_json_to_the_bit() {
    let bytes = encode(Kind::Json, &samples());
    let tree: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(tree["id"], "000000000000feed-0-1-2");
    assert_eq!(tree["pd"], 1);
    for (got, sent) in tree["readings"].as_array().unwrap().iter().zip(samples()) {
        assert_eq!(got["ts"], sent.time);
        assert_eq!(got["sensor"].as_str(), Some(table().get(sent.sensor).unwrap().name.as_ref()));
        assert_eq!(
            got.get("quality").map_or(Some(0), serde_json::Value::as_u64),
            Some(u64::from(sent.quality))
        );
        match &sent.value {
            Value::F64(v) => assert_eq!(got["value"].as_f64().unwrap().to_bits(), v.to_bits()),
            Value::I64(v) => assert_eq!(got["value"].as_i64(), Some(*v)),
            Value::U64(v) => assert_eq!(got["value"].as_u64(), Some(*v)),
            Value::Bool(v) => assert_eq!(got["value"], *v),
            Value::Text(v) => assert_eq!(got["value"], v.as_ref()),
            Value::Bytes(_) => assert_eq!(got["bytes"], "AAH-_w"),
            Value::Null => assert_eq!(got["value"], serde_json::Value::Null),
        }
    }
}

#[test]
fn every_double_is_written_as_json_that_serde_json_reads_to_the_bit() {
    property("codec.peers.json", 5_000, &proptest::collection::vec(reading(), 1..30), |readings| {
        let finite: Vec<_> =
            readings.into_iter().filter(|r| !matches!(r.value, Value::F64(v) if !v.is_finite())).collect();
        let bytes = encode(Kind::Json, &finite);
        let tree: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        for (got, sent) in tree["readings"].as_array().unwrap().iter().zip(&finite) {
            if let Value::F64(v) = sent.value {
                proptest::prop_assert_eq!(got["value"].as_f64().unwrap().to_bits(), v.to_bits());
            }
        }
        Ok(())
    });
}

#[test]
fn json_that_serde_json_pretty_prints_is_read() {
    let bytes = encode(Kind::Json, &samples());
    let tree: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let pretty = serde_json::to_vec_pretty(&tree).unwrap();
    let got: Vec<_> = json::decode(&pretty, &Limits::default()).unwrap().map(Result::unwrap).collect();
    let plain: Vec<_> = json::decode(&bytes, &Limits::default()).unwrap().map(Result::unwrap).collect();
    assert!(got.iter().zip(&plain).all(|(a, b)| a.same(b)) && got.len() == plain.len());
}

/// prost as a stranger's reader and writer: the whole message at once, from the published schema.
#[test]
fn the_published_message_reads_and_writes_our_protobuf_byte_for_byte() {
    let bytes = encode(Kind::Protobuf, &everything());
    let message = schema::Batch::decode(bytes.as_slice()).unwrap();
    assert_eq!((message.version, message.gateway, message.lane), (1, Some(0xfeed), Some(0)));
    assert_eq!(message.rows.len(), everything().len());
    assert_eq!(message.encode_to_vec(), bytes);
    let back = protobuf::decode(&bytes, &Limits::default()).unwrap();
    assert!(back.zip(everything()).all(|(got, sent)| got.unwrap().same(&sent)));
}

/// The same for columns.
#[test]
fn the_published_columns_read_and_write_ours() {
    let bytes = encode(Kind::Columns, &everything());
    let message = columns::schema::Batch::decode(bytes.as_slice()).unwrap();
    assert_eq!((message.version, message.gateway, message.lane), (1, Some(0xfeed), Some(0)));
    assert_eq!((message.sensor.len(), message.time.len()), (everything().len(), everything().len()));
    // A generated writer orders the fields by number; what it writes is read as the same.
    let again = message.encode_to_vec();
    assert_eq!(again.len(), bytes.len());
    for bytes in [bytes, again] {
        let back = columns::decode(&bytes, &Limits::default()).unwrap();
        assert!(back.zip(everything()).all(|(got, sent)| got.unwrap().same(&sent)));
    }
}
