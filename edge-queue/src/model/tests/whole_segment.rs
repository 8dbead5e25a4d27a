use super::*;

/// Thirty rows, just written, in three segments.
fn filled(consumers: &[&str]) -> Model {
    let mut m = model(&Config::default().lanes(2));
    consumers.iter().for_each(|name| assert!(m.register(name).is_ok()));
    push(&mut m, 30);
    write(&mut m);
    m.rules.segment_bytes = 1_600;
    let l = lane(&mut m);
    (l.room, l.segments) = (50, Some(vec![(1, 10), (11, 20), (21, 30)]));
    m
}

fn open(m: &Model) -> Vec<Seq> {
    (1..=30).filter(|seq| m.wanted(0, *seq)).collect()
}

#[test]
fn the_oldest_segment_without_a_leased_row_is_given_up_whole_and_no_other_row() {
    let mut m = filled(&["hub"]);
    assert_eq!(m.make_segment(0, 1), MadeRoom::Freed);
    assert_eq!(open(&m), (11..=30).collect::<Vec<_>>());
    assert_eq!(lane(&mut m).room, 50 + 1_000, "until the next commit says so");
    let id = m.find_consumer("hub").unwrap();
    assert_eq!(lease(&mut m, id, 1), [11]);
    m.rules.segment_bytes = 3_000;
    assert_eq!(m.make_segment(0, 1), MadeRoom::Freed);
    assert_eq!(open(&m), (11..=20).collect::<Vec<_>>());
    assert_eq!(lane(&mut m).room, 50 + 1_000 + 1_500, "commits are padded: half a segment at least");
    assert_eq!(m.make_segment(0, 1), MadeRoom::Nothing);
    assert_eq!(open(&m).len(), 10, "nothing is lost for a push that is refused");
}

#[test]
fn a_segment_that_nobody_wants_any_more_is_not_looked_for_rows() {
    let mut m = filled(&["hub"]);
    let id = m.find_consumer("hub").unwrap();
    let rows = lease(&mut m, id, 10);
    deliver(&mut m, id, rows);
    assert_eq!(m.make_segment(0, 1), MadeRoom::Freed);
    assert_eq!(open(&m), (21..=30).collect::<Vec<_>>());
}

#[test]
fn a_segment_whose_last_row_alone_is_leased_stays_and_the_next_one_goes() {
    let mut m = filled(&["hub"]);
    let id = m.find_consumer("hub").unwrap();
    let mut rows = lease(&mut m, id, 10);
    assert_eq!(rows.pop(), Some(10));
    deliver(&mut m, id, rows);
    assert_eq!(m.make_segment(0, 1), MadeRoom::Freed);
    assert_eq!(open(&m), [10].into_iter().chain(21..=30).collect::<Vec<_>>());
}

#[test]
fn a_queue_that_nobody_reads_gives_up_its_oldest_segment() {
    let mut m = filled(&[]);
    assert_eq!(m.make_segment(0, 1), MadeRoom::Freed);
    assert_eq!(lane(&mut m).floor, 11);
    assert_eq!(m.make_segment(0, 1), MadeRoom::Freed);
    assert_eq!((lane(&mut m).floor, lane(&mut m).usage.rows), (21, 10));
}

#[test]
fn a_segment_that_would_cost_a_range_too_many_stays() {
    let mut m = filled(&["hub"]);
    let id = m.find_consumer("hub").unwrap();
    assert_eq!(lease(&mut m, id, 1), [1]);
    ranges(&mut m, 0, 1, 10, 1_100);
    assert_eq!(m.make_segment(0, 1), MadeRoom::Nothing);
    assert_eq!((open(&m).len(), lane(&mut m).room), (30, 50));
}

#[test]
fn without_known_segments_rows_worth_one_are_given_up() {
    let mut m = filled(&["hub"]);
    (m.rules.segment_bytes, lane(&mut m).segments) = (3 * ROW, None);
    assert_eq!(m.make_segment(0, 1), MadeRoom::Freed);
    assert_eq!(open(&m), (4..=30).collect::<Vec<_>>());
}

#[test]
fn rows_that_wait_are_given_up_only_when_nothing_older_is_stored() {
    let mut m = model(&Config::default().lanes(1));
    m.register("hub").unwrap();
    push(&mut m, 2);
    write(&mut m);
    push(&mut m, 5);
    m.rules.segment_bytes = 4 * ROW;
    assert_eq!(m.make_segment(0, 1), MadeRoom::Freed);
    assert_eq!(cursor(&m).pos.floor, 3, "two rows free stored bytes, the third none");
    assert_eq!(m.make_segment(0, 1), MadeRoom::Freed);
    assert_eq!(cursor(&m).pos.floor, 4, "one that waits makes room in RAM");
}

#[test]
fn sizes_not_in_ram_are_asked_for_unless_something_was_given_up() {
    let mut m = stored(100, &["hub"]);
    m.rules.segment_bytes = 3 * ROW;
    assert_eq!(m.make_segment(0, 1), MadeRoom::NeedHead);
    assert_eq!(m.head_wanted(0, false), Some((1, 101)));
    m.fill_head(0, 1, 101, chunk(1..=2, Some(3), &[]));
    assert_eq!((m.make_segment(0, 1), cursor(&m).pos.floor), (MadeRoom::Freed, 3));
    lane(&mut m).segments = Some(vec![(1, 10), (11, 20)]);
    m.fill_head(0, 3, 101, chunk(3..=6, Some(7), &[]));
    assert_eq!(
        (m.make_segment(0, 1), cursor(&m).pos.floor),
        (MadeRoom::NeedHead, 7),
        "half a segment helps nobody"
    );
    m.fill_head(0, 7, 101, chunk(7..=10, Some(11), &[]));
    assert_eq!((m.make_segment(0, 1), cursor(&m).pos.floor), (MadeRoom::Freed, 11));
}

/// One consumer that wants a row of it is enough.
#[test]
fn a_segment_that_one_of_two_consumers_has_had_is_given_up_for_the_other() {
    let mut m = filled(&["hub", "other"]);
    let id = m.find_consumer("hub").unwrap();
    let rows = lease(&mut m, id, 10);
    deliver(&mut m, id, rows);
    assert_eq!(m.make_segment(0, 1), MadeRoom::Freed);
    assert_eq!(open(&m), (11..=30).collect::<Vec<_>>());
}

#[test]
fn without_a_consumer_a_segment_is_wanted_for_its_last_row_too() {
    let mut m = filled(&[]);
    lane(&mut m).floor = 10;
    assert!(m.holds_wanted(0, 1, 10) && !m.holds_wanted(0, 1, 9));
    assert!(!m.holds_wanted(7, 1, 10), "a lane that there is not");
}
