use super::*;
use crate::store::ring::frame::tests::sample;
use crate::store::ring::layout::{Geometry, PAGE};
use crate::store::ring::page_reader::Pages;
use crate::store::ring::scan::tests::scan;
use crate::store::ring::test_sectors::Sectors;

/// The end of lane 0 with these segments and their whole frames.
pub(in crate::store::ring) fn end(segments: Vec<(Segment, Vec<Placed>)>) -> LogEnd {
    let frames = |good| Frames { good, ..Frames::default() };
    let segments = segments.into_iter().map(|(segment, good)| (segment, frames(good))).collect();
    LogEnd { lane: 0, segments, torn: BTreeSet::new(), done: DoneRows::default() }
}

/// A frame of run 1 with one row.
pub(in crate::store::ring) fn placed(commit: u64, part: u32, counter: u64, ends: bool) -> Placed {
    let (base, first_seq, last_seq, rows) = (counter, counter, counter, 1);
    let (rows_before, weight_before, weight) = (counter - 1, counter - 1, 1);
    let head = Head { lane: 0, epoch: 1, commit, part, counter, base, ends, synced: 0, ..sample() };
    let head = Head { first_seq, last_seq, rows, rows_before, weight_before, weight, ..head };
    Placed { head, page: 1 }
}

fn segment(slot: u32, commit: u64, next: u64) -> Segment {
    let start = Counters { next, rows: next - 1, weight: next - 1, highest: next - 1 };
    Segment { slot, generation: u64::from(slot), epoch: 1, commit, synced: 0, start }
}

/// Losses that are forgiven, and whether the end is uncertain, after a kill in commit 9.
fn followed(segments: Vec<(Segment, Vec<Placed>)>) -> (Vec<(u64, u64)>, bool) {
    let mut scan = scan(Counters::default(), Counters::default());
    scan.lanes[0].segments = segments.iter().map(|(segment, _)| *segment).collect();
    let mut end = end(segments);
    end.torn.insert(CommitPart::of(&placed(9, 0, 1, false).head));
    assert!(scan.follow(&end, Some(1)).is_some());
    (scan.waived.iter().map(|gap| (gap.first, gap.last)).collect(), scan.tail_uncertain)
}

#[test]
fn only_frames_that_are_missing_and_belong_to_a_torn_commit_are_forgiven() {
    let whole = segment(0, 8, 5);
    assert_eq!(followed(vec![(whole, vec![placed(8, 0, 5, true)])]), (vec![], false));
    // Torn at its end, in the middle, and where more is missing than its own frames.
    assert_eq!(followed(vec![(whole, vec![placed(9, 0, 5, false)])]), (vec![], true));
    let gap = |part| vec![placed(8, 0, 5, true), placed(9, part, 8, false)];
    assert_eq!(followed(vec![(whole, gap(2))]), (vec![(6, 7)], true));
    assert_eq!(followed(vec![(whole, gap(1))]), (vec![], true));
}

#[test]
fn a_first_segment_of_which_nothing_is_left_is_forgiven_if_the_torn_commit_began_it() {
    let behind = |frame| vec![(segment(0, 9, 1), vec![]), (segment(1, 9, 7), vec![frame])];
    assert_eq!(followed(behind(placed(9, 6, 7, false))).0, [(0, 6), (1, 6)]);
    assert_eq!(followed(behind(placed(9, 5, 7, false))).0, []);
}

#[test]
fn before_a_torn_commit_that_starts_the_lane_its_own_rows_are_forgiven_and_others_only_if_nobody_wants_them()
{
    let forgiven = |known: u64, part, floor| {
        let mut scan = scan(Counters::default(), segment(1, 9, known).start);
        let list = vec![(segment(1, 9, 7), vec![placed(9, part, 7, true)])];
        scan.lanes[0].segments = list.iter().map(|(segment, _)| *segment).collect();
        let mut end = LogEnd { done: DoneRows::below(floor), ..end(list) };
        end.torn.insert(CommitPart::of(&placed(9, part, 7, true).head));
        assert!(scan.follow(&end, Some(1)).is_some());
        scan.waived.iter().map(|gap| (gap.first, gap.last, gap.rows)).collect::<Vec<_>>()
    };
    // Known up to frame 5 with row 5, which somebody wants: one frame is missing, or more than the commit's own.
    assert_eq!((forgiven(6, 1, 5), forgiven(6, 2, 1)), (vec![(6, 6, 1)], vec![(6, 6, 1)]));
    assert_eq!((forgiven(5, 1, 4), forgiven(7, 1, 6), forgiven(9, 1, 1)), (vec![], vec![], vec![]));
    // Nobody wants a row from before the commit: its first segment never arrived. Or a durable frame is gone as well.
    assert_eq!((forgiven(6, 1, 6), forgiven(5, 2, 5)), (vec![(0, 6, 6)], vec![(0, 6, 6)]));
    assert_eq!((forgiven(5, 1, 5), forgiven(1, 6, 1)), (vec![], vec![(0, 6, 6)]));
}

#[test]
fn a_segment_never_begun_is_given_back_unread_and_its_lane_begins_another() {
    for (commit, clean, uncertain) in [(9, false, true), (8, false, false), (9, true, false)] {
        let mut scan = scan(Counters::default(), Counters::default());
        scan.commit = 9;
        let list = vec![(segment(0, 3, 1), vec![placed(3, 0, 1, true)]), (segment(1, commit, 2), vec![])];
        scan.lanes[0].segments = list.iter().map(|(segment, _)| *segment).collect();
        assert_eq!(scan.take_back_unbegun(&end(list), clean), 1);
        assert_eq!((scan.tail_uncertain, &scan.cut_off[..]), (uncertain, &[0][..]), "{commit}, {clean}");
        assert_eq!((scan.lanes[0].segments.len(), scan.lanes[0].free.take(|_| false)), (1, None));
        assert_eq!(scan.lanes[0].free.take(|_| true), Some(1));
    }
    let mut scan = scan(Counters::default(), Counters::default());
    let begun = end(vec![(segment(0, 3, 1), vec![placed(3, 0, 1, true)])]);
    assert_eq!((scan.take_back_unbegun(&begun, false), scan.cut_off.len()), (1, 0));
}

