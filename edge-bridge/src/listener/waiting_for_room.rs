//! Messages that wait for room in the queue, in order of arrival: QoS 1 messages, whose connections are not read meanwhile, and wills.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;

use crate::ingest::Inbound;
use crate::puback_chain::ConnectionId;
use crate::session::AckHandle;

/// Bytes of memory of a held message beside its contents.
const OVERHEAD: usize = 64;

/// Most bytes of held wills, each with [`OVERHEAD`]. Wills need a limit of their own, because their connections are gone and cannot be paused.
const WILLS_MAX: usize = 1024 * 1024;

/// Message that was not given to the ingest yet.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) connection: ConnectionId,
    pub(super) ack: Option<AckHandle>,
    pub(super) message: Inbound,
    /// Lane of the message; `None` if it is not known, or if every lane had room when it was looked for.
    pub(super) lane: Option<u8>,
    /// Up time of its arrival.
    pub(super) arrived_ms: u64,
}

impl Held {
    /// Bytes of all parts whose size a client chooses, so that the limit in bytes bounds memory.
    pub(super) fn bytes(&self) -> usize {
        let Inbound { client, topic, payload, properties, .. } = &self.message;
        client.len() + topic.len() + payload.len() + properties.as_bytes().len() + OVERHEAD
    }

    /// Copies the message, so that it does not keep a whole receive buffer alive.
    pub(super) fn into_owned(self) -> Self {
        let message = Inbound {
            topic: self.message.topic.detached(),
            payload: Bytes::copy_from_slice(&self.message.payload),
            properties: self.message.properties.detached(),
            ..self.message
        };
        Self { message, ..self }
    }

    /// Subtracts the time that it waited from its Message Expiry Interval, see [`Inbound::age`].
    pub(super) fn age(&mut self, now_ms: u64) {
        self.message.age(now_ms.saturating_sub(self.arrived_ms));
    }
}

/// Messages that wait for room, see the [module](self).
#[derive(Debug, Default)]
pub(super) struct HeldMessages {
    /// Messages of QoS 1, and wills, that wait for room, in order of arrival.
    messages: VecDeque<Held>,
    /// Bytes of the wills among them.
    will_bytes: usize,
}

impl HeldMessages {
    /// Adds a message of a connection.
    pub(super) fn push(&mut self, held: Held) {
        self.messages.push_back(held);
    }

    /// Adds a will. Returns `false` if no further will may wait.
    pub(super) fn push_will(&mut self, held: Held) -> bool {
        let bytes = self.will_bytes + held.bytes();
        let has_room = bytes <= WILLS_MAX;
        if has_room {
            self.will_bytes = bytes;
            self.messages.push_back(held);
        }
        has_room
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Looks for the lane of each message again.
    pub(super) fn set_lanes(&mut self, lane: impl Fn(&Inbound) -> Option<u8>) {
        self.messages.iter_mut().for_each(|held| held.lane = lane(&held.message));
    }

    /// Takes the messages for whose lane there is room. Messages of one connection keep their order.
    pub(super) fn take_ready(&mut self, has_room: impl Fn(Option<u8>) -> bool) -> Vec<Held> {
        let (mut ready, mut waiting) = (Vec::new(), HashSet::new());
        for held in std::mem::take(&mut self.messages) {
            let is_behind = held.ack.is_some() && waiting.contains(&held.connection);
            if is_behind || !has_room(held.lane) {
                waiting.extend(held.ack.map(|_| held.connection));
                self.messages.push_back(held);
                continue;
            }
            if held.ack.is_none() {
                self.will_bytes = self.will_bytes.saturating_sub(held.bytes());
            }
            ready.push(held);
        }
        ready
    }

    /// Takes the wills, whether there is room for them or not.
    pub(super) fn take_wills(&mut self) -> VecDeque<Held> {
        self.will_bytes = 0;
        let (wills, messages) =
            std::mem::take(&mut self.messages).into_iter().partition(|held| held.ack.is_none());
        self.messages = messages;
        wills
    }

    /// Drops the messages of a connection that ended; its client sends unacknowledged messages again. Wills stay.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.messages.retain(|held| held.connection != connection || held.ack.is_none());
    }

    pub(super) fn len(&self) -> usize {
        let wills = self.messages.iter().filter(|held| held.ack.is_none());
        debug_assert_eq!(self.will_bytes, wills.map(Held::bytes).sum::<usize>());
        self.messages.len()
    }

    /// Bytes of the wills that wait.
    pub(super) fn will_bytes(&self) -> usize {
        self.will_bytes
    }
}
