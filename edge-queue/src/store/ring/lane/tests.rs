use super::*;
use crate::planted_flaw::Flaw;
use crate::store::ring::encryption::EXTRA;

fn segment(slot: u32, rows: u64) -> Segment {
    let start = Counters { next: rows + 1, rows, weight: rows, highest: rows };
    Segment { slot, generation: u64::from(slot) + 1, epoch: 1, commit: 1, synced: 0, start }
}

fn lane() -> LaneLog {
    let mut lane = LaneLog::new(0);
    lane.segments = vec![segment(0, 0), segment(1, 10), segment(2, 10), segment(3, 20)];
    lane.counters = Counters { next: 31, rows: 30, weight: 30, highest: 30 };
    lane
}

#[test]
fn segments_are_freed_when_every_row_is_below_the_floor_or_they_have_none() {
    let mut lane = lane();
    lane.advance(&DoneRows::below(10));
    // Slot 1 begins and ends at row 10: it holds none. Slot 0 still holds row 10.
    assert_eq!(lane.segments.iter().map(|s| s.slot).collect::<Vec<_>>(), [0, 2, 3]);
    lane.advance(&DoneRows::below(11));
    assert_eq!(lane.segments.iter().map(|s| s.slot).collect::<Vec<_>>(), [2, 3]);
    lane.advance(&DoneRows::below(1000));
    assert_eq!(lane.segments.iter().map(|s| s.slot).collect::<Vec<_>>(), [3]);
    assert_eq!(lane.free.len(), 3);
}

/// A lane's rows are told to be done by a commit, and the commit before may be told later.
#[test]
fn rows_that_are_done_are_done_for_good() {
    let mut lane = lane();
    lane.advance(&DoneRows::below(11));
    lane.advance(&DoneRows::below(5));
    assert_eq!(lane.done.floor(), 11);
}

#[test]
fn a_failed_commit_leaves_the_log_where_it_was() {
    let mut lane = lane();
    let before = lane.counters;
    lane.begin();
    lane.open_segment(segment(9, 30), ActiveSegment::new(9, 99, 16, 1));
    lane.counters.next = 77;
    lane.abandon();
    assert_eq!(lane.counters, before);
    assert_eq!(lane.segments.len(), 4);
    assert!(lane.tail.is_none());
    assert_eq!(lane.free.take(|_| false), None, "not before it was read");
    assert_eq!(lane.free.take(|_| true), Some(9));
}

/// Of a commit that failed after its first segment was relied on.
fn fail_behind_a_relied_on_segment(lane: &mut LaneLog) {
    lane.begin();
    lane.open_segment(segment(8, 30), ActiveSegment::new(8, 98, 16, 1));
    lane.release_held();
    lane.open_segment(segment(9, 30), ActiveSegment::new(9, 99, 16, 1));
    lane.abandon();
}

#[test]
fn no_slot_of_a_failed_write_is_used_before_it_was_read() {
    let mut lane = lane();
    fail_behind_a_relied_on_segment(&mut lane);
    assert_eq!(lane.free.take(|_| false), None);
    assert_eq!((lane.free.take(|_| true), lane.free.take(|_| true)), (Some(9), None), "8 is relied on");
    lane.free.release();
    assert_eq!((lane.free.take(|_| false), lane.free.take(|_| true)), (None, Some(8)));
}

#[cfg(feature = "testing")]
#[test]
fn a_slot_of_a_failed_write_that_is_used_unread_is_caught() {
    let mut lane = lane();
    Flaw::SuspectReused.during(|| fail_behind_a_relied_on_segment(&mut lane));
    assert_eq!(lane.free.take(|_| false), Some(9));
}

#[test]
fn a_commit_that_began_a_segment_frees_those_before_it_whose_rows_are_done() {
    let mut lane = lane();
    lane.done = DoneRows::below(31);
    lane.begin();
    lane.finish();
    assert_eq!(lane.segments.len(), 4, "it began none");
    lane.begin();
    lane.open_segment(segment(9, 30), ActiveSegment::new(9, 99, 16, 1));
    lane.finish();
    assert_eq!(lane.segments.iter().map(|s| s.slot).collect::<Vec<_>>(), [9]);
}

#[test]
fn a_lane_that_could_never_write_again_gives_up_its_oldest_segment_but_not_its_last() {
    let slots = |lane: &LaneLog| lane.segments.iter().map(|s| s.slot).collect::<Vec<_>>();
    let mut lane = lane();
    lane.keep_writable();
    lane.keep_writable();
    assert_eq!((slots(&lane), lane.free.take(|_| false)), (vec![1, 2, 3], Some(0)));
    lane.segments.truncate(2);
    lane.keep_writable();
    assert_eq!((slots(&lane), lane.free.take(|_| false)), (vec![2], Some(1)));
    lane.keep_writable();
    assert_eq!(slots(&lane), [2]);
}

#[test]
fn a_commit_has_begun_a_segment_from_the_first_one_on_until_it_is_over() {
    let mut lane = lane();
    lane.begin();
    assert!(!lane.has_begun());
    lane.open_segment(segment(9, 30), ActiveSegment::new(9, 99, 16, 1));
    assert!(lane.has_begun());
    lane.finish();
    assert!(!lane.has_begun());
}

