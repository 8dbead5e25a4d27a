//! Who pays when clients together hold too much: those who hold without progress, not the sensor whose messages are large and come fast.

use crate::listener_support::*;
use bytes::BytesMut;
use edge_bridge::listener::Config;
use edge_bridge::wire::{self, Packet, QoS, ReasonCode, Subscription, Version};

const MAX: usize = 2 * 1024 * 1024;

fn site() -> Site {
    let mut config = Config::default();
    config.max_memory = MAX;
    Site::new(config)
}

/// A PUBLISH at QoS 1 of `size` bytes, whole.
fn whole(size: usize) -> Vec<u8> {
    numbered(7, size)
}

fn numbered(id: u16, size: usize) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    wire::encode(&publish(id, "big", &"x".repeat(size)), Version::V5, &mut bytes).unwrap();
    bytes.to_vec()
}

/// Sends a message in `parts`, one every 5 ms. Returns whether it was acknowledged, at most half a second after the last.
fn is_taken_in(
    site: &mut Site,
    sensor: Peer,
    bytes: &[u8],
    parts: usize,
    mut meanwhile: impl FnMut(&mut Site),
) -> bool {
    for part in bytes.chunks(bytes.len().div_ceil(parts)) {
        site.send_bytes(sensor, part);
        site.pass(5);
        meanwhile(site);
        if site.is_closed(sensor) {
            return false;
        }
    }
    for _ in 0..100 {
        if !site.received(sensor).is_empty() {
            return true;
        }
        site.pass(5);
        meanwhile(site);
    }
    false
}

/// Takes turns, as a network does: each client whose bytes may be read has a few of them read. Returns the turns that all of them took.
fn send_in_turns(site: &mut Site, peers: &[Peer], bytes: &[u8]) -> usize {
    let mut sent = vec![0; peers.len()];
    for turn in 0..100_000 {
        if sent.iter().all(|sent| *sent == bytes.len()) {
            return turn;
        }
        for (peer, sent) in peers.iter().zip(&mut sent) {
            assert!(
                !site.is_closed(*peer),
                "closed after {sent} bytes in turn {turn}: {:?}",
                site.events.last()
            );
            if site.listener.may_read(peer.connection) {
                let end = bytes.len().min(*sent + 8_192);
                site.send_bytes(*peer, &bytes[*sent..end]);
                *sent = end;
            }
        }
        site.pass(1);
    }
    panic!("stuck: {sent:?}");
}

/// Ten times as many bytes as there may be: they come one after the other, and nobody pays for it with its connection.
#[test]
fn many_large_messages_at_once_are_all_taken_in() {
    let mut site = site();
    let peers: Vec<_> = (0..50).map(|n| site.client(&format!("s{n}"), Version::V5)).collect();
    let bytes = [numbered(1, 16_000), numbered(2, 100_000), numbered(3, 200), numbered(4, 50_000)].concat();
    let turns = send_in_turns(&mut site, &peers, &bytes);
    let stats = site.listener.stats();
    assert_eq!((stats.received, stats.closed_for_memory), (200, 0), "in {turns} turns");
    assert!(turns < 5_000, "{turns} turns of 1 ms");
    peers.iter().for_each(|peer| assert_eq!(site.pubacks(*peer).len(), 4));
}

/// Of the last quarter of the memory a first packet of another client has room at once. In the other three as many packets as there is room for come
/// at the same time, however long each takes.
#[test]
fn large_messages_come_side_by_side_and_leave_a_quarter_of_the_memory_free() {
    let mut site = site();
    let begun = &whole(200_000)[..5_000];
    let peers: Vec<_> = (0..20).map(|n| site.client(&format!("s{n}"), Version::V5)).collect();
    peers.iter().for_each(|peer| site.send_bytes(*peer, begun));
    let come = peers.iter().filter(|peer| site.listener.may_read(peer.connection)).count();
    let room_for = |bytes: usize| bytes / 200_000;
    assert!((room_for(MAX / 2)..=room_for(MAX / 4 * 3)).contains(&come), "{come} of 200 000 bytes in 2 MiB");
    assert_eq!(site.listener.stats().closed_for_memory, 0);
}

