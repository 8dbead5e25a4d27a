//! Promise 2 over versions: a ring of format 1, and of format 2 with its key, is read for ever, and one of a later format is refused untouched.
//!
//! `tests/golden/queue-ring-v1.pages` holds every page of such a file that is not zeros: page number (u32), 4 096 bytes.
//! `queue-ring-v2.pages` is the same history, encrypted with ChaCha20-Poly1305, `queue-ring-v2-aes.pages` with AES-256-GCM. Each stays as it is when
//! the format changes; then a fixture of the new version joins it. Only while version 1 has not been released may it be made anew:
//! `EDGE_REGENERATE_GOLDEN=queue-ring-v1.pages cargo test -p edge-queue --test golden`, which prints the new hash. An encrypted one has the
//! algorithm of this processor's new files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::path::PathBuf;
use std::sync::Arc;

use edge_queue::inspect::salvage_encrypted;
use edge_queue::medium::Dir;
use edge_queue::store::{
    Change, GapRecord, LaneState, Options, Position, ReadLimit, Recovered, RingStore, State, Store, StoredRow,
};
use edge_queue::testing::SimDir;
use edge_queue::{Config, Expiry, Key, Lane, ManualClock, Now, OpenError, Queue, Reason, Seq, Stamp};

const FILE: &str = "queue.ring";
const PAGE: usize = 4096;
const PLAIN: Fixture = Fixture { name: "queue-ring-v1.pages", encrypted: false, hash: 0x4d26_d524_afe0_f80a };
const CHACHA: Fixture = Fixture { name: "queue-ring-v2.pages", encrypted: true, hash: 0x4657_bd40_bee3_8549 };
const AES: Fixture =
    Fixture { name: "queue-ring-v2-aes.pages", encrypted: true, hash: 0x5404_b354_8b68_7dfa };
/// Two superblocks; two lanes of six segments of 64 KiB.
const FILE_BYTES: usize = 2 * PAGE + 12 * 65_536;

struct Fixture {
    name: &'static str,
    encrypted: bool,
    /// FNV-1a of the file.
    hash: u64,
}

fn options() -> Options {
    Options {
        lanes: 2,
        lane_bytes: [64 * 1024; 4].into(),
        segment_bytes: 64 * 1024,
        row_bytes_max: 8 * 1024,
        gateway: 0x0123_4567_89ab_cdef,
        epoch_step: 1,
    }
}

/// Every field away from its default somewhere.
fn row(lane: Lane, seq: Seq) -> StoredRow {
    let boot_id = if seq < 40 { 7 } else { u128::MAX - 7 };
    StoredRow {
        lane,
        seq,
        epoch: 1,
        stamp: Stamp {
            boot_id,
            up_ms: seq * 33,
            wall_ms: 1_700_000_000_000 - seq as i64,
            synced: seq.is_multiple_of(2),
        },
        ttl_ms: seq.is_multiple_of(3).then_some(seq * 1_000),
        expiry: if seq.is_multiple_of(5) { Expiry::Strict } else { Expiry::Lenient },
        weight: if seq.is_multiple_of(7) { 3 } else { 1 },
        key: if seq.is_multiple_of(4) { "site/a".into() } else { "".into() },
        meta: "plant/line2/temp".into(),
        payload: vec![seq as u8; if seq == 60 { 6_000 } else { 20 + seq as usize }].into(),
    }
}

/// The rows that are not done, and the bookkeeping.
fn expected() -> (Vec<StoredRow>, State) {
    let mut state = State::new(options().gateway, 2);
    history(&mut |_, _, _| {}, &mut state);
    let elided = |seq: &Seq| !(20..25).contains(seq);
    let rows =
        (1..=5).map(|seq| row(Lane(0), seq)).chain((10..=80).filter(elided).map(|seq| row(Lane(1), seq)));
    (rows.collect(), state)
}

type Commit<'a> = &'a mut dyn FnMut(&[StoredRow], &[Change], &State);

