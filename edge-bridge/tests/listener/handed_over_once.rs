//! QoS 2 to subscribers (§4.3.3): granted, handed over once over connections, and never taken for a repeat after a restart of the listener.

use std::collections::BTreeMap;

use crate::listener_support::*;
use crate::random::{Rng, percent, seed_or};
use crate::{BOTH, site};
use edge_bridge::wire::{Packet, PacketId, PropertyId, Publish, QoS, Subscription, Value, Version};

/// First identifier for messages of QoS 2.
const FIRST: u16 = 65_280;

fn at_qos_2(filter: &str) -> Packet {
    subscribe_as(vec![Subscription::new(text(filter), QoS::ExactlyOnce)], None)
}

/// A subscriber at QoS 2 and a publisher.
fn pair(site: &mut Site, version: Version) -> (Peer, Peer) {
    let (subscriber, publisher) = (site.client("sub", version), site.client("pub", version));
    site.send(subscriber, &[at_qos_2("a")]);
    site.received(subscriber);
    (subscriber, publisher)
}

/// Payload, identifier, QoS and DUP.
fn messages(packets: &[Packet]) -> Vec<(String, u16, u8, bool)> {
    let messages = packets.iter().filter_map(|packet| match packet {
        Packet::Publish(p) => Some((payload(p), p.packet_id.unwrap().get(), p.qos as u8, p.dup)),
        _ => None,
    });
    messages.collect()
}

#[test]
fn a_subscriber_has_the_smaller_qos_of_the_message_and_its_filter() {
    for version in BOTH {
        let mut site = site();
        let (subscriber, publisher) = pair(&mut site, version);
        site.send(publisher, &[exactly(1, "a", "two", false), publish(2, "a", "one"), qos0("a", "zero")]);
        let packets = site.received(subscriber);
        let [Packet::Publish(two), Packet::Publish(one), Packet::Publish(zero)] = &packets[..] else {
            panic!()
        };
        let seen = [two, one, zero].map(|p| (p.qos as u8, p.packet_id.map(PacketId::get)));
        assert_eq!(seen, [(2, Some(FIRST)), (1, Some(1)), (0, None)], "{version:?}");
        site.send(subscriber, &[Packet::PubRec(ack(FIRST))]);
        assert_eq!(site.received(subscriber), [Packet::PubRel(ack(FIRST))]);
        site.send(subscriber, &[Packet::PubComp(ack(FIRST))]);
    }
}

#[test]
fn a_subscriber_that_comes_back_is_owed_pubrels_and_then_messages() {
    for version in BOTH {
        let mut site = site();
        let (subscriber, publisher) = pair(&mut site, version);
        for n in 1..=3 {
            site.send(publisher, &[exactly(n, "a", &n.to_string(), false)]);
        }
        site.send(subscriber, &[Packet::PubRec(ack(FIRST))]);
        site.cut(subscriber);
        site.send(publisher, &[exactly(4, "a", "4", false)]);
        let again = site.client("sub", version);
        let packets = site.received(again);
        assert_eq!(packets[0], Packet::PubRel(ack(FIRST)));
        let expected = [("2", 1, true), ("3", 2, true), ("4", 3, false)]
            .map(|(payload, id, dup)| (payload.to_owned(), FIRST + id, 2, dup));
        assert_eq!(messages(&packets[1..]), expected, "{version:?}");
    }
}

/// One that never completes has its window filled, and costs others nothing.
#[test]
fn without_pubcomp_there_is_no_room_and_with_it_there_is() {
    let mut site = site();
    let (subscriber, publisher) = pair(&mut site, Version::V311);
    for n in 1..=30 {
        site.send(publisher, &[exactly(n, "a", &n.to_string(), false)]);
    }
    let sent = messages(&site.received(subscriber));
    assert_eq!(sent.len(), 20, "the window of a client that cannot say");
    for (_, id, ..) in &sent {
        site.send(subscriber, &[Packet::PubRec(ack(*id))]);
    }
    assert_eq!(messages(&site.received(subscriber)), [], "PUBREC makes no room");
    site.send(subscriber, &[Packet::PubComp(ack(FIRST + 5))]);
    assert_eq!(messages(&site.received(subscriber)), [("21".to_owned(), FIRST + 20, 2, false)]);
}

/// The subscriber may hold any identifier of the time before: what came under it would be dropped as a repeat.
#[test]
fn promise_4_a_restored_session_releases_identifiers_before_they_are_used() {
    for version in BOTH {
        let mut site = site();
        let (subscriber, publisher) = pair(&mut site, version);
        site.send(publisher, &[exactly(1, "a", "before", false)]);
        assert_eq!(messages(&site.received(subscriber)).len(), 1);
        let saved = site.listener.save(site.now).bytes;
        let mut later = crate::site();
        later.listener.restore(later.now, &saved).unwrap();
        let again = later.client("sub", version);
        let packets = later.received(again);
        let all: Vec<_> = (FIRST..=u16::MAX).map(|id| Packet::PubRel(ack(id))).collect();
        assert_eq!(packets, all, "{version:?}");
        later.send(again, &[Packet::PubComp(ack(FIRST + 7))]);
        let expected = ("before".to_owned(), FIRST + 7, 2, false);
        assert_eq!(messages(&later.received(again)), [expected], "{version:?}");
    }
}

