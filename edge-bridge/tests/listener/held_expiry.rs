//! Message Expiry Interval of what waits for room in the queue: the time there counts (\[MQTT-3.3.2-6\]).

use edge_bridge::wire::{Connect, Packet, PacketId, PropertyId, Publish, Value, Version};

use crate::listener_support::*;
use crate::saved;
use crate::site;

fn expiring(topic: &str, seconds: u32) -> Publish {
    Publish { packet_id: PacketId::new(1), ..saved::expiring(topic, "x", seconds) }
}

/// Intervals of the messages that the ingest got.
fn intervals(site: &mut Site) -> Vec<Option<u32>> {
    let seen = site.listener.ingest_mut().seen.iter();
    seen.map(|message| message.properties.u32(PropertyId::MessageExpiryInterval)).collect()
}

#[test]
fn the_ingest_gets_what_is_left() {
    let mut site = site();
    site.set_room(false);
    let (a, b) = (site.client("a", Version::V5), site.client("b", Version::V5));
    site.send(a, &[Packet::Publish(expiring("store/a", 10))]);
    site.send(b, &[publish(1, "store/b", "x")]);
    site.pass(3_500);
    site.set_room(true);
    assert_eq!(intervals(&mut site), [Some(7), None]);
}

/// Its row has no time left, which is the queue's to count; a reading does not expire.
#[test]
fn an_expired_message_reaches_the_ingest_with_nothing_left() {
    let mut site = site();
    let client = site.client("a", Version::V5);
    let list = [(PropertyId::MessageExpiryInterval, Value::U32(5))];
    let (dead, _) = site.connect(Connect { will: will("store/w", &list), ..connect("dead", Version::V5) });
    site.set_room(false);
    site.cut(dead);
    site.send(client, &[Packet::Publish(expiring("store/a", 5))]);
    site.pass(60_000);
    site.set_room(true);
    assert_eq!(intervals(&mut site), [Some(0), Some(0)]);
    let left: Vec<_> = site.stored.iter().flat_map(|(_, rows)| rows).map(|row| row.ttl_ms).collect();
    assert_eq!(left, [Some(0), Some(0)]);
}

/// Rows that expired there are the queue's to count.
#[test]
fn a_row_that_the_queue_hands_back_ages_too() {
    for (waits_ms, left_ms) in [(3_500, 6_500), (20_000, 0)] {
        let mut site = site();
        let client = site.client("a", Version::V5);
        site.full = true;
        site.send(client, &[Packet::Publish(expiring("store/a", 10))]);
        site.pass(waits_ms / 2);
        // Handed back again.
        site.listener.set_room(site.now, true);
        site.outputs();
        site.pass(waits_ms / 2);
        site.set_room(true);
        let left: Vec<_> = site.stored.iter().flat_map(|(_, rows)| rows).map(|row| row.ttl_ms).collect();
        assert_eq!(left, [Some(left_ms)]);
    }
}
