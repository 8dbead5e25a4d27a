//! Message on its way to the hub: its rows, and the history of attempts to send it.

use crate::wire::{ReasonCode, Utf8};

use super::packing::pack::Packed;
use super::spool::Spool;

/// Bytes of a PUBLISH beside topic, properties and payload.
const HEADER_BYTES: usize = 12;

/// Message that is in flight, or waits to be sent or sent again. Its rows stay leased.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) packed: Packed,
    /// Estimated size of the message's PUBLISH, in bytes.
    pub(super) bytes: u64,
    /// Serial number in the order in which messages were made.
    pub(super) serial: u64,
    /// Up time at which the message was sent, in milliseconds. `None` if it is unsent, or was first sent on an earlier connection.
    pub(super) sent_ms: Option<u64>,
    /// Number of times that the hub refused this message alone, while taking others of its topic.
    pub(super) refusals: u32,
    /// Reason code of the last such refusal.
    pub(super) reason: Option<ReasonCode>,
    /// Times the hub closed the connection while this message was unanswered.
    pub(super) closes: u32,
    /// Number of connections that were ended without a PUBACK for this message although the hub acknowledged younger ones there.
    pub(super) passed_over: u32,
    /// Set if a connection was ended because this message had no PUBACK. Its bytes no longer count against the window.
    pub(super) is_overdue: bool,
    /// Set if the hub had refused the topic, or this message, before it was sent.
    pub(super) is_attempt: bool,
    /// Set while the message waits until the hub has accepted another one, see [`hold_back`](super::refused::message_retries::Retries::hold_back).
    pub(super) is_held_back: bool,
    /// Set once the hub has lost the message after it had accepted it.
    pub(super) was_forgotten: bool,
    /// Set if the message's rows were parked before.
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
            passed_over: 0,
            is_overdue: false,
            is_attempt: false,
            is_held_back: false,
            was_forgotten: false,
            swept,
            packed,
        }
    }

    /// Returns the bytes that the message takes from the congestion window.
    pub(super) fn window_bytes(&self) -> u64 {
        if self.is_overdue { 0 } else { self.bytes }
    }

    /// Number of rows that count against the limit of rows in flight.
    pub(super) fn window_rows(&self) -> usize {
        if self.is_overdue { 0 } else { self.packed.rows.len() }
    }

    pub(super) fn topic(&self) -> &Utf8 {
        &self.packed.publish.topic
    }

    /// Returns whether every row of the message has expired. A batch is kept until its last row expires, because rows that went back to the spool
    /// would then follow rows of their topic that are held in RAM or parked.
    pub(super) fn is_expired(&self, now_ms: u64, spool: &impl Spool) -> bool {
        self.packed.expires_ms.is_some_and(|at_ms| at_ms <= now_ms)
            && self.ttl_left_ms(now_ms, spool) == Some(0)
    }

    /// Milliseconds until the last of its rows expires. `None` if one of them never does.
    pub(super) fn ttl_left_ms(&self, now_ms: u64, spool: &impl Spool) -> Option<u64> {
        let first_ms = self.packed.expires_ms?.saturating_sub(now_ms);
        if self.packed.rows.len() < 2 {
            return Some(first_ms);
        }
        let mut rows = self.packed.rows.iter().map(|row| spool.ttl_left_ms(*row, now_ms));
        rows.try_fold(first_ms, |last_ms, left_ms| left_ms.map(|left_ms| left_ms.max(last_ms)))
    }
}
