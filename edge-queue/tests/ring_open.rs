//! Opening a ring whose file cannot be opened, is cut, has lost pages, or is to hold fewer lanes or other limits: nothing is
//! made anew over what is there, the bookkeeping comes from what can be read, and what is gone is told once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/bad_sectors.rs"]
mod bad_sectors;
#[path = "common/ring_image.rs"]
mod ring_image;

use edge_queue::store::{
    Change, DoneRows, Options, Position, ReadLimit, Recovered, RingStore, Store, StoredRow,
};
use edge_queue::testing::{Call, Fault, FaultError, SimDir, row_at};
use edge_queue::{Lane, OpenError};

use bad_sectors::BadSectors;
use ring_image::{
    FILE, FILE_BYTES, Image, LANE, PAGE, SEGMENT, SEGMENTS_AT, commit, open, options, plain, read,
};

fn try_open(dir: &SimDir, options: &Options) -> Result<(RingStore, Recovered), OpenError> {
    RingStore::open(Box::new(dir.clone()), options)
}

fn failing(call: Call, error: FaultError) -> Fault {
    Fault { call, after: 0, error, sticky: true }
}

/// Pages that begin a segment, and the commit of each, newest first.
fn heads(image: &Image) -> Vec<usize> {
    heads_in(&image.bytes)
}

fn heads_in(bytes: &[u8]) -> Vec<usize> {
    let number =
        |page: usize, at: usize| u64::from_le_bytes(bytes[page * PAGE + at..][..8].try_into().unwrap());
    let first = (SEGMENTS_AT..FILE_BYTES).step_by(SEGMENT).map(|at| at / PAGE);
    let mut heads: Vec<usize> = first.filter(|page| bytes[page * PAGE..].starts_with(b"EDGF")).collect();
    heads.sort_by_key(|page| std::cmp::Reverse(number(*page, 40)));
    heads
}

