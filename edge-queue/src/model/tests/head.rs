use super::*;

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
