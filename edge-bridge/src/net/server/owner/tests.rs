mod accepting;
mod expensive_packets;
mod full_lanes;

use std::sync::{Mutex, PoisonError};

use super::connection_ends::TURNS_AT_END;
use super::*;
use crate::ingest::{Answer, Inbound};
use crate::listener::{Config, Ticket};
use crate::net::server::connection::Handshake;
use crate::row::Row;
use crate::session::PACKETS_PER_TURN;

/// First bytes of the messages that the ingest saw, and the number of rows that the sink has not worked off.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<(Vec<u8>, usize)>>);

impl Seen {
    fn with<T>(&self, act: impl FnOnce(&mut (Vec<u8>, usize)) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note<'a>(&self, first: impl Iterator<Item = &'a u8>) {
        self.with(|(payloads, _)| payloads.extend(first));
    }

    /// First byte of each payload.
    fn payloads(&self) -> Vec<u8> {
        self.with(|(payloads, _)| payloads.clone())
    }
}

impl Ingest for Seen {
    fn ingest(&mut self, _: Now, message: &Inbound) -> Answer {
        self.note(message.payload.iter().take(1));
        Answer::Store(vec![Row::new(message.topic.clone(), message.payload.clone())])
    }

    fn lane(&self, _: &Inbound) -> Option<u8> {
        Some(0)
    }
}

/// Busy with so many rows.
struct Slow {
    seen: Seen,
    max: usize,
}

impl Sink for Slow {
    fn has_room(&mut self) -> bool {
        self.seen.with(|(_, waiting)| *waiting < self.max + PACKETS_PER_TURN)
    }

    fn is_busy(&mut self) -> bool {
        self.seen.with(|(_, waiting)| *waiting >= self.max)
    }

    fn push(&mut self, _: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
        self.seen.with(|(_, waiting)| *waiting += rows.len());
        Ok(())
    }
}

fn owner(max: usize) -> (Owner, Seen) {
    owner_with(Config::default(), max)
}

fn owner_with(config: Config, max: usize) -> (Owner, Seen) {
    owner_of(config, |seen| Box::new(Slow { seen: seen.clone(), max }))
}

fn owner_of(config: Config, sink: impl FnOnce(&Seen) -> Box<dyn Sink>) -> (Owner, Seen) {
    let seen = Seen::default();
    let ingest: Box<dyn Ingest + Send> = Box::new(seen.clone());
    let listener = Listener::new(config, ingest);
    let sink = sink(&seen);
    (Owner::new(listener, sink, Receipts::default(), Clock::start(), None), seen)
}

/// A 3.1.1 client that sends so many QoS 0 messages at once.
fn burst(owner: &mut Owner, name: u8, messages: usize) -> ConnectionId {
    client(owner, name, &[0x30, 4, 0, 1, b't', name].repeat(messages))
}

