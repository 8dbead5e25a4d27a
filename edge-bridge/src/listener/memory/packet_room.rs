//! Room for unfinished packets. A packet that takes more than a few reads is read on only once there is memory for all of it, so that many large
//! messages at once are read in turn, and no connection is closed for them.
//!
//! Room is given to the newest and to the oldest waiting packet in turns, so that a sensor does not wait behind many clients that began messages
//! and do not continue, and no packet waits for ever. A sender that sends nothing for [`FIRST_MS`], or less than [`PROGRESS`] bytes in
//! [`STALE_MS`], loses its room while others wait, and asks again with its next bytes. If that frees too little, memory is taken from the first
//! holder in the [order](super::eviction_order).

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::BytesMut;

use crate::puback_chain::ConnectionId;
use crate::wire::frame;

/// Size in bytes, that of one or two reads, up to which a packet needs no reservation.
const SMALL: usize = 4 * 1024;
/// Spare bytes in a buffer behind its packet, so that the last read does not make it grow.
const SPARE: usize = 2 * 1024;
/// Milliseconds without progress after which room is taken back.
const STALE_MS: u64 = 100;
/// Milliseconds without any byte after which room just given is taken back. Short, because bytes that came while the connection was not read
/// arrive at once.
const FIRST_MS: u64 = 20;
/// Bytes that count as progress. With fewer, a few senders of a byte at a time could hold all room.
const PROGRESS: usize = 4 * 1024;

/// Packet of which some bytes have not arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::listener) struct Unfinished {
    /// Size of the whole packet in bytes.
    pub(in crate::listener) size: usize,
    /// Bytes of the packet that have arrived.
    pub(in crate::listener) received: usize,
    /// Size in bytes of the buffer that holds the packet.
    pub(in crate::listener) capacity: usize,
}

impl Unfinished {
    /// Returns the packet at the beginning of a buffer; `None` if it needs no room.
    pub(in crate::listener) fn at(buffer: &BytesMut) -> Option<Self> {
        let (_, size) = frame(buffer)?;
        let (received, capacity) = (buffer.len(), buffer.capacity());
        (size > received.max(SMALL)).then_some(Self { size, received, capacity })
    }

    /// Size in bytes of a buffer for the whole packet.
    pub(in crate::listener) fn capacity_needed(&self) -> usize {
        self.size + SPARE
    }

    fn needs(&self) -> usize {
        self.capacity_needed().saturating_sub(self.capacity)
    }

    /// Returns whether no byte has come since `before`.
    fn is(&self, before: &Self) -> bool {
        self.size == before.size && self.received == before.received
    }

    /// Returns whether this packet is `before` with more bytes.
    fn goes_on(&self, before: &Self) -> bool {
        self.size == before.size && self.received > before.received
    }
}

/// Result of a check of the waiting packets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Room was given to this connection, which may be read on.
    Given(ConnectionId),
    /// No packet waits, or the packets that have room make progress and will free it.
    Nothing,
    /// A packet has room and makes no progress, or none has room, so that this many bytes must be freed.
    Short(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waits,
    HasRoom(Room),
    /// The packet has room and no byte came, so that it takes no more memory than before.
    Idle,
    /// The packet has room, used some of it and made no progress.
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// Up time at which the packet becomes stale without progress.
    until_ms: u64,
    /// Bytes of the packet that had arrived at the last progress.
    received: usize,
    /// Set until the first bytes come after room was given, or after a turn in which the connection was not read.
    is_unused: bool,
    /// Set while bytes wait for the caller's turn. The packet does not become stale meanwhile.
    has_turn: bool,
}

impl Room {
    /// Up time at which the packet becomes stale if no byte comes.
    fn stale_ms(&self) -> u64 {
        if self.has_turn { u64::MAX } else { self.until_ms }
    }
}

/// Unfinished packets and the room that they have, see the [module](self).
#[derive(Debug, Default)]
pub(super) struct PacketRoom {
    unfinished: HashMap<ConnectionId, (Unfinished, State)>,
    /// Connections with room, by the time at which they become stale.
    with_room: BTreeSet<(u64, ConnectionId)>,
    /// Bytes that packets with room still need, together.
    given: usize,
    /// Number of stale packets.
    stale: usize,
    /// Connections that wait for room, the oldest first.
    waiting: VecDeque<ConnectionId>,
    is_newest_next: bool,
}

