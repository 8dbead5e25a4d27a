//! What is a change of the clients that are saved, and how old they are when they come back: a file that was current stays so.

use edge_bridge::listener::{Config, Event};
use edge_bridge::wire::{Connect, Packet, Publish, QoS, ReasonCode, Value, Version};

use crate::listener_support::*;
use crate::saved::{at_noon, restarted};
use crate::{EXPIRY, pair};

/// Wall clock of [`at_noon`].
const NOON_MS: i64 = 1_800_000_000_000;
const DAY_MS: i64 = 86_400_000;

fn is_change(site: &mut Site, act: impl FnOnce(&mut Site)) -> bool {
    let before = site.listener.changes();
    act(site);
    site.listener.changes() > before
}

/// Connects for as many seconds.
fn lasting(name: &str, seconds: u32) -> Connect {
    Connect { properties: properties(&[(EXPIRY, Value::U32(seconds))]), ..stays(name, Version::V5) }
}

/// A listener of this time that takes back the bytes.
fn restored_at(wall_ms: i64, saved: &[u8]) -> Site {
    let mut site = Site::new(Config::default());
    site.now.wall_ms = wall_ms;
    site.listener.restore(site.now, saved).unwrap();
    site.outputs();
    site
}

#[test]
fn the_end_of_a_session_by_its_client_is_a_change() {
    let mut site = at_noon();
    let (sub, _) = pair(&mut site, Version::V5);
    let mut packet = disconnect(ReasonCode::NORMAL_DISCONNECTION);
    if let Packet::Disconnect(disconnect) = &mut packet {
        disconnect.properties = properties(&[(EXPIRY, Value::U32(0))]);
    }
    assert!(is_change(&mut site, |site| site.send(sub, &[packet])));
    let mut site = at_noon();
    let (sub, _) = pair(&mut site, Version::V5);
    site.cut(sub);
    let again = Connect { properties: properties(&[]), ..stays("sub", Version::V5) };
    assert!(is_change(&mut site, |site| assert!(site.connect(again).1.session_present)));
}

/// Its end is told, and counted with what was on its way. Otherwise a restart would bring it back.
#[test]
fn the_end_of_a_session_for_memory_is_a_change() {
    for has_many_filters in [false, true] {
        let mut config = Config::default();
        (config.max_memory, config.max_subscriptions) = (2 << 20, 10_000);
        let mut site = Site::new(config);
        let (large, _) = site.connect(lasting("large", 60));
        site.send(large, &[subscribe(&["a"])]);
        let publisher = site.client("publisher", Version::V311);
        site.send(publisher, &[publish(1, "a", "x")]);
        let (mut steps, mut changes) = (0, 0);
        while !site.is_closed(large) && steps < 1_000 {
            steps += 1;
            changes = site.listener.changes();
            if has_many_filters {
                site.send(large, &[subscribe(&[&format!("{steps}/{}", "f".repeat(2_000))])]);
            } else {
                site.send(publisher, &[publish(steps, "a", &"x".repeat(50_000))]);
            }
        }
        let ends = site.events.iter().filter_map(|event| match event {
            Event::SessionEnded { dropped, .. } => Some(*dropped as u64),
            _ => None,
        });
        let on_the_way = if has_many_filters { 1 } else { u64::from(steps) };
        assert_eq!(ends.collect::<Vec<_>>(), [on_the_way], "{has_many_filters}");
        assert_eq!(site.listener.stats().dropped_full, on_the_way);
        assert!(site.listener.changes() > changes);
    }
}

/// It was there until the end, however long ago its session last changed.
#[test]
fn the_session_of_a_client_that_is_there_does_not_age() {
    let mut site = at_noon();
    let (panel, _) = site.connect(lasting("panel", 3_600));
    site.send(panel, &[subscribe(&["a"])]);
    let changes = site.listener.changes();
    let saved = site.listener.save(site.now);
    for _ in 0..120 {
        site.pass(60_000);
        site.send(panel, &[Packet::PingReq]);
    }
    assert_eq!(site.listener.changes(), changes, "nothing is saved meanwhile");
    let mut next = restored_at(NOON_MS + 2 * 3_600_000, &saved.bytes);
    assert_eq!(next.listener.stats().sessions, 1);
    next.pass(3_599_000);
    assert_eq!(next.listener.stats().sessions, 1, "it is away since the restart");
    next.pass(2_000);
    assert_eq!(next.listener.stats().sessions, 0);
}

#[test]
fn the_session_of_a_client_that_is_away_ages() {
    let mut site = at_noon();
    let (panel, _) = site.connect(lasting("panel", 3_600));
    site.cut(panel);
    let saved = site.listener.save(site.now);
    assert_eq!(restored_at(NOON_MS + 3_599_000, &saved.bytes).listener.stats().sessions, 1);
    assert_eq!(restored_at(NOON_MS + 3_601_000, &saved.bytes).listener.stats().sessions, 0);
}

/// So that the file is written again: what a valve acknowledged long ago must not come again behind younger orders.
#[test]
fn messages_to_clients_that_are_there_are_exchanges_and_so_are_their_answers() {
    let mut site = at_noon();
    let publisher = site.client("pub", Version::V5);
    let (valve, _) = site.connect(lasting("valve", 7 * 86_400));
    site.send(valve, &[subscribe(&["set"])]);
    let (changes, before) = (site.listener.changes(), site.listener.exchanges());
    site.send(publisher, &[publish(1, "set", "40")]);
    let sent = site.listener.exchanges();
    assert!(sent > before);
    let id = site.messages(valve)[0].packet_id.unwrap().get();
    site.send(valve, &[puback(id)]);
    assert!(site.listener.exchanges() > sent);
    let settled = site.listener.exchanges();
    // Whose session ends with its connection has nothing to be saved.
    let (guest, _) = site.connect(lasting("guest", 0));
    site.send(guest, &[subscribe(&["other"])]);
    site.send(publisher, &[publish(2, "other", "1")]);
    assert_eq!((site.listener.changes(), site.listener.exchanges()), (changes, settled));
    let saved = site.listener.save(site.now);
    let mut next = restored_at(NOON_MS + 6 * DAY_MS, &saved.bytes);
    let (again, _) = next.connect(lasting("valve", 7 * 86_400));
    assert!(next.payloads(again).is_empty(), "what is saved now has none of it");
}

