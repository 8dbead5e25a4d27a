//! Messages that were in flight at a restart: they come again, and take no place of those that wait. Promise 1.

use edge_bridge::listener::Config;
use edge_bridge::wire::{Packet, PacketId, Publish, QoS, Subscription, Version};

use crate::BOTH;
use crate::listener_support::*;
use crate::saved::restarted;

/// A listener that lets three messages wait, or as many bytes.
fn with_limit(is_of_bytes: bool) -> Config {
    let mut config = Config::default();
    if is_of_bytes {
        config.max_queued_bytes = 3 * "a1".len();
    } else {
        config.max_queued = 3;
    }
    config
}

/// A client that was sent so many messages and left without an answer, and for which three more wait.
fn left(config: Config, version: Version, qos: QoS, sent: u16) -> Site {
    let mut site = Site::new(config);
    site.now.wall_ms = 1_800_000_000_000;
    let subscriber = site.client("sub", version);
    site.send(subscriber, &[subscribe_as(vec![Subscription::new(text("a"), qos)], None)]);
    give(&mut site, qos, 1..=sent);
    site.cut(subscriber);
    give(&mut site, qos, sent + 1..=sent + 3);
    site
}

fn give(site: &mut Site, qos: QoS, numbers: std::ops::RangeInclusive<u16>) {
    let publisher = site.client("pub", Version::V5);
    for n in numbers {
        let publish = Publish { qos, packet_id: PacketId::new(n), ..message("a", &n.to_string()) };
        site.send(publisher, &[Packet::Publish(publish)]);
    }
    site.cut(publisher);
}

/// Messages that the client gets. Its identifiers of QoS 2 are in doubt for a while, because it answers nothing.
fn given(site: &mut Site, version: Version) -> Vec<String> {
    let subscriber = site.client("sub", version);
    site.pass(6_000);
    site.payloads(subscriber)
}

#[test]
fn what_was_in_flight_to_a_client_whose_queue_is_full_comes_again() {
    for (version, qos) in BOTH.iter().flat_map(|v| [(*v, QoS::AtLeastOnce), (*v, QoS::ExactlyOnce)]) {
        for config in [with_limit(false), with_limit(true)] {
            let case = format!("{version:?} {qos:?} {}", config.max_queued);
            let site = left(config.clone(), version, qos, 2);
            let (mut next, restored) = restarted(&site, config.clone(), 0);
            assert_eq!((restored.waiting, next.listener.stats().dropped_full), (5, 0), "{case}");
            assert_eq!(next.listener.stats().queued_bytes, site.listener.stats().queued_bytes, "{case}");
            // The next one takes the place of one that waits.
            give(&mut next, qos, 6..=6);
            assert_eq!(next.listener.stats().dropped_full, 1, "{case}");
            let (last, _) = restarted(&next, config, 0);
            for mut site in [next, last] {
                assert_eq!(given(&mut site, version), ["1", "2", "4", "5", "6"], "{case}");
            }
        }
    }
}

/// The limit of memory counts them, as it did when they were in flight: those that were never sent go first.
#[test]
fn what_was_in_flight_gives_way_when_memory_is_short() {
    let site = left(with_limit(false), Version::V5, QoS::AtLeastOnce, 20);
    let mut config = with_limit(false);
    config.max_memory = 3_000;
    let (mut next, restored) = restarted(&site, config, 0);
    let stats = next.listener.stats();
    assert!(stats.held_bytes <= 3_000 && (8..20).contains(&restored.waiting), "{restored:?} {stats:?}");
    assert_eq!(stats.dropped_full, 23 - restored.waiting as u64);
    assert_eq!(given(&mut next, Version::V5).last().unwrap(), "20");
}
