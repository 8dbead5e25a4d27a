use std::time::Duration;

use super::*;
use crate::config::{ConsumerConfig, OnFull, Order};
use crate::model::acked_ranges_quota::{RANGES_EACH, RANGES_SHARED};
use crate::model::read_ahead::AHEAD;
use crate::state::{GapRecord, Reason};
use crate::store::ReadLimit;

/// A row too large for the lane is dropped while nobody reads: its number stays free.
#[test]
fn a_row_behind_a_number_without_a_row_is_handed_out_once() {
    let mut m = model(&Config::default().lanes(1).on_full(OnFull::DropNewest));
    lane(&mut m).limits.bytes = 4 * ROW;
    push(&mut m, 2);
    assert!(m.push(Row::new(vec![7; 300]), &at(1)).is_ok());
    push(&mut m, 1);
    let id = m.register("hub").unwrap();
    m.lanes.first_mut().unwrap().limits.bytes = 100 * ROW;
    assert_eq!(lease(&mut m, id, 9), [1, 2, 4]);
    m.give_back(id, 0, 2);
    assert_eq!(lease(&mut m, id, 9), [2]);
}

#[test]
fn a_lane_that_cannot_be_read_is_left_alone_until_its_next_try() {
    let mut m = stored(100, &["hub"]);
    let id = m.find_consumer("hub").unwrap();
    let reads = |m: &mut Model, up_ms| {
        let more = m.lease(id, Take::rows(1), &mut Vec::new(), &at(up_ms));
        matches!(more, More::Read { lane: 0, from: 1, below: 101, .. })
    };
    assert!(reads(&mut m, 1_000));
    assert_eq!(m.read_again_at(), None);
    assert!(m.read_failed(0, 1, AHEAD, "no".to_owned(), &at(1_000)));
    assert_eq!(m.read_again_at(), Some(1_500));
    assert!(!reads(&mut m, 1_499) && reads(&mut m, 1_500));
    assert!(!m.read_failed(0, 1, AHEAD, "no".to_owned(), &at(1_500)));
    assert_eq!(m.read_again_at(), Some(2_500), "twice as long");
    assert!(m.read_worked(0, 1, AHEAD, Some(51)) && reads(&mut m, 1_501));
}

/// A lane that nobody reads any more must not hide the time of another.
#[test]
fn the_time_of_each_next_read_is_told_once_however_late_it_is_asked_for() {
    let mut m = model(&Config::default().lanes(3));
    assert!(m.read_failed(0, 1, AHEAD, "no".to_owned(), &at(1_000)));
    assert!(!m.reads_are_due(1_499));
    assert!(m.reads_are_due(9_000) && !m.reads_are_due(9_001));
    assert_eq!(m.read_again_at(), None);
    assert!(m.read_failed(1, 1, AHEAD, "no".to_owned(), &at(9_500)));
    assert!(m.read_failed(2, 1, AHEAD, "no".to_owned(), &at(9_700)));
    assert_eq!(m.read_again_at(), Some(10_000));
    assert!(!m.reads_are_due(9_999) && m.reads_are_due(10_000));
    assert_eq!(m.read_again_at(), Some(10_200));
    assert!(!m.read_failed(0, 1, AHEAD, "no".to_owned(), &at(10_100)));
    assert!(m.reads_are_due(20_000) && !m.reads_are_due(20_000), "both at once");
}

#[test]
fn a_report_of_a_loss_that_is_not_known_makes_no_commit_due() {
    let mut m = model(&Config::default().lanes(1));
    let id = m.register("hub").unwrap();
    write(&mut m);
    let unknown =
        GapRecord { first_seq: 1, last_seq: 2, first_ms: 0, last_ms: 0, count: 2, reason: Reason::Expired };
    m.ack_gaps(id, &[(Lane(0), unknown)], 1);
    assert_eq!(m.due_at_ms(), None);
    m.cursor_mut(0, 0).unwrap().pos.add_gap(unknown);
    m.ack_gaps(id, &[(Lane(0), unknown)], 1);
    assert!(m.due_at_ms().is_some());
}

