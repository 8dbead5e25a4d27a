//! Messages that wait in clients' sessions: they stay on disk here until the sessions are.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use edge_bridge::net::server::Saving;
use edge_queue::Lease;

/// Messages for which a save is waited for. Each is a hole among what was acknowledged, as each on the way is, of which a queue keeps about
/// a thousand for its consumer before it hands out no more.
const MESSAGES_MAX: usize = 256;
/// Their bytes. The file of sessions holds no more either, and leaves out the oldest messages.
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

    /// Adds a message of so many bytes. Beyond the bounds the oldest are let go of, because clients that are away, or a disk that refuses their
    /// sessions, hold up nobody else.
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

    /// Takes the oldest message away. One that was not saved comes again at the next start.
    fn end_oldest(&mut self, is_done: bool) {
        let Some(Waiting { lease, bytes, .. }) = self.waiting.pop_front() else { return };
        self.bytes -= bytes;
        if is_done {
            lease.ack();
        }
    }
}
