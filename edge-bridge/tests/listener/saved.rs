//! Sessions, wills and retained messages that outlive the listener. Promises 1 and 10.

use edge_bridge::listener::{Access, Authenticate, ClientRef, Config, LoginRequest, Restored, Standing};
use edge_bridge::wire::{
    Connect, Packet, PropertyId, Publish, QoS, ReasonCode, RetainHandling, Subscription, Value, Version,
};

use crate::listener_support::*;
use crate::{BOTH, EXPIRY, pair, site};

/// Another listener with what this one saves, so much later.
pub(crate) fn restarted(site: &Site, config: Config, after_ms: u64) -> (Site, Restored) {
    let saved = site.listener.save(site.now);
    let mut next = Site::new(config);
    next.now.wall_ms = site.now.wall_ms + i64::try_from(after_ms).unwrap();
    let restored = next.listener.restore(next.now, &saved.bytes).unwrap();
    next.outputs();
    (next, restored)
}

pub(crate) fn at_noon() -> Site {
    let mut site = site();
    site.now.wall_ms = 1_800_000_000_000;
    site
}

pub(crate) fn retained(topic: &str, text: &str) -> Packet {
    Packet::Publish(Publish { retain: true, qos: QoS::AtMostOnce, packet_id: None, ..message(topic, text) })
}

pub(crate) fn expiring(topic: &str, text: &str, seconds: u32) -> Publish {
    let properties = properties(&[(PropertyId::MessageExpiryInterval, Value::U32(seconds))]);
    Publish { properties, ..message(topic, text) }
}

#[test]
fn what_waited_comes_after_the_restart_and_what_was_sent_and_not_acknowledged_too() {
    for version in BOTH {
        let mut site = at_noon();
        let (subscriber, publisher) = pair(&mut site, version);
        site.send(publisher, &[publish(1, "a", "acknowledged"), publish(2, "a", "on its way")]);
        let ids: Vec<_> = site.messages(subscriber).iter().map(|p| p.packet_id.unwrap().get()).collect();
        site.send(subscriber, &[puback(ids[0])]);
        let (mut next, restored) = restarted(&site, Config::default(), 0);
        assert_eq!((restored.sessions, restored.waiting), (2, 1), "{version:?}: saved while they are there");
        site.cut(subscriber);
        site.send(publisher, &[publish(3, "a", "waits"), qos0("a", "not kept")]);
        for (site, expected) in [(&mut next, &["on its way"][..]), (&mut site, &["on its way", "waits"])] {
            let (mut next, _) = restarted(site, Config::default(), 1_000);
            let (again, ack) = next.connect(stays("sub", version));
            assert!(ack.session_present);
            assert_eq!(next.payloads(again), expected, "{version:?}");
            let publisher = next.client("other", version);
            next.send(publisher, &[publish(1, "a", "new")]);
            assert_eq!(next.payloads(again), ["new"], "the subscription is there");
        }
    }
}

#[test]
fn a_subscription_comes_back_with_all_its_options() {
    let mut site = at_noon();
    let subscriber = site.client("sub", Version::V5);
    let own = Subscription {
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
        ..Subscription::new(text("a/+"), QoS::AtLeastOnce)
    };
    let exact = Subscription::new(text("b"), QoS::AtMostOnce);
    site.send(subscriber, &[subscribe_as(vec![own], Some(7)), subscribe_as(vec![exact], None)]);
    let (mut next, _) = restarted(&site, Config::default(), 0);
    let (subscriber, _) = next.connect(stays("sub", Version::V5));
    let publisher = next.client("pub", Version::V5);
    next.send(subscriber, &[publish(1, "a/x", "its own")]);
    let kept = Publish { retain: true, ..message("a/x", "retained") };
    let packet_id = edge_bridge::wire::PacketId::new(1);
    next.send(publisher, &[Packet::Publish(Publish { packet_id, ..kept }), publish(2, "b", "plain")]);
    let seen = next.messages(subscriber);
    let of = |p: &Publish| {
        (payload(p), p.qos, p.retain, p.properties.subscription_identifiers().collect::<Vec<_>>())
    };
    assert_eq!(
        seen.iter().map(of).collect::<Vec<_>>(),
        [
            ("retained".to_owned(), QoS::AtLeastOnce, true, vec![7]),
            ("plain".to_owned(), QoS::AtMostOnce, false, vec![])
        ]
    );
}

