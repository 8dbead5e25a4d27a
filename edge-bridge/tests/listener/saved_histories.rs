//! Saved clients after anything that clients do.

use bytes::Bytes;
use edge_bridge::listener::Config;
use edge_bridge::wire::{Connect, Packet, PropertyId, Publish, QoS, Subscription, Value, Version};

use crate::BOTH;
use crate::listener_support::*;
use crate::random::{Rng, budget};
use crate::saved::{at_noon, expiring, restarted, retained};

/// Restored state is the saved state, to the byte, whatever the clients did.
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
