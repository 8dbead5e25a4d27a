#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "senml", feature = "sparkplug", feature = "influx"))]
//! Every reading keeps its own identity, however its row's neighbours were spread over batches and however a resend
//! cuts them (promise 4).

mod support;

use edge_codec::{BatchId, DecodeError, EncodeError, Limits, Reading, Value, cbor, json, protobuf};
use proptest::prelude::*;
use std::collections::BTreeMap;
use support::{AnyEncoder, KINDS, Kind, property, table};

const ID: BatchId = BatchId { gateway: 7, lane: 1, epoch: 2, first_seq: 100 };

fn reading(n: u64) -> Reading<'static> {
    Reading {
        sensor: 0,
        time: 1_580_515_200_000 + (n % 1_000_000_000) as i64,
        value: Value::I64(n as i64),
        quality: 0,
    }
}

/// Batches of these rows, each under `max` bytes.
fn batches(kind: Kind, seqs: &[u64], max: usize) -> Vec<Vec<u8>> {
    let table = kind.table();
    let mut enc = AnyEncoder::new(kind, &table).identify(ID, false);
    seqs.iter().for_each(|seq| enc.push_at(*seq, &reading(*seq)).unwrap());
    let mut out = Vec::new();
    while !enc.is_empty() {
        let batch = enc.finish_under(max).unwrap();
        assert!(batch.len() <= max, "{} of {max}", batch.len());
        out.push(batch.to_vec());
    }
    out
}

/// Which row carried which value.
fn rows(kind: Kind, batches: &[Vec<u8>]) -> BTreeMap<u64, i64> {
    let mut rows = BTreeMap::new();
    for bytes in batches {
        let mut batch = kind.decode(bytes, &Limits::default()).unwrap();
        assert_eq!(batch.header().id.map(|id| id.first_seq), batch.next_seq());
        while let Some(seq) = batch.next_seq() {
            let Value::I64(value) = batch.next().unwrap().unwrap().value else { panic!() };
            assert_eq!(rows.insert(seq, value), None);
        }
    }
    rows
}

#[test]
fn rows_keep_their_numbers_whatever_the_holes_and_wherever_batches_are_cut() {
    let holes = proptest::collection::vec(prop_oneof![Just(0_u64), 0_u64..4, 0_u64..1_000_000], 1..200);
    property("codec.sequence", 3_000, &(holes, 150_usize..4_000), |(holes, max)| {
        let seqs: Vec<u64> = holes
            .iter()
            .scan(99_u64, |seq, hole| {
                *seq += 1 + hole;
                Some(*seq)
            })
            .collect();
        let expected: BTreeMap<u64, i64> = seqs.iter().map(|seq| (*seq, *seq as i64)).collect();
        for kind in KINDS.into_iter().filter(|kind| kind.keeps_identity()) {
            prop_assert_eq!(&rows(kind, &batches(kind, &seqs, max)), &expected);
            prop_assert_eq!(&rows(kind, &batches(kind, &seqs, usize::MAX)), &expected);
        }
        Ok(())
    });
}

#[test]
fn rows_without_a_hole_are_written_as_push_writes_them() {
    for kind in KINDS.into_iter().filter(|kind| kind.keeps_identity()) {
        let table = kind.table();
        let mut plain = AnyEncoder::new(kind, &table).identify(ID, true);
        let mut numbered = AnyEncoder::new(kind, &table).identify(ID, true);
        for (seq, reading) in (100..).zip(&kind.samples()) {
            plain.push(reading).unwrap();
            numbered.push_at(seq, reading).unwrap();
        }
        assert_eq!(plain.finish_under(usize::MAX), numbered.finish_under(usize::MAX));
    }
}

#[test]
fn a_number_that_does_not_rise_or_has_no_identity_is_refused() {
    let table = table();
    let mut enc = cbor::Encoder::new(&table).id(ID);
    assert_eq!(enc.push_at(99, &reading(0)), Err(EncodeError::Sequence { seq: 99, next: Some(100) }));
    enc.push_at(200, &reading(0)).unwrap();
    assert_eq!(enc.push_at(200, &reading(0)), Err(EncodeError::Sequence { seq: 200, next: Some(201) }));
    assert_eq!(enc.len(), 1);
    let refused = cbor::Encoder::new(&table).push_at(1, &reading(0)).unwrap_err();
    assert_eq!(refused.to_string(), "sequence number 1: the encoder has no identity");
}

#[test]
fn lists_that_do_not_fit_the_batch_are_refused_with_their_place() {
    let refused = |what: &str, text: &str| {
        let error = json::decode(text.as_bytes(), &Limits::default()).unwrap_err();
        assert!(error.to_string().contains(what), "{text}: {error}");
    };
    let readings = r#""readings":[{"sensor":"a","ts":0,"value":0},{"sensor":"a","ts":1,"value":0}]"#;
    let id = r#""id":"1-1-1-1""#;
    refused("seqs without id", &format!(r#"{{"seqs":[1,1,1],{readings}}}"#));
    refused("seqs does not add up to the readings", &format!(r#"{{{id},"seqs":[1,1,2],{readings}}}"#));
    refused("seqs has a 0", &format!(r#"{{{id},"seqs":[1,0,1],{readings}}}"#));
    refused("seqs does not end with a run", &format!(r#"{{{id},"seqs":[2,1],{readings}}}"#));
    refused("malformed", &format!(r#"{{{id},"seqs":[1,-1,1],{readings}}}"#));
    refused("stands there twice", &format!(r#"{{{id},"seqs":[1,1,1],"seqs":[1,1,1],{readings}}}"#));
    let limits = Limits::default().readings(2);
    let many = format!(r#"{{{id},"seqs":[1,1,1,1,1],{readings}}}"#);
    let error = json::decode(many.as_bytes(), &limits).unwrap_err();
    assert!(matches!(error, DecodeError::Limit { what: "sequence runs", limit: 4, found: 5, .. }), "{error}");
}

/// Protobuf: a reader must take repeated numbers packed and one by one.
#[test]
fn numbers_one_by_one_are_read_as_packed_ones() {
    let packed = batches(Kind::Protobuf, &[100, 103], usize::MAX).remove(0);
    let tail = [0x52, 3, 1, 2, 1];
    assert!(packed.ends_with(&tail));
    let mut single = packed[..packed.len() - tail.len()].to_vec();
    single.extend([0x50, 1, 0x50, 2, 0x50, 1]);
    assert_eq!(rows(Kind::Protobuf, &[single.clone()]), rows(Kind::Protobuf, &[packed]));
    single.extend([0x55, 0, 0, 0, 0]);
    assert!(protobuf::decode(&single, &Limits::default()).is_err(), "a fixed32 is none of them");
}