/// Small commits that grow, a hole of elided rows, a frame of several pages, acknowledgements, a loss, a forgotten consumer,
/// a clean close.
fn history(commit: Commit<'_>, state: &mut State) {
    let mut step = |rows: Vec<StoredRow>, mut changes: Vec<Change>| {
        for lane in [Lane(0), Lane(1)] {
            let of_lane = || rows.iter().filter(|row| row.lane == lane);
            if let Some(last) = of_lane().next_back() {
                let mut figures: LaneState = state.lane[usize::from(lane.0)];
                figures.next = last.seq + 1;
                figures.rows += of_lane().count() as u64;
                figures.weight += of_lane().map(|row| u64::from(row.weight)).sum::<u64>();
                figures.bytes += of_lane().map(StoredRow::bytes).sum::<u64>();
                changes.push(Change::Lane { lane, state: figures });
            }
        }
        changes.iter().for_each(|change| state.apply(change));
        commit(&rows, &changes, state);
    };
    let rows = |lane: u8, seqs: std::ops::RangeInclusive<Seq>| seqs.map(move |seq| row(Lane(lane), seq));
    let position =
        |consumer: &str, position| Change::Position { consumer: consumer.into(), lane: Lane(1), position };
    step(rows(1, 1..=1).collect(), vec![position("hub", Position::default())]);
    step(rows(1, 2..=4).collect(), vec![position("gone", Position::default())]);
    step(rows(0, 1..=5).chain(rows(1, 5..=19)).collect(), vec![]);
    step(rows(1, 25..=59).collect(), vec![Change::Forget { consumer: "gone".into() }]);
    step(rows(1, 60..=80).collect(), vec![]);
    let mut gap = GapRecord::new(3, 4, 2, Reason::Overflow);
    (gap.first_ms, gap.last_ms) = (-5, 1_700_000_000_000);
    let mut done = Position::from_floor(10);
    (done.accepted, done.delivered, done.queued_bytes) = (100, 9, 8_000);
    done.gaps.push(gap);
    done.acked.insert(12, 14);
    done.acked.insert(70, 70);
    done.dropped.add(Reason::Overflow, 2);
    let mut lane = LaneState::default();
    (lane.next, lane.floor, lane.recount_due) = (81, 10, true);
    (lane.rows, lane.weight, lane.bytes) = (62, 80, 9_000);
    step(vec![], vec![position("hub", done), Change::Lane { lane: Lane(1), state: lane }]);
    step(vec![], vec![Change::Closed]);
}

fn key() -> Key {
    Key::new(std::array::from_fn(|n| n as u8))
}

fn open(dir: &SimDir, encrypted: bool) -> (RingStore, Recovered) {
    let dir = Box::new(dir.clone());
    match encrypted {
        true => RingStore::open_encrypted(dir, &options(), &key()).unwrap(),
        false => RingStore::open(dir, &options()).unwrap(),
    }
}

fn written_now(encrypted: bool) -> Vec<u8> {
    let dir = SimDir::new();
    let (mut store, found) = open(&dir, encrypted);
    let mut state = found.state;
    history(
        &mut |rows, changes, state| {
            for lane in rows.chunk_by(|a, b| a.lane == b.lane) {
                store.append(lane).unwrap();
            }
            store.commit(changes, state).unwrap();
        },
        &mut state,
    );
    drop(store);
    dir.content(FILE).unwrap()
}

impl Fixture {
    fn path(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(self.name)
    }
}

fn pack(image: &[u8]) -> Vec<u8> {
    let pages = (0u32..).zip(image.chunks(PAGE)).filter(|(_, page)| page.iter().any(|b| *b != 0));
    pages.flat_map(|(n, page)| [&n.to_le_bytes()[..], page].concat()).collect()
}

