//! Most packets that a connection's next turn handles. The more subscribers its messages have, and the more filters they are compared with, the fewer
//! packets, so that each turn delays other connections by about the same time, whatever is published.

use crate::session::PACKETS_PER_TURN;

/// Copies of messages, one for each subscriber, that a turn should make, about a fifth of a millisecond of work.
const COPIES: u64 = 128;
/// Packets between two looks at the work of a turn.
pub(super) const STEP: usize = 4;

/// Returns whether a turn that has made so many copies is over.
pub(super) fn is_spent(copies: u64) -> bool {
    copies >= COPIES
}

/// Packets in a connection's first turn, when the number of subscribers of its messages is unknown.
const AT_FIRST: usize = 8;

/// Limit of a turn in packets, see the [module](self).
#[derive(Debug)]
pub(super) struct TurnSize(usize);

impl Default for TurnSize {
    fn default() -> Self {
        Self(AT_FIRST)
    }
}

impl TurnSize {
    /// Most packets that the next turn handles.
    pub(super) fn packets(&self) -> usize {
        self.0
    }

    /// Adapts the limit to the number of copies that the last turn made. It falls at once, and rises by doubling.
    pub(super) fn on_turn(&mut self, copies: u64) {
        let packets = match usize::try_from(copies / COPIES) {
            Ok(0) => 2 * self.0,
            Ok(times_too_many) => self.0 / (times_too_many + 1),
            Err(_) => 1,
        };
        self.0 = packets.clamp(1, PACKETS_PER_TURN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 20 turns, each message to so many.
    fn turns(size: &mut TurnSize, subscribers: u64) -> Vec<usize> {
        let turn = |_| {
            let packets = size.packets();
            size.on_turn(subscribers * packets as u64);
            packets
        };
        (0..20).map(turn).collect()
    }

    #[test]
    fn a_turn_makes_about_as_many_copies_whatever_the_number_of_subscribers() {
        for subscribers in [0, 1, 7, 100, 240, 2_000] {
            let mut size = TurnSize::default();
            let packets = turns(&mut size, subscribers);
            let copies = subscribers * packets[10..].iter().map(|packets| *packets as u64).sum::<u64>() / 10;
            assert!(copies <= 2 * COPIES.max(subscribers), "{copies} to {subscribers}");
            assert!(copies >= COPIES.min(subscribers * 64) / 4, "{copies} to {subscribers}");
        }
    }

    #[test]
    fn it_is_small_at_once_and_large_again_soon() {
        let mut size = TurnSize::default();
        assert_eq!(turns(&mut size, 1)[..5], [8, 16, 32, 64, 64]);
        assert_eq!(turns(&mut size, 1_000)[..3], [64, 1, 1]);
        assert_eq!(turns(&mut size, 0)[..7], [1, 2, 4, 8, 16, 32, 64]);
        size.on_turn(u64::MAX);
        assert_eq!(size.packets(), 1);
    }
}
