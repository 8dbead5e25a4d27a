//! Offline queue: messages for a client that is absent, slow, or whose Receive Maximum is used up.

use std::collections::VecDeque;

use super::delivery::Delivery;
use crate::wire::QoS;

/// Entries for which an empty queue keeps memory.
const PLACES_MIN: usize = 16;

/// Deliveries in order, bounded by count and bytes. Those at QoS 0 are dropped first, then the oldest, because a client that comes back wants
/// the latest state.
#[derive(Debug, Default)]
pub(super) struct OfflineQueue {
    /// Deliveries that wait. They are boxed so that an unused entry of the queue takes only 8 bytes.
    deliveries: VecDeque<Box<Delivery>>,
    bytes: usize,
    /// Bytes of the payloads, a part of `bytes`.
    payload_bytes: usize,
    /// Number of deliveries at QoS 0.
    qos_0: usize,
    /// Number and bytes of the deliveries that were in flight before a restart of the listener. They are the first ones.
    sent: usize,
    sent_bytes: usize,
}

impl OfflineQueue {
    pub(super) fn push(&mut self, mut delivery: Delivery) {
        delivery.was_sent &= self.unsent() == 0;
        self.sent += usize::from(delivery.was_sent);
        self.sent_bytes += sent_bytes(&delivery);
        self.bytes += delivery.message.bytes();
        self.payload_bytes += delivery.message.publish.payload.len();
        self.qos_0 += usize::from(delivery.is_qos_0());
        self.deliveries.push_back(Box::new(delivery));
    }

    /// Takes the next delivery to send; `None` if there is none.
    pub(super) fn pop(&mut self) -> Option<Delivery> {
        self.take(0)
    }

    /// Takes the delivery to be dropped first: the oldest at QoS 0, or else the oldest that was never sent, or else the oldest.
    pub(super) fn pop_least(&mut self) -> Option<Delivery> {
        let oldest = if self.qos_0 > 0 { self.deliveries.iter().position(|d| d.is_qos_0()) } else { None };
        self.take(oldest.unwrap_or(if self.unsent() > 0 { self.sent } else { 0 }))
    }

    fn take(&mut self, at: usize) -> Option<Delivery> {
        let delivery = self.deliveries.remove(at)?;
        self.bytes -= delivery.message.bytes();
        self.payload_bytes -= delivery.message.publish.payload.len();
        self.qos_0 -= usize::from(delivery.is_qos_0());
        self.sent -= usize::from(delivery.was_sent);
        self.sent_bytes -= sent_bytes(&delivery);
        // Otherwise thousands of absent sessions would keep the places of messages that gave way long ago, beside the memory that is counted.
        if self.deliveries.capacity() > PLACES_MIN.max(4 * self.deliveries.len()) {
            self.deliveries.shrink_to(2 * self.deliveries.len());
        }
        Some(*delivery)
    }

    /// Returns the deliveries, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.iter().map(|delivery| &**delivery)
    }

    /// QoS of the next delivery; `None` if there is none.
    pub(super) fn next_qos(&self) -> Option<QoS> {
        self.deliveries.front().map(|delivery| delivery.message.publish.qos)
    }

    /// Takes out the messages of QoS 0 when the client's connection ends, because they are only for connected clients.
    pub(super) fn take_qos_0(&mut self) -> Vec<Delivery> {
        self.take_out(Delivery::is_qos_0)
    }

    /// Takes out the deliveries for which `is_taken` holds. Walks over all.
    pub(super) fn take_out(&mut self, mut is_taken: impl FnMut(&Delivery) -> bool) -> Vec<Delivery> {
        let (gone, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.deliveries).into_iter().partition(|d| is_taken(d));
        self.deliveries = kept;
        self.bytes = self.deliveries.iter().map(|d| d.message.bytes()).sum();
        self.payload_bytes = self.deliveries.iter().map(|d| d.message.publish.payload.len()).sum();
        self.qos_0 = self.deliveries.iter().filter(|d| d.is_qos_0()).count();
        self.sent = self.deliveries.iter().filter(|d| d.was_sent).count();
        self.sent_bytes = self.deliveries.iter().map(|d| sent_bytes(d)).sum();
        gone.into_iter().map(|delivery| *delivery).collect()
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Delivery> {
        std::mem::take(self).deliveries.into_iter().map(|delivery| *delivery)
    }

    pub(super) fn len(&self) -> usize {
        self.deliveries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of deliveries that were never sent: the limits of waiting messages count them.
    pub(super) fn unsent(&self) -> usize {
        self.deliveries.len() - self.sent
    }

    /// Returns the bytes of the deliveries that were never sent.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.bytes - self.sent_bytes
    }

    /// Returns the part of [`bytes`](Self::bytes) that is payloads.
    pub(super) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Counts the bytes of the deliveries that were never sent by a scan.
    pub(super) fn counted_unsent_bytes(&self) -> usize {
        self.deliveries.iter().map(|d| d.message.bytes() - sent_bytes(d)).sum()
    }
}

/// Returns the bytes of a delivery that was in flight before a restart, 0 for any other.
fn sent_bytes(delivery: &Delivery) -> usize {
    if delivery.was_sent { delivery.message.bytes() } else { 0 }
}
