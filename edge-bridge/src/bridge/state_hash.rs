//! State hash of a link, see [`crate::state_hash`].

use std::hash::Hash;

use super::message::Message;
use super::uplink::Uplink;
use super::{Connection, Core, Phase, RawPack};
use crate::state_hash::StateHasher;

impl<S> Core<S, RawPack> {
    /// Hashes what decides how the link goes on, without the spool and the downlink.
    pub fn hash_state(&self, hasher: &mut impl StateHasher) {
        std::mem::discriminant(&self.phase).hash(hasher);
        if let Phase::Up(connection) = &self.phase {
            connection.hash_state(hasher);
        }
        self.resume.is_some().hash(hasher);
        if let Some(resume) = &self.resume {
            resume.hash_state(hasher);
        }
        (self.unanswered_connects, self.stall.is_suspect()).hash(hasher);
        self.uplink.hash_state(hasher);
    }
}

impl Connection {
    fn hash_state(&self, hasher: &mut impl StateHasher) {
        (self.accepted, self.acked, self.refused).hash(hasher);
        self.session.hash_state(hasher);
    }
}

impl Uplink<RawPack> {
    fn hash_state(&self, hasher: &mut impl StateHasher) {
        hasher.write_u64(self.window.in_flight());
        for messages in [&self.sent, self.uncompleted.messages()] {
            hasher.write_usize(messages.len());
            for (token, message) in messages {
                hasher.write_token(*token);
                message.hash_state(hasher);
            }
        }
        hasher.write_usize(self.again.len());
        self.again.iter().for_each(|message| message.hash_state(hasher));
        self.pack.leases().for_each(|lease| hasher.write_lease(lease.0));
        self.poison.blame.hash(hasher);
    }
}

impl Message {
    fn hash_state(&self, hasher: &mut impl StateHasher) {
        self.packed.rows.iter().for_each(|row| hasher.write_lease(row.0));
        (self.closes, self.passed_over, self.is_overdue).hash(hasher);
        hasher.write(&self.packed.publish.payload);
    }
}