fn content(fixture: &Fixture) -> Vec<u8> {
    if std::env::var_os("EDGE_REGENERATE_GOLDEN").is_some_and(|name| name == fixture.name) {
        let packed = pack(&written_now(fixture.encrypted));
        std::fs::write(fixture.path(), &packed).unwrap();
        println!("{}: {:#x}", fixture.name, hash(&packed));
    }
    let packed = std::fs::read(fixture.path()).unwrap();
    assert_eq!(hash(&packed), fixture.hash, "the fixture was changed");
    let mut image = vec![0; FILE_BYTES];
    for piece in packed.chunks(4 + PAGE) {
        let at = u32::from_le_bytes(piece[..4].try_into().unwrap()) as usize * PAGE;
        image[at..at + PAGE].copy_from_slice(&piece[4..]);
    }
    image
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

fn copy_of(image: &[u8]) -> SimDir {
    let dir = SimDir::new();
    let mut file = dir.create(FILE).unwrap();
    file.write_at(0, image).unwrap();
    file.sync().unwrap();
    dir.sync().unwrap();
    dir
}

#[test]
fn a_ring_of_version_1_is_read_for_ever() {
    is_read(&PLAIN);
}

#[test]
fn an_encrypted_ring_of_version_2_is_read_for_ever_and_goes_on() {
    for fixture in [CHACHA, AES] {
        is_read(&fixture);
        goes_on(&fixture);
    }
}

/// Writes to a copy, which keeps its algorithm whatever new files have here, opens it again, and salvages it without its superblocks.
fn goes_on(fixture: &Fixture) {
    let dir = copy_of(&content(fixture));
    let (mut store, found) = open(&dir, true);
    let mut state = found.state;
    let new = StoredRow { epoch: state.epoch, ..row(Lane(0), state.lane[0].next) };
    state.lane[0].next += 1;
    store.append(std::slice::from_ref(&new)).unwrap();
    store.commit(&[Change::Lane { lane: Lane(0), state: state.lane[0] }], &state).unwrap();
    drop(store);
    let (mut store, found) = open(&dir, true);
    assert!(found.damage.is_empty(), "{found:?}");
    let read = store.read(Lane(0), new.seq, ReadLimit { rows: 1, bytes: 1 << 20 }).unwrap();
    assert_eq!(read.rows, [new], "{}", fixture.name);
    drop(store);
    // Without any check value: of superblocks and of snapshots.
    let image = dir.content(FILE).unwrap();
    let is_snapshot = |page: &[u8]| page.starts_with(b"EDGF") && page[5] == 1;
    let known = |n: &usize| *n < 2 || is_snapshot(&image[n * PAGE..][..PAGE]);
    for page in (0..image.len() / PAGE).filter(known) {
        assert!(dir.damage(FILE, (page * PAGE) as u64, &[0x33; 600]));
    }
    let mut export = Vec::new();
    let salvaged = salvage_encrypted(Box::new(dir), &key(), &mut export).unwrap();
    assert!(salvaged.searched && salvaged.exported.rows() > 60, "{}: {salvaged:?}", fixture.name);
}

fn is_read(fixture: &Fixture) {
    let (rows, mut state) = expected();
    let (mut store, found) = open(&copy_of(&content(fixture)), fixture.encrypted);
    assert!(found.clean && !found.tail_uncertain && found.damage.is_empty(), "{found:?}");
    assert_eq!(found.highest_seq, [5, 80].into());
    // One open made the file, this is the second.
    state.epoch = found.state.epoch;
    assert_eq!((found.state.epoch, &found.state), (2, &state));
    let mut read = Vec::new();
    for (lane, from) in [(Lane(0), 1), (Lane(1), 10)] {
        let mut next = Some(from);
        while let Some(at) = next {
            let chunk = store.read(lane, at, ReadLimit { rows: 16, bytes: 1 << 20 }).unwrap();
            assert!(chunk.lost.is_empty());
            read.extend(chunk.rows);
            next = chunk.next;
        }
    }
    assert_eq!(read, rows);
}

/// While version 1 is the one that is written. A difference is a change of the format, or of what is written for the same
/// calls; the first needs a new version.
#[test]
fn what_is_written_now_is_version_1_byte_for_byte() {
    let (now, then) = (written_now(false), content(&PLAIN));
    assert_eq!(now.len(), then.len());
    let differs = now.chunks(PAGE).zip(then.chunks(PAGE)).position(|(a, b)| a != b);
    assert_eq!(differs, None, "first page that differs");
}

#[test]
fn a_newer_format_is_refused_and_left_untouched() {
    for copies in [&[0, PAGE][..], &[0], &[PAGE]] {
        let mut image = content(&PLAIN);
        for at in copies {
            let sector = &mut image[*at..*at + 512];
            sector[8..10].copy_from_slice(&3u16.to_le_bytes());
            let crc = crc32c(&sector[..508]);
            sector[508..].copy_from_slice(&crc.to_le_bytes());
        }
        let dir = copy_of(&image);
        let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, ..Now::default() }));
        let refused = Queue::open_in(Box::new(dir.clone()), Config::default(), clock).map(drop);
        assert!(matches!(refused, Err(OpenError::NewerFormat { found: 3, known: 2 })), "{refused:?}");
        assert_eq!(dir.names().iter().filter(|name| *name != "lock").collect::<Vec<_>>(), [FILE]);
        assert!(dir.content(FILE).unwrap() == image, "a refused file was written to");
    }
}

/// Bit by bit, apart from the library the store uses.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(crc & 1)))
    })
}
