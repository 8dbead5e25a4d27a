//! Packet identifiers (§2.2.1), one set for each direction, shared by PUBLISH, SUBSCRIBE and UNSUBSCRIBE.

use crate::wire::PacketId;

/// Allocates identifiers in a circle, so that one just released is reused last. A late acknowledgement then finds no message under its
/// identifier.
#[derive(Debug, Clone, Copy)]
pub(super) struct PacketIds {
    next: PacketId,
}

impl PacketIds {
    pub(super) fn starting_at(next: PacketId) -> Self {
        Self { next }
    }

    /// Returns the next identifier for which `in_use` is false; `None` if all 65 535 are in use. Takes one step for each used one that it
    /// passes.
    pub(super) fn allocate(&mut self, mut in_use: impl FnMut(PacketId) -> bool) -> Option<PacketId> {
        for _ in 0..u16::MAX {
            let id = self.next;
            self.next = id.get().checked_add(1).and_then(PacketId::new).unwrap_or(PacketId::MIN);
            if !in_use(id) {
                return Some(id);
            }
        }
        None
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
    fn wraps_past_zero_and_skips_what_is_in_use() {
        let mut ids = PacketIds::starting_at(PacketId::MAX);
        assert_eq!(ids.allocate(|_| false), Some(PacketId::MAX));
        assert_eq!(ids.allocate(|id| id.get() < 3).map(PacketId::get), Some(3));
        assert_eq!(ids.allocate(|_| true), None);
    }
}
