//! Room for unfinished packets: who sends one that takes more than a few reads is read on once there is memory for all of it, so that many large
//! messages at once come one after the other, and nobody is closed for them.
//!
//! Room is given to the newest and to the oldest of those that wait, in turns: a sensor does not wait behind a crowd that began messages and
//! does not go on, and nobody waits for ever. Who makes no progress for [`STALE_MS`] while others wait gives its room back, and asks again
//! with its next bytes; if that is not enough, memory is taken from whoever is first in the [order](super::eviction_order).

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::BytesMut;

use crate::puback_chain::ConnectionId;
use crate::wire::frame;

/// Size up to which a packet needs no room of its own, in bytes: that of one or two reads.
const SMALL: usize = 4 * 1024;
/// Bytes that a buffer has behind its packet, so that the last read does not make it grow.
const SPARE: usize = 2 * 1024;
/// Time without progress after which room is given back, in milliseconds.
const STALE_MS: u64 = 100;
/// Time that has not passed yet, however late it is.
const NOW: u64 = u64::MAX;

/// A packet of which not all bytes are here. Exhaustive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::listener) struct Unfinished {
    /// Bytes of all of it.
    pub(in crate::listener) size: usize,
    /// Bytes of it that are here.
    pub(in crate::listener) received: usize,
    /// Bytes of the buffer that it is in.
    pub(in crate::listener) capacity: usize,
}

impl Unfinished {
    /// The packet that a buffer begins with, if it needs room.
    pub(in crate::listener) fn at(buffer: &BytesMut) -> Option<Self> {
        let (_, size) = frame(buffer)?;
        let (received, capacity) = (buffer.len(), buffer.capacity());
        (size > received.max(SMALL)).then_some(Self { size, received, capacity })
    }

    /// Bytes that a buffer for all of it has.
    pub(in crate::listener) fn capacity_needed(&self) -> usize {
        self.size + SPARE
    }

    fn needs(&self) -> usize {
        self.capacity_needed().saturating_sub(self.capacity)
    }

    /// Returns whether this is `before` with more bytes.
    fn goes_on(&self, before: &Self) -> bool {
        self.size == before.size && self.received > before.received
    }
}

