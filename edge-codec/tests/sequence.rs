#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "senml", feature = "sparkplug", feature = "influx", feature = "compact"))]
//! Every reading keeps its own identity, however its row's neighbours were spread over batches and however a resend
//! cuts them (promise 4).

#[path = "support/forms.rs"]
mod forms;
#[path = "support/session.rs"]
mod session;
mod support;

use edge_codec::{BatchId, DecodeError, EncodeError, Limits, Reading, Value, cbor, json, protobuf};
use forms::{Form, FormEncoder, forms};
use proptest::prelude::*;
use session::wide;
use std::collections::BTreeMap;
use support::{property, table};

const ID: BatchId = BatchId { gateway: 7, lane: 1, epoch: 2, first_seq: 100 };

fn reading(n: u64) -> Reading<'static> {
    Reading {
        sensor: 0,
        time: 1_580_515_200_000 + (n % 1_000_000_000) as i64,
        value: Value::I64(n as i64),
        quality: 0,
    }
}

/// Batches of these rows, each under `max` bytes, and which row carried which value.
fn rows(form: Form, seqs: &[u64], max: usize) -> BTreeMap<u64, i64> {
    let table = table();
    let readings: Vec<_> = seqs.iter().map(|seq| reading(*seq)).collect();
    let id = BatchId { first_seq: seqs[0], ..ID };
    let mut enc = FormEncoder::new(form, &table, &readings).identify(id, false);
    seqs.iter().zip(&readings).for_each(|(seq, r)| enc.push_at(*seq, r).unwrap());
    let mut rows = BTreeMap::new();
    while !enc.is_empty() {
        let batch = enc.finish_under(max).unwrap();
        assert!(batch.len() <= max, "{form:?}: {} of {max}", batch.len());
        enc.read(&batch, &wide(), |batch| {
            let mut batch = batch.unwrap_or_else(|e| panic!("{form:?}: {e}"));
            assert_eq!(batch.header().id.map(|id| id.first_seq), batch.next_seq());
            while let Some(seq) = batch.next_seq() {
                let Value::I64(value) = batch.next().unwrap().unwrap().value else { panic!() };
                assert_eq!(rows.insert(seq, value), None);
            }
        });
    }
    rows
}

fn identified() -> impl Iterator<Item = Form> {
    forms().into_iter().filter(|form| form.keeps_identity())
}

fn assert_kept(seqs: &[u64], max: usize) {
    let expected: BTreeMap<u64, i64> = seqs.iter().map(|seq| (*seq, *seq as i64)).collect();
    assert_eq!(expected.len(), seqs.len());
    for form in identified() {
        assert!(rows(form, seqs, max) == expected, "{form:?}: other rows");
        assert!(rows(form, seqs, usize::MAX) == expected, "{form:?}: other rows in one batch");
    }
}

/// The highest number that a row can have.
const HIGHEST: u64 = u64::MAX - 1;

/// A number beside one at which some format's integers grow by a byte: 7 bits of a varint, 8, 16 and 32 of CBOR, a
/// decimal digit.
fn beside_a_step() -> impl Strategy<Value = u64> {
    let powers = (0..64).filter(|bits| bits % 7 == 0 || bits % 8 == 0).map(|bits| 1_u64 << bits);
    let digits = (1..20).map(|digits| 10_u64.pow(digits));
    let steps: Vec<u64> = powers.chain(digits).chain([23]).collect();
    (proptest::sample::select(steps), -1_i64..=1).prop_map(|(step, by)| step.saturating_add_signed(by))
}

/// The numbers of runs and the holes before them, as far as there are numbers.
fn numbered(first: u64, runs: &[(u64, usize)]) -> Vec<u64> {
    let mut seqs = Vec::new();
    let mut next = first;
    for (hole, run) in runs {
        for nth in 0..*run {
            let Some(seq) = next.checked_add(if nth == 0 { *hole } else { 0 }) else { return seqs };
            if seq > HIGHEST {
                return seqs;
            }
            seqs.push(seq);
            next = seq + 1;
        }
    }
    seqs
}

