//! SUBSCRIBEs without a SUBACK, and the filters in them whose answer counts.

use std::collections::HashMap;

use crate::wire::{PacketId, Utf8};

#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    packets: Vec<(PacketId, Vec<Utf8>)>,
    /// Packet whose answer counts for a filter: the last that has it.
    filters: HashMap<Utf8, PacketId>,
}

impl Asked {
    /// Returns whether every SUBSCRIBE has its answer.
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub(super) fn contains(&self, filter: &Utf8) -> bool {
        self.filters.contains_key(filter)
    }

    pub(super) fn add(&mut self, id: PacketId, filters: Vec<Utf8>) {
        self.filters.extend(filters.iter().map(|filter| (filter.clone(), id)));
        self.packets.push((id, filters));
    }

    /// Ignores the answer for a filter that is still to come.
    pub(super) fn forget(&mut self, filter: &Utf8) {
        self.filters.remove(filter);
    }

    /// Takes the filters of a packet that is answered, `None` for those whose answer does not count; nothing for an unknown one.
    pub(super) fn answer(&mut self, id: PacketId) -> Vec<Option<Utf8>> {
        let Some(at) = self.packets.iter().position(|(asked, _)| *asked == id) else { return Vec::new() };
        let (_, filters) = self.packets.swap_remove(at);
        let counts = |filter: Utf8| {
            let counts = self.filters.get(&filter) == Some(&id);
            if counts {
                self.filters.remove(&filter);
            }
            Some(filter).filter(|_| counts)
        };
        filters.into_iter().map(counts).collect()
    }

    /// Takes all filters whose answer counts, in the order of the packets, at the end of the connection.
    pub(super) fn take(&mut self) -> Vec<Utf8> {
        let packets = std::mem::take(&mut self.packets);
        let all =
            packets.into_iter().flat_map(|(id, filters)| filters.into_iter().map(move |filter| (id, filter)));
        let filters = std::mem::take(&mut self.filters);
        all.filter(|(id, filter)| filters.get(filter) == Some(id)).map(|(_, filter)| filter).collect()
    }
}
