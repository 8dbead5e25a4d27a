//! Fair scheduling of connections: start-time fair queueing of the processor's time among those with received bytes.
//!
//! Each turn handles a limited number of packets, but one packet may take a thousand times as long as another: a message that is compared with many
//! filters, a SUBSCRIBE that brings many retained messages. So the connection that has had least time is next, and one that was idle is before all
//! that have been busy meanwhile: it waits for one turn of theirs, however many they are and whatever they send. Their remaining bytes wait in
//! their own sockets.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use bytes::BytesMut;

use crate::listener::ConnectionId;

/// Place of a waiting connection: its virtual time, then its arrival.
type Place = (Duration, u64);

/// Connections that wait for their turn, each with its bytes. A connection is in the list at most once, because it has only one buffer.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: BTreeMap<Place, (ConnectionId, BytesMut)>,
    places: HashMap<ConnectionId, Place>,
    /// Virtual times at which connections have used up their last turns, of those that are known.
    used_until: HashMap<ConnectionId, Duration>,
    /// Waiting connections that have ended: no further bytes come.
    ended: HashSet<ConnectionId>,
    /// Virtual time: the place of the turn that was given last. It goes on as slowly as there are connections that share the processor.
    now: Duration,
    arrivals: u64,
}

impl Turns {
    /// Adds a connection behind those that have had less time, and behind those that have had as much and wait already.
    pub(super) fn push(&mut self, id: ConnectionId, buffer: BytesMut) {
        let at = self.used_until.get(&id).map_or(self.now, |used| self.now.max(*used));
        self.arrivals += 1;
        self.places.insert(id, (at, self.arrivals));
        self.waiting.insert((at, self.arrivals), (id, buffer));
    }

    /// Takes the next connection.
    pub(super) fn pop(&mut self) -> Option<(ConnectionId, BytesMut)> {
        let ((at, _), (id, buffer)) = self.waiting.pop_first()?;
        self.places.remove(&id);
        self.now = at;
        Some((id, buffer))
    }

    /// Charges a connection with the time of its turn, the one that was taken last.
    pub(super) fn charge(&mut self, id: ConnectionId, time: Duration) {
        self.used_until.insert(id, self.now + time);
    }

    /// Takes a connection out of the list; `None` if it is not in it.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<BytesMut> {
        let place = self.places.remove(&id)?;
        self.waiting.remove(&place).map(|(_, buffer)| buffer)
    }

    /// Notes that a connection has ended, if it waits. Returns whether it does.
    pub(super) fn end_after(&mut self, id: ConnectionId) -> bool {
        self.places.contains_key(&id) && {
            self.ended.insert(id);
            true
        }
    }

    /// Returns once, after the last turn of a connection, whether it has ended.
    pub(super) fn takes_end(&mut self, id: ConnectionId) -> bool {
        self.ended.remove(&id)
    }

    /// Forgets a connection that is closed.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.remove(id);
        self.used_until.remove(&id);
        self.ended.remove(&id);
    }

    /// Number of connections that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HONEST: ConnectionId = ConnectionId(1_000);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Gives a turn of so long, after which the connection has more bytes.
    fn turn(turns: &mut Turns, time: impl Fn(ConnectionId) -> Duration) -> ConnectionId {
        let (id, buffer) = turns.pop().unwrap();
        turns.charge(id, time(id));
        turns.push(id, buffer);
        id
    }

    /// However many others there are, and however long their turns.
    #[test]
    fn a_connection_that_was_idle_is_next() {
        for others in [1, 100] {
            let mut turns = Turns::default();
            (0..others).for_each(|n| turns.push(ConnectionId(n), BytesMut::new()));
            let mut arrive = || {
                for n in 0..3 * others + 1 {
                    turn(&mut turns, |id| ms(20 + id.0 + n));
                }
                turns.push(HONEST, BytesMut::new());
                let (id, _) = turns.pop().unwrap();
                turns.charge(id, ms(1));
                id
            };
            assert_eq!([arrive(), arrive(), arrive()], [HONEST; 3], "beside {others}");
        }
    }

    /// It is next once, and has no more time than the others from then on.
    #[test]
    fn time_that_a_connection_did_not_use_is_not_saved_up() {
        let mut turns = Turns::default();
        turns.push(HONEST, BytesMut::new());
        let (id, _) = turns.pop().unwrap();
        turns.charge(id, ms(1));
        (0..2).for_each(|n| turns.push(ConnectionId(n), BytesMut::new()));
        for _ in 0..1_000 {
            turn(&mut turns, |_| ms(1));
        }
        turns.push(HONEST, BytesMut::new());
        let its = (0..300).filter(|_| turn(&mut turns, |_| ms(1)) == HONEST).count();
        assert!((99..=101).contains(&its), "{its} of 300 turns beside two others");
    }

    #[test]
    fn all_that_are_busy_get_the_same_time() {
        let mut turns = Turns::default();
        let time = |id: ConnectionId| ms([1, 20, 500][id.0 as usize]);
        (0..3).for_each(|n| turns.push(ConnectionId(n), BytesMut::new()));
        let mut got = [Duration::ZERO; 3];
        for _ in 0..20_000 {
            let id = turn(&mut turns, time);
            got[id.0 as usize] += time(id);
        }
        assert!(got.iter().max().unwrap().abs_diff(*got.iter().min().unwrap()) <= ms(500), "{got:?}");
    }

    #[test]
    fn turns_of_the_same_time_go_round() {
        let mut turns = Turns::default();
        (0..4).for_each(|n| turns.push(ConnectionId(n), BytesMut::new()));
        let got: Vec<_> = (0..12).map(|_| turn(&mut turns, |_| ms(1)).0).collect();
        assert_eq!(got, [0, 1, 2, 3].repeat(3));
    }

    #[test]
    fn a_connection_that_is_closed_is_forgotten() {
        let mut turns = Turns::default();
        turns.push(HONEST, BytesMut::from("x"));
        turns.push(ConnectionId(1), BytesMut::new());
        assert_eq!(turns.remove(HONEST).unwrap(), "x");
        assert_eq!((turns.remove(HONEST), turns.len()), (None, 1));
        turn(&mut turns, |_| ms(1));
        turns.forget(ConnectionId(1));
        assert!(turns.is_empty() && turns.places.is_empty() && turns.used_until.is_empty());
    }
}