#[test]
fn retained_messages_come_back_and_those_that_were_deleted_do_not() {
    let mut site = at_noon();
    let publisher = site.client("pub", Version::V5);
    let packets = [retained("a", "1"), retained("b", "2"), retained("b", ""), retained("c/d", "3")];
    site.send(publisher, &packets);
    let (mut next, restored) = restarted(&site, Config::default(), 0);
    assert_eq!(restored.retained, 2);
    let subscriber = next.client("sub", Version::V5);
    next.send(subscriber, &[subscribe(&["#"])]);
    let seen: Vec<_> =
        next.messages(subscriber).iter().map(|p| (p.topic.to_string(), payload(p), p.retain)).collect();
    assert_eq!(seen, [("a".into(), "1".into(), true), ("c/d".into(), "3".into(), true)]);
}

/// Time goes on while there is no listener: promise 10.
#[test]
fn what_expires_meanwhile_does_not_come_back() {
    let mut site = at_noon();
    let (subscriber, publisher) = pair(&mut site, Version::V5);
    let short =
        Connect { properties: properties(&[(EXPIRY, Value::U32(50))]), ..stays("short", Version::V5) };
    let (short, _) = site.connect(short);
    let on_its_way = Publish { packet_id: edge_bridge::wire::PacketId::new(9), ..expiring("a", "sent", 60) };
    site.send(publisher, &[Packet::Publish(on_its_way)]);
    assert_eq!(site.payloads(subscriber), ["sent"]);
    site.cut(subscriber);
    site.cut(short);
    let id = edge_bridge::wire::PacketId::new(10);
    site.send(publisher, &[Packet::Publish(Publish { packet_id: id, ..expiring("a", "waits", 60) })]);
    site.send(
        publisher,
        &[Packet::Publish(Publish { retain: true, qos: QoS::AtMostOnce, ..expiring("r", "kept", 60) })],
    );
    site.pass(20_000);
    for (after_ms, expired, sessions, left_s) in
        [(25_000, 0, 3, Some(15)), (35_000, 1, 2, Some(5)), (40_000, 4, 2, None)]
    {
        let (mut next, restored) = restarted(&site, Config::default(), after_ms);
        assert_eq!((restored.expired, restored.sessions), (expired, sessions), "after {after_ms} ms");
        let (again, ack) = next.connect(stays("sub", Version::V5));
        assert!(ack.session_present);
        next.send(again, &[subscribe(&["r"])]);
        let left = next
            .messages(again)
            .iter()
            .map(|p| p.properties.u32(PropertyId::MessageExpiryInterval))
            .collect::<Vec<_>>();
        assert_eq!(left, if left_s.is_some() { vec![left_s; 3] } else { vec![] }, "after {after_ms} ms");
    }
    // Without a clock at the time, or with one that went back, nobody knows how long it was.
    for (saved_ms, now_ms) in [(1_000_000, 1_900_000_000_000), (1_800_000_000_000, 1_700_000_000_000)] {
        site.now.wall_ms = saved_ms;
        let saved = site.listener.save(site.now);
        let mut next = Site::new(Config::default());
        next.now.wall_ms = now_ms;
        assert_eq!(next.listener.restore(next.now, &saved.bytes).unwrap().expired, 0);
    }
}

