//! Sessions: how long they last, who takes one over, what comes again. Promise 10: nothing is kept for ever.

use edge_bridge::listener::{Config, Event};
use edge_bridge::wire::{Connect, Disconnect, Packet, ReasonCode, Value, Version};

use crate::listener_support::*;
use crate::{BOTH, EXPIRY, pair, site};

#[test]
fn unacknowledged_messages_come_again_with_dup_and_the_same_identifier() {
    for version in BOTH {
        let mut site = site();
        let (subscriber, publisher) = pair(&mut site, version);
        site.send(publisher, &[publish(1, "a", "1"), publish(2, "a", "2")]);
        let first = site.messages(subscriber);
        site.send(subscriber, &[puback(first[0].packet_id.unwrap().get())]);
        site.cut(subscriber);
        site.send(publisher, &[publish(3, "a", "3"), qos0("a", "not kept")]);
        let (again, ack) = site.connect(stays("sub", version));
        assert!(ack.session_present);
        let second = site.messages(again);
        let seen: Vec<_> = second.iter().map(|p| (payload(p), p.dup)).collect();
        assert_eq!(seen, [("2".to_owned(), true), ("3".to_owned(), false)]);
        assert_eq!(second[0].packet_id, first[1].packet_id);
    }
}

#[test]
fn a_clean_start_ends_the_session() {
    for version in BOTH {
        let mut site = site();
        let (subscriber, publisher) = pair(&mut site, version);
        site.cut(subscriber);
        site.send(publisher, &[publish(1, "a", "1")]);
        let (again, ack) = site.connect(Connect { clean_start: true, ..stays("sub", version) });
        assert!(!ack.session_present);
        site.send(publisher, &[publish(2, "a", "2")]);
        assert_eq!(site.messages(again), [], "no messages, no subscriptions");
        assert_eq!(site.listener.stats().queued_bytes, 0);
    }
}

#[test]
fn a_session_lasts_as_long_as_it_was_asked_to() {
    for (after_ms, present) in [(3_599_000, true), (3_601_000, false)] {
        let mut site = site();
        let (subscriber, _) = pair(&mut site, Version::V5);
        site.cut(subscriber);
        site.pass(after_ms);
        assert_eq!(site.connect(stays("sub", Version::V5)).1.session_present, present);
    }
}

#[test]
fn an_expiry_of_zero_ends_with_the_connection_and_disconnect_can_change_it() {
    let mut site = site();
    let (peer, _) = site.connect(Connect { clean_start: false, ..connect("short", Version::V5) });
    site.cut(peer);
    assert_eq!(site.listener.stats().sessions, 0);
    let peer = site.client("long", Version::V5);
    let now_short = Disconnect {
        reason: ReasonCode::NORMAL_DISCONNECTION,
        properties: properties(&[(EXPIRY, Value::U32(0))]),
    };
    site.send(peer, &[Packet::Disconnect(now_short)]);
    assert_eq!(site.listener.stats().sessions, 0);
}

#[test]
fn an_expiry_beyond_ours_is_capped_and_told_and_3_1_1_gets_ours() {
    let mut config = Config::default();
    config.session_expiry_max_s = 100;
    let mut site = Site::new(config);
    let (v5, ack) = site.connect(stays("v5", Version::V5));
    assert_eq!(ack.properties.u32(EXPIRY), Some(100));
    let v311 = site.client("v311", Version::V311);
    site.cut(v5);
    site.cut(v311);
    site.pass(99_000);
    assert_eq!(site.listener.stats().sessions, 2);
    site.pass(1_000);
    assert_eq!(site.listener.stats().sessions, 0);
    let ended = site.events.iter().filter(|e| matches!(e, Event::SessionEnded { .. })).count();
    assert_eq!(ended, 2);
}

/// A session that never was to outlive its connection has no end of its own.
#[test]
fn the_end_of_a_clean_client_is_no_end_of_a_session() {
    for version in BOTH {
        let mut site = site();
        let (peer, _) = site.connect(connect("clean", version));
        site.cut(peer);
        site.pass(1_000);
        assert_eq!(site.listener.stats().sessions, 0);
        assert!(!site.events.iter().any(|event| matches!(event, Event::SessionEnded { .. })), "{version:?}");
    }
}

#[test]
fn a_second_connection_of_a_client_takes_over() {
    for version in BOTH {
        let mut site = site();
        let (first, publisher) = pair(&mut site, version);
        site.send(publisher, &[publish(1, "a", "1")]);
        assert_eq!(site.payloads(first), ["1"]);
        let (second, ack) = site.connect(stays("sub", version));
        assert!(ack.session_present && site.is_closed(first));
        let expected = (version == Version::V5).then_some(ReasonCode::SESSION_TAKEN_OVER);
        assert_eq!(told(&site.received(first)), expected);
        let again = site.messages(second);
        assert!(again.len() == 1 && again[0].dup);
        site.cut(first);
        site.send(publisher, &[publish(2, "a", "2")]);
        assert_eq!(site.payloads(second), ["2"], "the old connection's end changes nothing");
    }
}

#[test]
fn at_the_limit_of_sessions_an_idle_absent_client_makes_room() {
    let mut config = Config::default();
    config.max_sessions = 2;
    let mut site = Site::new(config);
    let (subscriber, publisher) = pair(&mut site, Version::V5);
    let (_, ack) = site.connect(stays("third", Version::V5));
    assert_eq!(ack.reason, ReasonCode::QUOTA_EXCEEDED);
    site.cut(subscriber);
    site.send(publisher, &[publish(1, "a", "waits")]);
    site.cut(publisher);
    let (_, ack) = site.connect(stays("third", Version::V5));
    assert_eq!(ack.reason, ReasonCode::SUCCESS);
    assert_eq!(site.listener.stats().dropped_full, 0, "something waits for the other one");
}
