//! The queue, as a program with batches would use it.

use std::path::Path;

use edge_queue::{Config, Consumer, OnFull, Queue, Row, StoreKind, Wait};

use crate::queue::incoming::Incoming;
use crate::queue::peer::Peer;
use crate::queue::text;

/// More than any run pushes before it drains.
const LIMIT_BYTES: u64 = 96 << 20;
const SEGMENT_BYTES: u64 = 1 << 20;

pub(in crate::queue) struct Ours {
    pub(in crate::queue) queue: Queue,
    consumer: Consumer,
    incoming: Incoming,
}

impl Ours {
    pub(in crate::queue) fn open(dir: &Path, kind: StoreKind) -> Result<Ours, String> {
        let config = Config::default().max_bytes(LIMIT_BYTES).on_full(OnFull::Reject).store(kind);
        let queue = Queue::open(dir, config.segment_bytes(SEGMENT_BYTES)).map_err(text)?;
        let consumer = queue.consumer("bench").map_err(text)?;
        Ok(Ours { queue, consumer, incoming: Incoming::new() })
    }

    /// Writes and drains until every segment of the lane was written once: what a queue that has been in use looks like.
    /// A region is twice its limit and four segments.
    pub(in crate::queue) fn go_round(&mut self) -> Result<(), String> {
        let start = self.written();
        while self.written() < start + 2 * LIMIT_BYTES + 5 * SEGMENT_BYTES {
            for _ in 0..100 {
                self.commit(1_000)?;
            }
            self.drain(1_000, 1_000)?;
        }
        Ok(())
    }

    pub(in crate::queue) fn written(&self) -> u64 {
        self.queue.stats().store.bytes_written
    }

    /// One call per message instead of one per batch.
    pub(in crate::queue) fn commit_singly(&mut self, batch: usize) -> Result<(), String> {
        for _ in 0..batch {
            let _receipt = self.queue.push(Row::new(self.incoming.next())).map_err(text)?;
        }
        self.queue.commit().map_err(text)
    }
}

impl Peer for Ours {
    fn commit(&mut self, batch: usize) -> Result<(), String> {
        let rows = (0..batch).map(|_| Row::new(self.incoming.next()));
        let _receipts = self.queue.push_batch(rows).map_err(text)?;
        self.queue.commit().map_err(text)
    }

    fn drain(&mut self, chunk: usize, _lag: usize) -> Result<usize, String> {
        // `cursor_lag`, 1 000 by default, sees to the lag.
        let mut count = 0;
        loop {
            let leases = self.consumer.lease(chunk, Wait::None).map_err(text)?;
            if leases.is_empty() {
                break;
            }
            count += leases.len();
            leases.ack();
        }
        self.queue.commit().map_err(text)?;
        Ok(count)
    }
}
