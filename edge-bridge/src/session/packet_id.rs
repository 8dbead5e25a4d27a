//! Packet identifiers (§2.2.1), one set for each direction, shared by PUBLISH, SUBSCRIBE and UNSUBSCRIBE. Messages of QoS 2 have a range of their
//! own.
//!
//! **A session of which this side knows nothing.** After a restart the peer may still hold identifiers of QoS 2 that it received and that were not
//! released. It would take a new message under such an identifier for a repeat, and drop it. So all of them are released before the first is used:
//! a PUBREL for an identifier that the peer does not know has no effect but its PUBCOMP (§4.3.3, reason 0x92).

use crate::wire::PacketId;

/// Number of identifiers for QoS 2, the highest ones: the most messages of QoS 2 that are not completed.
pub(super) const QOS_2_IDS: u16 = 256;
/// First identifier for QoS 2.
const FIRST_OF_QOS_2: u16 = u16::MAX - QOS_2_IDS + 1;

/// Allocates identifiers in circles, so that one just released is reused last. A late acknowledgement then finds no message under its
/// identifier.
#[derive(Debug, Clone, Copy)]
pub(super) struct PacketIds {
    next: PacketId,
    /// Position in the range of QoS 2 of the next identifier.
    next_of_qos_2: u16,
    /// Set if the peer may hold identifiers of QoS 2 from before a restart.
    unknown: bool,
}

impl PacketIds {
    pub(super) fn starting_at(next: PacketId) -> Self {
        let next = if next.get() < FIRST_OF_QOS_2 { next } else { PacketId::MIN };
        Self { next, next_of_qos_2: 0, unknown: false }
    }

    /// Hashes what counts, which is not the place in the circle of QoS 1.
    #[cfg(feature = "testing")]
    pub(super) fn hash_state(&self, hasher: &mut impl crate::state_hash::StateHasher) {
        std::hash::Hash::hash(&(self.next_of_qos_2, self.unknown), hasher);
    }

    /// Returns the next identifier for which `in_use` is false; `None` if all of them are in use. Takes one step for each used one that it
    /// passes.
    pub(super) fn allocate(&mut self, mut in_use: impl FnMut(PacketId) -> bool) -> Option<PacketId> {
        for _ in 1..FIRST_OF_QOS_2 {
            let id = self.next;
            let next = PacketId::new(id.get() + 1).filter(|next| next.get() < FIRST_OF_QOS_2);
            self.next = next.unwrap_or(PacketId::MIN);
            if !in_use(id) {
                return Some(id);
            }
        }
        None
    }

    /// Returns the next identifier of QoS 2 for which `in_use` is false; `None` if all of them are in use.
    pub(super) fn allocate_of_qos_2(&mut self, mut in_use: impl FnMut(PacketId) -> bool) -> Option<PacketId> {
        for _ in 0..QOS_2_IDS {
            let id = PacketId::new(FIRST_OF_QOS_2 + self.next_of_qos_2)?;
            self.next_of_qos_2 = (self.next_of_qos_2 + 1) % QOS_2_IDS;
            if !in_use(id) {
                return Some(id);
            }
        }
        None
    }

    /// Records whether the peer may hold identifiers of QoS 2 of which this side knows nothing.
    pub(super) fn set_unknown(&mut self, unknown: bool) {
        self.unknown = unknown;
    }

    /// Returns whether the identifiers of QoS 2 have to be released before the first is used.
    pub(super) fn are_unknown(&self) -> bool {
        self.unknown
    }

    /// Returns whether an identifier is one of QoS 2.
    pub(super) fn is_of_qos_2(id: PacketId) -> bool {
        id.get() >= FIRST_OF_QOS_2
    }

    /// Identifiers of QoS 2 in the order in which they were used last. A peer that hands a message on with its PUBREL does so in this order.
    pub(super) fn all_of_qos_2(self) -> impl Iterator<Item = PacketId> {
        let places = (0..QOS_2_IDS).map(move |n| (self.next_of_qos_2 + n) % QOS_2_IDS);
        places.filter_map(|place| PacketId::new(FIRST_OF_QOS_2 + place))
    }
}

impl Default for PacketIds {
    fn default() -> Self {
        Self::starting_at(PacketId::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_before_the_range_of_qos_2_and_skips_what_is_in_use() {
        let last = PacketId::new(FIRST_OF_QOS_2 - 1).unwrap();
        let mut ids = PacketIds::starting_at(last);
        assert_eq!(ids.allocate(|_| false), Some(last));
        assert_eq!(ids.allocate(|id| id.get() < 3).map(PacketId::get), Some(3));
        assert_eq!(ids.allocate(|_| true), None);
        assert_eq!(PacketIds::starting_at(PacketId::MAX).allocate(|_| false), Some(PacketId::MIN));
    }

    #[test]
    fn identifiers_of_qos_2_are_a_circle_of_their_own() {
        let mut ids = PacketIds::default();
        let mut next = || ids.allocate_of_qos_2(|_| false).map(PacketId::get);
        let circle: Vec<_> = (0..QOS_2_IDS).map(|_| next().unwrap()).collect();
        assert_eq!((circle[0], circle[255]), (FIRST_OF_QOS_2, u16::MAX));
        assert_eq!(next(), Some(FIRST_OF_QOS_2));
        let all: Vec<_> = ids.all_of_qos_2().map(PacketId::get).collect();
        assert_eq!((&all[..255], all[255]), (&circle[1..], FIRST_OF_QOS_2), "the oldest first");
        assert_eq!(ids.allocate_of_qos_2(|_| true), None);
    }
}
