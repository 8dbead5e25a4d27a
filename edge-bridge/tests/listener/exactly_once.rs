//! QoS 2 from clients (§4.3.3): each message is taken in once, however often its connection ends, and its PUBREC follows the receipt.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::listener_support::*;
use crate::random::{Rng, percent, seed_or};
use crate::{BOTH, site};
use edge_bridge::wire::{Ack, Packet, PacketId, PropertyId, QoS, ReasonCode, Version};

const OK: ReasonCode = ReasonCode::SUCCESS;

fn pubrel(id: u16) -> Packet {
    Packet::PubRel(ack(id))
}

#[test]
fn pubrec_follows_the_receipt_among_pubacks_in_order_of_arrival() {
    for version in BOTH {
        let mut site = site();
        let (sensor, connack) = site.connect(stays("s", version));
        assert_eq!(connack.properties.u32(PropertyId::MaximumQoS), None);
        let watcher = site.client("w", version);
        site.send(watcher, &[subscribe(&["#"])]);
        site.received(watcher);
        let packets =
            [publish(1, "store/a", "1"), exactly(2, "store/a", "2", false), publish(3, "store/a", "3")];
        site.send(sensor, &packets);
        assert_eq!(site.messages(watcher).iter().map(|p| p.qos).collect::<Vec<_>>(), [QoS::AtLeastOnce; 3]);
        site.resolve(1);
        site.resolve(1);
        assert_eq!(site.received(sensor), [], "the first is not safe");
        site.resolve(0);
        assert_eq!(site.received(sensor), [puback(1), Packet::PubRec(ack(2)), puback(3)]);
        site.send(sensor, &[pubrel(2)]);
        assert_eq!(site.received(sensor), [Packet::PubComp(ack(2))]);
        assert_eq!(site.listener.stats().unacked_bytes, 0);
    }
}

/// The row of the first copy is not safe when the second one comes on another connection.
#[test]
fn a_copy_on_a_new_connection_is_not_taken_in_and_its_pubrec_waits_for_the_first() {
    for version in BOTH {
        let mut site = site();
        let watcher = site.client("w", Version::V5);
        site.send(watcher, &[subscribe(&["#"])]);
        let first = site.client("s", version);
        site.send(first, &[exactly(1, "store/a", "x", false)]);
        site.cut(first);
        let again = site.client("s", version);
        site.send(again, &[exactly(1, "store/a", "x", true)]);
        assert_eq!((site.stored.len(), site.payloads(watcher).len()), (1, 1), "{version:?}");
        assert_eq!(site.received(again), []);
        site.resolve(0);
        assert_eq!(site.received(again), [Packet::PubRec(ack(1))]);
        site.cut(again);
        // PUBREC or PUBREL got lost.
        let third = site.client("s", version);
        site.send(third, &[exactly(1, "store/a", "x", true), pubrel(1), pubrel(1)]);
        let unknown = if version == Version::V5 { ReasonCode::PACKET_IDENTIFIER_NOT_FOUND } else { OK };
        let end = Packet::PubComp(Ack::new(PacketId::MIN, unknown));
        assert_eq!(site.received(third), [Packet::PubRec(ack(1)), Packet::PubComp(ack(1)), end]);
        assert_eq!((site.stored.len(), site.payloads(watcher).len()), (0, 0));
    }
}

/// A client that restarts without its state begins its identifiers anew. What it sends must not pass for the message before.
#[test]
fn another_message_under_an_identifier_that_was_not_released_is_taken_in() {
    for (payload, dup, is_new) in
        [("y", false, true), ("y", true, true), ("x", false, true), ("x", true, false)]
    {
        let mut site = site();
        let first = site.client("s", Version::V311);
        site.send(first, &[exactly(1, "store/a", "x", false)]);
        site.resolve(0);
        site.cut(first);
        let again = site.client("s", Version::V311);
        site.send(again, &[exactly(1, "store/a", payload, dup)]);
        assert_eq!(site.stored.len(), usize::from(is_new), "{payload} {dup}");
        let is_marked = site.listener.ingest_mut().seen.last().unwrap().dup;
        assert_eq!(is_marked, is_new && (dup || payload == "x"), "{payload} {dup}: perhaps a copy");
    }
}

