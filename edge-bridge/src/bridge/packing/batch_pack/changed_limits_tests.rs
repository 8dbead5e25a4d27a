//! Tests of open batches whose limits change.

use bytes::Bytes;

use crate::bridge::Packed;
use crate::bridge::spool::Identity;
use crate::row::Row;

use super::*;

const BATCHED: Format = Format(7);
const LONG: BatchLimits = BatchLimits { age_ms: 600_000, rows: 100, bytes: 1_000 };

/// Messages that list their rows, with limits that a test sets.
#[derive(Debug)]
struct Listed {
    limits: Option<BatchLimits>,
    is_changed: bool,
}

impl Encode for Listed {
    fn limits(&self, _row: &Leased) -> Option<BatchLimits> {
        self.limits
    }

    fn take_limits_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    fn encode(&mut self, _now: Now, batch: &RowBatch, _bytes_max: usize) -> Vec<Packing> {
        let rows = batch.rows.iter().map(|row| row.id).collect();
        vec![Packing::Message(Packed::of_rows(batch.topic.clone(), rows))]
    }
}

/// A pack with three rows, begun at 10 ms.
fn waiting() -> BatchPack<Listed> {
    let mut pack = BatchPack::new(Listed { limits: Some(LONG), is_changed: false });
    (1..=3).for_each(|seq| pack.add(at(10), row(seq)));
    assert_eq!((sent(&mut pack, 5_000), pack.next_deadline()), (vec![], Some(600_010)));
    pack
}

fn change(pack: &mut BatchPack<Listed>, limits: impl Into<Option<BatchLimits>>) {
    pack.encoder = Listed { limits: limits.into(), is_changed: true };
}

fn at(up_ms: u64) -> Now {
    Now { up_ms, wall_ms: 0 }
}

fn row(seq: u64) -> Leased {
    let row = Row { format: BATCHED, ..Row::new(Utf8::from_static("out"), Bytes::from_static(b"12345")) };
    Leased::new(LeaseId(seq), row, 0, 0, Some(Identity { gateway: 1, lane: 1, epoch: 1, seq }))
}

fn sent(pack: &mut BatchPack<Listed>, now_ms: u64) -> Vec<Vec<u64>> {
    let next = || pack.poll(at(now_ms), 1 << 20);
    let ids = |packing| match packing {
        Packing::Message(packed) => packed.rows.iter().map(|row| row.0).collect(),
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(next).map(ids).collect()
}

#[test]
fn a_shorter_age_counts_from_the_first_row() {
    let mut pack = waiting();
    change(&mut pack, BatchLimits { age_ms: 6_000, ..LONG });
    assert_eq!((sent(&mut pack, 5_001), pack.next_deadline()), (vec![], Some(6_010)));
    pack.add(at(6_000), row(4));
    assert_eq!(sent(&mut pack, 6_010), [[1, 2, 3, 4]]);
    assert_eq!((pack.held_bytes(), pack.next_deadline()), (0, None));
}

#[test]
fn what_has_waited_long_enough_goes_at_the_change_and_before_what_comes_next() {
    let mut pack = waiting();
    change(&mut pack, BatchLimits { age_ms: 200, ..LONG });
    assert_eq!(sent(&mut pack, 5_001), [[1, 2, 3]]);
    pack.add(at(5_002), row(4));
    assert_eq!((sent(&mut pack, 5_002), pack.next_deadline()), (vec![], Some(5_202)));
    assert_eq!(sent(&mut pack, 5_202), [[4]]);
}

#[test]
fn a_longer_age_holds_for_what_waits_too() {
    let mut pack = waiting();
    change(&mut pack, BatchLimits { age_ms: 700_000, ..LONG });
    assert_eq!((sent(&mut pack, 600_010), pack.next_deadline()), (vec![], Some(700_010)));
}

#[test]
fn a_batch_beyond_a_limit_or_without_one_goes_at_once_with_all_its_rows() {
    for limits in [Some(BatchLimits { rows: 2, ..LONG }), None] {
        let mut pack = waiting();
        change(&mut pack, limits);
        assert_eq!(sent(&mut pack, 5_001), [[1, 2, 3]], "{limits:?}");
        assert!(pack.is_empty());
    }
}