#[test]
fn slots_that_the_newest_commit_went_through_are_held_until_a_later_one_began_a_segment() {
    let mut lane = lane();
    for (segment, commit) in lane.segments.iter_mut().zip([1, 2, 3, 3]) {
        segment.commit = commit;
    }
    // Commit 3 began at the end of slot 1, and its own snapshots say nothing of its changes.
    for _ in 0..2 {
        lane.advance(&DoneRows::below(1000));
    }
    assert_eq!((lane.free.take(|_| false), lane.free.take(|_| true)), (Some(0), None));
    assert_eq!(lane.free.len(), 2);
    lane.begin();
    lane.open_segment(Segment { commit: 4, ..segment(0, 30) }, ActiveSegment::new(0, 99, 16, 1));
    lane.finish();
    assert_eq!((lane.free.take(|_| false), lane.free.take(|_| false)), (Some(1), Some(2)));
}

/// A lane with so many pages left in its segment and so many free segments beyond the reserve.
fn with_room(pages: Option<(u32, u32)>, segments: u32) -> LaneLog {
    let mut lane = LaneLog::new(0);
    lane.tail = pages.map(|(pages, left)| ActiveSegment::new(0, 1, pages, pages - left));
    (1..=segments + reserve() as u32).for_each(|slot| lane.free.put_written(slot));
    lane
}

/// Rows whose records are planned with so many bytes each.
fn stage(lane: &mut LaneLog, sizes: &[usize]) {
    let row = |size: &usize| StoredRow {
        lane: crate::row::Lane(0),
        seq: 1,
        epoch: 1,
        stamp: crate::time::Stamp { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true },
        ttl_ms: None,
        expiry: Default::default(),
        weight: 1,
        key: Default::default(),
        meta: Default::default(),
        payload: vec![0; size - RECORD_USUAL].into(),
    };
    lane.unstage();
    lane.stage(&Arc::new(sizes.iter().map(row).collect()));
}

/// Sixteen pages, of which one takes the bookkeeping.
const SMALL: Geometry = Geometry { segment_bytes: 65_536, lanes: 1, segments: [9, 0, 0, 0] };
const LARGE: Geometry = Geometry { segment_bytes: 1 << 20, lanes: 1, segments: [9, 0, 0, 0] };

#[test]
fn rows_fit_to_the_last_byte_of_the_last_page() {
    let fits = |geometry: &Geometry, tail: Option<(u32, u32)>, segments: u32, sizes: &[usize]| {
        let mut lane = with_room(tail, segments);
        stage(&mut lane, sizes);
        lane.fits(geometry, 1, 0)
    };
    let whole = room_of(15);
    for (sizes, room) in [
        (&[whole][..], true),
        (&[whole + 1], false),
        // Two of one frame, and two that would need a frame each, of whole pages.
        (&[30_000, whole - 30_000], true),
        (&[30_000, whole - 30_000 + 1], false),
        (&[30_000, 40_000], false),
    ] {
        assert_eq!(fits(&SMALL, None, 1, sizes), room, "{sizes:?}");
        assert!(fits(&SMALL, None, 2, sizes) != (sizes.len() == 1 && !room), "{sizes:?} in two segments");
        assert!(!fits(&SMALL, None, 0, sizes), "the reserve is not for rows");
    }
    // Behind the end of the log, with four pages kept for changes: a row longer than a frame lies there too.
    let behind = |size| fits(&LARGE, Some((256, 44)), 0, &[size]);
    assert!(behind(100) && behind(room_of(40)) && !behind(room_of(40) + 1));
    let mut lane = with_room(None, 0);
    lane.free.take(|_| true);
    stage(&mut lane, &[100]);
    assert!(!lane.fits(&SMALL, 1, 0));
}

#[test]
fn what_encryption_adds_to_a_frame_takes_room() {
    let mut lane = with_room(None, 1);
    let mut fits = |size, extra| {
        stage(&mut lane, &[size]);
        lane.fits(&SMALL, 1, extra)
    };
    let whole = room_of(15);
    assert!(fits(whole, 0) && !fits(whole, EXTRA) && fits(whole - EXTRA, EXTRA));
}

#[test]
fn the_room_that_is_told_surely_takes_rows_of_any_size() {
    for (tail, segments) in [(None, 1), (Some((16, 12)), 0), (Some((16, 9)), 3)] {
        let mut lane = with_room(tail, segments);
        let room = usize::try_from(lane.room_bytes(&SMALL, 1)).unwrap();
        assert!(room > 10_000, "{room}");
        for size in [100, 1_000, 4_000, 9_000] {
            stage(&mut lane, &vec![size; room / size]);
            for extra in [0, EXTRA] {
                assert!(lane.fits(&SMALL, 1, extra), "{room} bytes in rows of {size}");
            }
        }
    }
    assert_eq!(with_room(Some((16, 4)), 0).room_bytes(&SMALL, 1), 0);
}
