//! Wills: when one is published, and when it is not.

use edge_bridge::wire::{
    Connect, Disconnect, Packet, PropertyId, QoS, ReasonCode, Subscription, Value, Version,
};

use crate::listener_support::*;
use crate::{BOTH, EXPIRY, pair, site};

#[test]
fn a_silent_client_is_closed_and_its_will_published() {
    for version in BOTH {
        let mut site = site();
        let (watcher, _) = pair(&mut site, version);
        let (client, _) = site.connect(Connect { will: will("a", &[]), ..connect("c", version) });
        site.pass(60_000);
        site.send(client, &[Packet::PingReq]);
        site.pass(89_000);
        assert!(!site.is_closed(client));
        site.pass(1_001);
        assert!(site.is_closed(client));
        assert_eq!(site.payloads(watcher), ["gone"]);
        assert_eq!(site.listener.ingest_mut().seen.len(), 1, "the hub learns of it too");
        let mqtt5 = version == Version::V5;
        assert_eq!(told(&site.received(client)), mqtt5.then_some(ReasonCode::KEEP_ALIVE_TIMEOUT));
    }
}

#[test]
fn a_normal_disconnect_discards_the_will_and_0x04_keeps_it() {
    for (reason, wills) in [(ReasonCode::NORMAL_DISCONNECTION, 0), (ReasonCode::DISCONNECT_WITH_WILL, 1)] {
        let mut site = site();
        let (watcher, _) = pair(&mut site, Version::V5);
        let (client, _) = site.connect(Connect { will: will("a", &[]), ..connect("c", Version::V5) });
        site.send(client, &[disconnect(reason)]);
        assert_eq!(site.messages(watcher).len(), wills);
    }
}

/// A DISCONNECT with a Session Expiry Interval is invalid if the CONNECT had none (§3.14.2.2.2): the client is gone without a goodbye.
#[test]
fn a_disconnect_that_asks_for_a_session_late_discards_no_will() {
    for (asked_s, wills) in [(0, 1), (1, 0)] {
        let mut site = site();
        let (watcher, _) = pair(&mut site, Version::V5);
        let properties = properties(&[(PropertyId::SessionExpiryInterval, Value::U32(asked_s))]);
        let (client, _) =
            site.connect(Connect { will: will("a", &[]), properties, ..connect("c", Version::V5) });
        let reason = ReasonCode::NORMAL_DISCONNECTION;
        let properties =
            crate::listener_support::properties(&[(PropertyId::SessionExpiryInterval, Value::U32(10))]);
        site.send(client, &[Packet::Disconnect(Disconnect { reason, properties })]);
        let told = site.received(client).into_iter().find_map(|packet| match packet {
            Packet::Disconnect(disconnect) => Some(disconnect.reason),
            _ => None,
        });
        assert_eq!(told, (asked_s == 0).then_some(ReasonCode::PROTOCOL_ERROR), "{asked_s}");
        assert_eq!(site.messages(watcher).len(), wills, "{asked_s}");
    }
}

#[test]
fn a_will_with_delay_waits_and_a_client_that_comes_back_takes_it_along() {
    let delay = [(PropertyId::WillDelayInterval, Value::U32(30))];
    let with_will = || Connect { will: will("a", &delay), ..stays("c", Version::V5) };
    let mut site = site();
    let (watcher, _) = pair(&mut site, Version::V5);
    let (client, _) = site.connect(with_will());
    site.cut(client);
    site.pass(29_000);
    let (client, _) = site.connect(with_will());
    site.pass(60_000);
    assert_eq!(site.payloads(watcher), [""; 0]);
    site.cut(client);
    site.pass(29_999);
    assert_eq!(site.payloads(watcher), [""; 0]);
    site.pass(1);
    assert_eq!(site.payloads(watcher), ["gone"]);
}

#[test]
fn a_will_does_not_outlive_its_session() {
    let delay = [(PropertyId::WillDelayInterval, Value::U32(3600))];
    let mut site = site();
    let (watcher, _) = pair(&mut site, Version::V5);
    let short = properties(&[(EXPIRY, Value::U32(5))]);
    let connect_short =
        || Connect { will: will("a", &delay), properties: short.clone(), ..stays("c", Version::V5) };
    let (client, _) = site.connect(connect_short());
    site.cut(client);
    site.pass(5_000);
    assert_eq!(site.payloads(watcher), ["gone"], "due with the session's end");
    let (client, _) = site.connect(connect_short());
    site.cut(client);
    let (_, _) = site.connect(Connect { clean_start: true, ..connect_short() });
    assert_eq!(site.payloads(watcher), ["gone"], "a clean start ends the session");
}

#[test]
fn a_shutdown_tells_mqtt_5_and_publishes_no_will() {
    let mut site = site();
    let (watcher, _) = pair(&mut site, Version::V5);
    let (client, _) = site.connect(Connect { will: will("a", &[]), ..connect("c", Version::V311) });
    site.listener.shut_down(site.now);
    site.outputs();
    assert!(site.is_closed(watcher) && site.is_closed(client));
    let packets = site.received(watcher);
    assert_eq!(told(&packets), Some(ReasonCode::SERVER_SHUTTING_DOWN));
    assert!(!packets.iter().any(|p| matches!(p, Packet::Publish(_))));
    assert_eq!(site.received(client), []);
}

#[test]
fn a_will_keeps_its_qos() {
    for version in BOTH {
        let mut site = site();
        let watcher = site.client("watcher", Version::V5);
        let at_qos_2 = Subscription::new(text("a"), QoS::ExactlyOnce);
        site.send(watcher, &[subscribe_as(vec![at_qos_2], None)]);
        let mut will = will("a", &[]);
        will.as_mut().unwrap().qos = QoS::ExactlyOnce;
        let (client, ack) = site.connect(Connect { will, ..connect("c", version) });
        assert_eq!(ack.reason, ReasonCode::SUCCESS);
        site.cut(client);
        assert_eq!(site.messages(watcher)[0].qos, QoS::ExactlyOnce);
    }
}
