use super::log_end::tests::{end, placed};
use super::*;

fn segment(next: u64, highest: u64) -> Segment {
    let start = Counters { next, rows: next - 1, weight: next - 1, highest };
    Segment { slot: 0, generation: next, epoch: 1, commit: 1, synced: 0, start }
}

#[test]
fn a_segment_precedes_one_that_begins_later_with_higher_rows() {
    assert!(precedes(&segment(9, 90), None));
    assert!(precedes(&segment(5, 50), Some(&segment(9, 90))));
    assert!(precedes(&segment(5, 90), Some(&segment(9, 90))), "with changes alone in it");
    assert!(!precedes(&segment(9, 90), Some(&segment(9, 90))), "of a failed commit");
    assert!(!precedes(&segment(5, 91), Some(&segment(9, 90))), "rows descend");
}

#[cfg(feature = "testing")]
#[test]
fn segments_with_descending_rows_that_count_are_caught() {
    let descends = || precedes(&segment(5, 91), Some(&segment(9, 90)));
    assert!(Flaw::DescendingCounted.during(descends));
}

/// One lane, whose log was found to end there, and whose end was known to be there.
pub(in super::super) fn scan(found: Counters, known: Counters) -> Scan {
    let mut log = LaneLog::new(0);
    log.counters = found;
    Scan {
        lanes: vec![log],
        state: None,
        commit: 0,
        generation: 0,
        epoch: 1,
        closed: None,
        durable: false,
        tail_uncertain: false,
        waived: Vec::new(),
        damage: Vec::new(),
        broken: Vec::new(),
        foreign: Vec::new(),
        unproven: Vec::new(),
        cut_off: Vec::new(),
        ends: HighWaterMarks::of([known].iter()),
        finished: Completeness::default(),
        headless: Vec::new(),
    }
}

#[test]
fn a_log_that_ends_before_a_known_end_goes_on_behind_it_and_says_what_is_gone() {
    let end = |next, rows, weight, highest| Counters { next, rows, weight, highest };
    let found = end(5, 40, 400, 50);
    for (known, after, said) in [
        (end(8, 46, 460, 57), end(8, 46, 460, 57), "the last 3 frames with 6 rows are gone"),
        // Changes alone, and rows of which the log knows a heavier sum.
        (end(6, 40, 400, 50), end(6, 40, 400, 50), "the last 1 frames with 0 rows are gone"),
        (end(8, 46, 399, 57), end(8, 46, 400, 57), "the last 3 frames with 6 rows are gone"),
    ] {
        let mut scan = scan(found, known);
        scan.go_to_known_ends();
        assert_eq!(scan.lanes[0].counters, after);
        assert_eq!(scan.damage, [format!("lane 0: {said}")]);
    }
    for known in [found, end(4, 30, 300, 40), end(8, 39, 460, 57), end(8, 46, 460, 49)] {
        let mut scan = scan(found, known);
        scan.go_to_known_ends();
        assert_eq!((scan.lanes[0].counters, scan.damage.len()), (found, 0), "{known:?} is no later place");
    }
}

/// A segment of epoch 1, whose commits up to 4 are known to have been synced.
fn judged(segment: Segment, kept: bool, headless: bool, clean: bool) -> (bool, usize) {
    let mut scan = scan(Counters::default(), Counters::default());
    scan.commit = 9;
    scan.finished.note(1, 4);
    if kept {
        scan.lanes[0].segments.push(segment);
    }
    let unreadable = if headless { Vec::new() } else { vec![segment] };
    scan.headless.push((0, segment));
    scan.judge_headless(&unreadable, clean);
    (scan.tail_uncertain, scan.damage.len())
}

#[test]
fn a_start_that_cannot_be_read_is_damage_once_synced_and_else_uncertain_if_of_the_last_commit() {
    let begun = |commit| Segment { commit, ..segment(5, 50) };
    for (headless, clean) in [(false, false), (false, true), (true, false), (true, true)] {
        assert_eq!(judged(begun(4), true, headless, clean), (false, 1), "synced");
        assert_eq!(judged(begun(9), true, headless, clean), (!clean, 0), "of the last commit");
        assert_eq!(judged(begun(8), true, headless, clean), (false, 0), "torn earlier");
    }
    for commit in [4, 8, 9] {
        assert_eq!(judged(begun(commit), false, true, false), (false, 0), "about to be written anew");
    }
}

#[test]
fn a_close_mark_whose_commit_is_torn_closed_nothing() {
    let closed_after = |frames: Vec<Placed>| {
        let mut scan = scan(Counters::default(), Counters::default());
        (scan.commit, scan.closed) = (9, Some(1));
        scan.doubt_torn_close(&[end(vec![(segment(1, 0), frames)])]);
        scan.closed
    };
    let mark = |commit, part, closed| {
        let mut placed = placed(commit, part, 1, true);
        placed.head.closed = closed;
        placed
    };
    assert_eq!(closed_after(vec![mark(9, 0, true)]), Some(1));
    assert_eq!(closed_after(vec![mark(9, 1, true)]), None, "its first frame is missing");
    assert_eq!(closed_after(vec![mark(9, 1, false)]), Some(1), "another lane has the mark");
    assert_eq!(closed_after(vec![mark(8, 1, true)]), Some(1), "of an earlier close");
}