#[test]
fn a_first_commit_is_told_by_its_oldest_header() {
    let first = |part, counter| {
        let mut end = end(vec![(segment(0, 9, 1), vec![])]);
        end.segments[0].1.broken =
            vec![placed(9, part + 1, counter + 1, false), placed(9, part, counter, false)];
        end.is_first_commit()
    };
    assert!(first(0, 1) && first(2, 3) && !first(2, 4));
    assert!(!end(vec![(segment(0, 9, 1), vec![])]).is_first_commit(), "nothing says so");
}

#[test]
fn a_first_commit_of_two_segments_is_told_by_the_first_of_them() {
    let first = |begun: Placed, next: Placed| {
        let mut end = end(vec![(segment(0, 9, 1), vec![]), (segment(1, 9, 9), vec![])]);
        (end.segments[0].1.broken, end.segments[1].1.broken) = (vec![begun], vec![next]);
        end.is_first_commit()
    };
    assert!(first(placed(9, 0, 1, false), placed(9, 1, 9, false)));
    assert!(!first(placed(9, 1, 9, false), placed(9, 0, 1, false)));
}

const GEOMETRY: Geometry = Geometry { segment_bytes: 16 * PAGE as u32, lanes: 1, segments: [4, 0, 0, 0] };

fn with_look<T>(file: &Sectors, f: impl FnOnce(Look<'_>) -> T) -> T {
    let pages = Pages::new(file, &GEOMETRY);
    f(Look { pages: &pages, geometry: &GEOMETRY, gateway: sample().gateway })
}

#[test]
fn the_log_goes_on_in_its_last_segment_only_where_the_last_commit_can_be_copied_whole() {
    let start = Placed { page: 0, ..placed(9, 0, 1, false) };
    let start = Placed { head: Head { kind: Kind::Snapshot, ..start.head }, ..start };
    let goes_on = |good: Vec<Placed>, used, free| {
        let mut scan = scan(Counters::default(), Counters::default());
        (0..free).for_each(|slot| scan.lanes[0].free.put_written(slot));
        let here = |p: Placed| Placed { head: Head { slot: 0, ..p.head }, ..p };
        let good = good.into_iter().map(here).collect();
        let frames = Frames { good, used, ..Frames::default() };
        let end = LogEnd { segments: vec![(segment(0, 9, 1), frames)], ..end(Vec::new()) };
        let (segment, frames) = &end.segments[0];
        with_look(&Sectors::default(), |look| scan.go_on(look, &end, segment, frames));
        (scan.lanes[0].tail.is_some(), scan.unproven.len())
    };
    // The commit that began the segment, a later one, and one for whose copy too few pages are left: these are written over themselves.
    let begun = vec![start, placed(9, 1, 2, true)];
    let later = vec![start, placed(10, 0, 2, true)];
    assert_eq!((goes_on(begun.clone(), 2, 1), goes_on(begun, 2, 0)), ((false, 2), (true, 2)));
    assert_eq!((goes_on(later.clone(), 2, 1), goes_on(later.clone(), 16, 1)), ((true, 1), (false, 1)));
    assert_eq!(goes_on(later, 16, 0), (true, 1));
    assert_eq!(goes_on(vec![placed(10, 0, 2, true)], 2, 1), (false, 1), "its first page is not good");
}

#[test]
fn a_last_commit_of_two_segments_may_be_durable_in_neither() {
    let earlier = vec![placed(8, 0, 4, true), placed(9, 0, 5, false)];
    let end = end(vec![(segment(0, 8, 4), earlier), (segment(1, 9, 6), vec![placed(9, 1, 6, true)])]);
    let mut scan = scan(Counters::default(), Counters::default());
    let (segment, frames) = &end.segments[1];
    with_look(&Sectors::default(), |look| scan.go_on(look, &end, segment, frames));
    assert_eq!(scan.unproven.iter().map(|p| p.head.counter).collect::<Vec<_>>(), [5, 6]);
}

#[test]
fn segments_are_read_back_to_one_that_a_commit_began_with_and_none_before_it() {
    let read_back = |part, synced| {
        let mut file = Sectors::new(2 + 4 * 16, 0);
        let mut segments = Vec::new();
        for (slot, commit, part) in [(0, 2, 0), (1, 3, part), (2, 5, 0), (3, 9, 0)] {
            let counter = u64::from(slot) + 1;
            let mut frame = Vec::new();
            let head =
                Head { kind: Kind::Snapshot, slot, synced, ..placed(commit, part, counter, true).head };
            let head = head.seal(&[7; 100], &mut frame);
            let at = usize::try_from(GEOMETRY.offset(slot, 0)).unwrap();
            file.bytes[at..at + PAGE].copy_from_slice(&frame);
            segments.push(Segment::of(&head));
        }
        let mut scan = scan(Counters::default(), Counters::default());
        with_look(&file, |look| scan.end(look, 0, &segments, 5)).segments.len()
    };
    assert_eq!((read_back(0, 0), read_back(1, 0), read_back(1, 3)), (3, 4, 3));
}
