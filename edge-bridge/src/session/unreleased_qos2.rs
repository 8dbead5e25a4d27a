//! Unreleased messages: QoS 2 messages that were received and whose PUBREL has not come (§4.3.3). They outlive the connection. On a later one
//! [arrivals](super::received_messages) ask for them: a message under a known identifier is a repeat only if it has DUP and the same content, because a client that lost its state begins its identifiers anew, and its
//! new messages must not get lost. Without DUP it may be a copy: Paho's client sends such ones after two attempts to connect.

use std::collections::HashMap;

use super::ack_handle::AckHandle;
use super::table_bytes::table_bytes;
use crate::puback_chain::Group;
use crate::wire::PacketId;

/// Digest of a message's topic and payload, the same in every process, because it is saved: CRC-32C of both, and the length of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest(u64);

impl Digest {
    pub(super) fn of(topic: &str, payload: &[u8]) -> Self {
        let checksum = crc32c::crc32c_append(crc32c::crc32c(topic.as_bytes()), payload);
        Self((u64::from(checksum) << 32) | (payload.len() as u64 & u64::from(u32::MAX)))
    }
}

/// Open exchange of a received message, to be saved: its identifier and its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SavedExchange {
    id: PacketId,
    digest: Digest,
}

impl std::fmt::Display for SavedExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:x}", self.id.get(), self.digest.0)
    }
}

impl std::str::FromStr for SavedExchange {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (id, digest) = text.split_once(' ').ok_or(())?;
        let id = id.parse().ok().and_then(PacketId::new).ok_or(())?;
        Ok(Self { id, digest: Digest(u64::from_str_radix(digest, 16).map_err(drop)?) })
    }
}

/// A message whose PUBREL has not come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unreleased {
    pub(super) digest: Digest,
    /// Set if the caller took it in on the last connection; `None` once its PUBREC was written.
    pub(super) taken_in: Option<TakenIn>,
}

/// Message without a PUBREC for which the caller is responsible.
#[derive(Debug, Clone, Copy)]
pub(super) struct TakenIn {
    /// Handle under which the caller took it in.
    pub(super) handle: AckHandle,
    /// Group of its receipts, so that its repeat waits for no others.
    pub(super) group: Option<Group>,
}

/// Unreleased messages of earlier connections of the session, by their identifiers.
#[derive(Debug, Clone, Default)]
pub(super) struct UnreleasedMessages {
    by_id: HashMap<PacketId, Unreleased>,
}

impl UnreleasedMessages {
    /// Makes room for so many more messages at once, because each doubling of the table leaves a hole of its size on the heap.
    pub(super) fn reserve(&mut self, messages: usize) {
        self.by_id.reserve(messages);
    }

    pub(super) fn add(&mut self, id: PacketId, message: Unreleased) {
        self.by_id.insert(id, message);
    }

    /// Takes out the message received under an identifier; `None` if there is none.
    pub(super) fn take(&mut self, id: PacketId) -> Option<Unreleased> {
        let taken = self.by_id.remove(&id);
        if self.by_id.is_empty() {
            self.shrink();
        }
        taken
    }

    /// Returns the exchanges to be saved, in the order of their identifiers: those whose PUBREC was written, and if `all_are_safe` those that were taken in.
    pub(super) fn to_save(&self, all_are_safe: bool) -> Vec<SavedExchange> {
        let saved = self.by_id.iter().filter(|(_, message)| all_are_safe || message.taken_in.is_none());
        let mut saved: Vec<_> =
            saved.map(|(id, message)| SavedExchange { id: *id, digest: message.digest }).collect();
        saved.sort_unstable_by_key(|exchange| exchange.id);
        saved
    }

    pub(super) fn add_saved(&mut self, SavedExchange { id, digest }: SavedExchange) {
        self.add(id, Unreleased { digest, taken_in: None });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Memory of the table, in bytes.
    pub(super) fn bytes(&self) -> usize {
        table_bytes(&self.by_id)
    }

    /// Gives back what the table does not need, before it is kept for as long as the client is absent.
    pub(super) fn shrink(&mut self) {
        self.by_id.shrink_to_fit();
    }
}
