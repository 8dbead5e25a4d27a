use super::*;

fn damaged(first: Seq, last: Seq, rows: u64, weight: u64) -> Lost {
    Lost { first, last, rows, weight, exact: false }
}

#[test]
fn what_is_lost_beyond_the_bookkeeping_was_accepted_too() {
    let mut m = stored(100, &["hub"]);
    let known = [damaged(81, 100, 20, 20)];
    m.adopt_tail(0, 101, &chunk([], None, &known));
    assert_eq!((ledger(&m, 0), lane(&mut m).usage.rows), ([100, 0, 0, 100], 100), "known already");
    m.adopt_tail(0, 101, &chunk([], None, &[damaged(91, 110, 20, 40)]));
    assert_eq!((ledger(&m, 0), lane(&mut m).usage.rows), ([130, 0, 0, 130], 110), "ten of its rows");
    m.adopt_tail(0, 101, &chunk([111], None, &[damaged(95, 101, 7, 7)]));
    assert_eq!((ledger(&m, 0), lane(&mut m).usage.rows), ([132, 0, 0, 132], 112), "one of its rows");
}

#[test]
fn holes_are_done_for_everybody_and_noted_once() {
    let mut m = stored(100, &["hub"]);
    let id = m.find_consumer("hub").unwrap();
    hold(&mut m, 0, [7]);
    m.offer(id, 0, 1, 101, chunk([1, 2, 6, 9], Some(10), &[]));
    let done: Vec<Seq> = (1..20).filter(|seq| cursor(&m).pos.is_done(*seq)).collect();
    assert_eq!(done, [3, 4, 5, 8]);
    m.cursor_mut(0, 0).unwrap().leased.clear();
    m.offer(id, 0, 1, 7, chunk([1, 2, 6], Some(7), &[]));
    m.cursor_mut(0, 0).unwrap().dirty = false;
    m.offer(id, 0, 1, 7, chunk([1, 2, 6], Some(7), &[]));
    assert!(!cursor(&m).dirty);
}

#[test]
fn rows_acknowledged_between_two_reads_of_a_count_count_once() {
    let mut m = stored(100, &["hub", "other"]);
    let (hub, other) = (m.find_consumer("hub").unwrap(), m.find_consumer("other").unwrap());
    hold(&mut m, 0, [10, 11, 51, 95, 96]);
    hold(&mut m, 1, [10, 51, 95, 97]);
    let taken = [lost(91, 100, true)];
    assert_eq!(m.recount_start(0), Some((1, 101)));
    assert_eq!(m.recount_read(1, 101, chunk(1..=50, Some(51), &[])), Some(51));
    deliver(&mut m, hub, [10, 11, 51]);
    deliver(&mut m, other, [10, 51]);
    assert!(m.lose(0, &gone(&taken), 1));
    assert_eq!(m.recount_read(51, 101, chunk(51..=90, None, &taken)), None);
    deliver(&mut m, hub, [95]);
    deliver(&mut m, other, [95]);
    m.recount_finish(101, 1);
    assert_eq!(lane(&mut m).usage.rows, 88 + 2, "two lost ones are in the application's hands");
    let bytes = |m: &Model| -> Vec<u64> {
        m.consumers.iter().filter_map(|r| r.lanes.first()).map(|p| p.pos.queued_bytes / ROW).collect()
    };
    assert_eq!(bytes(&m), [87 + 1, 88 + 1]);
    deliver(&mut m, hub, [96]);
    deliver(&mut m, other, [97]);
    assert_eq!((lane(&mut m).usage.rows, bytes(&m)), (88, vec![87, 88]));
}

#[test]
fn a_count_of_one_lane_takes_nothing_from_rows_of_another() {
    let mut m = stored_with(10, &["hub"], &Config::default().lanes(2));
    (0..5).for_each(|_| assert!(m.push(row().lane(Lane(1)), &at(1)).is_ok()));
    assert_eq!(m.recount_start(0), Some((1, 11)));
    assert_eq!(m.recount_read(1, 11, chunk(1..=10, None, &[])), None);
    m.done(0, 1, 3, Size { weight: 1, bytes: ROW, wall_ms: 0 }, Done::Delivered, 1);
    m.recount_finish(11, 1);
    assert_eq!((lane(&mut m).usage.rows, cursor(&m).pos.queued_bytes), (10, 10 * ROW));
}

/// Rows that a crash left beyond the bookkeeping are in the next commit, and those that are done are not counted again.
#[test]
fn rows_beyond_the_bookkeeping_are_taken_in_once_and_noted() {
    let mut m = stored(100, &["hub"]);
    assert!(write(&mut m).is_none(), "nothing to write");
    m.cursor_mut(0, 0).unwrap().pos.mark(105, 105);
    m.adopt_tail(0, 101, &chunk([99, 104, 105, 106], None, &[]));
    assert_eq!((ledger(&m, 0), lane(&mut m).usage.rows), ([102, 0, 0, 102], 102));
    let changes = write(&mut m).unwrap();
    let lanes =
        changes.iter().filter(|change| matches!(change, Change::Lane { state, .. } if state.rows == 102));
    assert_eq!(lanes.count(), 1, "{changes:?}");
}
