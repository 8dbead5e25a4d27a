//! Work by hand on parked rows waits for the spool, and says what it had to leave out: rows still on their way, a drop that is not on disk, rows that
//! cannot be parked.

use crate::refusal_support::{Answer, Rig};
use edge_bridge::bridge::{LeftOut, UplinkEvent};

const SECOND: u64 = 1_000;

/// A hub that refuses the only topic: 8 messages are held, 92 rows are parked, or on their way there.
fn rig(parks_slowly: bool) -> Rig {
    let mut rig = Rig::new(|_, _| Answer::Ack(0x97));
    rig.core.spool_mut().parks_slowly = parks_slowly;
    rig.fill(100, 1);
    rig.run_until(SECOND / 2);
    assert_eq!(rig.core.stats().held, 8);
    rig
}

/// Messages, whether they were dropped, and what was left out.
fn ends(rig: &Rig) -> Vec<(u64, bool, Option<LeftOut>)> {
    let ends = rig.events.iter().filter_map(|event| match event {
        UplinkEvent::ByHand { count, dropped, left_out } => Some((count.messages, *dropped, *left_out)),
        _ => None,
    });
    ends.collect()
}

fn take_all(rig: &mut Rig) -> usize {
    std::iter::repeat_with(|| rig.take_copies().len()).take_while(|rows| *rows > 0).sum()
}

#[test]
fn copies_wait_for_rows_on_their_way_and_go_without_them_in_the_end() {
    let mut rig = rig(true);
    assert!(rig.begin_copy("#"));
    assert!(!rig.begin_copy("#"), "one at a time");
    assert_eq!(rig.take_copies().len(), 8, "what is held");
    rig.run_until(3 * SECOND);
    rig.arrive();
    assert_eq!((take_all(&mut rig), ends(&rig)), (92, vec![(100, false, None)]));

    let mut rig = self::rig(true);
    let began_ms = rig.now_ms;
    assert!(rig.begin_copy("#"));
    rig.take_copies();
    rig.run_until(began_ms + 5 * SECOND - 1);
    assert_eq!((rig.core.spool().scans, ends(&rig).len()), (0, 0));
    rig.run_until(began_ms + 5 * SECOND);
    assert_eq!(rig.core.spool().scans, 1, "what is there is looked through");
    rig.run_until(began_ms + 11 * SECOND);
    assert_eq!(ends(&rig)[0], (8, false, Some(LeftOut::NotRead)));
}

#[test]
fn a_drop_is_over_when_it_is_durable() {
    let mut rig = rig(false);
    assert!(rig.drop_parked("t/#"));
    assert_eq!((rig.core.spool().commits, ends(&rig)), (1, vec![(100, true, None)]));
    assert!(rig.core.spool().is_empty());
    assert!(rig.drop_parked("t/#"));
    assert_eq!((rig.core.spool().commits, ends(&rig)[1]), (1, (0, true, None)), "nothing to make durable");

    let mut rig = self::rig(false);
    rig.core.spool_mut().is_committing = true;
    assert!(rig.drop_parked("t/#"));
    rig.run_until(3 * SECOND);
    assert!(ends(&rig).is_empty());
    rig.core.spool_mut().is_committing = false;
    rig.arrive();
    assert_eq!((rig.core.spool().commits, ends(&rig)), (1, vec![(100, true, None)]));
}

#[test]
fn a_drop_that_does_not_become_durable_says_so() {
    let mut rig = rig(false);
    rig.core.spool_mut().is_committing = true;
    let began_ms = rig.now_ms;
    assert!(rig.drop_parked("t/#"));
    rig.run_until(began_ms + 5 * SECOND - 1);
    assert!(ends(&rig).is_empty());
    rig.run_until(began_ms + 5 * SECOND);
    assert_eq!(ends(&rig), [(100, true, Some(LeftOut::NotDurable))]);
    assert_eq!(rig.core.spool().commits, 1);
}

#[test]
fn rows_that_cannot_be_parked_are_left_out_and_listed() {
    let mut rig = rig(false);
    assert_eq!(rig.core.parked(rig.now()).in_place_reason, None);
    rig.core.spool_mut().not_parked = 7;
    let list = rig.core.parked(rig.now());
    assert_eq!((list.in_place, list.in_place_reason.as_deref()), (7, Some("the parked queue is full")));
    assert!(rig.begin_copy("#"));
    assert_eq!(take_all(&mut rig), 100);
    assert_eq!(ends(&rig), [(100, false, Some(LeftOut::InPlace { readings: 7 }))]);
}
