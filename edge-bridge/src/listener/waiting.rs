//! Offline queue: messages for a client that is absent, slow, or whose window is full.

use std::collections::VecDeque;

use super::io::PublishId;
use super::message::Message;
use crate::wire::QoS;

#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) message: Message,
    /// The application's message that it is a copy of.
    pub(super) origin: Option<PublishId>,
}

/// Deliveries in order, bounded by count and bytes: the oldest go first, since a client that comes back wants the latest state.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
}

impl Waiting {
    pub(super) fn push(&mut self, delivery: Delivery) {
        self.bytes += delivery.message.bytes();
        self.deliveries.push_back(delivery);
    }

    pub(super) fn pop(&mut self) -> Option<Delivery> {
        let delivery = self.deliveries.pop_front()?;
        self.bytes -= delivery.message.bytes();
        Some(delivery)
    }

    /// The next one's QoS.
    pub(super) fn next_qos(&self) -> Option<QoS> {
        self.deliveries.front().map(|delivery| delivery.message.publish.qos)
    }

    /// The client went away: QoS 0 is for those who are there.
    pub(super) fn take_qos_0(&mut self) -> Vec<Delivery> {
        let (gone, kept): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.deliveries)
            .into_iter()
            .partition(|d| d.message.publish.qos == QoS::AtMostOnce);
        self.bytes = kept.iter().map(|d| d.message.bytes()).sum();
        self.deliveries = kept;
        gone.into()
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Delivery> {
        self.bytes = 0;
        std::mem::take(&mut self.deliveries).into_iter()
    }

    pub(super) fn len(&self) -> usize {
        self.deliveries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