/// Place of the image's consumer.
fn floor(found: &Recovered) -> Option<u64> {
    found.state.consumers.first().map(|hub| hub.lanes[0].floor)
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_and_is_not_replaced() {
    let image = Image::new(true);
    let dir = image.copy();
    dir.fail(failing(Call::Open, FaultError::Io));
    assert!(matches!(try_open(&dir, &options()).map(drop), Err(OpenError::Io { op: "open", .. })));
    dir.heal();
    assert!(dir.content(FILE).unwrap() == image.bytes && dir.names() == [FILE]);
}

#[test]
fn a_disk_that_turns_out_full_while_the_file_is_made_is_told_as_one() {
    let dir = SimDir::new();
    dir.fail(failing(Call::Allocate, FaultError::NoSpace));
    let Err(OpenError::NoSpace { needed, .. }) = try_open(&dir, &options()).map(drop) else {
        panic!("another error")
    };
    assert_eq!(needed, FILE_BYTES as u64);
    assert!(dir.names().is_empty());
}

#[test]
fn a_ring_takes_all_the_space_that_is_left_and_not_a_byte_more() {
    for (missing, fits) in [(0, true), (1, false)] {
        let dir = SimDir::new();
        dir.set_capacity(FILE_BYTES as u64 - missing);
        assert_eq!(try_open(&dir, &options()).is_ok(), fits, "{missing} bytes are missing");
    }
}

#[test]
fn a_cut_file_is_mended_where_it_is() {
    let image = Image::new(true);
    let dir = image.cut(SEGMENTS_AT + SEGMENT + SEGMENT / 2);
    dir.fail(failing(Call::Rename, FaultError::Io));
    let (_, found) = open(&dir);
    assert_eq!(found.limits_kept, None);
    assert_eq!(dir.content(FILE).unwrap().len(), FILE_BYTES);
}

#[test]
fn either_superblock_may_be_damaged_and_it_is_told_once() {
    let image = Image::new(true);
    let epoch = open(&image.copy()).1.state.epoch;
    for at in [0, PAGE] {
        let dir = image.with(at + 20, &[0x33; 4]);
        let (_, found) = open(&dir);
        assert_eq!(found.damage, ["one of the two superblocks is damaged"]);
        assert!(found.state.epoch > epoch, "the damaged one may have been newer");
        assert_eq!(open(&dir).1.damage, [""; 0]);
    }
}

#[test]
fn without_a_snapshot_the_bookkeeping_is_made_of_changes() {
    let image = Image::new(false);
    let (dir, kept) = (image.copy(), floor(&open(&image.copy()).1));
    assert!(kept.is_some() && heads(&image).len() > 1);
    for page in heads(&image) {
        assert!(dir.damage(FILE, (page * PAGE + 200) as u64, &[0x5a; 8]));
    }
    assert_eq!(floor(&open(&dir).1), kept);
}

#[test]
fn no_snapshot_of_another_segment_is_taken_for_a_newer_one() {
    let image = Image::new(false);
    let heads = heads(&image);
    let (newest, oldest) = (heads[0], heads[heads.len() - 1]);
    let kept = floor(&open(&image.copy()).1);
    let dir = image.with(newest * PAGE, &image.bytes[oldest * PAGE..][..PAGE]);
    assert_eq!(floor(&open(&dir).1), kept);
}

#[test]
fn damage_at_a_segments_start_is_told_in_one_line_of_its_own() {
    let image = Image::new(true);
    let heads = heads(&image);
    for (nth, page) in heads.iter().enumerate() {
        let slot = (page * PAGE - SEGMENTS_AT) / SEGMENT;
        let of_newest = format!("the bookkeeping at the start of segment {slot} is damaged");
        let of_another = format!("lane 0: the header of segment {slot} is damaged");
        let told = open(&image.with(page * PAGE + 10, &[0x5a; 8])).1.damage;
        assert_eq!(told, [if nth == 0 { of_newest } else { of_another }]);
    }
}

#[test]
fn a_last_segment_of_which_every_body_is_damaged_is_a_loss_and_not_a_commit_never_begun() {
    let image = Image::new(false);
    let (dir, newest) = (image.copy(), heads(&image)[0]);
    for page in newest..newest + SEGMENT / PAGE {
        assert!(dir.damage(FILE, (page * PAGE + 200) as u64, &[0x5a; 8]));
    }
    let (mut store, found) = open(&dir);
    let (rows, lost, _) = read(&mut store);
    assert!(rows.len() < image.rows.len() - 10, "{}", rows.len());
    // The last commit had one row, and nothing says that it was synced.
    assert_eq!(rows.len() as u64 + lost, image.rows.len() as u64 - 1, "{found:?}");
}

#[test]
fn a_kill_after_many_laps_finds_the_bookkeeping_of_its_own_run() {
    let dir = SimDir::new();
    let position = |floor| Change::Position {
        consumer: "hub".into(),
        lane: LANE,
        position: Position::from_floor(floor),
    };
    let mut next = 1;
    for (floor, closes) in [(5, true), (50, false)] {
        let (mut store, found) = open(&dir);
        let mut state = found.state;
        commit(&mut store, &mut state, &(next..next + 60).map(plain).collect::<Vec<_>>());
        next += 60;
        state.apply(&position(floor));
        store.commit(&[position(floor)], &state).unwrap();
        if closes {
            store.commit(&[Change::Closed], &state).unwrap();
            continue;
        }
        // Every segment of the change is written over; the snapshots have it.
        for _ in 0..100 {
            commit(&mut store, &mut state, &(next..next + 60).map(plain).collect::<Vec<_>>());
            next += 60;
            store.advance(LANE, &DoneRows::below(next - 30)).unwrap();
        }
    }
    assert_eq!(floor(&open(&dir).1), Some(50));
}

#[test]
fn every_row_can_be_read_from_and_no_read_gives_more_rows_than_it_may() {
    let image = Image::new(true);
    let (mut store, _) = open(&image.copy());
    for row in &image.rows {
        for rows in [1, 3] {
            let chunk = store.read(LANE, row.seq, ReadLimit { rows, bytes: 1 << 20 }).unwrap();
            assert_eq!(chunk.rows.first(), Some(row));
            assert_eq!(chunk.rows.len(), rows.min((image.last_seq() + 1 - row.seq) as usize));
        }
    }
}

fn two_lanes(lane_bytes: u64) -> Options {
    Options { lanes: 2, lane_bytes: [lane_bytes; 4].into(), ..options() }
}

#[test]
fn rows_of_several_lanes_may_be_appended_in_any_order() {
    let (mut store, found) = try_open(&SimDir::new(), &two_lanes(32 * 1024)).unwrap();
    let rows: Vec<StoredRow> = (1..=9).map(|seq| row_at(Lane(u8::from(seq % 2 == 0)), seq, 1)).collect();
    store.append(&rows).unwrap();
    store.commit(&[], &found.state).unwrap();
    for lane in [Lane(0), Lane(1)] {
        let chunk = store.read(lane, 1, ReadLimit { rows: 99, bytes: 1 << 20 }).unwrap();
        assert!(chunk.rows.iter().eq(rows.iter().filter(|row| row.lane == lane)));
    }
}

#[test]
fn an_open_refused_for_rows_in_a_lane_that_goes_away_leaves_no_trace_not_even_of_damage() {
    let dir = SimDir::new();
    let (mut store, found) = try_open(&dir, &two_lanes(32 * 1024)).unwrap();
    let mut state = found.state;
    for seq in 1..=30 {
        store.append(&[row_at(Lane(1), seq, 1)]).unwrap();
        state.lane[1].next = seq + 1;
        store.commit(&[Change::Lane { lane: Lane(1), state: state.lane[1] }], &state).unwrap();
    }
    drop(store);
    let bytes = dir.content(FILE).unwrap();
    let is_frame = |page: &[u8]| page.starts_with(b"EDGF") && page[5] == 2 && page[6] == 1;
    let page = bytes.chunks(PAGE).position(is_frame).unwrap();
    assert!(dir.damage(FILE, (page * PAGE + 200) as u64, &[0x5a; 8]));
    let before = dir.content(FILE).unwrap();
    let refused = try_open(&dir, &options()).map(drop);
    assert!(matches!(refused, Err(OpenError::Config(_))), "{refused:?}");
    assert!(dir.content(FILE).unwrap() == before && dir.names() == [FILE], "{:?}", dir.names());
}

#[test]
fn a_new_lane_needs_a_new_file_and_without_one_the_open_fails() {
    // More waits than the changed limit holds.
    let dir = SimDir::new();
    let roomy = Options { lane_bytes: [256 * 1024; 4].into(), ..options() };
    let (mut store, found) = try_open(&dir, &roomy).unwrap();
    let mut state = found.state;
    state.lane[0].bytes = 16 * 1024 + 1;
    commit(&mut store, &mut state, &(1..60).map(plain).collect::<Vec<_>>());
    drop(store);
    let refused = try_open(&dir, &two_lanes(16 * 1024)).map(drop);
    assert!(matches!(&refused, Err(OpenError::Config(e)) if e.key == "max_bytes"), "{refused:?}");
    let (_, found) = try_open(&dir, &Options { lane_bytes: [16 * 1024; 4].into(), ..options() }).unwrap();
    assert!(found.limits_kept.is_some_and(|why| why.contains("lane 0")));
    // There is no space for a second file: nothing was written, so that the next open finds what this one found.
    let image = Image::new(false);
    let dir = image.copy();
    dir.set_capacity(dir.allocated_bytes());
    let refused = try_open(&dir, &two_lanes(64 * 1024)).map(drop);
    assert!(matches!(refused, Err(OpenError::NoSpace { .. })), "{refused:?}");
    assert!(dir.content(FILE).unwrap() == image.bytes && dir.names() == [FILE]);
    // The new file cannot be made.
    let image = Image::new(true);
    let dir = image.copy();
    dir.fail(failing(Call::Create, FaultError::Io));
    let refused = try_open(&dir, &two_lanes(64 * 1024)).map(drop);
    assert!(matches!(refused, Err(OpenError::Io { .. })), "{refused:?}");
    dir.heal();
    let (mut store, _) = try_open(&dir, &two_lanes(64 * 1024)).unwrap();
    assert!(read(&mut store).0.last() == image.rows.last());
}

#[test]
fn what_is_known_of_lanes_that_the_file_does_not_have_is_kept() {
    let dir = SimDir::new();
    let (mut store, found) = open(&dir);
    let mut state = found.state;
    commit(&mut store, &mut state, &[plain(1)]);
    for lane in 1..4 {
        state.lane[usize::from(lane)].next = 70 + u64::from(lane);
        let change = Change::Lane { lane: Lane(lane), state: state.lane[usize::from(lane)] };
        store.commit(&[change], &state).unwrap();
    }
    drop(store);
    assert_eq!(open(&dir).1.state.lane, state.lane);
}

#[test]
fn a_kill_between_commits_leaves_nothing_uncertain() {
    let (_, found) = open(&Image::new(false).copy());
    assert!(!found.clean && !found.tail_uncertain && found.damage.is_empty(), "{found:?}");
}

#[test]
fn bytes_written_and_syncs_are_those_of_the_medium() {
    let dir = SimDir::new();
    let (mut store, found) = open(&dir);
    let (mut state, before) = (found.state, dir.counters());
    let mut next = 1;
    for count in [1, 1, 40, 100, 1, 1] {
        store.prepare().unwrap();
        commit(&mut store, &mut state, &(next..next + count).map(plain).collect::<Vec<_>>());
        next += count;
    }
    store.commit(&[Change::Closed], &state).unwrap();
    let (told, found) = (store.stats(), dir.counters());
    assert_eq!(told.bytes_written, found.bytes_written - before.bytes_written);
    assert_eq!(told.syncs, found.syncs - before.syncs);
}

/// A disk that does not return the pages of some slots, given by their first pages.
fn without_slots(dir: &SimDir, slots: impl IntoIterator<Item = usize>) -> BadSectors {
    let disk = BadSectors::over(dir.clone());
    let pages = slots.into_iter().flat_map(|first| first as u64..(first + SEGMENT / PAGE) as u64);
    disk.bad.lock().unwrap().extend(pages);
    disk
}

#[test]
fn a_lane_whose_free_slots_cannot_be_read_goes_on_in_them() {
    let image = Image::new(true);
    let heads = heads(&image);
    let free = (SEGMENTS_AT..FILE_BYTES).step_by(SEGMENT).map(|at| at / PAGE);
    let disk = without_slots(&image.copy(), free.filter(|page| !heads.contains(page)));
    let (mut store, found) = RingStore::open(Box::new(disk), &options()).unwrap();
    let mut state = found.state;
    for next in (found.highest_seq[0] + 1..).step_by(14).take(100) {
        commit(&mut store, &mut state, &(next..next + 14).map(plain).collect::<Vec<_>>());
        store.advance(LANE, &DoneRows::below(next)).unwrap();
    }
}

#[test]
fn a_lane_goes_on_behind_a_segment_that_could_not_be_read() {
    // With two free slots, the reserve, and with slots before it that are free.
    for frees in [false, true] {
        let image = Image::new(true);
        let (dir, mut next) = (image.copy(), image.last_seq() + 1);
        let (mut store, found) = open(&dir);
        let mut state = found.state;
        while heads_in(&dir.content(FILE).unwrap()).len() < 3 {
            commit(&mut store, &mut state, &[plain(next)]);
            next += 1;
        }
        let floor = if frees { next - 1 } else { image.rows[0].seq };
        if frees {
            state.consumers[0].lanes[0] = Position::from_floor(floor);
            let position = state.consumers[0].lanes[0].clone();
            let consumer = state.consumers[0].name.clone();
            store.commit(&[Change::Position { consumer, lane: LANE, position }], &state).unwrap();
            store.advance(LANE, &DoneRows::below(floor)).unwrap();
        }
        store.commit(&[Change::Closed], &state).unwrap();
        drop(store);
        let disk = without_slots(&dir, [heads_in(&dir.content(FILE).unwrap())[0]]);
        let (mut store, found) = RingStore::open(Box::new(disk), &options()).unwrap();
        let mut state = found.state;
        commit(&mut store, &mut state, &[plain(next)]);
        store.commit(&[Change::Closed], &state).unwrap();
        drop(store);
        let (mut store, found) = open(&dir);
        // The bookkeeping is that of the later run.
        assert_eq!(found.state.lane[0].next, next + 1);
        let (mut rows, lost, _) = read(&mut store);
        rows.retain(|row| row.seq >= floor);
        let seqs: Vec<_> = rows.iter().map(|row| row.seq).collect();
        assert!(seqs.iter().copied().eq(floor..=next) && lost == 0, "{seqs:?} from {floor} on, {lost} lost");
    }
}

#[test]
fn a_page_that_cannot_be_read_is_told_of_a_file_that_was_cut_too() {
    let image = Image::new(true);
    let dir = image.cut(FILE_BYTES - SEGMENT / 2);
    let disk = BadSectors::over(dir);
    disk.bad.lock().unwrap().insert(heads(&image)[0] as u64);
    let (_, found) = RingStore::open(Box::new(disk), &options()).unwrap();
    let told = |words| found.damage.iter().any(|what| what.contains(words));
    assert!(told("was cut short") && told("pages could not be read"), "{:?}", found.damage);
}