#[test]
fn a_will_that_waits_is_published_at_its_time_and_one_of_a_client_that_is_there_when_it_is_missed() {
    let mut site = at_noon();
    let left = Connect {
        will: will("store/gone", &[(PropertyId::WillDelayInterval, Value::U32(100))]),
        ..stays("gone", Version::V5)
    };
    let there = Connect { will: will("store/there", &[]), keep_alive_s: 40, ..stays("there", Version::V5) };
    let (gone, _) = site.connect(left);
    site.connect(there);
    site.cut(gone);
    site.pass(30_000);
    let (mut next, _) = restarted(&site, Config::default(), 20_000);
    next.pass(49_000);
    assert!(next.stored.is_empty());
    next.pass(2_000);
    let wills =
        |site: &Site| -> Vec<_> { site.stored.iter().map(|(_, rows)| rows[0].topic.to_string()).collect() };
    assert_eq!(wills(&next), ["store/gone"]);
    // One and a half keep-alives.
    next.pass(8_999);
    assert_eq!(wills(&next), ["store/gone"]);
    next.pass(1);
    assert_eq!(wills(&next), ["store/gone", "store/there"]);
    let (next, _) = restarted(&site, Config::default(), 500_000);
    assert_eq!(next.stored.len(), 1, "it was due while there was no listener");
}

/// A message of the application has the application's answer: it may not come back behind that. Promise 10.
#[test]
fn messages_of_the_application_are_not_saved() {
    let mut site = at_noon();
    let (subscriber, _) = pair(&mut site, Version::V5);
    site.publish(&message("a", "sent"));
    assert_eq!(site.payloads(subscriber), ["sent"]);
    site.cut(subscriber);
    site.publish(&message("a", "waits"));
    let (mut next, restored) = restarted(&site, Config::default(), 0);
    assert_eq!(restored.waiting, 0);
    let (again, _) = next.connect(stays("sub", Version::V5));
    assert_eq!(next.payloads(again), Vec::<String>::new());
}

/// Topics that were nobody's own before are the application's now: a forged output may not come first to who subscribes, nor a forged event. Promise 14.
#[test]
fn topics_that_are_the_applications_now_do_not_come_back() {
    let mut site = at_noon();
    let actuator = site.client("actuator", Version::V5);
    site.send(actuator, &[subscribe(&["#"])]);
    site.cut(actuator);
    let forger = Connect {
        will: will("out/valve", &[(PropertyId::WillDelayInterval, Value::U32(5))]),
        ..stays("forger", Version::V5)
    };
    let (forger, _) = site.connect(forger);
    site.send(
        forger,
        &[retained("out/valve", "forged"), retained("a", "kept"), publish(1, "out/valve", "waits")],
    );
    site.cut(forger);
    let mut config = Config::default();
    config.own_topics = vec!["out/#".to_owned(), "event/#".to_owned()];
    let (mut next, restored) = restarted(&site, config, 0);
    assert_eq!((restored.retained, restored.waiting, restored.refused), (1, 0, 3));
    let (actuator, _) = next.connect(stays("actuator", Version::V5));
    assert!(next.payloads(actuator).is_empty());
    next.send(actuator, &[subscribe(&["#"])]);
    assert_eq!(next.payloads(actuator), ["kept"]);
    next.pass(10_000);
    assert!(next.payloads(actuator).is_empty(), "no will");
}

