use super::*;
use crate::config::{ConsumerConfig, OnFull};
use crate::error::{Limit, PushError};
use crate::model::gaps::{GAPS_MAX, one};
use crate::model::usage::Usage;
use crate::state::Reason;

#[test]
fn a_consumer_whose_place_damage_took_starts_at_the_oldest_row() {
    let mut state = State::new(1, 1);
    state.lane.first_mut().unwrap().floor = 40;
    state.lane.first_mut().unwrap().next = 101;
    for floor in [50, 0] {
        let mut consumer = ConsumerState { name: format!("c{floor}"), lanes: Default::default() };
        consumer.lanes.first_mut().unwrap().floor = floor;
        state.consumers.push(consumer);
    }
    let rules = Config::default().lanes(1).rules();
    let floors = |damaged| -> Vec<Seq> {
        let m = Model::new(rules.clone(), state.clone(), PerLane::all(0), true, damaged);
        m.consumers.iter().filter_map(|r| r.lanes.first()).map(|cursor| cursor.pos.floor).collect()
    };
    assert_eq!(floors(true), [50, 40]);
    assert_eq!(floors(false), [50, 101], "it was about to register: it gets what comes");
}

#[test]
fn the_last_consumer_leaves_what_is_done_to_the_next_and_holds_nothing() {
    let mut m = model(&Config::default().lanes(1));
    assert!(!m.has_consumers());
    let id = m.register("hub").unwrap();
    push(&mut m, 10);
    assert_eq!(lease(&mut m, id, 6).len(), 6);
    deliver(&mut m, id, [1, 2, 4]);
    assert!(m.has_consumers() && lane(&mut m).pinned.rows == 3);
    assert!(m.forget("hub"));
    assert!(!m.has_consumers() && lane(&mut m).pinned == Usage::default());
    assert_eq!((cursor(&m).pos.floor, cursor(&m).pos.acked.clone()), (3, [(4, 4)].into()));
    let id = m.register("next").unwrap();
    assert_eq!(lease(&mut m, id, 3), [3, 5, 6]);
}

/// On the medium too, or its floor would hold segments back for ever.
#[test]
fn what_the_last_consumer_left_ends_with_the_next_one() {
    let mut m = model(&Config::default().lanes(1));
    let id = m.register("hub").unwrap();
    push(&mut m, 3);
    assert_eq!(lease(&mut m, id, 3).len(), 3);
    deliver(&mut m, id, [2]);
    assert!(m.forget("hub"));
    let mut durable = State::new(1, 1);
    write(&mut m).unwrap().iter().for_each(|change| durable.apply(change));
    assert_eq!(durable.consumers.len(), 1, "which rows are done");
    m.register("next").unwrap();
    write(&mut m).unwrap().iter().for_each(|change| durable.apply(change));
    let names: Vec<&str> = durable.consumers.iter().map(|consumer| consumer.name.as_str()).collect();
    assert_eq!(names, ["next"]);
    assert_eq!(durable.consumers[0].lanes.first().unwrap().floor, cursor(&m).pos.floor);
}

#[test]
fn gap_records_of_all_consumers_are_bounded_together_and_no_fewer_are_kept() {
    let mut m = model(&Config::default().lanes(2));
    m.register("hub").unwrap();
    m.register("other").unwrap();
    let fill = |m: &mut Model, consumer, lane, count: u64| {
        let cursor = m.cursor_mut(consumer, lane).unwrap();
        (0..count).for_each(|n| cursor.pos.add_gap(one(10 * n + 1, 0, 1, Reason::Overflow)));
    };
    let records =
        |m: &Model| m.consumers.iter().flat_map(|r| &r.lanes).map(|p| p.pos.gaps.len()).sum::<usize>();
    fill(&mut m, 0, 0, 100);
    fill(&mut m, 0, 1, 50);
    fill(&mut m, 1, 0, GAPS_MAX as u64 - 150);
    m.bound_gaps();
    assert_eq!(records(&m), GAPS_MAX);
    fill(&mut m, 1, 1, 40);
    m.bound_gaps();
    assert_eq!(records(&m), GAPS_MAX);
    let counts = m.consumers.iter().flat_map(|r| &r.lanes).flat_map(|p| &p.pos.gaps).map(|gap| gap.count);
    assert_eq!(counts.sum::<u64>(), GAPS_MAX as u64 + 40, "what they count stays");
}