#[test]
fn a_row_is_stored_once_a_commit_holds_it_and_never_in_a_store_without_a_medium() {
    let mut m = model(&Config::default().lanes(1));
    push(&mut m, 1);
    assert!(!m.is_stored(0, 1));
    write(&mut m);
    assert!(m.is_stored(0, 1));
    m.rules.volatile = true;
    assert!(!m.is_stored(0, 1));
}

#[test]
fn a_scan_passes_live_rows_and_backlog_and_its_end_is_both_ends() {
    let order = Order::LiveFirst { backlog_one_in: 9, behind_rows: 100 };
    let mut m = model(&Config::default().lanes(1).order(order));
    let id = m.register("hub").unwrap();
    push(&mut m, 3);
    assert_eq!(lease(&mut m, id, 1), [1], "what is there at the first question is backlog");
    push(&mut m, 2);
    m.rewind(id, false);
    assert_eq!(lease(&mut m, id, 2), [4, 5]);
    assert!(!m.at_end(id), "backlog is left");
    assert_eq!(lease(&mut m, id, 9), [2, 3]);
    assert!(m.at_end(id));
    push(&mut m, 1);
    assert!(!m.at_end(id), "a live row is left");
    [2, 4].into_iter().for_each(|seq| m.pass(id, 0, seq));
    assert_eq!(lease(&mut m, id, 9), [6], "a scan goes on behind rows that it passed over");
    assert!(m.at_end(id));
    m.rewind(id, true);
    assert!(!m.at_end(id));
    assert_eq!(lease(&mut m, id, 9), [4, 2]);
    deliver(&mut m, id, [2]);
    m.pass(id, 0, 4);
    m.rewind(id, true);
    assert_eq!(lease(&mut m, id, 1), [4]);
    assert!(m.at_end(id), "5 and 6 are leased");
}

#[test]
fn a_row_of_the_backlog_is_handed_out_behind_three_live_ones() {
    let order = Order::LiveFirst { backlog_one_in: 4, behind_rows: 100 };
    let mut m = model(&Config::default().lanes(1).order(order));
    let id = m.register("hub").unwrap();
    push(&mut m, 3);
    assert_eq!(lease(&mut m, id, 1), [1]);
    push(&mut m, 6);
    assert_eq!(lease(&mut m, id, 9), [4, 5, 6, 2, 7, 8, 9, 3]);
}

#[test]
fn the_newest_rows_of_an_outage_are_live_at_the_first_question() {
    let order = Order::LiveFirst { backlog_one_in: 9, behind_rows: 4 };
    for (rows, expected) in [(64, [1, 2, 3]), (65, [64, 65, 1])] {
        let mut m = model(&Config::default().lanes(1).order(order));
        let id = m.register("hub").unwrap();
        push(&mut m, rows);
        assert_eq!(lease(&mut m, id, 3), expected);
    }
}

/// Each run of live rows may cost a range of acknowledgements.
#[test]
fn a_consumer_that_is_short_of_ranges_has_no_live_rows() {
    let order = Order::LiveFirst { backlog_one_in: 4, behind_rows: 100 };
    let mut m = model(&Config::default().lanes(1).order(order));
    let id = m.register("hub").unwrap();
    ranges(&mut m, 0, 0, 1_000, RANGES_EACH + RANGES_SHARED / 2);
    push(&mut m, 3);
    assert_eq!(lease(&mut m, id, 1), [1]);
    push(&mut m, 6);
    assert_eq!(lease(&mut m, id, 9), [2, 3, 4, 5, 6, 7, 8, 9]);
}

/// Whose acknowledgement waits for a range is done: the end of its lease gives nothing back.
#[test]
fn an_acknowledged_row_that_waits_for_a_range_does_not_come_back_by_time() {
    let mut m = model(&Config::default().lanes(1));
    let id = m.register("hub").unwrap();
    m.limit(id, ConsumerConfig::default().lease_time(Duration::from_millis(100)));
    push(&mut m, 3);
    assert_eq!(lease(&mut m, id, 3), [1, 2, 3]);
    ranges(&mut m, 0, 0, 10, RANGES_EACH + RANGES_SHARED);
    deliver(&mut m, id, [3]);
    assert!(m.came_back(1_000), "the others do");
    let left: Vec<Seq> = cursor(&m).leased.keys().copied().collect();
    assert_eq!(left, [3]);
}