/// Nobody can hold up a crowd by half a message.
#[test]
fn who_has_room_and_does_not_go_on_costs_the_others_a_moment() {
    let mut site = site();
    let half = &whole(200_000)[..100_000];
    for n in 0..12 {
        let peer = site.client(&format!("half{n}"), Version::V5);
        site.send_bytes(peer, half);
    }
    let peers: Vec<_> = (0..10).map(|n| site.client(&format!("s{n}"), Version::V5)).collect();
    let turns = send_in_turns(&mut site, &peers, &whole(200_000));
    assert!(turns < 1_500, "{turns} turns of 1 ms");
    assert_eq!(site.listener.stats().received, 10);
}

/// They come again 200 ms after they were closed, each with half of a message of 200 kB.
#[test]
fn half_sent_messages_that_come_again_and_again_do_not_shut_out_a_larger_one() {
    let mut site = site();
    let sensor = site.client("sensor", Version::V5);
    let half = &whole(200_000)[..100_000];
    let mut attackers = vec![None; 30];
    let mut due_ms = vec![0; 30];
    let mut now_ms = 0;
    let mut attack = |site: &mut Site| {
        now_ms += 5;
        for (n, (attacker, due_ms)) in attackers.iter_mut().zip(&mut due_ms).enumerate() {
            if attacker.is_some_and(|peer| site.is_closed(peer)) {
                (*attacker, *due_ms) = (None, now_ms + 200);
            }
            if attacker.is_none() && *due_ms <= now_ms {
                let peer = site.client(&format!("half{n}"), Version::V311);
                site.send_bytes(peer, half);
                *attacker = Some(peer);
            }
        }
    };
    (0..100).for_each(|_| {
        site.pass(5);
        attack(&mut site);
    });
    let bytes = whole(200_000);
    for n in 0..50 {
        assert!(is_taken_in(&mut site, sensor, &bytes, 4, &mut attack), "message {n}");
        site.pass(20);
        attack(&mut site);
    }
    assert!(site.listener.stats().closed_for_memory > 50, "{:?}", site.listener.stats());
}

/// Each holds little, and for long; those that are closed come again.
#[test]
fn subscribers_that_do_not_read_do_not_shut_out_a_message_larger_than_what_each_holds() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let mut site = site();
        let (sensor, source) = (site.client("sensor", Version::V5), site.client("source", Version::V311));
        let mut readers = vec![None; 300];
        let mut flood = |site: &mut Site| {
            for (n, reader) in readers.iter_mut().enumerate() {
                if reader.is_none_or(|peer| site.is_closed(peer)) {
                    let peer = site.client(&format!("s{n}"), Version::V311);
                    site.send(peer, &[subscribe_as(vec![Subscription::new(text("flood"), qos)], None)]);
                    site.stuck.insert(peer.connection);
                    *reader = Some(peer);
                }
            }
            site.send(source, &[publish(1, "flood", &"y".repeat(1_500))]);
            site.received(source);
        };
        for _ in 0..10 {
            flood(&mut site);
            site.pass(100);
        }
        let bytes = whole(100_000);
        for n in 0..40 {
            site.pass(100);
            assert!(is_taken_in(&mut site, sensor, &bytes, 2, &mut flood), "{qos:?} message {n}");
        }
        let stats = site.listener.stats();
        assert!(stats.closed_for_memory + stats.dropped_full > 1_000, "{stats:?}");
    }
}