/// \[MQTT-4.8.2-5\]: the first may have it. At QoS 1 it goes to another one.
#[test]
fn what_a_member_of_a_group_was_sent_at_qos_2_goes_to_no_other() {
    for (packet, others) in [(exactly(1, "a", "x", false), 0), (publish(1, "a", "x"), 1)] {
        let mut site = site();
        let publisher = site.client("pub", Version::V5);
        let (first, _) = site.connect(connect("one", Version::V5));
        site.send(first, &[at_qos_2("$share/g/a")]);
        site.received(first);
        site.send(publisher, &[packet]);
        assert_eq!(messages(&site.received(first)).len(), 1);
        let (second, _) = site.connect(connect("two", Version::V5));
        site.send(second, &[at_qos_2("$share/g/a")]);
        site.received(second);
        site.cut(first);
        assert_eq!(messages(&site.received(second)).len(), others);
    }
}

/// §4.3.3: the exchange goes on, because the subscriber may have it. Only what was never sent expires.
#[test]
fn a_message_that_was_sent_is_sent_again_beyond_its_expiry() {
    let mut site = site();
    let (subscriber, publisher) = pair(&mut site, Version::V5);
    let expires = properties(&[(PropertyId::MessageExpiryInterval, Value::U32(5))]);
    let packet = |id, payload: &str| match exactly(id, "a", payload, false) {
        Packet::Publish(publish) => Packet::Publish(Publish { properties: expires.clone(), ..publish }),
        other => other,
    };
    site.send(publisher, &[packet(1, "sent")]);
    assert_eq!(messages(&site.received(subscriber)).len(), 1);
    site.cut(subscriber);
    site.send(publisher, &[packet(2, "never sent")]);
    site.pass(6_000);
    let again = site.client("sub", Version::V5);
    assert_eq!(messages(&site.received(again)), [("sent".to_owned(), FIRST, 2, true)]);
}

/// A subscriber by the book: it delivers a message unless it holds its identifier.
#[derive(Default)]
struct Receiver {
    peer: Option<Peer>,
    /// Identifiers whose PUBREL has not come.
    held: Vec<u16>,
    got: BTreeMap<usize, usize>,
}

impl Receiver {
    fn read(&mut self, site: &mut Site) {
        let Some(peer) = self.peer else { return };
        for packet in site.received(peer) {
            match packet {
                Packet::Publish(publish) => {
                    let id = publish.packet_id.unwrap().get();
                    if !self.held.contains(&id) {
                        self.held.push(id);
                        *self.got.entry(payload(&publish).parse().unwrap()).or_default() += 1;
                    }
                    site.send(peer, &[Packet::PubRec(ack(id))]);
                }
                Packet::PubRel(release) => {
                    let id = release.packet_id.get();
                    self.held.retain(|held| *held != id);
                    site.send(peer, &[Packet::PubComp(ack(id))]);
                }
                Packet::SubAck(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Once without a restart of the listener; with them at least once, as far as it was saved.
#[test]
fn promise_4_subscribers_get_messages_of_qos_2_once_in_random_histories() {
    let (seed, histories) = (seed_or(1), 20 * percent());
    let mut messages = 0;
    for n in 0..histories {
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(n);
        let (mut rng, restarts) = (Rng::new(seed), n % 2 == 1);
        let version = rng.pick(&BOTH);
        let mut site = site();
        let mut receiver = Receiver::default();
        let mut published = 0;
        let mut publisher = None;
        let connect = |site: &mut Site, receiver: &mut Receiver| {
            let peer = site.client("sub", version);
            site.send(peer, &[at_qos_2("a")]);
            receiver.peer = Some(peer);
        };
        for _ in 0..300 {
            if receiver.peer.is_none() && (published == 0 || rng.one_in(2)) {
                connect(&mut site, &mut receiver);
            }
            match rng.index(12) {
                0 => {
                    if let Some(peer) = receiver.peer.take() {
                        // Its last packets may get lost.
                        if rng.one_in(2) {
                            receiver.read(&mut site);
                        }
                        site.cut(peer);
                    }
                }
                1 if restarts && published > 0 && rng.one_in(4) => {
                    let saved = site.listener.save(site.now).bytes;
                    site = crate::site();
                    site.listener.restore(site.now, &saved).unwrap();
                    (receiver.peer, publisher) = (None, None);
                }
                2..6 => {
                    let peer = *publisher.get_or_insert_with(|| site.client("pub", Version::V5));
                    published += 1;
                    let id = u16::try_from(published % 60_000 + 1).unwrap();
                    site.send(
                        peer,
                        &[exactly(id, "a", &published.to_string(), false), Packet::PubRel(ack(id))],
                    );
                    site.received(peer);
                }
                _ => receiver.read(&mut site),
            }
        }
        if receiver.peer.is_none() {
            connect(&mut site, &mut receiver);
        }
        (0..50).for_each(|_| receiver.read(&mut site));
        for n in 1..=published {
            let times = receiver.got.get(&n).copied().unwrap_or(0);
            assert!(
                times == 1 || restarts && times > 0,
                "history {seed}: message {n} of {published} came {times} times"
            );
        }
        messages += published;
    }
    assert!(messages > 50 * usize::try_from(histories).unwrap(), "{messages}");
    println!(
        "executed promise_4_subscribers_get_messages_of_qos_2_once_in_random_histories: {histories} cases"
    );
}