impl PacketRoom {
    /// Updates the progress of a connection's packet; `None` if there is no unfinished one, or a small one, or the connection is gone.
    pub(super) fn note(&mut self, now_ms: u64, id: ConnectionId, packet: Option<Unfinished>) {
        let before = self.unfinished.get(&id).copied();
        let Some(packet) = packet else { return self.forget(id) };
        let state = match before {
            Some((before, State::HasRoom(room))) if packet.goes_on(&before) => {
                let is_progress = room.is_unused || packet.received >= room.received + PROGRESS;
                let room = Room { is_unused: false, has_turn: false, ..room };
                State::HasRoom(if is_progress {
                    Room { until_ms: now_ms + STALE_MS, received: packet.received, ..room }
                } else {
                    room
                })
            }
            // The same bytes once more: it is read on from now on.
            Some((before, State::HasRoom(room))) if packet.is(&before) && room.has_turn => {
                State::HasRoom(Room { until_ms: now_ms + FIRST_MS, has_turn: false, ..room })
            }
            Some((before, state)) if packet.is(&before) => state,
            _ => State::Waits,
        };
        self.set(id, packet, state);
    }

    fn forget(&mut self, id: ConnectionId) {
        let Some((packet, state)) = self.unfinished.remove(&id) else { return };
        match state {
            State::Waits => self.waiting.retain(|waiting| *waiting != id),
            State::HasRoom(room) => {
                self.given -= packet.needs();
                self.with_room.remove(&(room.stale_ms(), id));
            }
            State::Idle => {}
            State::Stale => self.stale -= 1,
        }
    }

    /// Records that bytes of a connection came, and wait for the caller's turn.
    pub(super) fn on_bytes_waiting(&mut self, id: ConnectionId) {
        if let Some((packet, State::HasRoom(room))) = self.unfinished.get(&id).copied() {
            self.set(id, packet, State::HasRoom(Room { has_turn: true, ..room }));
        }
    }

    /// Records that bytes of a connection wait on, because it may not be read. Its room is taken back as from one that sends nothing: whoever is not
    /// read makes no progress, perhaps for hours.
    #[cfg(feature = "net")]
    pub(super) fn on_not_read(&mut self, now_ms: u64, id: ConnectionId) {
        if let Some((packet, State::HasRoom(room))) = self.unfinished.get(&id).copied() {
            let room = Room { until_ms: now_ms + STALE_MS, is_unused: true, has_turn: false, ..room };
            self.set(id, packet, State::HasRoom(room));
        }
    }

    /// Returns whether a connection has to wait for room before it is read on.
    pub(super) fn is_awaited_by(&self, id: ConnectionId) -> bool {
        self.unfinished.get(&id).is_some_and(|(_, state)| *state == State::Waits)
    }

    /// Gives room to the next waiting packet if `free` bytes are enough; call until it gives none. While others have room, `kept` of these
    /// bytes stay free.
    pub(super) fn look(&mut self, now_ms: u64, free: usize, kept: usize) -> Look {
        let Some((id, packet)) = self.next() else { return Look::Nothing };
        let needs = packet.needs();
        while let Some((stale_ms, stale)) = self.with_room.first().copied()
            && stale_ms <= now_ms
        {
            self.with_room.pop_first();
            if let Some((packet, State::HasRoom(room))) = self.unfinished.get(&stale).copied() {
                self.set(stale, packet, if room.is_unused { State::Idle } else { State::Stale });
            }
        }
        // Waiting for those who go on is enough, unless others hold memory and do not.
        let is_enough = !self.with_room.is_empty() && self.stale == 0;
        if self.given + needs + if is_enough { kept } else { 0 } <= free {
            self.give(now_ms, id, packet);
            Look::Given(id)
        } else if !is_enough {
            Look::Short(self.given + needs - free)
        } else {
            Look::Nothing
        }
    }

    /// Gives room to the next waiting packet although memory is lacking, because no holder is left that could give way. `None` if no packet
    /// waits.
    pub(super) fn give_anyway(&mut self, now_ms: u64) -> Option<ConnectionId> {
        let (id, packet) = self.next()?;
        self.give(now_ms, id, packet);
        Some(id)
    }

