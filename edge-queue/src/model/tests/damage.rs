use super::*;
use crate::model::damage::mark_between;
use crate::model::gaps::GAPS_MAX;

/// The lane is looked through: `rows` are there, `lost` are not, `passed` is what a reader is about to pass over.
fn reckon(m: &mut Model, rows: impl IntoIterator<Item = Seq>, lost: &[Lost], passed: &[Lost]) {
    let (from, below) = m.reckon_start(0).unwrap();
    assert_eq!(m.reckon_read(from, below, chunk(rows, None, lost)), None);
    m.reckon_finish(passed, below, 1);
}

#[test]
fn a_loss_that_says_what_it_cost_is_counted_without_looking_the_lane_through() {
    let mut m = stored(100, &["hub", "other"]);
    (1..=15).for_each(|seq| hold(&mut m, 0, [seq]));
    let id = m.find_consumer("hub").unwrap();
    deliver(&mut m, id, 1..=15);
    m.cursor_mut(1, 0).unwrap().pos.mark(1, 17);
    assert!(m.lose(0, &gone(&[lost(11, 20, true)]), 1));
    assert_eq!(ledger(&m, 0), [100, 15, 5, 80]);
    assert_eq!(m.lanes.first().unwrap().usage.rows, 90);
    let told = m.take_losses();
    assert!(matches!(told.as_slice(), [Event::Lost { first: 11, last: 20, rows: 5, .. }]), "{told:?}");
}

#[test]
fn without_a_consumer_each_loss_is_told_once_and_their_number_is_bounded() {
    let mut m = stored(4_000, &[]);
    let one = gone(&[lost(1, 10, true)]);
    assert!(m.lose(0, &one, 1) && m.lose(0, &one, 1));
    let told = m.take_losses();
    assert!(matches!(told.as_slice(), [Event::Lost { first: 1, last: 10, rows: 10, .. }]), "{told:?}");
    (1..300).for_each(|n| assert!(m.lose(0, &gone(&[lost(n * 10 + 1, n * 10 + 10, true)]), 1)));
    assert_eq!(m.take_losses().len(), 255);
    assert_eq!(m.lanes.first().unwrap().usage.rows, 4_000, "the first consumer's to lose");
}

#[test]
fn a_look_goes_on_where_the_store_says_and_its_sums_replace_a_guess() {
    for consumers in [&["hub"] as &[&str], &[]] {
        let mut m = stored(100, consumers);
        lane(&mut m).recount_due = true;
        let (from, below) = m.reckon_start(0).unwrap();
        assert_eq!((from, below), (1, 101));
        assert_eq!(m.reckon_read(1, 101, chunk(1..=50, Some(51), &[])), Some(51));
        assert_eq!(m.reckon_read(51, 101, chunk(51..=90, Some(101), &[lost(91, 100, false)])), None);
        m.reckon_finish(&[], below, 1);
        let l = lane(&mut m);
        // Without a consumer what is lost is the first one's to lose.
        let expected = if consumers.is_empty() { (100, true) } else { (90, false) };
        assert_eq!((l.usage.rows, l.recount_due), expected);
        if !consumers.is_empty() {
            assert_eq!(ledger(&m, 0), [100, 0, 10, 90]);
        }
    }
}

/// A read returns whole frames: rows before the ones that were asked for, and rows that wait in RAM, too, where they are counted.
#[test]
fn rows_of_a_read_count_only_where_it_was_asked_for_them() {
    let mut m = stored(100, &["hub"]);
    push(&mut m, 5);
    let (from, below) = m.reckon_start(0).unwrap();
    assert_eq!((from, below), (1, 101));
    assert_eq!(m.reckon_read(from, below, chunk(1..=50, Some(51), &[])), Some(51));
    assert_eq!(m.reckon_read(51, below, chunk(41..=60, Some(61), &[])), Some(61));
    assert_eq!(m.reckon_read(61, below, chunk(51..=103, Some(104), &[])), None);
    m.reckon_finish(&[], below, 1);
    let usage = lane(&mut m).usage;
    assert_eq!((usage.rows, usage.bytes), (105, 105 * ROW));
    assert_eq!(ledger(&m, 0), [105, 0, 0, 105]);
}

#[test]
fn a_look_that_gets_no_further_goes_on_behind_the_row_it_asked_for() {
    let mut m = stored(100, &["hub"]);
    m.reckon_start(0).unwrap();
    for next in [1, 50, 51] {
        assert_eq!(m.reckon_read(51, 101, chunk([], Some(next), &[])), Some(52), "{next}");
    }
}

