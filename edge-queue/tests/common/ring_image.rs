//! A small ring, closed cleanly, and what damage to it may cost.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use edge_queue::medium::Dir;
use edge_queue::store::{
    Change, DoneRows, Options, Position, ReadLimit, Recovered, RingStore, State, Store, StoredRow,
};
use edge_queue::testing::{Outcome, SimDir};
use edge_queue::{Key, Lane, Seq, Stamp};

pub(crate) const FILE: &str = "queue.ring";
pub(crate) const LANE: Lane = Lane(0);
pub(crate) const PAGE: usize = 4096;
/// Two superblock pages come before the first segment.
pub(crate) const SEGMENTS_AT: usize = 2 * PAGE;
pub(crate) const SEGMENT: usize = 64 * 1024;
/// The smallest ring there is: one lane of five segments, 335 872 bytes.
pub(crate) const FILE_BYTES: usize = SEGMENTS_AT + 5 * SEGMENT;
const HUB: &str = "hub";
/// Rows below were given up.
const FLOOR: Seq = 9;
const SIZES: [u64; 24] =
    [1, 1, 1, 30, 2, 1, 12, 60, 1, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 2, 1, 1, 1];

pub(crate) fn options() -> Options {
    Options {
        lanes: 1,
        lane_bytes: [32 * 1024; 4].into(),
        segment_bytes: SEGMENT as u64,
        row_bytes_max: 8 * 1024,
        gateway: 0x1d,
        epoch_step: 1,
    }
}

pub(crate) fn open(dir: &SimDir) -> (RingStore, Recovered) {
    RingStore::open(Box::new(dir.clone()), &options()).expect("open never fails for damage")
}

/// Key of an encrypted image.
pub(crate) fn key() -> Key {
    Key::new([0x4b; 32])
}

pub(crate) fn open_encrypted(dir: &SimDir) -> (RingStore, Recovered) {
    RingStore::open_encrypted(Box::new(dir.clone()), &options(), &key()).expect("open never fails for damage")
}

pub(crate) fn row(seq: Seq, payload: Vec<u8>) -> StoredRow {
    StoredRow {
        lane: LANE,
        seq,
        epoch: 1,
        stamp: Stamp { boot_id: 7, up_ms: seq * 10, wall_ms: seq as i64, synced: true },
        ttl_ms: None,
        expiry: Default::default(),
        weight: 2,
        key: "k".into(),
        meta: "m".into(),
        payload: payload.into(),
    }
}

pub(crate) fn plain(seq: Seq) -> StoredRow {
    row(seq, vec![seq as u8; 180])
}

pub(crate) fn commit(store: &mut RingStore, state: &mut State, rows: &[StoredRow]) {
    let mut lane = state.lane[0];
    lane.next = rows.last().unwrap().seq + 1;
    let change = Change::Lane { lane: LANE, state: lane };
    state.apply(&change);
    store.append(rows).unwrap();
    store.commit(&[change], state).unwrap();
}

/// Rows, and the number and weight reported as lost.
pub(crate) fn read(store: &mut RingStore) -> (Vec<StoredRow>, u64, u64) {
    let (mut rows, mut lost, mut weight, mut from) = (Vec::new(), 0, 0, 1);
    loop {
        let chunk = store.read(LANE, from, ReadLimit { rows: 50, bytes: 1 << 20 }).unwrap();
        rows.extend(chunk.rows);
        lost += chunk.lost.iter().map(|l| l.rows).sum::<u64>();
        weight += chunk.lost.iter().map(|l| l.weight).sum::<u64>();
        match chunk.next {
            Some(next) => {
                assert!(next > from, "reading goes on");
                from = next;
            }
            None => return (rows, lost, weight),
        }
    }
}

/// A directory with one durable file.
pub(crate) fn dir_with(name: &str, content: &[u8]) -> SimDir {
    let dir = SimDir::new();
    let mut file = dir.create(name).unwrap();
    file.write_at(0, content).unwrap();
    file.sync().unwrap();
    dir.sync().unwrap();
    dir
}

/// The undamaged store.
pub(crate) struct Image {
    dir: SimDir,
    pub(crate) open: fn(&SimDir) -> (RingStore, Recovered),
    pub(crate) bytes: Vec<u8>,
    /// Live rows.
    pub(crate) rows: Vec<StoredRow>,
    /// Rows that the frame on a page may have held, page by page.
    frames: Vec<Option<RangeInclusive<Seq>>>,
}

/// Cost of the damage.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) missing: u64,
    pub(crate) clean: bool,
    pub(crate) tail_uncertain: bool,
    pub(crate) reported: bool,
}

impl Image {
    /// Commits of all kinds over more than one segment: small ones that grow, padded ones, some of several pages; a
    /// consumer, rows given up, a clean close. `closed` false: killed instead.
    pub(crate) fn new(closed: bool) -> Image {
        Image::of(closed, open)
    }

    /// The same, encrypted.
    pub(crate) fn encrypted(closed: bool) -> Image {
        Image::of(closed, open_encrypted)
    }

    fn of(closed: bool, open: fn(&SimDir) -> (RingStore, Recovered)) -> Image {
        let dir = SimDir::new();
        let (mut store, recovered) = open(&dir);
        let mut state = recovered.state;
        let mut next = 1;
        for (nth, size) in SIZES.into_iter().enumerate() {
            let rows: Vec<_> = (next..next + size).map(plain).collect();
            next += size;
            commit(&mut store, &mut state, &rows);
            if nth == 8 {
                give_up(&mut store, &mut state);
            }
        }
        if closed {
            store.commit(&[Change::Closed], &state).unwrap();
        }
        drop(store);
        let bytes = dir.content(FILE).unwrap();
        assert_eq!(bytes.len(), FILE_BYTES);
        let frames = frames_of(&bytes);
        Image { dir, open, bytes, rows: (FLOOR..next).map(plain).collect(), frames }
    }

