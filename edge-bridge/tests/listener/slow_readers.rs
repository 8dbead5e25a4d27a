//! Clients that read slowly, or not while they write: they are read all the same, within bounds, and lose old messages rather than the connection.

use crate::listener_support::*;
use edge_bridge::listener::{Config, Input};
use edge_bridge::wire::{Connect, Disconnect, Packet, Publish, QoS, ReasonCode, Subscription, Version};

/// A client with this keep alive whose network takes nothing, subscribed to everything.
fn stuck(site: &mut Site, keep_alive_s: u16) -> Peer {
    let (peer, _) = site.connect(Connect { keep_alive_s, ..connect("stuck", Version::V311) });
    site.send(peer, &[subscribe(&["#"])]);
    site.received(peer);
    site.stuck.insert(peer.connection);
    peer
}

/// One thread, a blocking socket: writes everything, then reads.
#[test]
fn a_client_that_writes_its_own_flood_before_it_reads_is_served() {
    let mut site = Site::new(Config::default());
    let peer = stuck(&mut site, 10);
    let mut most = 0;
    for n in 0..30_000 {
        site.send(peer, &[qos0("flood", &format!("{n:01000}"))]);
        most = most.max(site.listener.stats().queued_bytes);
        if n % 1_000 == 0 {
            site.pass(1_000);
        }
    }
    assert_eq!(site.listener.stats().received, 30_000, "all of it is read");
    assert!(most <= 1_100_000, "{most} bytes wait");
    site.unstick(peer);
    let payloads = site.payloads(peer);
    assert_eq!(payloads.len() as u64 + site.listener.stats().dropped_full, 30_000);
    let numbers: Vec<u64> = payloads.iter().map(|payload| payload.parse().unwrap()).collect();
    assert!(numbers.is_sorted() && numbers.len() > 1_000, "{}", numbers.len());
    assert_eq!(numbers[numbers.len() - 1_000..], (29_000..30_000).collect::<Vec<_>>(), "the latest are kept");
    assert!(!site.is_closed(peer));
}

/// Large messages at QoS 0 for a network that takes 20 kB/s: the send buffer is at its limit for most of the time.
#[test]
fn a_slow_reader_that_pings_stays() {
    for size in [20_000, 100_000] {
        let mut site = Site::new(Config::default());
        let peer = stuck(&mut site, 10);
        for second in 0..120 {
            for _ in 0..3 {
                site.publish(&Publish { qos: QoS::AtMostOnce, ..message("a", &"x".repeat(size)) });
            }
            site.pass(1_000);
            site.listener.handle_input(site.now, peer.connection, Input::Written(20_000));
            site.outputs();
            if second % 5 == 0 {
                site.send(peer, &[Packet::PingReq]);
            }
            assert!(!site.is_closed(peer), "{size} bytes, after {second} s");
        }
        site.unstick(peer);
        let pongs = site.received(peer).iter().filter(|packet| **packet == Packet::PingResp).count();
        assert_eq!(pongs, 24);
        site.pass(16_000);
        assert!(site.is_closed(peer), "silence still counts");
    }
}

/// Messages that its connection takes along are counted, and those that had left are not.
#[test]
fn what_waited_for_a_slow_reader_that_goes_is_counted() {
    let mut site = Site::new(Config::default());
    let peer = stuck(&mut site, 10);
    for _ in 0..9 {
        site.publish(&Publish { qos: QoS::AtMostOnce, ..message("a", &"x".repeat(100_000)) });
    }
    assert_eq!(site.listener.stats().dropped_gone, 0);
    site.cut(peer);
    let stats = site.listener.stats();
    assert!(stats.dropped_gone > 0 && stats.dropped_full == 0, "{stats:?}");
    assert_eq!(stats.sent + stats.dropped_gone, 9);
}

