//! Saved clients after anything that clients do, and after damage.

use bytes::Bytes;
use edge_bridge::listener::{Config, RestoreError};
use edge_bridge::wire::{Connect, Packet, PropertyId, Publish, QoS, Subscription, Value, Version};

use crate::listener_support::*;
use crate::random::{Rng, budget};
use crate::saved::{at_noon, expiring, restarted, retained};
use crate::{BOTH, pair};

/// Whoever else writes to the file: a part changes nothing, and nothing panics.
#[test]
fn damaged_bytes_are_refused_whole() {
    let mut site = at_noon();
    let (subscriber, publisher) = pair(&mut site, Version::V5);
    site.cut(subscriber);
    site.send(publisher, &[publish(1, "a", "waits"), retained("r", "1")]);
    let saved = site.listener.save(site.now).bytes;
    let restore = |bytes: &[u8]| {
        let mut next = at_noon();
        let result = next.listener.restore(next.now, bytes);
        (result, next.listener.stats())
    };
    let none = at_noon().listener.stats();
    let mut ends = 0;
    for end in 0..saved.len() {
        let (result, stats) = restore(&saved[..end]);
        match result {
            // Behind a whole packet: a checksum is the caller's.
            Ok(_) => ends += 1,
            Err(_) => assert_eq!(stats, none, "cut at {end}"),
        }
    }
    assert_eq!(
        ends, 5,
        "head, retained message, two sessions, a subscription; the message that waits is the end"
    );
    let mut random = Rng::new(1);
    for _ in 0..budget(20_000) {
        let mut bytes = saved.clone();
        for _ in 0..=random.below(3) {
            let at = random.index(bytes.len());
            bytes[at] = u8::try_from(random.below(256)).unwrap();
        }
        let (result, stats) = restore(&bytes);
        assert!(result.is_ok() || stats == none);
    }
    assert_eq!(restore(b"").0, Err(RestoreError::Version(None)));
    assert_eq!(restore(&[2; 40]).0, Err(RestoreError::Version(Some(2))));
}

/// What comes back is what was saved, to the byte, whatever the clients did.
#[test]
fn what_is_restored_saves_as_the_same_bytes() {
    for seed in 0..budget(2_000) {
        let mut random = Rng::new(seed);
        let mut site = at_noon();
        let mut peers: Vec<Option<Peer>> = vec![None; 4];
        for step in 0..60_u16 {
            let n = random.index(4);
            let version = BOTH[n % 2];
            let topic = ["a", "b/c", "b/d", "a/b"][random.index(4)];
            let body = "p".repeat(random.index(300));
            match (peers[n], random.below(8)) {
                (None, _) => {
                    let clean_start = random.below(8) == 0;
                    let will = will("w", &[(PropertyId::WillDelayInterval, Value::U32(7))]);
                    let will = will.filter(|_| n == 1);
                    peers[n] = Some(
                        site.connect(Connect { clean_start, will, ..stays(&format!("c{n}"), version) }).0,
                    );
                }
                (Some(peer), 0) => {
                    site.cut(peer);
                    peers[n] = None;
                }
                (Some(peer), 1) => {
                    let filters = [topic, "b/#", "+/b"].into_iter().take(1 + n % 3);
                    let filters =
                        filters.map(|filter| Subscription::new(text(filter), QoS::AtLeastOnce)).collect();
                    let identifier = (version == Version::V5).then_some(1 + u32::from(step));
                    site.send(peer, &[subscribe_as(filters, identifier)]);
                }
                (Some(peer), 2) => site.send(peer, &[retained(topic, &body)]),
                (Some(peer), 3 | 4) => {
                    let packet_id = edge_bridge::wire::PacketId::new(step + 1);
                    let publish = Publish { packet_id, ..expiring(topic, &body, 1 + u32::from(step)) };
                    let publish = Publish {
                        properties: if version == Version::V5 {
                            publish.properties
                        } else {
                            Default::default()
                        },
                        ..publish
                    };
                    site.send(peer, &[Packet::Publish(publish)]);
                }
                (Some(peer), 5) => {
                    let ids: Vec<_> = site.messages(peer).iter().filter_map(|p| p.packet_id).collect();
                    let acks: Vec<_> = ids.iter().take(1).map(|id| puback(id.get())).collect();
                    site.send(peer, &acks);
                }
                (Some(_), _) => site.pass(random.below(4) * 1_000),
            }
        }
        // Those that are there would be away behind a restart.
        peers.into_iter().flatten().for_each(|peer| site.cut(peer));
        let saved = site.listener.save(site.now).bytes;
        let (next, _) = restarted(&site, Config::default(), 0);
        let again = Bytes::from(next.listener.save(next.now).bytes);
        assert!(again == saved, "seed {seed}");
    }
}