#[test]
fn rows_count_as_damaged_after_a_minute_and_six_tries_and_not_before() {
    let mut m = stored(100, &["hub"]);
    let fails = |m: &mut Model, up_ms| {
        let _news = m.read_failed(0, 1, AHEAD, "no".to_owned(), &at(up_ms));
    };
    fails(&mut m, 1_000);
    (0..4).for_each(|_| fails(&mut m, 61_000));
    assert!(!m.read_gives_up(0, 1, &at(99_000)), "five tries");
    fails(&mut m, 61_000);
    assert!(m.read_gives_up(0, 1, &at(61_000)) && !m.read_gives_up(0, 1, &at(60_999)));
}

#[test]
fn each_place_of_a_lane_has_its_own_tries_and_ends_with_a_read_that_goes_over_it() {
    let mut m = stored(100, &["hub"]);
    let fail = |m: &mut Model, from, up_ms| m.read_failed(0, from, AHEAD, "no".to_owned(), &at(up_ms));
    assert!(fail(&mut m, 10, 1_000));
    (0..5).for_each(|_| assert!(!fail(&mut m, 10, 61_000)));
    assert!(!fail(&mut m, 50, 61_000));
    assert!(m.read_gives_up(0, 10, &at(61_000)) && m.read_gives_up_somewhere(0, &at(61_000)));
    assert!(!m.read_gives_up(0, 50, &at(62_000)), "one try");
    let short = ReadLimit { rows: 1, bytes: 1 };
    for (from, limit, next) in
        [(60, AHEAD, None), (11, AHEAD, Some(50)), (1, AHEAD, Some(10)), (10, short, Some(11))]
    {
        assert!(!m.read_worked(0, from, limit, next));
        assert!(m.read_gives_up(0, 10, &at(61_000)), "{from}");
    }
    assert!(!m.read_worked(0, 10, AHEAD, Some(50)) && !m.read_gives_up(0, 10, &at(61_000)));
    assert_eq!(m.read_fault().map(|fault| fault.since_ms), Some(61_000));
    assert!(m.read_worked(0, 1, short, None), "to the end");
    assert!(fail(&mut m, 10, 70_000));
    m.cursor_mut(0, 0).unwrap().pos.floor = 11;
    assert!(m.read_fault().is_none() && m.read_worked(0, 60, short, Some(61)), "nobody wants it");
}

/// Each was a place of its own: the sector was read with each push, told each time, and never given up.
#[test]
fn a_place_rises_with_the_floor_when_rows_before_the_damage_are_given_up() {
    let mut m = stored(1_000, &["hub"]);
    let wait = |m: &Model, from, now: &Now| m.lanes[0].read_faults.wait(from, m.lanes[0].floor, now);
    let give_up_below = |m: &mut Model, floor| {
        m.cursor_mut(0, 0).unwrap().pos.floor = floor;
        m.lanes[0].floor = floor;
    };
    for n in 0..6_u64 {
        let (from, now) = (10 + n, at(1_000 + 12_000 * n));
        give_up_below(&mut m, from);
        assert!(!wait(&m, from, &now), "it is time");
        assert_eq!(m.read_failed(0, from, AHEAD, "no".to_owned(), &now), n == 0, "told once");
        // What the statistics read.
        let _told = m.read_failed(0, from, ReadLimit { rows: 1, bytes: 1 }, "no".to_owned(), &now);
        assert!(!wait(&m, from + 1, &now), "another place while the row is wanted");
        give_up_below(&mut m, from + 1);
        assert!(wait(&m, from + 1, &now), "no sooner for a row that is gone");
    }
    assert!(m.read_gives_up(0, 16, &at(61_000)));
}

#[test]
fn a_lane_keeps_a_bounded_number_of_places() {
    let mut m = stored(100, &["hub"]);
    let fails = |m: &mut Model, from, up_ms| {
        let _news = m.read_failed(0, from, AHEAD, "no".to_owned(), &at(up_ms));
    };
    (0..6).for_each(|_| fails(&mut m, 1, 1_000));
    (2..=32).for_each(|from| fails(&mut m, from, 1_000));
    assert!(m.read_gives_up(0, 1, &at(61_000)));
    fails(&mut m, 33, 1_000);
    assert!(!m.read_gives_up(0, 1, &at(61_000)), "it was not tried for longest");
}