/// It waits for room when its connection ends, so nobody has taken it in.
#[test]
fn a_message_that_waited_for_room_is_taken_in_when_it_comes_again() {
    let mut site = site();
    site.set_room(false);
    let first = site.client("s", Version::V5);
    site.send(first, &[exactly(1, "store/a", "x", false)]);
    site.cut(first);
    let again = site.client("s", Version::V5);
    site.send(again, &[exactly(1, "store/a", "x", true)]);
    assert_eq!(site.stored.len(), 0);
    site.set_room(true);
    assert_eq!(site.stored.len(), 1);
    site.cut(again);
    let third = site.client("s", Version::V5);
    site.send(third, &[exactly(1, "store/a", "x", true)]);
    assert_eq!(site.stored.len(), 1, "now it was taken in");
    site.resolve(0);
    assert_eq!(site.received(third), [Packet::PubRec(ack(1))]);
}

#[test]
fn a_session_that_ended_remembers_nothing() {
    let mut site = site();
    let first = site.client("s", Version::V5);
    site.send(first, &[exactly(1, "store/a", "x", false)]);
    site.resolve(0);
    site.cut(first);
    let (again, connack) = site.connect(connect("s", Version::V5));
    assert!(!connack.session_present);
    site.send(again, &[exactly(1, "store/a", "x", true)]);
    assert_eq!(site.stored.len(), 1);
}

/// A refused message is over with its PUBREC.
#[test]
fn a_refused_message_needs_no_pubrel() {
    let mut site = site();
    let sensor = site.client("s", Version::V5);
    site.send(sensor, &[exactly(1, "bad/a", "x", false)]);
    site.resolve(0);
    let refused = Ack::new(PacketId::MIN, ReasonCode::PAYLOAD_FORMAT_INVALID);
    assert_eq!(site.received(sensor), [Packet::PubRec(refused)]);
    site.send(sensor, &[exactly(1, "store/a", "x", false)]);
    assert_eq!(site.stored.len(), 1);
}

/// Identifiers that a client never releases count in its share, there and away.
#[test]
fn unreleased_identifiers_count_as_held_bytes() {
    let mut site = site();
    let sensor = site.client("s", Version::V311);
    let before = site.listener.stats().held_bytes;
    for id in 1..=1_000 {
        site.send(sensor, &[exactly(id, "a", "x", false)]);
    }
    let here = site.listener.stats().held_bytes - before;
    assert!((16_000..100_000).contains(&here), "{here}");
    site.cut(sensor);
    let away = site.listener.stats().held_bytes;
    assert!((16_000..110_000).contains(&away), "{away}");
    let again = site.client("s", Version::V311);
    for id in 1..=1_000 {
        site.send(again, &[pubrel(id)]);
    }
    assert!(site.listener.stats().held_bytes <= before, "{before}");
}

/// A sender by the book: what has no PUBREC is sent again, then PUBREL until PUBCOMP.
struct Sender {
    version: Version,
    peer: Option<Peer>,
    /// Packet identifier, message, and whether its PUBREC came; in order.
    in_flight: VecDeque<(u16, usize, bool)>,
    next_id: u16,
    next_message: usize,
    done: HashSet<usize>,
    /// Sent by an earlier life.
    forgotten: HashSet<usize>,
}

