//! State hash of a session and of what outlives it, see [`crate::state_hash`].

use std::hash::Hash;

use super::{InFlight, Phase, Resume, Session};
use crate::state_hash::StateHasher;

impl Session {
    /// Hashes what decides how the publishing side of a client's session goes on.
    pub(crate) fn hash_state(&self, hasher: &mut impl StateHasher) {
        std::mem::discriminant::<Phase>(&self.phase).hash(hasher);
        (self.had_session(), self.keep_alive.pinged().is_some(), self.cap).hash(hasher);
        self.doubt.hash(hasher);
        self.outbound.hash_state(self.transit.arrived(), hasher);
    }
}

impl Resume {
    /// Hashes what decides how the publishing side of the next connection goes on.
    pub(crate) fn hash_state(&self, hasher: &mut impl StateHasher) {
        hasher.write_usize(self.in_flight.len());
        self.in_flight.iter().for_each(|message| message.hash_state(hasher));
        self.ids.hash_state(hasher);
        self.releases.hash_state(hasher);
        self.is_doubtful.hash(hasher);
    }
}

impl InFlight {
    pub(super) fn hash_state(&self, hasher: &mut impl StateHasher) {
        hasher.write_packet_id(self.packet_id.get());
        hasher.write_token(self.token.0);
        (self.publish.qos, self.publish.dup, self.sent).hash(hasher);
        hasher.write(&self.publish.payload);
    }
}