#[test]
fn rows_keep_their_numbers_whatever_the_holes_and_wherever_batches_are_cut() {
    let hole = prop_oneof![Just(0_u64), 0_u64..4, 0_u64..1_000_000, beside_a_step()];
    let run = prop_oneof![8 => 1_usize..4, 2 => 126_usize..131, 1 => 254_usize..300];
    let runs = proptest::collection::vec((hole, run), 1..60);
    let first = prop_oneof![Just(100_u64), beside_a_step()];
    property("codec.sequence", 1_000, &(runs, first, 200_usize..4_000), |(runs, first, max)| {
        let seqs = numbered(first.min(HIGHEST), &runs);
        if !seqs.is_empty() {
            assert_kept(&seqs, max);
        }
        Ok(())
    });
}

/// Each hole alone, between two rows and after a run of 128, up to the last number there is.
#[test]
fn holes_of_every_length_are_read_back() {
    for bits in 0..64 {
        for hole in [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1] {
            let last = HIGHEST - 2;
            for seqs in [
                vec![0, 1 + hole.min(last), 2 + hole.min(last)],
                (0..128).chain([128 + hole.min(HIGHEST - 128)]).collect(),
                vec![last - hole.min(last), last + 1, HIGHEST],
            ] {
                assert_kept(&seqs, 1_000);
            }
        }
    }
}

/// Runs so long that their length takes two and three bytes in a varint.
#[test]
fn runs_of_every_length_that_a_batch_can_have_are_read_back() {
    for run in [127, 128, 129, 255, 256, 257, 16_383, 16_384, 16_385, 65_000] {
        let seqs = numbered(5, &[(0, run), (1 << 14, 2), (3, run.min(500))]);
        assert_kept(&seqs, usize::MAX);
    }
}

/// The number after the last one is refused by everybody, not wrapped to another.
#[test]
fn the_sequence_ends_with_its_highest_number() {
    let table = table();
    for form in identified() {
        let start = BatchId { first_seq: HIGHEST - 1, ..ID };
        let mut enc = FormEncoder::new(form, &table, &[]).identify(start, false);
        enc.push_at(HIGHEST, &reading(1)).unwrap();
        assert_eq!(enc.push_at(u64::MAX, &reading(2)), Err(EncodeError::SequenceEnd), "{form:?}");
        enc.push(&reading(2)).unwrap();
        assert_eq!(enc.finish_under(usize::MAX), Err(EncodeError::SequenceEnd), "{form:?}");
    }
    let text = r#"{"id":"1-1-1-fffffffffffffffe","readings":[{"sensor":"a","ts":0,"value":0},{"sensor":"a","ts":1,"value":0}]}"#;
    let error = json::decode(text.as_bytes(), &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("the sequence numbers are out of range"), "{error}");
}

#[test]
fn rows_without_a_hole_are_written_as_push_writes_them() {
    let table = table();
    for form in identified() {
        let mut plain = FormEncoder::new(form, &table, &[]).identify(ID, true);
        let mut numbered = FormEncoder::new(form, &table, &[]).identify(ID, true);
        for (seq, reading) in (100..).zip(&(0..20).map(reading).collect::<Vec<_>>()) {
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
    let table = table();
    let mut enc = protobuf::Encoder::new(&table).id(ID);
    [100, 103].into_iter().for_each(|seq| enc.push_at(seq, &reading(seq)).unwrap());
    let packed = enc.finish_under(usize::MAX).unwrap();
    let tail = [0x52, 3, 1, 2, 1];
    assert!(packed.ends_with(&tail));
    let mut single = packed[..packed.len() - tail.len()].to_vec();
    single.extend([0x50, 1, 0x50, 2, 0x50, 1]);
    let seqs = |bytes: &[u8]| {
        let mut batch = protobuf::decode(bytes, &Limits::default()).unwrap();
        std::iter::from_fn(|| batch.next_seq().inspect(|_| assert!(batch.next().is_some())))
            .collect::<Vec<_>>()
    };
    assert_eq!((seqs(&single), seqs(&packed)), (vec![100, 103], vec![100, 103]));
    single.extend([0x55, 0, 0, 0, 0]);
    assert!(protobuf::decode(&single, &Limits::default()).is_err(), "a fixed32 is none of them");
}