#[test]
fn rows_acknowledged_between_two_reads_count_once() {
    let mut m = stored(100, &["hub"]);
    let id = m.find_consumer("hub").unwrap();
    hold(&mut m, 0, [10, 51, 95, 96]);
    m.reckon_start(0).unwrap();
    m.reckon_read(1, 101, chunk(1..=50, Some(51), &[]));
    deliver(&mut m, id, [10, 51]);
    m.reckon_read(51, 101, chunk(51..=90, None, &[lost(91, 100, false)]));
    deliver(&mut m, id, [95]);
    m.reckon_finish(&[], 101, 1);
    assert_eq!(ledger(&m, 0), [100, 3, 8, 89], "the row in the application's hands is not lost");
    assert_eq!(lane(&mut m).usage.rows, 89, "which it still counts for");
    deliver(&mut m, id, [96]);
    assert_eq!((ledger(&m, 0), lane(&mut m).usage.rows), ([100, 4, 8, 88], 88));
    assert_eq!(cursor(&m).pos.queued_bytes, 88 * ROW);
}

#[test]
fn a_leased_row_that_can_be_read_or_is_in_ram_is_not_counted_twice() {
    let mut m = stored(100, &["hub"]);
    push(&mut m, 1);
    hold(&mut m, 0, [5, 95, 101]);
    let frame = Lost { last: 110, ..lost(91, 100, false) };
    reckon(&mut m, 1..=90, &[frame], &[]);
    assert_eq!(ledger(&m, 0), [101, 0, 9, 92]);
    assert_eq!(lane(&mut m).usage.rows, 92);
}

#[test]
fn a_ledger_that_knows_less_than_there_is_learns_what_was_lost_too() {
    let known = |accepted| {
        let mut m = stored(100, &["hub"]);
        let cursor = m.cursor_mut(0, 0).unwrap();
        (cursor.pos.accepted, cursor.queued) = (accepted, accepted);
        reckon(&mut m, 1..=90, &[lost(91, 100, false)], &[]);
        ledger(&m, 0)
    };
    assert_eq!(known(50), [100, 0, 10, 90]);
    assert_eq!(known(90), [90, 0, 0, 90], "one that knows just what is there lost nothing");
    assert_eq!(known(96), [96, 0, 6, 90]);
}

#[test]
fn what_is_missing_without_a_place_is_a_loss_that_is_reported() {
    let mut m = stored(100, &["hub"]);
    reckon(&mut m, 1..=90, &[], &[]);
    assert_eq!(ledger(&m, 0), [100, 0, 10, 90]);
    assert_eq!(cursor(&m).pos.gaps.iter().map(|gap| gap.count).sum::<u64>(), 10);
}

#[test]
fn what_a_reader_passes_over_is_settled_first_when_there_are_more_losses_than_ranges() {
    let mut m = stored(2_200, &["hub"]);
    let odd: Vec<Lost> = (0..1_100).map(|n| lost(2 * n + 1, 2 * n + 1, false)).collect();
    let room = m.ranges_for_each();
    reckon(&mut m, (1..=1_100).map(|n| 2 * n), &odd, &[lost(2_101, 2_101, false)]);
    let cursor = cursor(&m);
    assert!(cursor.pos.is_done(2_101) && !cursor.pos.is_done(2_103) && !cursor.pos.is_done(2_099));
    assert_eq!(cursor.pos.acked.len() + 1, room, "row 1 is at the floor");
}

#[test]
fn what_is_marked_around_leased_rows_leaves_them_open() {
    let mut cursor = Cursor { pos: Position { floor: 1, ..Position::default() }, ..Cursor::default() };
    let size = Size { weight: 1, bytes: ROW, wall_ms: 0 };
    [4, 5, 9, 15].into_iter().for_each(|seq| cursor.lease(seq, size));
    mark_between(&mut cursor, 4, 12);
    mark_between(&mut cursor, 13, 16);
    let done: Vec<Seq> = (1..20).filter(|seq| cursor.pos.is_done(*seq)).collect();
    assert_eq!(done, [6, 7, 8, 10, 11, 12, 13, 14, 16]);
    assert!(cursor.dirty);
}

#[test]
fn losses_far_apart_are_as_many_records_as_are_kept_and_count_in_full() {
    let mut m = stored(4_000, &["hub"]);
    (0..300).for_each(|n| assert!(m.lose(0, &gone(&[lost(10 * n + 5, 10 * n + 6, true)]), 1)));
    assert!(lane(&mut m).recount_due, "what is lost has no size, so what is left is counted anew");
    let gaps = &cursor(&m).pos.gaps;
    assert_eq!((gaps.len(), gaps.iter().map(|gap| gap.count).sum::<u64>()), (GAPS_MAX, 600));
    let mut m = stored(4_000, &["hub"]);
    let all: Vec<Lost> = (0..300).map(|n| lost(10 * n + 5, 10 * n + 6, false)).collect();
    let there = (1..=4_000).filter(|seq| !all.iter().any(|l| (l.first..=l.last).contains(seq)));
    reckon(&mut m, there, &all, &all);
    let gaps = &cursor(&m).pos.gaps;
    assert_eq!((gaps.len(), gaps.iter().map(|gap| gap.count).sum::<u64>()), (GAPS_MAX, 600));
}
