//! Identifiers of QoS 2 between PUBREC and PUBCOMP, as a packet capture shows them.

use std::collections::BTreeMap;

/// Time for which a peer is waited for that does not answer a PUBREL of an earlier connection, and most connections for that.
const GIVEN_UP_MS: u64 = 5_000;
const TRIES: u32 = 10;

/// Identifier of an earlier connection.
#[derive(Debug, Clone, Default)]
struct Owed {
    /// Time of its PUBREL on this connection.
    released_ms: Option<u64>,
    tries: u32,
    is_given_up: bool,
}

impl Owed {
    fn is_given_up(&self, now_ms: u64) -> bool {
        let waited = self.released_ms.is_some_and(|at_ms| at_ms + GIVEN_UP_MS <= now_ms);
        self.is_given_up || waited || self.tries >= TRIES
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Exchanges {
    /// PUBREC came on this connection: these take places of the Receive Maximum. Set once the PUBREL left.
    here: BTreeMap<u16, bool>,
    /// The hub may hold them from earlier connections.
    owed: BTreeMap<u16, Owed>,
}

impl Exchanges {
    pub(crate) fn received(&mut self, id: u16) {
        self.owed.remove(&id);
        self.here.insert(id, false);
    }

    /// A PUBREL leaves.
    pub(crate) fn release(&mut self, now_ms: u64, id: u16) {
        if let Some(released) = self.here.get_mut(&id) {
            *released = true;
            return;
        }
        let owed = self.owed.entry(id).or_default();
        (owed.released_ms, owed.is_given_up) = (Some(now_ms), false);
        owed.tries += 1;
    }

    /// PUBCOMP came.
    pub(crate) fn complete(&mut self, id: u16) -> bool {
        let is_here = self.here.remove(&id).is_some();
        self.owed.remove(&id).is_some() || is_here
    }

    /// Number of places of the Receive Maximum.
    pub(crate) fn places(&self) -> usize {
        self.here.len()
    }

    /// Returns whether an identifier may not be used for another message.
    pub(crate) fn is_used(&self, now_ms: u64, id: u16) -> bool {
        let is_owed = self.owed.get(&id).is_some_and(|owed| !owed.is_given_up(now_ms));
        self.here.contains_key(&id) || is_owed
    }

    /// Returns whether a PUBREL of an identifier of an earlier connection left, without its PUBCOMP.
    pub(crate) fn is_released(&self, id: u16) -> bool {
        self.owed.get(&id).is_some_and(|owed| owed.tries > 0)
    }

    /// The connection is over.
    pub(crate) fn ended(&mut self, now_ms: u64) {
        for owed in self.owed.values_mut() {
            owed.is_given_up = owed.is_given_up(now_ms);
            owed.released_ms = None;
        }
        let here = std::mem::take(&mut self.here).into_iter().map(|(id, released)| (id, u32::from(released)));
        self.owed.extend(here.map(|(id, tries)| (id, Owed { tries, ..Owed::default() })));
    }

    /// Another session.
    pub(crate) fn forget(&mut self) {
        self.owed.clear();
    }
}