#[test]
fn a_will_that_was_published_is_a_change() {
    let mut site = at_noon();
    let left = Connect {
        will: will("store/gone", &[(edge_bridge::wire::PropertyId::WillDelayInterval, Value::U32(10))]),
        ..lasting("gone", 3_600)
    };
    let (gone, _) = site.connect(left);
    site.cut(gone);
    site.pass(1_000);
    let saved = site.listener.save(site.now);
    assert!(is_change(&mut site, |site| site.pass(20_000)));
    assert_eq!(site.stored.len(), 1);
    // Taken back late it is published by the restore itself: that is a change of what is on disk.
    let next = restored_at(NOON_MS + 60_000, &saved.bytes);
    assert_eq!(next.stored.len(), 1);
    assert!(next.listener.changes() > 0);
}

#[test]
fn a_retained_message_that_changes_nothing_is_no_change() {
    let retained = |topic: &str, payload: &str| {
        let publish =
            Publish { retain: true, qos: QoS::AtMostOnce, packet_id: None, ..message(topic, payload) };
        [Packet::Publish(publish)]
    };
    let mut config = Config::default();
    config.max_retained = 1;
    let mut site = Site::new(config);
    let publisher = site.client("pub", Version::V5);
    for (topic, payload, expected) in [
        ("none", "", false),
        ("set", "1", true),
        ("set", "1", false),
        ("set", "2", true),
        ("beyond", "1", false),
        ("set", "", true),
        ("set", "", false),
    ] {
        let changed = is_change(&mut site, |site| site.send(publisher, &retained(topic, payload)));
        assert_eq!(changed, expected, "{topic} {payload}");
    }
}

/// For an application that lets go of a message once a session has it.
#[test]
fn messages_of_the_application_are_saved_where_that_is_asked_for() {
    let mut config = Config::default();
    config.saves_own_messages = true;
    let mut site = Site::new(config);
    site.now.wall_ms = NOON_MS;
    let (subscriber, publisher) = pair(&mut site, Version::V5);
    site.publish(&message("a", "sent"));
    assert_eq!(site.payloads(subscriber), ["sent"]);
    site.cut(subscriber);
    assert!(is_change(&mut site, |site| {
        site.publish(&message("a", "waits"));
    }));
    site.send(publisher, &[publish(1, "a", "of a client")]);
    let (mut next, restored) = restarted(&site, Config::default(), 0);
    assert_eq!(restored.waiting, 3);
    let (again, _) = next.connect(stays("sub", Version::V5));
    assert_eq!(next.payloads(again), ["sent", "waits", "of a client"]);
}

#[test]
fn after_a_restart_too_who_is_away_longest_gives_way_first() {
    let mut site = at_noon();
    let clients: Vec<_> = (0..3).map(|n| site.connect(lasting(&format!("s{n}"), 604_800)).0).collect();
    for client in clients {
        site.pass(10_000);
        site.cut(client);
    }
    let mut config = Config::default();
    config.max_sessions = 3;
    let (mut next, restored) = restarted(&site, config, 1_000);
    assert_eq!(restored.sessions, 3);
    next.connect(connect("new", Version::V5));
    let present: Vec<_> =
        [2, 1].map(|n| next.connect(lasting(&format!("s{n}"), 604_800)).1.session_present).to_vec();
    assert_eq!(present, [true, true]);
}

/// A session with a part of its filters would have its client wait in vain: it finds none, and subscribes anew.
#[test]
fn a_session_with_more_filters_than_the_limit_of_now_does_not_come_back() {
    let mut site = at_noon();
    for (name, filters) in [("few", &["a", "b"][..]), ("many", &["a", "b", "c"])] {
        let (client, _) = site.connect(lasting(name, 3_600));
        site.send(client, &[subscribe(filters)]);
        site.cut(client);
    }
    let (publisher, _) = site.connect(connect("pub", Version::V5));
    site.send(publisher, &[publish(1, "c", "waits")]);
    let mut config = Config::default();
    config.max_subscriptions = 2;
    let (mut next, restored) = restarted(&site, config, 1_000);
    assert_eq!((restored.sessions, restored.refused), (1, 1));
    assert_eq!(next.listener.stats().dropped_ended, 1);
    let present = ["few", "many"].map(|name| next.connect(lasting(name, 3_600)).1.session_present);
    assert_eq!(present, [true, false]);
}

#[test]
fn messages_of_sessions_that_are_over_are_not_counted_as_waiting() {
    let mut site = at_noon();
    let (short, _) = site.connect(lasting("short", 50));
    site.send(short, &[subscribe(&["a"])]);
    let publisher = site.client("pub", Version::V5);
    site.cut(short);
    site.send(publisher, &[publish(1, "a", "1"), publish(2, "a", "2")]);
    let (_, restored) = restarted(&site, Config::default(), 60_000);
    assert_eq!((restored.waiting, restored.sessions), (0, 1), "that of the publisher goes on");
}
