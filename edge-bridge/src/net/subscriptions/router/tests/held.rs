//! Messages of QoS 2 that come again while the application has them.

use super::*;

fn exactly_once(payload: &'static str) -> Publish {
    Publish { qos: QoS::ExactlyOnce, ..at_qos_0("cmd/a", Bytes::from_static(payload.as_bytes())) }
}

/// Repeats of a hub without a PUBREC, on each new connection, while the application works on the first copy.
#[test]
fn a_copy_of_a_held_message_is_not_given_again_and_is_answered_when_the_first_is_done() {
    let mut rig = Rig::new();
    let mut commands = rig.subscribe("cmd/#");
    let handle = |epoch| AckHandle::for_test(epoch, 0);
    rig.router.deliver(1, &exactly_once("x"), Some(handle(1)));
    assert_eq!((rig.router.take_newly_held(), rig.router.take_newly_held()), (vec![handle(1)], vec![]));
    let first = take(&mut commands).unwrap();
    for epoch in 2..5 {
        rig.router.on_hangup();
        rig.router.repeat(1, &exactly_once("x"), handle(epoch), handle(epoch - 1));
        assert!(take(&mut commands).is_none() && rig.acks.take().is_empty());
    }
    first.done();
    assert_eq!(rig.acks.take(), [handle(4)]);
    // The connection had gone before the PUBREC left.
    rig.router.on_hangup();
    rig.router.repeat(1, &exactly_once("x"), handle(5), handle(4));
    assert!(take(&mut commands).is_none());
    assert_eq!(rig.acks.take(), [handle(5)]);
}

#[test]
fn a_message_that_was_dropped_or_had_no_room_comes_again() {
    let mut rig = Rig::new();
    let mut commands = rig.subscribe("cmd/#");
    let handle = AckHandle::for_test;
    rig.router.deliver(1, &exactly_once("x"), Some(handle(1, 0)));
    drop(take(&mut commands).unwrap());
    rig.router.tidy(1);
    rig.router.on_hangup();
    rig.router.repeat(1, &exactly_once("x"), handle(2, 0), handle(1, 0));
    let again = take(&mut commands).unwrap();
    // Of another session: under a handle that nobody knows.
    rig.router.on_session_lost();
    rig.router.repeat(1, &exactly_once("y"), handle(3, 0), handle(2, 0));
    assert_eq!(take(&mut commands).unwrap().payload(), "y");
    again.done();
    // Of a subscription that ends the message goes to the next one.
    rig.router.deliver(1, &exactly_once("z"), Some(handle(3, 1)));
    drop(commands);
    rig.router.tidy(1);
    rig.router.on_hangup();
    let mut commands = rig.subscribe("cmd/#");
    rig.router.repeat(1, &exactly_once("z"), handle(4, 0), handle(3, 1));
    assert_eq!(take(&mut commands).unwrap().payload(), "z");

    // One that a full queue does not take is the session's to deliver anew.
    rig.router.take_newly_held();
    let large = Bytes::from(vec![b'x'; bytes_max(PACKET_MAX)]);
    for serial in 1..3 {
        let publish = Publish { payload: large.clone(), ..exactly_once("") };
        rig.router.deliver(1, &publish, Some(handle(4, serial)));
    }
    assert_eq!(rig.router.take_newly_held(), [handle(4, 1)]);
}

#[test]
fn held_messages_are_bounded_and_those_that_are_over_leave() {
    let mut held = HeldMessages::default();
    let ack = |serial| SharedAck::new(AckHandle::for_test(1, serial), 1);
    let added = (0..10_000).filter(|serial| held.add(&ack(*serial))).count();
    assert_eq!(added, 4_096);
    held.tidy(|handle| handle == AckHandle::for_test(1, 7));
    assert!(held.add(&ack(10_000)));
    let copy = |held: &mut HeldMessages, serial| {
        held.copy(AckHandle::for_test(2, serial), AckHandle::for_test(1, serial))
    };
    assert_eq!([copy(&mut held, 7), copy(&mut held, 8)], [Copy::Waits, Copy::Wanted]);
}

/// Not before the messages without a subscription are done with, and not forgotten with them.
#[test]
fn what_an_ended_subscription_dropped_is_asked_for_after_the_grace_time_of_others() {
    let mut rig = Rig::new();
    let mut commands = rig.subscribe("cmd/#");
    rig.message("cmd/a");
    drop(take(&mut commands).unwrap());
    drop(commands);
    rig.router.tidy(1);
    rig.message("x/old");
    assert!(!rig.router.wants_redial(), "one of nobody waits");
    rig.router.on_timeout(1 + GRACE_MS);
    assert_eq!(rig.acked(), [1]);
    assert!(rig.router.wants_redial(), "for the one that was dropped");
}