    /// Up time of the next check without an event; `None` if there is no such time.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let (stale_ms, _) = self.with_room.first().filter(|_| !self.waiting.is_empty())?;
        (*stale_ms < u64::MAX).then_some(*stale_ms)
    }

    fn next(&self) -> Option<(ConnectionId, Unfinished)> {
        let id = if self.is_newest_next { self.waiting.back() } else { self.waiting.front() };
        id.and_then(|id| Some((*id, self.unfinished.get(id)?.0)))
    }

    fn give(&mut self, now_ms: u64, id: ConnectionId, packet: Unfinished) {
        self.is_newest_next = !self.is_newest_next;
        let (until_ms, received) = (now_ms + FIRST_MS, packet.received);
        let room = Room { until_ms, received, is_unused: true, has_turn: false };
        self.set(id, packet, State::HasRoom(room));
    }

    fn set(&mut self, id: ConnectionId, packet: Unfinished, state: State) {
        // Who waits on keeps its place.
        if !(state == State::Waits && self.is_awaited_by(id)) {
            self.forget(id);
            match state {
                State::Waits => self.waiting.push_back(id),
                State::HasRoom(room) => {
                    self.given += packet.needs();
                    self.with_room.insert((room.stale_ms(), id));
                }
                State::Idle => {}
                State::Stale => self.stale += 1,
            }
        }
        self.unfinished.insert(id, (packet, state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnectionId = ConnectionId(1);
    const B: ConnectionId = ConnectionId(2);

    /// A packet that needs `size` bytes of room in all, and has so many.
    fn of(size: usize, received: usize) -> Option<Unfinished> {
        Some(Unfinished { size: size - SPARE, received, capacity: received })
    }

    /// A buffer is accounted for as it is, filled or not.
    #[test]
    fn room_is_needed_beyond_the_buffer_that_is_there() {
        let packet = |capacity| Unfinished { size: 10_000, received: 5_000, capacity };
        let needed = [8_192, 10_000 + SPARE, 20_000].map(|capacity| packet(capacity).needs());
        assert_eq!(needed, [10_000 + SPARE - 8_192, 0, 0]);
    }

    #[test]
    fn whole_packets_and_small_ones_need_no_room() {
        let found = |bytes: &[u8]| {
            Unfinished::at(&BytesMut::from(bytes)).map(|packet| (packet.size, packet.received))
        };
        assert_eq!((found(&[]), found(&[0x30]), found(&[0x30, 0xff])), (None, None, None));
        // 3 + 4 093 and 3 + 4 094 bytes.
        assert_eq!((found(&[0x30, 0xfd, 0x1f]), found(&[0x30, 0xfe, 0x1f])), (None, Some((4_097, 3))));
        let mut whole = vec![0x30, 0xfe, 0x1f];
        whole.resize(4_096, 0);
        assert_eq!(found(&whole), Some((4_097, 4_096)));
        whole.push(0);
        assert_eq!(found(&whole), None);
    }

    #[test]
    fn room_is_given_once_and_free_again_when_the_packet_is_whole() {
        let mut room = PacketRoom::default();
        [A, B].iter().for_each(|id| room.note(0, *id, of(9_000, 0)));
        assert!(room.is_awaited_by(A) && room.is_awaited_by(B));
        assert_eq!((room.look(0, 12_000, 0), room.look(0, 12_000, 0)), (Look::Given(A), Look::Nothing));
        assert!(room.is_awaited_by(B) && !room.is_awaited_by(A));
        room.note(10, A, of(9_000, 4_096));
        assert_eq!((room.look(10, 13_000, 0), room.due_ms()), (Look::Nothing, Some(10 + STALE_MS)), "a part");
        room.note(20, A, None);
        assert_eq!((room.look(20, 12_000, 0), room.due_ms()), (Look::Given(B), None));
        room.note(30, B, of(9_500, 10));
        assert!(room.is_awaited_by(B), "the next packet asks anew");
        room.note(30, B, None);
        assert_eq!((room.given, room.look(20, 0, 0)), (0, Look::Nothing));
    }

    #[test]
    fn who_makes_no_progress_gives_its_room_to_those_who_wait() {
        let mut room = PacketRoom::default();
        room.note(0, A, of(9_000, 0));
        assert_eq!(room.look(0, 12_000, 0), Look::Given(A));
        room.note(10, B, of(9_000, 0));
        room.note(19, A, of(9_000, 0));
        assert_eq!(
            (room.look(19, 12_000, 0), room.due_ms()),
            (Look::Nothing, Some(FIRST_MS)),
            "no new bytes"
        );
        assert_eq!(room.look(FIRST_MS, 12_000, 0), Look::Given(B));
        room.note(110, A, of(9_000, 0));
        assert!(!room.is_awaited_by(A), "nor now");
        room.note(120, A, of(9_000, 1_000));
        assert!(room.is_awaited_by(A), "it asks again with its next bytes");
        assert_eq!(room.look(121, 7_000, 0), Look::Short(1_000), "what must become free");
        assert_eq!((room.give_anyway(300), room.give_anyway(300)), (Some(A), None));
    }

    #[test]
    fn a_byte_at_a_time_is_no_progress() {
        let mut room = PacketRoom::default();
        room.note(0, A, of(20_000, 0));
        assert_eq!(room.look(0, 22_000, 0), Look::Given(A));
        room.note(0, B, of(20_000, 0));
        for (now_ms, received) in [(5, 4_096), (50, 4_097), (100, 4_098), (104, 8_191)] {
            room.on_bytes_waiting(A);
            room.note(now_ms, A, of(20_000, received));
            assert_eq!((room.look(now_ms, 22_000, 0), room.due_ms()), (Look::Nothing, Some(5 + STALE_MS)));
        }
        assert_eq!(room.look(5 + STALE_MS, 22_000, 0), Look::Given(B));
    }

    #[test]
    fn time_in_which_bytes_wait_for_their_turn_does_not_count() {
        let mut room = PacketRoom::default();
        [A, B].iter().for_each(|id| room.note(0, *id, of(9_000, 0)));
        assert_eq!(room.look(0, 12_000, 0), Look::Given(A));
        room.on_bytes_waiting(A);
        assert_eq!((room.look(9_999, 12_000, 0), room.due_ms()), (Look::Nothing, None));
        room.note(9_999, A, of(9_000, 0));
        assert_eq!((room.look(9_999, 12_000, 0), room.due_ms()), (Look::Nothing, Some(9_999 + FIRST_MS)));
        room.note(10_000, A, of(9_000, 0));
        assert_eq!(room.look(9_999 + FIRST_MS, 12_000, 0), Look::Given(B), "the same bytes are no progress");
    }

    #[test]
    fn some_of_it_stays_free_unless_nobody_has_any() {
        let mut room = PacketRoom::default();
        [A, B].iter().for_each(|id| room.note(0, *id, of(5_000, 0)));
        assert_eq!((room.look(0, 10_000, 6_000), room.look(0, 10_000, 1)), (Look::Given(A), Look::Nothing));
        assert_eq!(room.look(0, 10_000, 0), Look::Given(B));
    }

    #[test]
    fn the_newest_and_the_oldest_take_turns() {
        let mut room = PacketRoom::default();
        let ids: Vec<_> = (1..=6).map(ConnectionId).collect();
        ids.iter().for_each(|id| room.note(0, *id, of(5_000, 0)));
        room.note(0, ConnectionId(3), None);
        let order: Vec<_> = std::iter::from_fn(|| match room.look(0, 100_000, 0) {
            Look::Given(ConnectionId(id)) => Some(id),
            _ => None,
        })
        .collect();
        assert_eq!(order, [1, 6, 2, 5, 4]);
    }

    /// More bytes of a packet that waits do not send it to the end of the line.
    #[test]
    fn who_waits_on_keeps_its_place() {
        let mut room = PacketRoom::default();
        [A, B].iter().for_each(|id| room.note(0, *id, of(5_000, 0)));
        room.note(1, A, of(5_000, 10));
        assert_eq!(room.look(1, 100_000, 0), Look::Given(A), "the oldest");
        assert_eq!(room.look(1, 100_000, 0), Look::Given(B));
    }
}
