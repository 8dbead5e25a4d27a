use super::*;

#[test]
fn the_oldest_rows_are_read_ahead_only_near_a_limit() {
    let mut m = stored_with(100, &["hub"], &Config::default().lanes(1).max_messages(1_000));
    assert_eq!(m.head_wanted(0, true), None);
    assert_eq!(m.head_wanted(0, false), Some((1, 101)));
    lane(&mut m).limits.messages = 110;
    assert_eq!(m.head_wanted(0, true), Some((1, 101)));
}
