//! Promise 2 on the ring: every byte of the store may be wrong; open never fails for it, and only the touched frame is
//! lost, counted exactly after a clean stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::collections::BTreeSet;

use edge_queue::store::{Options, ReadLimit, Recovered, RingStore, Store};
use edge_queue::testing::{SimDir, budget_percent};
use edge_queue::{Change, Lane, LaneState, Position, Seq, Stamp, State, StoredRow};

const FILE: &str = "queue.ring";
const LANE: Lane = Lane(0);
/// Two superblock pages come before the first segment.
const SEGMENTS_AT: usize = 8192;

fn options() -> Options {
    Options {
        lanes: 1,
        lane_bytes: [64 * 1024; 4],
        segment_bytes: 64 * 1024,
        row_bytes_max: 8 * 1024,
        gateway: 0x1d,
    }
}

fn open(dir: &SimDir) -> (RingStore, Recovered) {
    RingStore::open(Box::new(dir.clone()), &options()).expect("open never fails for damage")
}

fn row(seq: Seq, payload: Vec<u8>) -> StoredRow {
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

fn plain(seq: Seq) -> StoredRow {
    row(seq, vec![seq as u8; 180])
}

/// Commits of these sizes, then a clean close: small ones that grow, padded ones, one of several pages.
fn small_store(dir: &SimDir, state: &mut State) -> Seq {
    let (mut store, recovered) = open(dir);
    *state = recovered.state;
    let mut next = 1;
    for size in [1, 1, 1, 30, 2, 1, 12, 60, 1] {
        let rows: Vec<_> = (next..next + size).map(plain).collect();
        next += size;
        commit(&mut store, state, &rows);
    }
    store.commit(&[Change::Closed], state).unwrap();
    next - 1
}

fn commit(store: &mut RingStore, state: &mut State, rows: &[StoredRow]) {
    let change =
        Change::Lane { lane: LANE, state: LaneState { next: rows.last().unwrap().seq + 1, ..state.lane[0] } };
    state.apply(&change);
    store.append(rows).unwrap();
    store.commit(&[change], state).unwrap();
}

/// Rows and the number reported as lost.
fn read(store: &mut RingStore) -> (Vec<StoredRow>, u64, u64) {
    let (mut rows, mut lost, mut weight, mut from) = (Vec::new(), 0, 0, 1);
    loop {
        let chunk = store.read(LANE, from, ReadLimit { rows: 7, bytes: 1 << 20 }).unwrap();
        rows.extend(chunk.rows);
        lost += chunk.lost.iter().map(|l| l.rows).sum::<u64>();
        weight += chunk.lost.iter().map(|l| l.weight).sum::<u64>();
        match chunk.next {
            Some(next) => from = next,
            None => return (rows, lost, weight),
        }
    }
}

fn copy_of(image: &[u8]) -> SimDir {
    use edge_queue::medium::Dir;
    let dir = SimDir::new();
    let mut file = dir.create(FILE).unwrap();
    file.write_at(0, image).unwrap();
    file.sync().unwrap();
    dir.sync().unwrap();
    dir
}

fn image_of_small_store() -> (Vec<u8>, Seq) {
    let (dir, mut state) = (SimDir::new(), State::new(0, 1));
    let count = small_store(&dir, &mut state);
    (dir.content(FILE).unwrap(), count)
}

#[test]
fn any_wrong_byte_costs_its_frame_and_nothing_else() {
    let (image, count) = image_of_small_store();
    let used = image.len() - image.iter().rev().take_while(|b| **b == 0).count();
    let used = used.next_multiple_of(4096);
    let step = (100 / budget_percent().max(1)).max(1) as usize;
    let mut cases = 0;
    for at in (0..used).step_by(step) {
        for value in [0, image[at] ^ 0xff] {
            if value == image[at] {
                continue;
            }
            let mut bad = image.clone();
            bad[at] = value;
            let (mut store, recovered) = open(&copy_of(&bad));
            let (rows, lost, weight) = read(&mut store);
            assert!(rows.iter().all(|r| *r == plain(r.seq)), "byte {at}: a wrong row");
            assert!(rows.windows(2).all(|w| w[0].seq < w[1].seq), "byte {at}: order");
            let missing = count - rows.len() as u64;
            assert!(missing <= 60, "byte {at}: {missing} rows of other frames are gone");
            if recovered.clean {
                assert_eq!((lost, weight), (missing, 2 * missing), "byte {at}");
            } else {
                // Only the frame with the close mark, and what grew into it, can make the stop look unclean.
                assert!(missing <= 1, "byte {at}: {missing} missing, {recovered:?}");
            }
            cases += 1;
        }
    }
    println!("executed ring.wrong_bytes: {cases} cases");
}

#[test]
fn any_wrong_page_costs_its_frames_and_goes_to_bad() {
    let (image, count) = image_of_small_store();
    let (mut kept, mut set_aside) = (BTreeSet::new(), 0);
    for page in 0..40 {
        for fill in [0x00, 0xff, 0x5a] {
            let mut bad = image.clone();
            bad[page * 4096..(page + 1) * 4096].fill(fill);
            let dir = copy_of(&bad);
            let (mut store, recovered) = open(&dir);
            let (rows, lost, _) = read(&mut store);
            let missing = count - rows.len() as u64;
            if recovered.clean {
                assert_eq!(lost, missing, "page {page}");
            }
            if lost > 0 {
                assert!(dir.names().iter().any(|name| name.starts_with("bad/")), "page {page}");
                set_aside += 1;
            }
            assert!(missing <= 60, "page {page}: {missing}");
            kept.insert(missing);
        }
    }
    assert!(set_aside > 10 && kept.len() > 3, "{set_aside} set aside, missing {kept:?}");
}

#[test]
fn a_file_cut_anywhere_opens_and_keeps_what_lies_before_the_cut() {
    let (image, count) = image_of_small_store();
    let mut last = 0;
    for cut in (0..image.len().min(160 * 1024)).step_by(1024) {
        let dir = copy_of(&image[..cut]);
        let (mut store, recovered) = open(&dir);
        let (rows, _, _) = read(&mut store);
        assert!(rows.iter().all(|r| *r == plain(r.seq)));
        assert!(rows.len() >= last, "cut at {cut}: {} rows, {last} before", rows.len());
        last = rows.len();
        assert!(!recovered.damage.is_empty(), "cut at {cut}");
        // And it goes on.
        let next = recovered.highest_seq[0].max(recovered.state.lane[0].next) + 1;
        let mut state = recovered.state;
        commit(&mut store, &mut state, &[plain(next)]);
        assert_eq!(read(&mut store).0.last().unwrap().seq, next, "cut at {cut}");
    }
    assert_eq!(last as u64, count);
}

#[test]
fn without_superblocks_the_ring_is_found_again_and_with_nothing_left_it_starts_anew() {
    let (image, count) = image_of_small_store();
    let mut bad = image.clone();
    bad[..SEGMENTS_AT].fill(0x33);
    let dir = copy_of(&bad);
    let (mut store, recovered) = open(&dir);
    assert_eq!(recovered.state.gateway, options().gateway);
    assert!(recovered.state.epoch > 2);
    assert_eq!(read(&mut store).0.len() as u64, count);

    let dir = copy_of(&vec![0x33; image.len()]);
    let (mut store, recovered) = open(&dir);
    assert!(dir.names().contains(&"bad/queue.ring.1".to_owned()), "{:?}", dir.names());
    assert!(!recovered.clean && recovered.damage.len() == 1, "{recovered:?}");
    assert!(read(&mut store).0.is_empty());
}

#[test]
fn a_frame_inside_a_payload_and_frames_of_an_earlier_life_are_never_taken_for_rows() {
    let (image, count) = image_of_small_store();
    // The attacker knows everything: the payload is whole valid frames of this very store, at every alignment.
    let frames = &image[SEGMENTS_AT..SEGMENTS_AT + 6 * 4096];
    let dir = copy_of(&image);
    let (mut store, recovered) = open(&dir);
    let mut state = recovered.state;
    let mut expected = count;
    for shift in [0, 1, 136, 4096 - 136, 4000] {
        for piece in frames[shift..].chunks(7900) {
            expected += 1;
            commit(&mut store, &mut state, &[row(expected, piece.to_vec())]);
        }
    }
    drop(store);
    let mut broken = dir.content(FILE).unwrap();
    let (mut store, _) = open(&copy_of(&broken));
    assert_eq!(read(&mut store).0.len() as u64, expected);
    // With every first page of the new frames broken, what is left are payload pages: none may pass for a frame.
    for page in broken[SEGMENTS_AT..].chunks_mut(4096) {
        if page.starts_with(b"EDGF") && u64::from_le_bytes(page[72..80].try_into().unwrap()) > count {
            page[..64].fill(0);
        }
    }
    let (mut store, _) = open(&copy_of(&broken));
    assert_eq!(read(&mut store).0.iter().map(|r| r.seq).collect::<Vec<_>>(), (1..=count).collect::<Vec<_>>());

    // Pages of the old image planted behind the log's end: the same slot, the same life, but replaced since.
    let mut ghosts = dir.content(FILE).unwrap();
    ghosts[SEGMENTS_AT + 60 * 1024..SEGMENTS_AT + 64 * 1024]
        .copy_from_slice(&image[SEGMENTS_AT + 4096..][..4096]);
    let (mut store, _) = open(&copy_of(&ghosts));
    let rows = read(&mut store).0;
    assert!(rows.windows(2).all(|w| w[0].seq < w[1].seq));
    assert!(rows.iter().filter(|r| r.seq <= count).all(|r| *r == plain(r.seq)));
}

#[test]
fn consumers_survive_the_loss_of_any_page() {
    let (dir, mut state) = (SimDir::new(), State::new(0, 1));
    let (mut store, recovered) = open(&dir);
    state.clone_from(&recovered.state);
    let mut next = 1;
    // Several laps, so that every slot held an earlier life.
    for round in 0..1200 {
        let rows: Vec<_> = (next..next + 5).map(plain).collect();
        next += 5;
        commit(&mut store, &mut state, &rows);
        if round % 3 == 0 {
            let position = Position { floor: next - 3, ..Position::default() };
            let change = Change::Position { consumer: "hub".into(), lane: LANE, position };
            state.apply(&change);
            state.lane[0].floor = next - 3;
            let lane = Change::Lane { lane: LANE, state: state.lane[0] };
            store.commit(&[change, lane], &state).unwrap();
            store.advance(LANE, next - 3).unwrap();
        }
    }
    store.commit(&[Change::Closed], &state).unwrap();
    let image = dir.content(FILE).unwrap();
    for page in 2..image.len() / 4096 {
        let mut bad = image.clone();
        bad[page * 4096..(page + 1) * 4096].fill(0xaa);
        let (_, recovered) = open(&copy_of(&bad));
        assert_eq!(recovered.state.consumers.len(), 1, "page {page}: {:?}", recovered.damage);
    }
}
