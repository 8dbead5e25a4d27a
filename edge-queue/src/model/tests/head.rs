use super::*;
use crate::error::{Limit, PushError};

#[test]
fn the_oldest_rows_are_read_ahead_only_near_a_limit() {
    let mut m = stored_with(100, &["hub"], &Config::default().lanes(1).max_messages(1_000));
    assert_eq!(m.head_wanted(0, true), None);
    assert_eq!(m.head_wanted(0, false), Some((1, 101)));
    lane(&mut m).limits.messages = 110;
    assert_eq!(m.head_wanted(0, true), Some((1, 101)));
}

/// A row that came back meanwhile is older than what the read brings: the next read begins with it.
#[test]
fn what_was_read_behind_a_row_that_came_back_is_left_out() {
    let mut m = stored(100, &["hub"]);
    m.fill_head(0, 1, 101, chunk(1..=10, Some(11), &[]));
    assert_eq!(m.head_wanted(0, false), Some((11, 101)));
    lane(&mut m).head.rewind(3);
    m.fill_head(0, 11, 101, chunk(11..=20, Some(21), &[]));
    assert_eq!(m.head_wanted(0, false), Some((3, 101)));
    m.fill_head(0, 3, 101, chunk(3..=20, Some(21), &[]));
    assert_eq!(m.head_wanted(0, false), Some((21, 101)));
}

/// A push tries only so often, and each try reads so many rows.
#[test]
fn the_oldest_rows_are_read_from_the_first_that_may_go() {
    let mut m = stored(100, &["hub", "other"]);
    hold(&mut m, 0, [1, 2, 4, 5, 8]);
    hold(&mut m, 1, [3, 6, 7]);
    for consumer in [0, 1] {
        m.cursor_mut(consumer, 0).unwrap().pos.mark(9, 12);
    }
    hold(&mut m, 1, 13..=20);
    m.cursor_mut(1, 0).unwrap().pos.mark(21, 25);
    assert_eq!(m.head_wanted(0, false), Some((21, 101)), "the other wants what one has done");
    m.cursor_mut(0, 0).unwrap().pos.mark(21, 30);
    assert_eq!(m.head_wanted(0, false), Some((26, 101)));
    hold(&mut m, 0, 26..=100);
    assert_eq!(m.head_wanted(0, false), None);
}

#[test]
fn a_push_that_finds_no_row_to_give_up_names_the_limit_that_it_reached() {
    let mut m = stored_with(100, &["hub"], &Config::default().lanes(1).max_messages(100));
    let refused = m.push(row(), &at(1)).err().map(Refusal::give_up);
    assert!(matches!(refused, Some(PushError::Full { limit: Limit::Messages, .. })), "{refused:?}");
}

#[test]
fn where_all_rows_on_the_medium_stay_or_are_done_one_in_ram_goes() {
    let mut m = stored(100, &["hub"]);
    hold(&mut m, 0, 1..=50);
    m.cursor_mut(0, 0).unwrap().pos.mark(51, 100);
    push(&mut m, 5);
    assert_eq!(m.make_room(0, Limit::Messages, 1), MadeRoom::Freed);
    assert!(cursor(&m).pos.is_done(101) && !cursor(&m).pos.is_done(102));
}