/// It hears the reason, and the one that is there for longest is among the first.
#[test]
fn whoever_gives_way_for_what_it_sends_is_told_why() {
    let mut site = site();
    let half = &whole(200_000)[..100_000];
    let half_sent = |site: &mut Site, n| {
        let peer = site.client(&format!("half{n}"), Version::V5);
        site.send_bytes(peer, half);
        site.pass(10);
        peer
    };
    let peers: Vec<_> = (0..30).map(|n| half_sent(&mut site, n)).collect();
    site.pass(1_000);
    let closed: Vec<_> = (0..30).filter(|n| site.is_closed(peers[*n])).collect();
    assert!(closed.first() == Some(&0) && closed.len() > 5, "30 of 100 000 bytes in 2 MiB");
    for n in closed {
        let said = site.received(peers[n]);
        let [Packet::Disconnect(disconnect)] = said.as_slice() else { panic!("{said:?}") };
        assert_eq!(disconnect.reason, ReasonCode::QUOTA_EXCEEDED);
        assert!(!site.discarded.contains(&peers[n].connection), "it is written");
    }
}

/// Messages that it does not read are dropped, since their memory is needed.
#[test]
fn whoever_gives_way_for_what_it_does_not_read_keeps_no_memory() {
    let mut site = site();
    let source = site.client("source", Version::V311);
    let readers: Vec<_> = (0..20).map(|n| site.client(&format!("s{n}"), Version::V5)).collect();
    for (n, reader) in readers.iter().enumerate() {
        let topic = format!("to/{n}");
        site.send(*reader, &[subscribe_as(vec![Subscription::new(text(&topic), QoS::AtMostOnce)], None)]);
        site.stuck.insert(reader.connection);
        site.send(source, &[qos0(&topic, &"y".repeat(200_000))]);
        site.pass(10);
    }
    let closed: Vec<_> = readers.iter().filter(|reader| site.is_closed(**reader)).collect();
    assert!(!closed.is_empty() && closed.iter().all(|peer| site.discarded.contains(&peer.connection)));
}

/// However few messages wait for a client, they go before its connection, the oldest first.
#[test]
fn a_few_large_messages_that_wait_go_before_the_connection() {
    let mut config = Config::default();
    (config.max_memory, config.max_queued_bytes) = (MAX, 2 * MAX);
    let mut site = Site::new(config);
    let good = site.client("good", Version::V311);
    let reader = site.client("reader", Version::V311);
    site.send(reader, &[subscribe(&["big"])]);
    site.received(reader);
    site.stuck.insert(reader.connection);
    for n in 1..=12 {
        site.send(good, &[publish(n, "big", &"x".repeat(240_000 + usize::from(n)))]);
        site.pass(20);
    }
    assert!(site.listener.stats().held_bytes <= MAX && !site.is_closed(reader));
    let stats = site.listener.stats();
    assert_eq!(stats.closed_for_memory, 0);
    assert!((1..8).contains(&stats.dropped_full), "{}", stats.dropped_full);
    site.unstick(reader);
    let sizes: Vec<usize> = site.messages(reader).iter().map(|m| m.payload.len()).collect();
    assert_eq!(sizes.len() as u64 + stats.dropped_full, 12, "{sizes:?}");
    assert_eq!(sizes.last(), Some(&240_012), "the newest stays");
}

/// Those who gave way made room for it in the same moment: nothing else has to happen.
#[test]
fn who_reads_has_each_message_at_once_although_others_give_way_for_it() {
    let mut site = site();
    let sensor = site.client("sensor", Version::V311);
    let clients: Vec<_> = (0..52).map(|n| site.client(&format!("s{n}"), Version::V311)).collect();
    for client in &clients {
        site.send(*client, &[subscribe_as(vec![Subscription::new(text("all"), QoS::AtMostOnce)], None)]);
        site.received(*client);
    }
    site.stuck.extend(clients[1..51].iter().map(|client| client.connection));
    for n in 0..500 {
        site.send(sensor, &[qos0("all", &"x".repeat(1_500))]);
        let at_readers = [clients[0], clients[51]].map(|reader| site.messages(reader).len());
        assert_eq!(at_readers, [1, 1], "message {n}");
        site.pass(3);
    }
    assert!(site.listener.stats().closed_for_memory > 0);
}
