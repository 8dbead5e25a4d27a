//! The queue of one subscription, between the link's task and the application: bounded in messages and in bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::commands::SharedAck;
use crate::wire::Publish;

/// Messages that wait for the application at most.
const MESSAGES_MAX: usize = 4_096;
/// Bytes of them; one message always fits.
const BYTES_MAX: usize = 1024 * 1024;

/// A message and the PUBACK it shares with other subscriptions.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) publish: Publish,
    pub(super) ack: Option<Arc<SharedAck>>,
}

/// The messages that the application took.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) publish: Publish,
    pub(super) ack: Option<Arc<SharedAck>>,
    /// The queue is empty now, and messages are missing behind it.
    pub(super) wanted: bool,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Entry>,
    bytes: usize,
    waker: Option<Waker>,
    /// The application has dropped its end.
    closed: bool,
    /// The link has ended: nothing more comes.
    ended: bool,
    /// A message found no room. Those behind it are left out too, so that the order is kept: the hub sends all of them again with the next
    /// connection.
    missed: bool,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<State>);

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `false`: no room; the message is missed, if it is one that comes again.
    pub(super) fn put(&self, entry: Entry) -> bool {
        let waker = {
            let mut state = self.state();
            let size = size(&entry.publish);
            let full = state.queue.len() >= MESSAGES_MAX
                || !state.queue.is_empty() && state.bytes.saturating_add(size) > BYTES_MAX;
            if state.missed || full {
                state.missed |= entry.ack.is_some();
                return false;
            }
            state.bytes += size;
            state.queue.push_back(entry);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Taken>> {
        let mut state = self.state();
        let Some(entry) = state.queue.pop_front() else {
            if state.ended {
                return Poll::Ready(None);
            }
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        state.bytes = state.bytes.saturating_sub(size(&entry.publish));
        let wanted = state.missed && state.queue.is_empty();
        Poll::Ready(Some(Taken { publish: entry.publish, ack: entry.ack, wanted }))
    }

    /// Returns whether the messages that found no room can be taken now.
    pub(super) fn wants_missed(&self) -> bool {
        let state = self.state();
        state.missed && state.queue.is_empty()
    }

    /// The connection is gone: what was missed comes again.
    pub(super) fn forget_missed(&self) {
        self.state().missed = false;
    }

    /// Everything that the application has not taken.
    pub(super) fn drain(&self) -> VecDeque<Entry> {
        let mut state = self.state();
        state.bytes = 0;
        std::mem::take(&mut state.queue)
    }

    pub(super) fn close(&self) {
        self.state().closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    pub(super) fn end(&self) {
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

pub(super) fn size(publish: &Publish) -> usize {
    publish.payload.len() + publish.topic.len() + publish.properties.as_bytes().len()
}