struct World {
    site: Site,
    random: Rng,
    sender: Sender,
    taken_in: HashMap<usize, usize>,
    safe: HashSet<usize>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rng::new(seed);
        let sender = Sender {
            version: random.pick(&BOTH),
            peer: None,
            in_flight: VecDeque::new(),
            next_id: 1,
            next_message: 0,
            done: HashSet::new(),
            forgotten: HashSet::new(),
        };
        Self { site: site(), random, sender, taken_in: HashMap::new(), safe: HashSet::new() }
    }

    fn send(&mut self, packet: &Packet) {
        if let Some(peer) = self.sender.peer {
            self.site.send(peer, std::slice::from_ref(packet));
        }
    }

    fn step(&mut self) {
        match self.random.index(12) {
            0 => self.cut(),
            1..5 => self.publish(),
            5 => {
                let has_room = !self.site.listener.has_room();
                self.site.set_room(has_room);
            }
            6..9 if !self.site.stored.is_empty() => self.resolve(),
            9 if self.random.one_in(12) => self.forget(),
            _ => self.answers(),
        }
        self.connect();
    }

    fn cut(&mut self) {
        if let Some(peer) = self.sender.peer.take() {
            self.site.cut(peer);
        }
    }

    /// Restarts without its state, in the session that it had.
    fn forget(&mut self) {
        self.cut();
        self.sender.forgotten.extend(self.sender.in_flight.drain(..).map(|(_, n, _)| n));
        self.sender.next_id = 1;
    }

    fn connect(&mut self) {
        if self.sender.peer.is_some() {
            return;
        }
        let peer = self.site.client("s", self.sender.version);
        self.sender.peer = Some(peer);
        for (id, n, has_pubrec) in self.sender.in_flight.clone() {
            let packet = if has_pubrec { pubrel(id) } else { exactly(id, "store/a", &n.to_string(), true) };
            self.send(&packet);
        }
    }

    fn publish(&mut self) {
        if self.sender.in_flight.len() > 3 {
            return;
        }
        let (id, n) = (self.sender.next_id, self.sender.next_message);
        (self.sender.next_id, self.sender.next_message) = (id % 6 + 1, n + 1);
        self.sender.in_flight.push_back((id, n, false));
        // The first copy may get lost on its way.
        if self.random.one_in(4) {
            self.cut();
        } else {
            self.send(&exactly(id, "store/a", &n.to_string(), false));
        }
    }

    fn resolve(&mut self) {
        let at = self.random.index(self.site.stored.len());
        let n = payload_of(&self.site, at);
        *self.taken_in.entry(n).or_default() += 1;
        self.safe.insert(n);
        self.site.resolve(at);
    }

    fn answers(&mut self) {
        let Some(peer) = self.sender.peer else { return };
        for packet in self.site.received(peer) {
            match packet {
                Packet::PubRec(ack) => {
                    let id = ack.packet_id.get();
                    let Some(at) = self.sender.in_flight.iter().position(|m| m.0 == id) else { continue };
                    let (_, n, has_pubrec) = &mut self.sender.in_flight[at];
                    assert!(self.safe.contains(n), "PUBREC of {n} before it is safe");
                    *has_pubrec = true;
                    self.send(&pubrel(id));
                }
                Packet::PubComp(ack) => {
                    let id = ack.packet_id.get();
                    let Some(at) = self.sender.in_flight.iter().position(|m| m.0 == id && m.2) else {
                        continue;
                    };
                    let (_, n, _) = self.sender.in_flight.remove(at).unwrap();
                    self.sender.done.insert(n);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn end(&mut self, place: &str) {
        self.site.set_room(true);
        for _ in 0..100 {
            while !self.site.stored.is_empty() {
                self.resolve();
            }
            self.answers();
            self.connect();
        }
        assert!(self.sender.in_flight.is_empty(), "{place}: {:?}", self.sender.in_flight);
        for n in 0..self.sender.next_message {
            let times = self.taken_in.get(&n).copied().unwrap_or(0);
            let is_forgotten = self.sender.forgotten.contains(&n);
            assert!(
                times == 1 || is_forgotten && times == 0,
                "{place}: message {n} was taken in {times} times"
            );
            assert!(is_forgotten || self.sender.done.contains(&n), "{place}: message {n}");
        }
    }
}

fn payload_of(site: &Site, at: usize) -> usize {
    std::str::from_utf8(&site.stored[at].1[0].payload).unwrap().parse().unwrap()
}

#[test]
fn messages_of_qos_2_are_taken_in_once_in_random_histories() {
    let (seed, histories) = (seed_or(1), 20 * percent());
    let mut messages = 0;
    for n in 0..histories {
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(n);
        let mut world = World::new(seed);
        (0..300).for_each(|_| world.step());
        world.end(&format!("history {seed}"));
        messages += world.sender.done.len();
    }
    assert!(messages > 20 * usize::try_from(histories).unwrap(), "{messages}");
    println!("executed messages_of_qos_2_are_taken_in_once_in_random_histories: {histories} cases");
}
