//! Streams for the tests of a backlog on its way.

use edge_queue::store::{GapRecord, StoredRow};
use edge_queue::testing::{Rng, row_at};
use edge_queue::transfer::{Exporter, Item, Stream, StreamEnd, StreamError};
use edge_queue::{Gap, Lane, Reason};

pub(crate) const GATEWAY: u64 = 0x0123_4567_89ab_cdef;

/// Rows of two lanes with holes between their numbers.
pub(crate) fn rows(seed: u64, count: u64) -> Vec<StoredRow> {
    let mut rng = Rng::new(seed);
    let mut rows = Vec::new();
    for lane in [Lane(0), Lane(1)] {
        let mut seq = rng.between(1, 1 << 40);
        for _ in 0..rng.below(count) {
            rows.push(row_at(lane, seq, rng.between(1, 9) as u32));
            seq += rng.between(1, 50);
        }
    }
    rows
}

pub(crate) fn stream(rows: &[StoredRow], gaps: &[(String, Gap)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut exporter = Exporter::new(&mut out, GATEWAY, 7, 2).unwrap();
    rows.iter().for_each(|row| exporter.row(row).unwrap());
    gaps.iter().for_each(|(consumer, gap)| exporter.gap(consumer, gap).unwrap());
    let done = exporter.finish().unwrap();
    assert_eq!((done.rows(), done.gaps), (rows.len() as u64, gaps.len() as u64));
    assert_eq!(done.stream_bytes, out.len() as u64);
    out
}

pub(crate) fn gaps() -> Vec<(String, Gap)> {
    let gap = |reason| {
        let mut record = GapRecord::new(3, 1 << 50, 9, reason);
        (record.first_ms, record.last_ms) = (-5, i64::MAX);
        ("hub".to_owned(), Gap::from((Lane(1), record)))
    };
    Reason::ALL.into_iter().map(gap).collect()
}

pub(crate) type Read = (Vec<StoredRow>, Vec<(String, Gap)>, StreamEnd);

pub(crate) fn read(bytes: &[u8]) -> Result<Read, StreamError> {
    read_from(bytes)
}

pub(crate) fn read_from(input: impl std::io::Read) -> Result<Read, StreamError> {
    let (mut rows, mut gaps) = (Vec::new(), Vec::new());
    let mut stream = Stream::new(input);
    while let Some(item) = stream.next_item()? {
        match item {
            Item::Row(row) => rows.push(row),
            Item::Gap(consumer, gap) => gaps.push((consumer, gap)),
            other => panic!("{other:?}"),
        }
    }
    Ok((rows, gaps, *stream.end()))
}
