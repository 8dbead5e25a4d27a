//! Promise 12 for every decoder of the ring: arbitrary bytes, real ones changed anywhere, and changed ones with good
//! checksums. What comes out is bounded by what went in.

use bytes::Bytes;

use super::frame::{Head, Kind, into_body};
use super::layout::{Geometry, PAGE};
use super::record::{Before, Cursor, Record, get_change, put_change, put_row};
use super::snapshot::{get_geometry, get_snapshot, put_snapshot};
use super::superblock;
use crate::row::{Lane, ROW_OVERHEAD_BYTES, StoredRow};
use crate::state::{Change, ConsumerState, GapRecord, Position, Reason, State};
use crate::store::plausibility;
use crate::testing::{Rng, fuzz_cases, mutate, seed};
use crate::time::Stamp;

fn position() -> Position {
    let gap = |reason| GapRecord { first_seq: 5, last_seq: 9, first_ms: -3, last_ms: 70, count: 4, reason };
    Position {
        queued_bytes: 900,
        floor: 12,
        acked: [(14, 20), (30, 30), (300, 70_000)].into(),
        accepted: 100,
        delivered: 60,
        moved: 7,
        dropped: crate::Dropped([0, 1, 2, 3, 4, 5, 300]),
        gaps: vec![gap(Reason::Overflow), gap(Reason::Quarantined)],
    }
}

/// A body of rows and changes.
fn records() -> Vec<u8> {
    let row = |seq: u64| StoredRow {
        lane: Lane(1),
        seq,
        epoch: if seq == 9 { 7 } else { 5 },
        stamp: Stamp {
            boot_id: u128::from(seq / 8),
            up_ms: seq * 9,
            wall_ms: seq as i64 - 9,
            synced: seq == 8,
        },
        ttl_ms: (seq == 7).then_some(1000),
        expiry: Default::default(),
        weight: (seq % 3) as u32,
        key: "key".into(),
        meta: "meta".into(),
        payload: vec![seq as u8; seq as usize].into(),
    };
    let (mut out, mut before) = (Vec::new(), Before::frame(5, 7));
    put_change(
        &mut out,
        (3, 0),
        &Change::Position { consumer: "hub".into(), lane: Lane(1), position: position() },
    );
    (7..12).for_each(|seq| put_row(&mut out, &mut before, &row(seq)));
    put_change(&mut out, (3, 1), &Change::Forget { consumer: "x".into() });
    out
}

fn snapshot() -> Vec<u8> {
    let mut state = State::new(77, 2);
    for name in ["hub", "second"] {
        let lanes = [position(), Position::default(), position(), Position::default()];
        state.consumers.push(ConsumerState { name: name.into(), lanes: lanes.into() });
    }
    let mut out = Vec::new();
    put_snapshot(&mut out, &Geometry { segment_bytes: 65_536, lanes: 2, segments: [5, 6, 0, 0] }, &state);
    out
}

/// Walks a body as a reader does; gives the rows' bytes.
fn walk(body: &[u8]) -> usize {
    let whole = Bytes::copy_from_slice(body);
    let mut cursor = Cursor::new(1, 5, 7);
    let (mut bytes, mut last) = (0, 0);
    for _ in 0..=body.len() {
        match cursor.next(body) {
            None => return bytes,
            Some(Record::Change(_, change, tag)) => {
                if let Some(Change::Position { position, .. }) = get_change(change, tag) {
                    assert!(plausibility::position(&position));
                    assert!(position.acked.len() + position.gaps.len() <= change.len());
                }
            }
            Some(Record::Row(row)) => {
                assert!(row.seq >= last && plausibility::seq(row.seq));
                last = row.seq;
                bytes += row.bytes();
                assert_eq!(row.to_row(&whole).bytes() - ROW_OVERHEAD_BYTES, row.bytes() as u64);
            }
        }
    }
    panic!("a body of {} bytes does not end", body.len());
}

fn one(rng: &mut Rng, seeds: &[Vec<u8>; 2]) {
    let kind = rng.below(8);
    let mut body = match kind {
        0 => {
            let len = rng.below(600);
            rng.bytes(usize::try_from(len).unwrap())
        }
        n => seeds[usize::from(n > 4)].clone(),
    };
    mutate(rng, &mut body);
    body.truncate(if rng.one_in(4) {
        usize::try_from(rng.below(body.len() as u64 + 1)).unwrap()
    } else {
        body.len()
    });
    assert!(walk(&body) <= body.len());
    if let Some(state) = get_snapshot(&body, 1, 2) {
        assert!(state.lane.iter().all(plausibility::lane) && state.consumers.len() <= body.len());
    }
    if let Some(geometry) = get_geometry(&body) {
        assert!(geometry.is_sane() && geometry.within(1 << 20).file_bytes() <= (1 + 5 * 64) << 20);
    }
    // A page: with checksums as they come, as a whole header, and as a superblock.
    if rng.one_in(8) {
        let mut page = Vec::new();
        let head = super::frame::tests::sample();
        let kind = if rng.one_in(2) { Kind::Snapshot } else { Kind::Records };
        Head { kind, ..head }.seal(&body, &mut page);
        mutate(rng, &mut page[..136]);
        superblock::fuzz::fix(&mut page);
        let _ = superblock::fuzz::decode(&page);
        super::frame::tests::fix(&mut page);
        if let Some(head) = Head::decode(&page) {
            assert!(head.rows_after() >= head.rows_before && head.weight_after() >= head.weight_before);
            if head.is_whole(&page) {
                let mut bytes = page.clone();
                into_body(&head, &mut bytes);
                assert!(bytes.len() <= page.len());
                walk(&bytes);
            }
        }
        assert!(page.len().is_multiple_of(PAGE));
    }
}

#[test]
fn no_decoder_panics_or_invents_bytes() {
    let (mut rng, cases) = (Rng::new(seed() ^ 1), fuzz_cases(700_000));
    let seeds = [records(), snapshot()];
    assert!(walk(&seeds[0]) > 40 && get_snapshot(&seeds[1], 1, 2).is_some(), "the seeds are whole");
    for _ in 0..cases {
        one(&mut rng, &seeds);
    }
    println!("executed fuzz.ring.decoders: {cases} cases");
}