/// A 3.1.1 client that sends these packets behind its CONNECT.
fn client(owner: &mut Owner, name: u8, packets: &[u8]) -> ConnectionId {
    let id = owner.listener.accept(owner.now()).unwrap();
    owner.outputs();
    owner.outboxes.insert(id, Arc::default());
    let mut bytes = BytesMut::from(&b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01"[..]);
    bytes.extend_from_slice(&[name]);
    bytes.extend_from_slice(packets);
    owner.input(id, FromPeer::Bytes { buffer: bytes, up_to_date: None });
    id
}

#[test]
fn a_flood_is_read_no_more_often_than_a_single_message() {
    let (mut owner, seen) = owner(usize::MAX - PACKETS_PER_TURN);
    burst(&mut owner, b'f', 5_000);
    burst(&mut owner, b'a', 1);
    burst(&mut owner, b'b', 1);
    // One for CONNECT, whose answer ends a turn, and one for what follows.
    owner.take_turns();
    owner.take_turns();
    let payloads = seen.payloads();
    for client in [b'a', b'b'] {
        let before = payloads.iter().position(|payload| *payload == client).expect("it had its turn");
        assert!(before <= 2 * PACKETS_PER_TURN, "{before} messages of others before it");
    }
    while owner.has_turn() {
        owner.take_turns();
    }
    assert_eq!(seen.payloads().len(), 5_002, "nothing is left behind");
}

#[test]
fn while_the_queue_is_behind_nobody_is_read_and_nothing_is_dropped() {
    let (mut owner, seen) = owner(100);
    burst(&mut owner, b'f', 5_000);
    burst(&mut owner, b'g', 5_000);
    burst(&mut owner, b'a', 1);
    let mut rounds = 0;
    while !owner.turns.is_empty() {
        owner.take_turns();
        owner.take_turns();
        let waiting = seen.with(|(_, waiting)| std::mem::take(waiting));
        assert!(waiting < 100 + PACKETS_PER_TURN, "{waiting} rows");
        rounds += 1;
        let is_served = seen.payloads().contains(&b'a');
        assert!(is_served || rounds < 4, "others go on where the last round stopped");
    }
    assert_eq!(owner.listener.stats().qos0_without_room, 0);
    assert_eq!(seen.payloads().len(), 10_001);
}

/// Connections whose bytes wait for a turn end only when they have them back.
#[test]
fn a_shutdown_waits_for_no_queue_that_is_behind() {
    let (mut owner, seen) = owner(100);
    burst(&mut owner, b'f', 5_000);
    while owner.has_turn() {
        owner.take_turns();
    }
    assert!(!owner.turns.is_empty(), "the queue is behind");
    let (answer, _answered) = oneshot::channel();
    owner.closing = Some(Closing { until: Instant::now(), answer });
    assert!(owner.has_turn(), "no room is made meanwhile");
    let read = seen.payloads().len();
    owner.take_turns();
    assert!(owner.turns.is_empty());
    assert_eq!(seen.payloads().len(), read, "nothing more is read");
}

/// Two clients that send all they have and leave, while the queue is behind.
#[test]
fn while_the_queue_is_behind_nothing_of_those_who_leave_is_dropped() {
    let (mut owner, seen) = owner(100);
    let clients = [b'f', b'g'].map(|name| burst(&mut owner, name, 5_000));
    while owner.has_turn() {
        owner.take_turns();
    }
    clients.into_iter().for_each(|id| owner.input(id, FromPeer::Closed(None)));
    while !owner.turns.is_empty() {
        owner.take_turns();
        seen.with(|(_, waiting)| *waiting = 0);
    }
    let stats = owner.listener.stats();
    assert_eq!((stats.qos0_without_room, stats.connections), (0, 0));
    assert_eq!(seen.payloads().len(), 10_000);
}

#[test]
fn what_came_before_the_end_of_a_connection_counts() {
    for messages in [1, 500, 50_000] {
        let (mut owner, seen) = owner(usize::MAX - PACKETS_PER_TURN);
        let id = burst(&mut owner, b'f', messages);
        owner.input(id, FromPeer::Closed(None));
        while owner.has_turn() {
            owner.take_turns();
        }
        assert_eq!(seen.payloads().len(), messages);
        assert_eq!(owner.listener.stats().connections, 0);
    }
}

/// A client that fills its buffer with packets that cost much, and closes.
#[test]
fn what_came_before_the_end_of_a_connection_keeps_nobody_waiting() {
    let (mut owner, seen) = owner(usize::MAX - PACKETS_PER_TURN);
    let id = burst(&mut owner, b'f', 50_000);
    owner.input(id, FromPeer::Closed(None));
    let at_once = seen.payloads().len();
    assert!(at_once <= TURNS_AT_END * PACKETS_PER_TURN, "{at_once}");
    burst(&mut owner, b'a', 1);
    owner.take_turns();
    owner.take_turns();
    let before = seen.payloads().iter().position(|payload| *payload == b'a').expect("it had its turn");
    assert!(before <= at_once + 2 * PACKETS_PER_TURN, "{before} messages of the one that ended");
}

/// Bytes of a large packet come when its connection may not be read any more, because too much is unacknowledged.
#[test]
fn a_connection_that_may_not_be_read_keeps_no_room_for_its_packet() {
    const LARGE: &[u8] = b"\x30\xe0\xd4\x03\x00\x01tx";
    let mut config = Config::default();
    (config.max_memory, config.max_unacked_bytes) = (100_000, 100);
    let (mut owner, _) = owner_with(config, usize::MAX - PACKETS_PER_TURN);
    let turns = |owner: &mut Owner| {
        while owner.has_turn() {
            owner.take_turns();
        }
    };
    let unacked = b"\x32\x06\x00\x01t\x00\x01x";
    let paused = client(&mut owner, b'p', &[unacked, LARGE].concat());
    turns(&mut owner);
    assert!(owner.listener.may_read(paused), "there is room for its packet");
    client(&mut owner, b'o', b"\x32\x14\x00\x01t\x00\x01123456789012345");
    turns(&mut owner);
    assert!(!owner.listener.may_read(paused));
    let buffer = BytesMut::from(&[LARGE, &[0; 1_000]].concat()[..]);
    owner.input(paused, FromPeer::Bytes { buffer, up_to_date: None });
    turns(&mut owner);
    let other = client(&mut owner, b'l', LARGE);
    turns(&mut owner);
    for _ in 0..200 {
        if owner.listener.may_read(other) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
        owner.catch_up();
    }
    assert!(owner.listener.may_read(other), "the room is free for others");
    assert_eq!(owner.listener.stats().closed_for_memory, 0);
}

/// A PROXY header that is told when its connection has ended already.
#[test]
fn the_address_of_a_connection_that_has_ended_is_not_kept() {
    let (mut owner, _) = owner(usize::MAX - PACKETS_PER_TURN);
    let id = burst(&mut owner, b'a', 1);
    let address = "10.0.0.7:1883".parse().unwrap();
    owner.input(id, FromPeer::Forwarded(address));
    assert_eq!(owner.addresses.get(&id), Some(&address));
    owner.input(id, FromPeer::Closed(None));
    assert!(owner.addresses.is_empty());
    owner.input(id, FromPeer::Forwarded(address));
    assert!(owner.addresses.is_empty());
}

/// It made place for another one, and was told so.
#[test]
fn a_handshake_that_fails_behind_the_end_of_its_connection_is_neither_told_nor_counted() {
    let (mut owner, _) = owner(usize::MAX - PACKETS_PER_TURN);
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    owner.on_event = Some(Box::new(move |event, _| log.lock().unwrap().push(event.clone())));
    let there = owner.listener.accept(owner.now()).unwrap();
    owner.outboxes.insert(there, Arc::default());
    for id in [there, there] {
        owner.input(id, FromPeer::Failed(Handshake::Tls, "no TLS".to_owned()));
    }
    let told = told.lock().unwrap();
    assert!(matches!(told[..], [Event::NoTls { .. }, Event::Disconnected { .. }]), "{told:?}");
    assert_eq!(owner.stats().failed_handshakes, 1);
}
