use bytes::Bytes;

use super::*;
use crate::wire::{Properties, QoS, Utf8};

fn publish() -> Publish {
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::from_static("t"),
        packet_id: None,
        properties: Properties::default(),
        payload: Bytes::from_static(b"p"),
    }
}

fn send(out: &mut UnackedMessages, token: u64) -> PacketId {
    assert!(out.room() > 0);
    let id = out.allocate_id(|_| false).unwrap();
    out.push_sent(id, Token(token), publish(), Wrote::default());
    id
}

fn acknowledge(out: &mut UnackedMessages, id: PacketId) -> Option<Token> {
    out.acknowledge(id, QoS::AtLeastOnce).map(|(token, _)| token)
}

#[test]
fn acknowledgements_in_any_order_keep_the_original_order_of_the_rest() {
    let mut out = UnackedMessages::new(Resume::new(), 10);
    let ids: Vec<_> = (0..5).map(|n| send(&mut out, n)).collect();
    assert_eq!(acknowledge(&mut out, ids[3]), Some(Token(3)));
    assert_eq!(acknowledge(&mut out, ids[0]), Some(Token(0)));
    assert_eq!(acknowledge(&mut out, ids[0]), None);
    assert_eq!((out.len(), out.room()), (3, 7));
    let left: Vec<_> =
        out.into_resume(UnreleasedMessages::default(), 0).in_flight.iter().map(|m| m.token.0).collect();
    assert_eq!(left, [1, 2, 4]);
}

/// Any number of younger messages goes past one that the peer leaves out, which costs one place and no more.
#[test]
fn a_message_without_an_answer_takes_one_place() {
    let mut out = UnackedMessages::new(Resume::new(), 10);
    let first = send(&mut out, 0);
    for token in 1..70_000 {
        let id = send(&mut out, token);
        assert_ne!(id, first);
        assert_eq!(acknowledge(&mut out, id), Some(Token(token)));
    }
    assert_eq!((out.len(), out.room(), out.serial_of.len()), (1, 9, 1));
    assert_eq!(acknowledge(&mut out, first), Some(Token(0)));
    assert_eq!((out.len(), out.room()), (0, 10));
}

#[test]
fn a_waiting_message_is_not_acknowledged_by_a_stray_answer() {
    let mut out = UnackedMessages::new(Resume::new(), 2);
    let ids = [send(&mut out, 1), send(&mut out, 2)];
    let mut out = UnackedMessages::new(out.into_resume(UnreleasedMessages::default(), 0), 1);
    assert_eq!(acknowledge(&mut out, ids[1]), None);
    assert_eq!(out.room(), 0, "resumed messages go first");
    assert_eq!(out.next_waiting().map(|(m, dup)| (m.token, dup)), Some((Token(1), true)));
    out.waiting_sent(QoS::AtLeastOnce, Wrote::default());
    assert!(out.next_waiting().is_none(), "the new window is one");
    assert_eq!(acknowledge(&mut out, ids[0]), Some(Token(1)));
    assert_eq!(out.next_waiting().map(|(m, _)| m.token), Some(Token(2)));
    let of_one = out.memory();
    assert!(of_one.own > 1 && of_one.payloads == 1);
    assert_eq!(out.waiting_dropped(), Some(Token(2)));
    assert_eq!((out.len(), out.room(), out.memory()), (0, 1, Memory::default()));
    // Two of them, and what is resumed of them, take twice as much.
    let id = send(&mut out, 3);
    assert_eq!((out.memory(), acknowledge(&mut out, id)), (of_one, Some(Token(3))));
    let mut out = UnackedMessages::new(Resume::new(), 2);
    for token in [4, 5] {
        send(&mut out, token);
    }
    let of_two = Memory { own: 2 * of_one.own, payloads: 2 };
    assert_eq!(out.memory(), of_two);
    let resume = out.into_resume(UnreleasedMessages::default(), 0);
    assert_eq!((resume.memory(), UnackedMessages::new(resume, 1).memory()), (of_two, of_two));
}

#[test]
fn what_was_resent_stays_before_what_still_waits() {
    let mut out = UnackedMessages::new(Resume::new(), 3);
    for token in 1..=3 {
        send(&mut out, token);
    }
    let mut out = UnackedMessages::new(out.into_resume(UnreleasedMessages::default(), 0), 1);
    out.waiting_sent(QoS::AtLeastOnce, Wrote::default());
    let left = out.into_resume(UnreleasedMessages::default(), 0).in_flight;
    assert_eq!(left.iter().map(|message| message.token.0).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn identifiers_of_waiting_messages_are_not_given_again() {
    let mut out = UnackedMessages::new(Resume::new(), 2);
    assert_eq!([1, 2].map(|token| send(&mut out, token).get()), [1, 2]);
    let mut out = UnackedMessages::new(out.into_resume(UnreleasedMessages::default(), 0), 1);
    let given: Vec<_> = (0..65_277).map(|_| out.allocate_id(|_| false).unwrap().get()).collect();
    assert!(given.iter().copied().eq(3..=65_279), "the rest is for QoS 2");
    assert_eq!(out.allocate_id(|_| false).map(PacketId::get), Some(3));
}

/// Messages for a client that was away are written for the first time, and then again with DUP.
#[test]
fn a_message_that_waited_counts_as_sent_once_it_is_written() {
    let (packet_id, token) = (PacketId::MIN, Token(1));
    let message = InFlight { packet_id, token, publish: publish(), sent: false, as_of_ms: 0 };
    let mut out = UnackedMessages::new(Resume { in_flight: vec![message], ..Resume::new() }, 1);
    assert_eq!(out.next_waiting().map(|(_, dup)| dup), Some(false));
    out.waiting_sent(QoS::AtLeastOnce, Wrote::default());
    let out = UnackedMessages::new(out.into_resume(UnreleasedMessages::default(), 0), 1);
    assert_eq!(out.next_waiting().map(|(_, dup)| dup), Some(true));
}
