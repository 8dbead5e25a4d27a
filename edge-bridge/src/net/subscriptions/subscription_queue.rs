//! Queue of one subscription, from the link's task to the application, limited in messages and bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::shared_ack::SharedAck;
use crate::net::connection_io::READ_MAX;
use crate::session::PACKETS_PER_TURN;
use crate::wire::Publish;

/// Number of waiting messages at which the link stops reading.
const MESSAGES_FULL: usize = 4_096;
/// Number of waiting bytes at which the link stops reading.
const BYTES_FULL: usize = 1024 * 1024;
/// Most waiting messages. More than [`MESSAGES_FULL`], because the link pauses only between two turns of [`PACKETS_PER_TURN`] packets.
const MESSAGES_MAX: usize = MESSAGES_FULL + PACKETS_PER_TURN;

/// Most waiting bytes. More than [`BYTES_FULL`], because a turn handles one packet and the bytes that were read with it. One message always fits.
pub(in crate::net) fn bytes_max(packet_max: u32) -> usize {
    BYTES_FULL + usize::try_from(packet_max).unwrap_or(usize::MAX / 2) + READ_MAX
}

/// A message and the PUBACK it shares with other subscriptions.
#[derive(Debug)]
pub(in crate::net) struct Entry {
    pub(in crate::net) publish: Publish,
    pub(in crate::net) ack: Option<Arc<SharedAck>>,
}

/// Result of putting a message into a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum Put {
    Taken,
    /// The message was stored, and fills the queue.
    Filled,
    /// The queue is full. The hub sends a message of QoS 1 again on the next connection; until then the queue counts as missing it.
    Missed,
}

/// Message that the application took.
#[derive(Debug)]
pub(in crate::net) struct Taken {
    pub(in crate::net) publish: Publish,
    pub(in crate::net) ack: Option<Arc<SharedAck>>,
    /// Set if the link should send more, because the queue is no longer full, or because it is empty and messages after this one were missed.
    pub(in crate::net) wanted: bool,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Entry>,
    bytes: usize,
    /// Set from the moment at which the queue is full until it is half empty.
    full: bool,
    waker: Option<Waker>,
    /// Set once the application has dropped the subscription.
    closed: bool,
    /// Set once the link has ended, so that no message comes any more.
    ended: bool,
    /// Set if a message found no room. Later messages are left out too, so that the order is kept; the hub sends all of them again on the next
    /// connection.
    missed: bool,
}

/// Messages of one subscription that the application has not taken yet.
#[derive(Debug)]
pub(in crate::net) struct SubscriptionQueue {
    state: Mutex<State>,
    bytes_max: usize,
}

