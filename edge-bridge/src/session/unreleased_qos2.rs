//! Unreleased messages: QoS 2 messages that were received and whose PUBREL has not come (§4.3.3). They outlive the connection. A message under a known
//! identifier is a repeat only if it has DUP and the same content, because a client that lost its state begins its identifiers anew, and its
//! new messages must not get lost.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::ack_handle::AckHandle;
use crate::wire::PacketId;

/// Estimated bytes of memory for an identifier.
pub(super) const RECEIVED_BYTES: usize = 32;

/// Digest of a message's topic and payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest(u64);

impl Digest {
    pub(super) fn of(topic: &str, payload: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        (topic, payload).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// A message whose PUBREL has not come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unreleased {
    pub(super) digest: Digest,
    /// Handle under which the caller took it in on the last connection; `None` once its PUBREC was written.
    pub(super) taken_in: Option<AckHandle>,
}

/// Unreleased messages of earlier connections of the session, by their identifiers.
#[derive(Debug, Clone, Default)]
pub(super) struct UnreleasedMessages {
    by_id: HashMap<PacketId, Unreleased>,
}

impl UnreleasedMessages {
    pub(super) fn add(&mut self, id: PacketId, message: Unreleased) {
        self.by_id.insert(id, message);
    }

    /// Takes out the message received under an identifier; `None` if there is none.
    pub(super) fn take(&mut self, id: PacketId) -> Option<Unreleased> {
        self.by_id.remove(&id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Estimates the memory of the identifiers, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.by_id.len() * RECEIVED_BYTES
    }
}
