//! Messages that are on their way for so long that others go on without them: they stay on disk here until sessions that have them are saved, or another
//! connection has stored them.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;

use edge_queue::Lease;
use futures_util::FutureExt;

/// Most bytes of these messages. The file of sessions has the same limit, and leaves out the oldest messages.
const BYTES_MAX: u64 = 1 << 20;

/// Future that is ready when a message is safe elsewhere; `false`: it is to come again.
pub(super) type Until = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Leases that wait, the oldest first.
pub(super) struct WaitingLeases {
    /// Most messages. Each is a hole among the acknowledged rows, like each message being delivered, and a queue keeps about a thousand holes per
    /// consumer before it leases no more.
    messages_max: usize,
    waiting: VecDeque<Waiting>,
    bytes: u64,
}

struct Waiting {
    lease: Lease,
    bytes: u64,
    until: Until,
}

impl WaitingLeases {
    pub(super) fn new(messages_max: usize) -> Self {
        Self { messages_max, waiting: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a message of `bytes`. At the limits the oldest are acknowledged, so that absent clients, a disk that refuses their sessions, or a connection
    /// that takes nothing do not block others. Returns the number of those that were not safe.
    pub(super) fn push(&mut self, lease: Lease, bytes: u64, until: Until) -> u64 {
        self.waiting.push_back(Waiting { lease, bytes, until });
        self.bytes += bytes;
        let mut given_up = 0;
        while self.waiting.len() > self.messages_max || self.bytes > BYTES_MAX {
            let Some(mut oldest) = self.take_oldest() else { break };
            given_up += u64::from(oldest.until.as_mut().now_or_never() != Some(true));
            oldest.lease.ack();
        }
        given_up
    }

    /// Waits until the oldest message is safe and acknowledges it; for ever while there is none. One that is to come again is delivered at the next
    /// start. Cancel-safe.
    pub(super) async fn next(&mut self) {
        let is_safe = poll_fn(|cx| match self.waiting.front_mut() {
            Some(oldest) => oldest.until.as_mut().poll(cx),
            None => std::task::Poll::Pending,
        });
        let is_safe = is_safe.await;
        if let Some(oldest) = self.take_oldest().filter(|_| is_safe) {
            oldest.lease.ack();
        }
    }

    fn take_oldest(&mut self) -> Option<Waiting> {
        let oldest = self.waiting.pop_front()?;
        self.bytes -= oldest.bytes;
        Some(oldest)
    }
}