impl SubscriptionQueue {
    /// Creates an empty queue for packets of at most `packet_max` bytes.
    pub(in crate::net) fn new(packet_max: u32) -> Self {
        Self { state: Mutex::default(), bytes_max: bytes_max(packet_max) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::net) fn put(&self, entry: Entry) -> Put {
        let (waker, filled) = {
            let mut state = self.state();
            let size = size(&entry.publish);
            let no_room = state.queue.len() >= MESSAGES_MAX
                || !state.queue.is_empty() && state.bytes.saturating_add(size) > self.bytes_max;
            if state.missed || no_room {
                state.missed |= entry.ack.is_some();
                return Put::Missed;
            }
            state.bytes += size;
            state.queue.push_back(entry);
            let is_full = state.queue.len() >= MESSAGES_FULL || state.bytes >= BYTES_FULL;
            let filled = is_full && !state.full;
            state.full |= is_full;
            (state.waker.take(), filled)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        if filled { Put::Filled } else { Put::Taken }
    }

    pub(in crate::net) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Taken>> {
        let mut state = self.state();
        let Some(entry) = state.queue.pop_front() else {
            if state.ended {
                return Poll::Ready(None);
            }
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        state.bytes = state.bytes.saturating_sub(size(&entry.publish));
        let is_half_full = state.queue.len() > MESSAGES_FULL / 2 || state.bytes > BYTES_FULL / 2;
        let relieved = state.full && !is_half_full;
        if relieved {
            state.full = false;
        }
        let wanted = relieved || state.missed && state.queue.is_empty();
        Poll::Ready(Some(Taken { publish: entry.publish, ack: entry.ack, wanted }))
    }

    /// Returns whether missed messages can be taken now.
    pub(in crate::net) fn wants_missed(&self) -> bool {
        let state = self.state();
        state.missed && state.queue.is_empty()
    }

    /// Returns whether the queue is full, so that the link should not read.
    pub(in crate::net) fn is_full(&self) -> bool {
        let state = self.state();
        state.full && !state.closed
    }

    /// Clears the mark of missed messages, because the connection ended and the hub sends them again.
    pub(in crate::net) fn forget_missed(&self) {
        self.state().missed = false;
    }

    /// Takes all messages that the application has not taken.
    pub(in crate::net) fn drain(&self) -> VecDeque<Entry> {
        let mut state = self.state();
        state.bytes = 0;
        std::mem::take(&mut state.queue)
    }

    pub(in crate::net) fn close(&self) {
        self.state().closed = true;
    }

    pub(in crate::net) fn is_closed(&self) -> bool {
        self.state().closed
    }

    pub(in crate::net) fn end(&self) {
        let waker = {
            let mut state = self.state();
            state.ended = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

pub(in crate::net) fn size(publish: &Publish) -> usize {
    publish.payload.len() + publish.topic.len() + publish.properties.as_bytes().len()
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;

    use super::*;
    use crate::wire::{Properties, PropertiesBuilder, PropertyId, QoS, Utf8, Value};

    /// A quarter of a mebibyte at most, in any of its parts.
    fn entry(topic: usize, payload: usize, property: usize) -> Entry {
        let mut properties = PropertiesBuilder::new();
        let (name, value) = ("n".repeat(property.min(1)), "v".repeat(property.saturating_sub(6)));
        if property > 0 {
            properties.push(PropertyId::UserProperty, Value::Pair(&name, &value)).unwrap();
        }
        let properties = if property > 0 { properties.finish() } else { Properties::default() };
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: Utf8::try_from("t".repeat(topic).as_str()).unwrap(),
            packet_id: None,
            properties,
            payload: Bytes::from(vec![0; payload]),
        };
        Entry { publish, ack: None }
    }

    fn take(queue: &SubscriptionQueue) -> Option<Taken> {
        match queue.poll_take(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(taken) => taken,
            Poll::Pending => None,
        }
    }

    const PART: usize = 32 * 1024;

    #[test]
    fn each_part_of_a_message_counts_for_the_bound_in_bytes() {
        for (topic, payload, property) in [(PART, 0, 0), (1, PART, 0), (1, 0, PART)] {
            let queue = SubscriptionQueue::new(0);
            let put: Vec<_> = (0..64).map(|_| queue.put(entry(topic, payload, property))).collect();
            let fits = put.iter().filter(|put| **put != Put::Missed).count();
            let bytes = fits * PART;
            assert!(
                bytes <= bytes_max(0) && bytes + 2 * PART > bytes_max(0),
                "{bytes} bytes: {topic} {payload} {property}"
            );
            assert_eq!(put.iter().filter(|put| **put == Put::Filled).count(), 1, "the link is told once");
        }
    }

    #[test]
    fn a_full_queue_wants_more_once_it_is_half_empty_and_a_large_message_fits_an_empty_one() {
        let queue = SubscriptionQueue::new(0);
        assert_eq!(queue.put(entry(1, 4 * BYTES_FULL, 0)), Put::Filled);
        assert!(queue.is_full() && take(&queue).unwrap().wanted);
        let size = BYTES_FULL / 8;
        (0..7).for_each(|_| assert_eq!(queue.put(entry(1, size, 0)), Put::Taken));
        assert_eq!(queue.put(entry(1, size, 0)), Put::Filled);
        let wanted: Vec<_> = (0..8).map(|_| take(&queue).unwrap().wanted).collect();
        assert_eq!(wanted, [false, false, false, false, true, false, false, false]);
        assert!(take(&queue).is_none() && !queue.is_full());
    }
}
