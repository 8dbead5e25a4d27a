//! List of what is refused, where rows that were to be parked wait in their place instead: each is taken out of the count that it was put in.

use crate::refusal_support::{Answer, Rig, number};
use edge_bridge::bridge::ParkedList;

const SECOND: u64 = 1_000;

/// A hub that takes the first message of a topic for too large, and refuses the topic. Rows of one kind of count are left in their place, which is told
/// when both are counted.
fn list(leaves_apart: bool) -> ParkedList {
    let mut rig = Rig::new(|_, publish| Answer::Ack(if number(publish) == 0 { 0x95 } else { 0x97 }));
    rig.core.spool_mut().leaves_apart = Some(leaves_apart);
    rig.fill(100, 1);
    rig.run_until(SECOND / 2);
    rig.core.spool_mut().tell_left();
    rig.arrive();
    rig.core.parked(rig.now())
}

/// Reasons and numbers of parked messages.
fn parked(list: &ParkedList) -> Vec<(u8, u64)> {
    list.topics.iter().map(|topic| (topic.reason.get(), topic.parked)).collect()
}

#[test]
fn a_message_refused_for_itself_that_waits_in_its_place_is_not_taken_out_of_its_topics_count() {
    let list = list(true);
    assert!(list.parked > 10, "{list:?}");
    assert_eq!(parked(&list), [(0x97, list.parked)]);
}

#[test]
fn rows_of_a_refused_topic_that_wait_in_their_place_are_not_taken_out_of_the_other_count() {
    let list = list(false);
    assert_eq!(parked(&list), [(0x97, 0), (0x95, 1)]);
}
