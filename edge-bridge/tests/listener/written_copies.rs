//! Copies of the application's message that a client may have (`Settled::written`): at 0 nobody has it, and it may be given to somebody else. Promise 10.

use edge_bridge::listener::Config;
use edge_bridge::wire::{
    Ack, Connect, Packet, PropertyId, Publish, QoS, ReasonCode, Subscription, Value, Version,
};

use crate::listener_support::*;
use crate::shared::{A, subscribed};
use crate::{BOTH, pair, site};

/// A command that lives for 30 seconds.
fn command() -> Publish {
    let properties = properties(&[(PropertyId::MessageExpiryInterval, Value::U32(30))]);
    Publish { properties, ..message("a", "open") }
}

/// Begins the session `sub` again.
fn start_clean(site: &mut Site, version: Version) -> Peer {
    site.connect(Connect { clean_start: true, ..stays("sub", version) }).0
}

/// Acknowledged, dropped, and written.
fn ends(site: &Site) -> Vec<(u32, u32, u32)> {
    site.settled.iter().map(|settled| (settled.delivered, settled.dropped, settled.written)).collect()
}

#[test]
fn what_only_waited_in_a_session_was_written_to_nobody_however_it_ends() {
    let clean_start: fn(&mut Site, Version) = |site, version| {
        start_clean(site, version);
    };
    let session_over: fn(&mut Site, Version) = |site, _| site.pass(8 * 86_400_000);
    let expired: fn(&mut Site, Version) = |site, version| {
        site.pass(30_000);
        site.connect(stays("sub", version));
    };
    let evicted: fn(&mut Site, Version) = |site, _| {
        let publisher = site.client("pub", Version::V5);
        site.send(publisher, &[publish(1, "a", "shut")]);
    };
    for end in [clean_start, session_over, expired, evicted] {
        for version in BOTH {
            let mut config = Config::default();
            config.max_queued = 1;
            let mut site = Site::new(config);
            let (subscriber, _) = pair(&mut site, version);
            site.cut(subscriber);
            site.listener.publish_to_any(site.now, &command());
            site.outputs();
            assert_eq!(ends(&site), []);
            end(&mut site, version);
            assert_eq!(ends(&site), [(0, 1, 0)], "{version:?}");
        }
    }
}

#[test]
fn what_waits_for_a_client_that_acknowledges_nothing_was_not_written_to_it() {
    let mut config = Config::default();
    config.max_in_flight = 1;
    let mut site = Site::new(config);
    let subscriber = subscribed(&mut site, connect("sub", Version::V5), &["a"]);
    for payload in ["sent", "waits"] {
        site.listener.publish_to_any(site.now, &message("a", payload));
    }
    site.outputs();
    assert_eq!(site.payloads(subscriber), ["sent"]);
    site.cut(subscriber);
    let mut ends = ends(&site);
    ends.sort_unstable();
    assert_eq!(ends, [(0, 1, 0), (0, 1, 1)]);
}

#[test]
fn what_is_too_large_for_its_client_was_not_written() {
    let mut site = site();
    let mut small = stays("sub", Version::V5);
    small.properties = properties(&[(PropertyId::MaximumPacketSize, Value::U32(20))]);
    subscribed(&mut site, small, &["a"]);
    site.listener.publish_to_any(site.now, &message("a", &"x".repeat(40)));
    site.outputs();
    assert_eq!(ends(&site), [(0, 1, 0)]);
}

#[test]
fn what_was_sent_may_be_with_its_client_whatever_becomes_of_the_session() {
    for version in BOTH {
        let mut site = site();
        let (subscriber, _) = pair(&mut site, version);
        let away = site.client("away", version);
        site.send(away, &[subscribe(&["a"])]);
        site.cut(away);
        site.listener.publish_to_any(site.now, &command());
        site.outputs();
        site.cut(subscriber);
        let again = site.connect(stays("sub", version)).0;
        assert_eq!(site.payloads(again), ["open"], "again: that is one copy");
        site.cut(again);
        start_clean(&mut site, version);
        assert_eq!(ends(&site), [], "one waits for the other client");
        site.connect(Connect { clean_start: true, ..stays("away", version) });
        assert_eq!(ends(&site), [(0, 2, 1)], "{version:?}");
    }
}

#[test]
fn what_was_refused_or_sent_at_qos_0_was_written() {
    let mut site = site();
    let (subscriber, _) = pair(&mut site, Version::V5);
    let viewer = site.client("viewer", Version::V5);
    site.send(viewer, &[subscribe_as(vec![Subscription::new(text("a"), QoS::AtMostOnce)], None)]);
    site.received(viewer);
    site.listener.publish_to_any(site.now, &command());
    site.outputs();
    let id = site.messages(subscriber)[0].packet_id.unwrap();
    site.send(subscriber, &[Packet::PubAck(Ack::new(id, ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR))]);
    assert_eq!(ends(&site), [(1, 1, 2)]);
}

/// Another member gets what the first one may have, and never reads it.
#[test]
fn what_a_member_of_a_group_had_was_written_whoever_has_it_in_the_end() {
    let mut site = site();
    let gone = subscribed(&mut site, connect("gone", Version::V5), &[A]);
    site.publish(&message("a", "open"));
    assert_eq!(site.payloads(gone), ["open"]);
    let heir = subscribed(&mut site, stays("heir", Version::V5), &[A]);
    site.cut(heir);
    site.cut(gone);
    assert_eq!(ends(&site), [], "it waits for the heir");
    site.connect(Connect { clean_start: true, ..stays("heir", Version::V5) });
    assert_eq!(ends(&site), [(0, 1, 1)]);
}