    pub(crate) fn last_seq(&self) -> Seq {
        self.rows.last().unwrap().seq
    }

    /// A copy to be hurt; costs pointers.
    pub(crate) fn copy(&self) -> SimDir {
        self.dir.crash(Outcome::Kept, 0)
    }

    /// A copy with other bytes at `at`.
    pub(crate) fn with(&self, at: usize, bytes: &[u8]) -> SimDir {
        let dir = self.copy();
        assert!(dir.damage(FILE, at as u64, bytes));
        dir
    }

    /// A copy cut short.
    pub(crate) fn cut(&self, len: usize) -> SimDir {
        let dir = self.copy();
        let mut file = dir.open(FILE).unwrap();
        file.set_len(len as u64).unwrap();
        file.sync().unwrap();
        dir
    }

    /// Returns whether `seq` may be lost when only `page` is hurt.
    pub(crate) fn touches(&self, page: usize, seq: Seq) -> bool {
        self.frames[page].as_ref().is_some_and(|seqs| seqs.contains(&seq))
    }

    /// Opens and reads: nothing wrong comes out, only `touched` rows are missing, and what is missing is counted.
    pub(crate) fn judge(&self, dir: &SimDir, touched: impl Fn(Seq) -> bool) -> Result<Verdict, String> {
        let (mut store, recovered) = (self.open)(dir);
        let (rows, lost, weight) = read(&mut store);
        let found: BTreeSet<Seq> = rows.iter().map(|row| row.seq).collect();
        if rows.iter().any(|row| *row != plain(row.seq)) || !rows.is_sorted_by(|a, b| a.seq < b.seq) {
            return Err("a wrong row, or out of order".into());
        }
        let missing: Vec<Seq> = self.rows.iter().map(|r| r.seq).filter(|seq| !found.contains(seq)).collect();
        if let Some(seq) = missing.iter().find(|seq| !touched(**seq)) {
            return Err(format!("row {seq} of an untouched frame is missing: {recovered:?}"));
        }
        if recovered.clean && (lost, weight) != (missing.len() as u64, 2 * missing.len() as u64) {
            return Err(format!("{lost} lost of weight {weight}, {} missing", missing.len()));
        }
        if lost > missing.len() as u64 {
            return Err(format!("{lost} lost and only {} missing", missing.len()));
        }
        let quarantined = store.stats().quarantined;
        let in_bad = dir.names().iter().any(|name| name.starts_with("bad/"));
        // Where every segment is gone nothing is left to set aside.
        let nothing_left = lost == self.rows.len() as u64;
        if (lost > 0) != (quarantined > 0) || (lost > 0 && !in_bad && !nothing_left) {
            return Err(format!("{lost} lost, {quarantined} quarantined, set aside: {in_bad}"));
        }
        Ok(Verdict {
            missing: missing.len() as u64,
            clean: recovered.clean,
            tail_uncertain: recovered.tail_uncertain,
            reported: lost > 0 || !recovered.damage.is_empty(),
        })
    }

    /// After the damage the queue goes on: rows are pushed, it is closed, opened again and read.
    pub(crate) fn goes_on(&self, dir: &SimDir) -> Result<(), String> {
        let (mut store, recovered) = (self.open)(dir);
        let before = read(&mut store).0;
        let next = recovered.highest_seq[0].max(recovered.state.lane[0].next).max(self.last_seq()) + 1;
        let mut state = recovered.state;
        let new = [row(next, vec![7; 20]), row(next + 1, vec![8; 6000])];
        commit(&mut store, &mut state, &new[..1]);
        commit(&mut store, &mut state, &new[1..]);
        store.commit(&[Change::Closed], &state).unwrap();
        drop(store);
        let (mut store, again) = (self.open)(dir);
        let after = read(&mut store).0;
        let expected: Vec<&StoredRow> = before.iter().chain(&new).collect();
        if after.iter().collect::<Vec<_>>() != expected {
            return Err(format!("{} rows before, {} after going on", before.len(), after.len()));
        }
        if !again.clean || again.state.epoch <= state.epoch {
            return Err(format!("closed cleanly, and then {again:?}"));
        }
        Ok(())
    }
}

/// A consumer acknowledges up to the floor.
fn give_up(store: &mut RingStore, state: &mut State) {
    let mut position = Position::from_floor(FLOOR);
    position.acked.insert(FLOOR + 3, FLOOR + 4);
    let mut lane = state.lane[0];
    lane.floor = FLOOR;
    let changes = [
        Change::Position { consumer: HUB.into(), lane: LANE, position },
        Change::Lane { lane: LANE, state: lane },
    ];
    changes.iter().for_each(|change| state.apply(change));
    store.commit(&changes, state).unwrap();
    store.advance(LANE, &DoneRows::below(FLOOR)).unwrap();
}

/// Reads the headers as `docs/queue-format.md` draws them.
fn frames_of(bytes: &[u8]) -> Vec<Option<RangeInclusive<Seq>>> {
    let pages = bytes.len() / PAGE;
    let mut frames = vec![None; pages];
    for (n, page) in bytes.chunks(PAGE).enumerate().filter(|(_, page)| page.starts_with(b"EDGF")) {
        let u32_at = |at: usize| u32::from_le_bytes(page[at..at + 4].try_into().unwrap());
        let u64_at = |at: usize| u64::from_le_bytes(page[at..at + 8].try_into().unwrap());
        for frame in frames.iter_mut().skip(n).take(u32_at(8) as usize) {
            *frame = Some(u64_at(64)..=u64_at(72));
        }
    }
    frames
}