/// Answers that it makes the listener give are bounded too.
#[test]
fn a_client_that_never_reads_the_answers_is_not_read_any_more() {
    let mut config = Config::default();
    config.max_unwritten_bytes = 2_000;
    let mut site = Site::new(config);
    let peer = stuck(&mut site, 0);
    let flood = vec![Packet::PingReq; 1_000];
    for _ in 0..10 {
        site.send(peer, &flood);
    }
    assert!(!site.listener.may_read(peer.connection));
    let waits = site.unwritten(peer);
    assert!((2_000..=4_000 + 2 * 64).contains(&waits), "{waits}");
    // Half of it leaves, and as much comes again.
    site.listener.handle_input(site.now, peer.connection, Input::Written(waits - 1_000));
    site.outputs();
    assert!(!site.listener.may_read(peer.connection), "it had much more to say");
    assert!(site.unwritten(peer) - (waits - 1_000) <= 4_000 + 2 * 64);
    site.unstick(peer);
    site.outputs();
    assert!(site.listener.may_read(peer.connection));
    let pongs = site.received(peer).iter().filter(|packet| **packet == Packet::PingResp).count();
    assert_eq!(pongs, 10_000);
}

#[test]
fn a_command_at_qos_1_outlives_a_flood_at_qos_0_in_the_same_queue() {
    let mut config = Config::default();
    config.max_queued = 10;
    config.max_unwritten_bytes = 100;
    let mut site = Site::new(config);
    let peer = stuck(&mut site, 0);
    let flood = |site: &mut Site| {
        for n in 0..50 {
            site.publish(&Publish { qos: QoS::AtMostOnce, ..message("a", &format!("{n:0100}")) });
        }
    };
    flood(&mut site);
    site.publish(&message("cmd", "close"));
    flood(&mut site);
    site.publish(&message("cmd", "open"));
    site.unstick(peer);
    let payloads = site.payloads(peer);
    let latest: Vec<_> = (42..50).map(|n| format!("{n:0100}")).collect();
    let expected = [&["close".to_owned()][..], &latest, &["open".to_owned()]].concat();
    assert_eq!(payloads[payloads.len() - 10..], expected, "in their order");
    assert_eq!(site.listener.stats().dropped_full, 100 + 2 - payloads.len() as u64);
}

/// If all are at QoS 1 the oldest goes.
#[test]
fn among_equals_the_oldest_goes() {
    let mut config = Config::default();
    config.max_queued = 3;
    config.max_in_flight = 1;
    let mut site = Site::new(config);
    let (peer, _) = site.connect(connect("c", Version::V5));
    site.send(peer, &[subscribe_as(vec![Subscription::new(text("a"), QoS::AtLeastOnce)], None)]);
    for n in 0..9 {
        site.publish(&message("a", &n.to_string()));
    }
    let mut payloads = Vec::new();
    while let [message] = &site.messages(peer)[..] {
        payloads.push(payload(message));
        site.send(peer, &[puback(message.packet_id.unwrap().get())]);
    }
    assert_eq!(payloads, ["0", "6", "7", "8"]);
}

/// Copies of small messages for those who said goodbye, or whose name came again, are in no account while they are flushed.
#[test]
fn who_leaves_without_reading_leaves_nothing_to_flush() {
    for says_goodbye in [true, false] {
        let mut site = Site::new(Config::default());
        let publisher = site.client("publisher", Version::V5);
        for n in 1..=20 {
            let peer = stuck(&mut site, 0);
            for _ in 0..150 {
                site.send(publisher, &[qos0("a", &"x".repeat(1_500))]);
            }
            assert!(site.unwritten[&peer.connection] > 100_000);
            if says_goodbye {
                let goodbye = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
                site.send(peer, &[Packet::Disconnect(goodbye)]);
            } else {
                let next = site.client("stuck", Version::V311);
                site.cut(next);
            }
            assert!(site.is_closed(peer) && site.flushing <= 4_096 * n, "{} bytes after {n}", site.flushing);
        }
    }
}
