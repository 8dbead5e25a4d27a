use super::*;
use crate::row::Lane;
use crate::store::Store;
use crate::store::ring::RingStore;
use crate::store::ring::layout::FILE;
use crate::store::ring::segment::Segment;
use crate::store::ring::test_sectors::Sectors;
use crate::testing::{Call, Fault, FaultError, SimDir, row_at, small_options};

const GEOMETRY: Geometry = Geometry { segment_bytes: 65_536, lanes: 1, segments: [9, 0, 0, 0] };

/// Calls `f` with a writer to this medium.
fn writing<T>(medium: &mut Sectors, f: impl FnOnce(&mut Writer<'_>) -> T) -> T {
    f(&mut Writer {
        medium,
        geometry: &GEOMETRY,
        cipher: None,
        buffers: &mut Buffers::default(),
        durable: &State::new(1, 1),
        ends: &HighWaterMarks::default(),
        gateway: 1,
        epoch: 1,
        commit: 1,
        synced: 0,
        generation: &mut 1,
        written: &mut 0,
        head_pages: &mut 1,
    })
}

fn next_slot(log: &mut LaneLog, medium: &mut Sectors) -> Result<u32, StoreError> {
    writing(medium, |writer| writer.next_slot(log))
}

fn begun(log: &mut LaneLog) {
    let start = Counters { next: 1, ..Counters::default() };
    let segment = Segment { slot: 0, generation: 1, epoch: 1, commit: 1, synced: 0, start };
    log.open_segment(segment, ActiveSegment::new(0, 1, 16, 1));
}

#[test]
fn held_slots_are_released_only_by_a_segment_that_this_commit_began() {
    for (begins, first) in [(false, 4), (true, 3)] {
        let mut medium = Sectors::new(2 + 9 * 16, 0);
        let mut log = LaneLog::new(0);
        log.free.hold(3);
        log.free.hold(4);
        if begins {
            begun(&mut log);
        }
        assert_eq!(next_slot(&mut log, &mut medium).unwrap(), first);
        assert_eq!(log.free.holds(), !begins, "the other one");
        assert_eq!(medium.syncs, u32::from(begins), "the segment is durable before a slot is used again");
    }
}

#[test]
fn a_lane_whose_last_slots_cannot_be_read_is_full_unless_the_medium_is_down() {
    let mut bad = Sectors::new(2 + 9 * 16, 0).with_bad(&[2 + 5 * 16]);
    let mut log = LaneLog::new(0);
    log.free.put_suspect(5);
    begun(&mut log);
    assert!(matches!(next_slot(&mut log, &mut bad), Err(StoreError::Full { .. })));
    bad.bad.extend([0, 1]);
    assert!(matches!(next_slot(&mut log, &mut bad), Err(StoreError::Io { op: "read", .. })));
    assert_eq!(log.free.len(), 1, "it is kept");
}

#[test]
fn changes_go_on_in_the_last_segment_while_they_fit_to_its_last_byte() {
    let write = |len| {
        let (mut log, mut medium) = (LaneLog::new(0), Sectors::new(2 + 9 * 16, 0));
        begun(&mut log);
        log.tail = Some(ActiveSegment::new(0, 1, 16, 14));
        let mut progress = Progress { part: 0, run_page: 0, closed: false, size: len };
        let done =
            writing(&mut medium, |writer| writer.large(&mut log, &vec![0x84; len], &[], &mut progress));
        (done.is_ok(), medium.written)
    };
    let whole = crate::store::ring::layout::room_of(2);
    assert_eq!(write(whole), (true, 2 * PAGE));
    assert_eq!(write(whole + 1), (false, 0), "there is no other");
}

/// Else what is left of that commit would pass for damage to what somebody got a receipt for.
#[test]
fn no_frame_says_that_a_commit_was_synced_whose_sync_failed() {
    let dir = SimDir::new();
    let (mut store, found) = RingStore::open(Box::new(dir.clone()), &small_options()).unwrap();
    let mut commit = |seq| {
        store.append(&[row_at(Lane(0), seq, found.state.epoch)])?;
        store.commit(&[], &found.state)
    };
    commit(1).unwrap();
    dir.fail(Fault { call: Call::Sync, after: 0, error: FaultError::Io, sticky: false });
    assert!(commit(2).is_err());
    commit(2).unwrap();
    let bytes = dir.content(FILE).unwrap();
    let heads: Vec<Head> = bytes.chunks(PAGE).filter_map(Head::decode).collect();
    let newest = heads.iter().map(|head| (head.commit, head.synced)).max();
    assert_eq!(newest, Some((3, 1)), "the second failed");
}