/// After an unclean stop totals may claim rows that a torn commit never wrote.
#[test]
fn totals_of_an_unclean_stop_end_when_every_consumer_has_had_all() {
    let mut m = stored(10, &["hub", "other"]);
    m.recounts = Recounts::new(true);
    lane(&mut m).usage = Usage { rows: 12, weight: 12, bytes: 12 * ROW };
    let size = Size { weight: 1, bytes: ROW, wall_ms: 0 };
    (1..=10).for_each(|seq| m.done(0, 0, seq, size, Done::Delivered, 1));
    assert_eq!(lane(&mut m).usage.rows, 12, "the other still has all to come");
    (1..=9).for_each(|seq| m.done(1, 0, seq, size, Done::Delivered, 1));
    assert_eq!(lane(&mut m).usage.rows, 3);
    m.done(1, 0, 10, size, Done::Delivered, 1);
    assert_eq!(lane(&mut m).usage, Usage::default());
}

/// A consumer that has used all ranges there are.
fn short_of_ranges(config: &Config) -> Model {
    let mut m = model(config);
    m.register("hub").unwrap();
    ranges(&mut m, 0, 1, 10, 1_100);
    m
}

#[test]
fn a_consumer_beyond_its_own_limit_moves_without_a_range_or_not_at_all() {
    for leased in [false, true] {
        let mut m = short_of_ranges(&Config::default().lanes(2));
        let id = m.find_consumer("hub").unwrap();
        push(&mut m, 20);
        write(&mut m);
        m.limit(id, ConsumerConfig::default().max_messages(5));
        if leased {
            assert_eq!(lease(&mut m, id, 1), [1]);
        }
        assert!(m.move_slow_forward(1).is_none());
        let expected = if leased { (1, 20, 0) } else { (16, 5, 0) };
        assert_eq!((cursor(&m).pos.floor, cursor(&m).queued, cursor(&m).pos.acked.len()), expected);
    }
}

/// While ranges are short, only rows behind the last leased one are given up: here twice, each time behind another one.
#[test]
fn a_consumer_that_has_ranges_again_gives_up_its_oldest_rows() {
    let mut m = model(&Config::default().lanes(2));
    let id = m.register("hub").unwrap();
    m.register("other").unwrap();
    ranges(&mut m, 0, 1, 10, 1_030);
    m.limit(id, ConsumerConfig::default().max_messages(5));
    push(&mut m, 20);
    hold(&mut m, 1, [8]);
    assert!(m.move_slow_forward(1).is_none());
    assert_eq!((cursor(&m).pos.floor, cursor(&m).queued), (1, 8));
    push(&mut m, 5);
    hold(&mut m, 1, [22]);
    assert!(m.move_slow_forward(1).is_none());
    assert_eq!((cursor(&m).pos.floor, cursor(&m).queued), (1, 10));
    m.cursor_mut(0, 1).unwrap().pos.acked.clear();
    assert!(m.move_slow_forward(1).is_none());
    assert_eq!((cursor(&m).pos.floor, cursor(&m).queued), (6, 5));
}

#[test]
fn a_new_row_whose_loss_would_cost_a_range_too_many_is_refused() {
    let config = Config::default().lanes(2).max_messages(8).on_full(OnFull::DropNewest);
    let mut m = short_of_ranges(&config);
    lane(&mut m).limits.messages = 3;
    push(&mut m, 3);
    let refused = m.push(row(), &at(1));
    let full = |refusal| matches!(refusal, Refusal::Error(PushError::Full { limit: Limit::Messages, .. }));
    assert!(refused.is_err_and(full));
    assert_eq!((lane(&mut m).next, cursor(&m).pos.acked.len()), (4, 0));
    m.cursor_mut(0, 1).unwrap().pos.acked.clear();
    assert!(m.push(row(), &at(1)).is_ok());
    assert_eq!((lane(&mut m).next, cursor(&m).pos.acked.len()), (5, 1), "dropped, with ranges to spare");
}

#[test]
fn a_row_as_large_as_a_row_may_be_is_taken() {
    let mut m = model(&Config::default().lanes(1));
    lane(&mut m).limits.row_bytes_max = 50;
    assert!(m.push(Row::new(vec![7; 50]), &at(1)).is_ok());
    let large = |refusal| matches!(refusal, Refusal::Error(PushError::TooLarge { limit: 50, .. }));
    assert!(m.push(Row::new(vec![7; 51]), &at(1)).is_err_and(large));
}

/// A row that waits for a commit is its own too, and the commit that makes it durable says where the lane is.
#[test]
fn the_first_consumer_finds_what_waits_and_its_registration_names_the_lane() {
    let mut m = model(&Config::default().lanes(1));
    push(&mut m, 3);
    write(&mut m);
    push(&mut m, 2);
    lane(&mut m).dirty = false;
    m.register("hub").unwrap();
    assert_eq!((cursor(&m).waiting.rows, cursor(&m).queued), (2, 5));
    assert!(lane(&mut m).dirty, "the floor of a consumer is one of the lane's numbers");
}