/// Users of before are asked about by the rules of now.
#[derive(Debug)]
struct Without(&'static str);

impl Authenticate for Without {
    fn authenticate(&mut self, _: edge_bridge::ingest::Now, _: &LoginRequest<'_>) -> Result<(), ReasonCode> {
        Ok(())
    }

    fn standing(&self, client: ClientRef<'_>) -> Standing {
        if client.user == Some(self.0) { Standing::Gone } else { Standing::Stays }
    }
}

#[test]
fn a_session_is_its_users_also_after_the_restart() {
    let mut site = at_noon();
    let user = |id: &str, name: &str| Connect { username: Some(text(name)), ..stays(id, Version::V5) };
    for (id, name) in [("panel", "ann"), ("old", "bob")] {
        let (peer, _) = site.connect(user(id, name));
        site.send(peer, &[subscribe(&["a"])]);
    }
    let saved = site.listener.save(site.now);
    let mut next = at_noon();
    next.listener.set_access(next.now, Access::of(Without("bob")));
    assert_eq!(next.listener.restore(next.now, &saved.bytes).unwrap().sessions, 1, "bob is gone");
    assert!(!next.connect(user("panel", "eve")).1.session_present);
    let mut next = at_noon();
    next.listener.restore(next.now, &saved.bytes).unwrap();
    assert!(next.connect(user("panel", "ann")).1.session_present);
}

/// One payload in memory for many readers would be as many on disk.
#[test]
fn what_is_saved_is_bounded_and_says_what_it_leaves_out() {
    let mut config = Config::default();
    config.max_saved_bytes = 100_000;
    let mut site = Site::new(config.clone());
    let publisher = site.client("pub", Version::V5);
    for n in 0..20 {
        let (peer, _) = site.connect(stays(&format!("sub{n}"), Version::V5));
        site.send(peer, &[subscribe(&["a", if n < 10 { "b" } else { "c" }])]);
        site.cut(peer);
    }
    for n in 0..10 {
        site.send(publisher, &[publish(n + 1, "a", &format!("{n}{}", "x".repeat(1_000)))]);
    }
    site.send(publisher, &[publish(11, "b", &"y".repeat(50_000)), retained("r", "kept")]);
    let saved = site.listener.save(site.now);
    assert!((90_000..=101_000).contains(&saved.bytes.len()), "{}", saved.bytes.len());
    let mut next = Site::new(config);
    let restored = next.listener.restore(next.now, &saved.bytes).unwrap();
    assert_eq!((restored.sessions, restored.retained), (21, 1));
    assert_eq!(restored.waiting + saved.left_out, 20 * 10 + 10);
    let (again, _) = next.connect(stays("sub15", Version::V5));
    let kept = next.payloads(again);
    assert!(kept.len() > 3 && kept.len() < 10, "{}", kept.len());
    assert!(kept.last().unwrap().starts_with('9') && kept.is_sorted(), "the newest, in order");
}

#[test]
fn lower_limits_hold_for_what_comes_back() {
    let mut site = at_noon();
    let publisher = site.client("pub", Version::V5);
    for n in 0..10 {
        let (peer, _) = site.connect(stays(&format!("sub{n}"), Version::V5));
        site.send(peer, &[subscribe(&["a", "b", "c"])]);
        site.cut(peer);
    }
    site.send(
        publisher,
        &[publish(1, "a", "1"), publish(2, "a", "2"), retained("r", "1"), retained("s", "2")],
    );
    let mut config = Config::default();
    (config.max_sessions, config.max_retained, config.max_queued) = (5, 1, 1);
    let (mut next, restored) = restarted(&site, config, 0);
    assert_eq!((restored.sessions, restored.retained, restored.refused), (5, 1, 6 + 1));
    let stats = next.listener.stats();
    assert_eq!((stats.sessions, stats.retained, stats.dropped_full), (5, 1, 4));
    let newest = (0..10).rev().find_map(|n| {
        let (peer, ack) = next.connect(stays(&format!("sub{n}"), Version::V5));
        ack.session_present.then(|| next.payloads(peer))
    });
    assert_eq!(newest.unwrap(), ["2"]);
}

/// A message that was taken in before a clean end comes again without another row, whether its PUBREC arrived or not. Promise 1.
#[test]
fn open_exchanges_of_qos_2_are_known_after_a_clean_end() {
    let pubrel = |id| Packet::PubRel(ack(id));
    for version in BOTH {
        let mut site = at_noon();
        let [sensor, cut_off] = ["sensor", "cut off"].map(|name| site.client(name, version));
        site.send(cut_off, &[exactly(1, "store/a", "no PUBREC", false)]);
        site.cut(cut_off);
        let packets = [exactly(1, "store/a", "PUBREC", false), exactly(2, "store/a", "released", false)];
        site.send(sensor, &packets);
        (0..3).for_each(|_| site.resolve(0));
        site.send(sensor, &[pubrel(2)]);
        let (mut killed, _) = restarted(&site, Config::default(), 1_000);
        site.listener.shut_down(site.now);
        site.outputs();
        let (mut next, restored) = restarted(&site, Config::default(), 1_000);
        assert_eq!(restored.unreleased, 2, "{version:?}");
        for (name, payload, is_known) in
            [("sensor", "PUBREC", true), ("cut off", "no PUBREC", true), ("sensor", "other", false)]
        {
            let again = next.client(name, version);
            next.send(again, &[exactly(1, "store/a", payload, true)]);
            let expected: &[Packet] = if is_known { &[Packet::PubRec(ack(1))] } else { &[] };
            assert_eq!(
                (next.received(again), next.stored.len()),
                (expected.to_vec(), usize::from(!is_known))
            );
            next.send(again, &[pubrel(1)]);
            next.cut(again);
        }
        let again = next.client("sensor", version);
        next.send(again, &[exactly(2, "store/a", "released", true)]);
        assert_eq!(next.stored.len(), 2, "{version:?}: its identifier was free");
        // Of a moment that is not the last one they could be of another message with the same content.
        let again = killed.client("cut off", version);
        killed.send(again, &[exactly(1, "store/a", "no PUBREC", true)]);
        assert_eq!(killed.stored.len(), 1, "{version:?}: after a kill");
    }
}

/// A row that is not safe at the end may be lost: its copy is the message.
#[test]
fn promise_1_what_is_not_safe_at_the_end_is_taken_in_again() {
    let mut site = at_noon();
    let sensor = site.client("sensor", Version::V5);
    site.send(sensor, &[exactly(1, "store/a", "safe", false), exactly(2, "store/a", "not safe", false)]);
    site.resolve(0);
    site.listener.shut_down(site.now);
    site.outputs();
    let (mut next, restored) = restarted(&site, Config::default(), 1_000);
    assert_eq!(restored.unreleased, 1);
    let again = next.client("sensor", Version::V5);
    next.send(again, &[exactly(1, "store/a", "safe", true), exactly(2, "store/a", "not safe", true)]);
    assert_eq!((next.stored.len(), next.received(again)), (1, vec![Packet::PubRec(ack(1))]));
}

/// The shell asks by this whether there is something to write.
#[test]
fn changes_grow_with_what_is_saved_and_not_with_what_is_not() {
    let mut site = at_noon();
    let (subscriber, publisher) = pair(&mut site, Version::V5);
    let grew = |site: &mut Site, act: &dyn Fn(&mut Site)| {
        let before = site.listener.changes();
        act(site);
        site.listener.changes() > before
    };
    assert!(grew(&mut site, &|site| site.send(publisher, &[retained("r", "1")])));
    assert!(!grew(&mut site, &|site| site.send(publisher, &[retained("r", "1")])), "the same again");
    assert!(grew(&mut site, &|site| site.send(publisher, &[retained("r", "2")])));
    assert!(!grew(&mut site, &|site| site.send(publisher, &[publish(1, "a", "x"), publish(2, "z", "x")])));
    assert!(grew(&mut site, &|site| site.send(subscriber, &[subscribe(&["b"])])));
    assert!(grew(&mut site, &|site| site.cut(subscriber)));
    assert!(grew(&mut site, &|site| site.send(publisher, &[publish(3, "a", "waits")])));
    assert!(grew(&mut site, &|site| {
        site.connect(stays("sub", Version::V5));
    }));
    assert!(!grew(&mut site, &|site| {
        let (clean, _) = site.connect(connect("clean", Version::V5));
        site.send(clean, &[subscribe(&["a"]), disconnect(ReasonCode::NORMAL_DISCONNECTION)]);
    }));
}