/// What comes of a look at those that wait. Exhaustive.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// This one may be read on.
    Given(ConnectionId),
    /// Nobody waits, or those that have room go on and will be done.
    Nothing,
    /// Somebody who had room makes no progress: so many bytes must become free.
    Short(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waits,
    /// Time of its last bytes.
    HasRoom {
        since_ms: u64,
    },
    /// It had room and made no progress.
    Stale,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct PacketRoom {
    unfinished: HashMap<ConnectionId, (Unfinished, State)>,
    /// Those with room, the longest without progress first.
    with_room: BTreeSet<(u64, ConnectionId)>,
    /// The bytes that they still need, together.
    given: usize,
    /// Number of stale ones.
    stale: usize,
    /// Those that wait, the oldest first.
    waiting: VecDeque<ConnectionId>,
    is_newest_next: bool,
}

impl PacketRoom {
    /// Notes how far a connection's packet has come; `None`: it has none that is not finished, or a small one, or the connection is gone.
    pub(super) fn note(&mut self, now_ms: u64, id: ConnectionId, packet: Option<Unfinished>) {
        let before = self.unfinished.get(&id).copied();
        let Some(packet) = packet else { return self.forget(id) };
        let state = match before {
            Some((before, State::HasRoom { .. })) if packet.goes_on(&before) => {
                State::HasRoom { since_ms: now_ms }
            }
            // The same bytes once more.
            Some((before, state)) if (packet.size, packet.received) == (before.size, before.received) => {
                state
            }
            _ => State::Waits,
        };
        self.set(id, packet, state);
    }

    fn forget(&mut self, id: ConnectionId) {
        let Some((packet, state)) = self.unfinished.remove(&id) else { return };
        match state {
            State::Waits => self.waiting.retain(|waiting| *waiting != id),
            State::HasRoom { since_ms } => {
                self.given -= packet.needs();
                self.with_room.remove(&(since_ms, id));
            }
            State::Stale => self.stale -= 1,
        }
    }

    /// Notes that bytes of a connection came, and wait for their turn.
    pub(super) fn on_bytes_waiting(&mut self, id: ConnectionId) {
        if let Some((_, State::HasRoom { since_ms })) = self.unfinished.get_mut(&id) {
            self.with_room.remove(&(*since_ms, id));
            self.with_room.insert((NOW, id));
            *since_ms = NOW;
        }
    }

    /// Returns whether a connection may not be read on yet.
    pub(super) fn is_awaited_by(&self, id: ConnectionId) -> bool {
        self.unfinished.get(&id).is_some_and(|(_, state)| *state == State::Waits)
    }

    /// Gives room to whoever is next, if `free` bytes are enough; call until it gives none. While others have room `kept` of them stay free.
    pub(super) fn look(&mut self, now_ms: u64, free: usize, kept: usize) -> Look {
        let Some((id, packet)) = self.next() else { return Look::Nothing };
        let needs = packet.needs();
        while let Some((since_ms, stale)) = self.with_room.first().copied()
            && since_ms.saturating_add(STALE_MS) <= now_ms
        {
            self.with_room.pop_first();
            if let Some((packet, state)) = self.unfinished.get_mut(&stale) {
                self.given -= packet.needs();
                self.stale += 1;
                *state = State::Stale;
            }
        }
        let kept = if self.with_room.is_empty() { 0 } else { kept };
        if self.given + needs + kept <= free {
            self.give(now_ms, id, packet);
            Look::Given(id)
        } else if self.with_room.is_empty() || self.stale > 0 {
            Look::Short((self.given + needs).saturating_sub(free).max(1))
        } else {
            Look::Nothing
        }
    }

    /// Gives room to whoever is next although it is not there: nobody is left that could give way.
    pub(super) fn give_anyway(&mut self, now_ms: u64) -> Option<ConnectionId> {
        let (id, packet) = self.next()?;
        self.give(now_ms, id, packet);
        Some(id)
    }

    /// Time at which to look again although nothing has happened.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let (since_ms, _) = self.with_room.first().filter(|_| !self.waiting.is_empty())?;
        since_ms.checked_add(STALE_MS)
    }

    fn next(&self) -> Option<(ConnectionId, Unfinished)> {
        let id = if self.is_newest_next { self.waiting.back() } else { self.waiting.front() };
        id.and_then(|id| Some((*id, self.unfinished.get(id)?.0)))
    }

    fn give(&mut self, now_ms: u64, id: ConnectionId, packet: Unfinished) {
        self.is_newest_next = !self.is_newest_next;
        self.set(id, packet, State::HasRoom { since_ms: now_ms });
    }

    fn set(&mut self, id: ConnectionId, packet: Unfinished, state: State) {
        // Who waits on keeps its place.
        if !(state == State::Waits && self.is_awaited_by(id)) {
            self.forget(id);
            match state {
                State::Waits => self.waiting.push_back(id),
                State::HasRoom { since_ms } => {
                    self.given += packet.needs();
                    self.with_room.insert((since_ms, id));
                }
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
        [A, B].iter().for_each(|id| room.note(0, *id, of(6_000, 0)));
        assert!(room.is_awaited_by(A) && room.is_awaited_by(B));
        assert_eq!((room.look(0, 10_000, 0), room.look(0, 10_000, 0)), (Look::Given(A), Look::Nothing));
        assert!(room.is_awaited_by(B) && !room.is_awaited_by(A));
        room.note(10, A, of(6_000, 3_000));
        assert_eq!(
            (room.look(10, 8_000, 0), room.due_ms()),
            (Look::Nothing, Some(10 + STALE_MS)),
            "half is here"
        );
        room.note(20, A, None);
        assert_eq!((room.look(20, 10_000, 0), room.due_ms()), (Look::Given(B), None));
        room.on_bytes_waiting(B);
        room.note(25, A, of(9_000, 10));
        assert_eq!(
            (room.look(9_999, 6_000, 0), room.due_ms()),
            (Look::Nothing, None),
            "it waits for its turn"
        );
        room.note(25, A, None);
        room.note(30, B, of(7_000, 10));
        assert!(room.is_awaited_by(B), "the next packet asks anew");
        room.note(30, B, None);
        assert_eq!((room.given, room.look(20, 0, 0)), (0, Look::Nothing));
    }

    #[test]
    fn some_of_it_stays_free_unless_nobody_has_any() {
        let mut room = PacketRoom::default();
        [A, B].iter().for_each(|id| room.note(0, *id, of(5_000, 0)));
        assert_eq!((room.look(0, 10_000, 6_000), room.look(0, 10_000, 1)), (Look::Given(A), Look::Nothing));
        assert_eq!(room.look(0, 10_000, 0), Look::Given(B));
    }

    #[test]
    fn who_makes_no_progress_gives_its_room_to_those_who_wait() {
        let mut room = PacketRoom::default();
        room.note(0, A, of(6_000, 0));
        assert_eq!(room.look(0, 10_000, 0), Look::Given(A));
        room.note(50, B, of(6_000, 0));
        room.note(99, A, of(6_000, 0));
        assert_eq!(
            (room.look(99, 10_000, 0), room.due_ms()),
            (Look::Nothing, Some(STALE_MS)),
            "no new bytes"
        );
        assert_eq!(room.look(STALE_MS, 10_000, 0), Look::Given(B));
        room.note(110, A, of(6_000, 0));
        assert!(!room.is_awaited_by(A), "nor now");
        room.note(120, A, of(6_000, 1_000));
        assert!(room.is_awaited_by(A), "it asks again with its next bytes");
        assert_eq!(room.look(STALE_MS + 100, 4_000, 0), Look::Short(1_000), "what must become free");
        assert_eq!((room.give_anyway(300), room.give_anyway(300)), (Some(A), None));
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
}
