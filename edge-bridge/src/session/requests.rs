//! SUBSCRIBE and UNSUBSCRIBE on their way (§3.8, §3.10).

use crate::wire::PacketId;

/// Kind of request that an identifier belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Subscribe,
    Unsubscribe,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    id: PacketId,
    kind: Kind,
    filters: usize,
}

/// Requests without an answer. Few: a walk is cheaper than a map.
#[derive(Debug, Default)]
pub(super) struct Requests {
    open: Vec<Open>,
}

impl Requests {
    pub(super) fn add(&mut self, id: PacketId, kind: Kind, filters: usize) {
        self.open.push(Open { id, kind, filters });
    }

    pub(super) fn is_id_used(&self, id: PacketId) -> bool {
        self.open.iter().any(|open| open.id == id)
    }

    /// Closes a request; the number of filters it had. `None` if there is no such request.
    pub(super) fn answer(&mut self, id: PacketId, kind: Kind) -> Option<usize> {
        let at = self.open.iter().position(|open| open.id == id && open.kind == kind)?;
        Some(self.open.swap_remove(at).filters)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}
