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

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use edge_queue::{Config, Queue, Row, StoreKind, Wait};

    use super::*;

    /// So many leased rows of a queue.
    fn leased(queue: &Queue, rows: usize) -> Vec<Lease> {
        let mut consumer = queue.consumer("c").unwrap();
        for _ in 0..rows {
            drop(queue.push(Row::new("message")).unwrap());
        }
        consumer.lease(rows, Wait::None).unwrap().into_iter().collect()
    }

    fn acknowledged(queue: &Queue) -> u64 {
        queue.ledger().iter().map(|lane| lane.delivered).sum()
    }

    fn queue() -> Queue {
        Queue::open("memory", Config::default().store(StoreKind::Memory)).unwrap()
    }

    /// Few large ones are as much as many small ones: what waits is in memory and in the file of sessions, whose limits are of bytes.
    #[test]
    fn the_oldest_give_way_at_the_limit_of_bytes_and_at_that_of_messages() {
        for (bytes, messages_max, kept) in
            [(BYTES_MAX / 4, 1_000, 4), (BYTES_MAX / 4 + 1, 1_000, 3), (1, 5, 5)]
        {
            let queue = queue();
            let mut waiting = WaitingLeases::new(messages_max);
            let given_up: Vec<u64> = leased(&queue, 7)
                .into_iter()
                .map(|lease| waiting.push(lease, bytes, Box::pin(pending())))
                .collect();
            assert_eq!(given_up, [[0].repeat(kept), [1].repeat(7 - kept)].concat(), "{bytes}");
            assert_eq!((acknowledged(&queue), waiting.waiting.len()), (7 - kept as u64, kept), "{bytes}");
            assert_eq!(waiting.bytes, bytes * kept as u64);
        }
    }

    #[test]
    fn one_that_is_safe_gives_way_without_a_loss() {
        let queue = queue();
        let mut waiting = WaitingLeases::new(1);
        let untils: [Until; 3] = [Box::pin(ready(true)), Box::pin(ready(false)), Box::pin(pending())];
        let leases = leased(&queue, 3).into_iter();
        let given_up = leases.zip(untils).map(|(lease, until)| waiting.push(lease, 1, until));
        assert_eq!(given_up.collect::<Vec<_>>(), [0, 0, 1], "only the second was to come again");
        assert_eq!(acknowledged(&queue), 2);
    }
}
