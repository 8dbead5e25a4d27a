//! Messages of QoS 2 at the hub's application: each once, in one life of the gateway and one session of the hub.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use edge_bridge::state_hash::StateHasher;

use crate::ledger::Msg;
use crate::queue::lease_of;

/// A life of the gateway, and a session of the hub.
type Era = (u64, u64);

#[derive(Debug, Clone, Default)]
pub(crate) struct Once {
    /// Number of lives of the gateway's link.
    pub(crate) life: u64,
    session: u64,
    /// The last arrival of each row.
    arrived: BTreeMap<String, Era>,
    /// Messages that were given up, and may have arrived.
    given_up: BTreeSet<Msg>,
}

impl Once {
    /// The gateway's link keeps nothing of its session.
    pub(crate) fn begin_life(&mut self) {
        self.life += 1;
    }

    pub(crate) fn lose_session(&mut self) {
        self.session += 1;
    }

    /// The gateway does not ask for an answer any more, and will send the message as a new one.
    pub(crate) fn give_up(&mut self, msg: Msg) {
        self.given_up.insert(msg);
    }

    /// Hashes what counts.
    #[allow(dead_code, reason = "for `tests/explore_states`")]
    pub(crate) fn hash_state(&self, hasher: &mut impl StateHasher) {
        (self.life, self.session, &self.given_up).hash(hasher);
        for (row, era) in &self.arrived {
            hasher.write_lease(lease_of(row).map_or(0, |lease| lease.0));
            era.hash(hasher);
        }
    }

    /// Returns whether the application may get a row now. `life`: the one that sent it.
    pub(crate) fn may_arrive(&mut self, row: String, msg: Msg, life: u64) -> bool {
        let era = (life, self.session);
        let is_first = self.arrived.insert(row, era) != Some(era);
        is_first || self.given_up.remove(&msg)
    }
}
