//! Messages that wait in clients' sessions: they stay on disk here until the sessions are saved.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use edge_bridge::net::server::Saving;
use edge_queue::Lease;

/// Most messages that wait for a save. Each is a hole among the acknowledged rows, like each message being delivered, and a queue keeps about a
/// thousand holes per consumer before it leases no more.
const MESSAGES_MAX: usize = 256;
/// Most bytes of these messages. The file of sessions has the same limit, and leaves out the oldest messages.
const BYTES_MAX: u64 = 1 << 20;

/// Leases that end with the next save of the broker's sessions, the oldest first.
#[derive(Default)]
pub(super) struct Unsaved {
    waiting: VecDeque<Waiting>,
    bytes: u64,
}

struct Waiting {
    lease: Lease,
    bytes: u64,
    saving: Saving,
}

impl Unsaved {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a message of `bytes`. At the limits the oldest are acknowledged, so that absent clients, or a disk that refuses their sessions, do
    /// not block others.
    pub(super) fn push(&mut self, lease: Lease, bytes: u64, saving: Saving) {
        self.waiting.push_back(Waiting { lease, bytes, saving });
        self.bytes += bytes;
        while self.waiting.len() > MESSAGES_MAX || self.bytes > BYTES_MAX {
            self.end_oldest(true);
        }
    }

    /// Waits for the save of the oldest message and acknowledges it; for ever while there is none. Cancel-safe.
    pub(super) async fn next_save(&mut self) {
        let is_saved = poll_fn(|cx| match self.waiting.front_mut() {
            Some(oldest) => Pin::new(&mut oldest.saving).poll(cx).map(|saved| saved.is_ok()),
            None => Poll::Pending,
        });
        let is_saved = is_saved.await;
        self.end_oldest(is_saved);
    }

    /// Removes the oldest message. One that was not saved is delivered again at the next start.
    fn end_oldest(&mut self, is_done: bool) {
        let Some(Waiting { lease, bytes, .. }) = self.waiting.pop_front() else { return };
        self.bytes -= bytes;
        if is_done {
            lease.ack();
        }
    }
}
