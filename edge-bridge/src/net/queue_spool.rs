//! The disk queue as a spool.

use std::collections::HashMap;

use edge_queue::{Consumer, Lane, Lease, Queue, Wait};

use crate::bridge::spool::{Identity, LeaseId, Leased, Spool};
use crate::row::Row;
use crate::wire::Utf8;

/// How often the depth is asked for at most: it takes the queue's lock.
const DEPTH_EVERY_MS: u64 = 200;
/// A first guess of a row's payload.
const ROW_BYTES: usize = 256;

/// A consumer of an [`edge_queue::Queue`] as a [`Spool`]. Leases stay with this value until they are acknowledged or given back; dropping it gives
/// all of them back.
pub struct QueueSpool {
    queue: Queue,
    consumer: Consumer,
    held: HashMap<u64, Lease>,
    next: u64,
    row_bytes: usize,
    waiting: u64,
    depth_at_ms: u64,
}

impl QueueSpool {
    /// Reads from `queue` as `consumer`.
    pub fn new(queue: Queue, consumer: Consumer) -> Self {
        Self {
            queue,
            consumer,
            held: HashMap::new(),
            next: 1,
            row_bytes: ROW_BYTES,
            waiting: 0,
            depth_at_ms: 0,
        }
    }

    fn lease_some(&mut self, rows: usize) -> Vec<Lease> {
        match self.consumer.lease(rows, Wait::None) {
            Ok(chunk) => chunk.into_iter().collect(),
            Err(error) => {
                tracing::error!(%error, "the queue cannot be read");
                Vec::new()
            }
        }
    }

    fn depth(&self) -> u64 {
        let own = self.queue.ledger().into_iter().filter(|ledger| ledger.consumer == self.consumer.name());
        own.map(|ledger| ledger.queued.saturating_sub(ledger.leased)).sum()
    }
}

impl Spool for QueueSpool {
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        let (mut out, mut bytes) = (Vec::new(), 0);
        while out.len() < max_rows && bytes < max_bytes {
            // The queue counts rows only: small steps, so that large rows do not overshoot by far.
            let step = ((max_bytes - bytes) / self.row_bytes.max(1)).clamp(1, max_rows - out.len());
            let leases = self.lease_some(step);
            let exhausted = leases.len() < step;
            for lease in leases {
                bytes += lease.payload().len().max(1);
                self.row_bytes = (self.row_bytes * 7 + lease.payload().len()) / 8;
                let id = self.next;
                self.next += 1;
                out.push(leased(LeaseId(id), &lease));
                self.held.insert(id, lease);
            }
            if exhausted {
                self.waiting = 0;
                self.depth_at_ms = now_ms;
                return out;
            }
        }
        if now_ms.saturating_sub(self.depth_at_ms) >= DEPTH_EVERY_MS {
            self.depth_at_ms = now_ms;
            self.waiting = self.depth();
        } else {
            self.waiting = self.waiting.saturating_sub(out.len() as u64);
        }
        out
    }

    fn ack(&mut self, id: LeaseId) {
        if let Some(lease) = self.held.remove(&id.0) {
            lease.ack();
        }
    }

    fn give_back(&mut self, id: LeaseId) {
        self.held.remove(&id.0);
    }

    fn waiting(&self) -> u64 {
        self.waiting
    }
}

impl Row {
    /// As a row of an [`edge_queue::Queue`]. The payload is not copied.
    pub fn into_queue_row(self) -> edge_queue::Row {
        let mut row =
            edge_queue::Row::new(self.payload.clone()).meta(self.to_meta()).key(self.key).weight(self.weight);
        row.lane = self.lane.map(Lane);
        row.ttl_ms = self.ttl_ms;
        row
    }
}

fn leased(id: LeaseId, lease: &Lease) -> Leased {
    let age_ms = lease.age_ms().unwrap_or(0);
    let row = Row::from_meta(lease.meta(), lease.payload().clone()).unwrap_or_else(|| {
        // Not one of ours: it cannot be sent, and the uplink reports it as a dead letter for its empty topic.
        Row::new(Utf8::default(), lease.payload().clone())
    });
    let row = Row {
        lane: Some(lease.lane().0),
        key: lease.key().clone(),
        weight: lease.weight(),
        ttl_ms: lease.ttl_left_ms().map(|left_ms| left_ms.saturating_add(age_ms)),
        ..row
    };
    let own = lease.id();
    let identity = Identity { gateway: own.gateway, lane: own.lane.0, epoch: own.epoch, seq: own.seq };
    Leased::new(id, row, age_ms, Some(identity))
}
