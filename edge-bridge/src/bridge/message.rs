//! Message on its way up: what the pack made of rows, and what has happened to it since.

use super::pack::Packed;
use crate::wire::{ReasonCode, Utf8};

/// Bytes of a PUBLISH beside topic, properties and payload.
const HEADER_BYTES: usize = 12;

/// A message that is in flight or waits for its turn. Its rows stay leased.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) packed: Packed,
    /// Estimate of its packet.
    pub(super) bytes: u64,
    /// Position in the order in which messages were made.
    pub(super) serial: u64,
    /// `None`: not sent, or sent on an earlier connection too.
    pub(super) sent_ms: Option<u64>,
    /// Times the hub refused this message and not its topic.
    pub(super) refusals: u32,
    /// Of the last of these refusals.
    pub(super) reason: Option<ReasonCode>,
    /// Times the hub closed the connection while this message was unanswered.
    pub(super) closes: u32,
    /// Its rows came from the parked ones.
    pub(super) swept: bool,
}

impl Message {
    pub(super) fn new(packed: Packed, serial: u64, swept: bool) -> Self {
        let p = &packed.publish;
        let bytes = HEADER_BYTES + p.topic.len() + p.properties.as_bytes().len() + p.payload.len();
        Self {
            bytes: bytes as u64,
            serial,
            sent_ms: None,
            refusals: 0,
            reason: None,
            closes: 0,
            swept,
            packed,
        }
    }

    pub(super) fn topic(&self) -> &Utf8 {
        &self.packed.publish.topic
    }

    /// Whether the first of its rows' times to live is over.
    pub(super) fn is_expired(&self, now_ms: u64) -> bool {
        self.packed.expires_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }
}
