//! A lane without room: its messages wait with their connections, those of other clients for other lanes do not.

use crate::listener_support::*;
use edge_bridge::listener::Config;

use edge_bridge::wire::{Connect, Packet, ReasonCode, Version};

const OK: ReasonCode = ReasonCode::SUCCESS;
const FULL_1: u8 = 0b10;

fn payloads(site: &Site) -> Vec<&[u8]> {
    site.stored.iter().map(|(_, rows)| &rows[0].payload[..]).collect()
}

#[test]
fn a_full_lane_delays_no_other_client_and_no_other_lane() {
    for version in [Version::V5, Version::V311] {
        let mut site = Site::new(Config::default());
        let (telemetry, alarm) = (site.client("t", version), site.client("a", version));
        site.set_full_lanes(FULL_1);
        site.send(telemetry, &[publish(1, "store/x/lane1", "t1"), publish(2, "store/x/lane1", "t2")]);
        site.send(alarm, &[publish(1, "store/y/lane0", "a1"), publish(2, "other", "absorbed")]);
        assert_eq!(payloads(&site), [b"a1"]);
        site.resolve(0);
        assert_eq!(site.pubacks(alarm), [(1, OK), (2, OK)]);
        site.send(telemetry, &[publish(3, "store/y/lane0", "behind")]);
        assert_eq!((site.stored.len(), site.listener.stats().held), (0, 2), "its connection is not read");
        assert!(!site.listener.has_room());
        site.set_full_lanes(0);
        assert_eq!(payloads(&site), [&b"t1"[..], b"t2", b"behind"]);
        (0..3).for_each(|_| site.resolve(0));
        assert_eq!(site.pubacks(telemetry), [(1, OK), (2, OK), (3, OK)]);
    }
}

#[test]
fn what_comes_behind_a_message_that_waits_keeps_its_place() {
    let mut site = Site::new(Config::default());
    let (both, other) = (site.client("b", Version::V5), site.client("o", Version::V5));
    site.set_full_lanes(FULL_1);
    site.send(both, &[publish(1, "store/x/lane1", "1"), publish(2, "store/y/lane0", "2")]);
    assert_eq!(site.stored.len(), 0, "its PUBACK could not leave before that of the first");
    // Another lane becomes full, the first one stays so.
    site.set_full_lanes(FULL_1 | 1);
    site.send(other, &[publish(1, "store/y/lane0", "o")]);
    site.set_full_lanes(FULL_1);
    assert_eq!(payloads(&site), [b"o"]);
    site.set_full_lanes(1);
    assert_eq!(payloads(&site), [&b"o"[..], b"1"]);
    site.set_full_lanes(0);
    assert_eq!(payloads(&site), [&b"o"[..], b"1", b"2"]);
    assert_eq!(site.listener.stats().held, 0);
}

/// It is in the queue's intake until there is room, which may be days.
#[test]
fn a_row_that_waits_for_its_lane_delays_no_puback_of_other_lanes() {
    for version in [Version::V5, Version::V311] {
        let mut site = Site::new(Config::default());
        let (telemetry, alarm) = (site.client("t", version), site.client("a", version));
        site.send(telemetry, &[publish(1, "store/x/lane1", "t1")]);
        site.set_full_lanes(FULL_1);
        site.send(alarm, &[publish(1, "else/y/lane0", "suppressed")]);
        assert_eq!(site.pubacks(alarm), [(1, OK)]);
        site.send(alarm, &[publish(3, "$SYS/broker/connection/b/state", "1")]);
        assert_eq!(site.pubacks(alarm), [(3, OK)], "it is for local subscribers alone");
        site.send(alarm, &[publish(2, "other", "of no lane: it may depend on any row")]);
        assert_eq!(site.pubacks(alarm), []);
        site.set_full_lanes(0);
        site.resolve(0);
        assert_eq!((site.pubacks(telemetry), site.pubacks(alarm)), (vec![(1, OK)], vec![(2, OK)]));
    }
}

/// A reload moves their route out of the full lane, for which an outage may make them wait for days.
#[test]
fn messages_that_wait_follow_a_change_of_their_lanes() {
    let mut site = Site::new(Config::default());
    let telemetry = site.client("t", Version::V5);
    let (dying, _) =
        site.connect(Connect { will: will("store/gone/lane1", &[]), ..connect("d", Version::V5) });
    site.set_full_lanes(FULL_1);
    site.send(telemetry, &[publish(1, "store/x/lane1", "t1")]);
    site.cut(dying);
    site.set_full_lanes(FULL_1);
    assert_eq!((site.stored.len(), site.listener.stats().held), (0, 2));
    site.listener.ingest_mut().only_lane = Some(0);
    site.set_full_lanes(FULL_1);
    assert_eq!(payloads(&site), [&b"t1"[..], b"gone"]);
    assert!(site.listener.may_read(telemetry.connection));
}

#[test]
fn without_room_at_all_a_lane_makes_no_difference() {
    let mut site = Site::new(Config::default());
    let sensor = site.client("s", Version::V5);
    site.set_full_lanes(FULL_1);
    site.set_room(false);
    site.send(sensor, &[publish(1, "store/y/lane0", "1")]);
    site.set_full_lanes(0);
    assert_eq!(site.stored.len(), 0);
    site.set_full_lanes(FULL_1);
    site.set_room(true);
    assert_eq!(payloads(&site), [b"1"]);
}

/// Its connection broke before its PUBREC: it is safe with the rows of its own lane.
#[test]
fn a_message_that_comes_again_waits_for_no_row_of_another_lane() {
    for version in [Version::V5, Version::V311] {
        let mut site = Site::new(Config::default());
        let (telemetry, mut alarm) = (site.client("t", version), site.client("a", version));
        site.send(telemetry, &[publish(1, "store/x/lane1", "t1")]);
        site.set_full_lanes(FULL_1);
        let state = "$SYS/broker/connection/b/state";
        let messages = |dup| {
            [(1, "store/y/lane0", "a1"), (2, "else/y/lane0", "suppressed"), (3, state, "1")]
                .map(|(id, topic, payload)| exactly(id, topic, payload, dup))
        };
        site.send(alarm, &messages(false));
        for _ in 0..2 {
            site.cut(alarm);
            alarm = site.client("a", version);
            site.send(alarm, &messages(true));
            assert_eq!(site.received(alarm), [], "{version:?}: its row is not safe");
        }
        assert_eq!(payloads(&site), [b"t1", b"a1"]);
        site.resolve(1);
        assert_eq!(site.received(alarm), [1, 2, 3].map(|id| Packet::PubRec(ack(id))), "{version:?}");
    }
}
