//! The disk queue as a spool.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use edge_queue::{Lane, Lease, aio};
use tokio::sync::Notify;

use crate::bridge::spool::{Identity, LeaseId, Leased, Spool};
use crate::row::Row;
use crate::wire::Utf8;

/// A first guess of a row's payload.
const ROW_BYTES: usize = 256;

/// A consumer of an [`edge_queue::aio::Queue`] as a [`Spool`]. Never blocks: what must be read from disk is read by the queue's worker, which wakes
/// the link. Leases stay with this value until they are acknowledged or given back; dropping it gives all of them back.
pub(super) struct QueueSpool {
    queue: aio::Queue,
    consumer: aio::Consumer,
    name: String,
    waker: Waker,
    held: HashMap<u64, Lease>,
    next: u64,
    row_bytes: usize,
    waiting: u64,
    failed: bool,
}

/// Wakes the link's task when the queue has rows.
struct WakeLink(Arc<Notify>);

impl Wake for WakeLink {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl QueueSpool {
    /// `name` is the consumer's.
    pub(super) fn new(queue: aio::Queue, consumer: aio::Consumer, name: &str, wake: Arc<Notify>) -> Self {
        Self {
            queue,
            consumer,
            name: name.to_owned(),
            waker: Waker::from(Arc::new(WakeLink(wake))),
            held: HashMap::new(),
            next: 1,
            row_bytes: ROW_BYTES,
            waiting: 0,
            failed: false,
        }
    }

    /// Rows that are there at once. None also means that they are being read, or that there are none: either way the link is woken.
    fn lease_some(&mut self, rows: usize) -> Vec<Lease> {
        let lease = pin!(self.consumer.lease(rows));
        match lease.poll(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(Ok(chunk)) => {
                self.failed = false;
                chunk.into_iter().collect()
            }
            Poll::Ready(Err(error)) => {
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::error!(%error, "the queue cannot be read");
                }
                Vec::new()
            }
            Poll::Pending => Vec::new(),
        }
    }

    fn depth(&self) -> u64 {
        let own = self.queue.ledger().into_iter().filter(|ledger| ledger.consumer == self.name);
        own.map(|ledger| ledger.queued.saturating_sub(ledger.leased)).sum()
    }
}

impl Spool for QueueSpool {
    fn lease(&mut self, _now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        let (mut out, mut bytes) = (Vec::new(), 0);
        while out.len() < max_rows && bytes < max_bytes {
            // The queue counts rows only: small steps, so that large rows do not overshoot by far.
            let step = ((max_bytes - bytes) / self.row_bytes.max(1)).clamp(1, max_rows - out.len());
            let leases = self.lease_some(step);
            if leases.is_empty() {
                break;
            }
            for lease in leases {
                bytes += lease.payload().len().max(1);
                self.row_bytes = (self.row_bytes * 7 + lease.payload().len()) / 8;
                let id = self.next;
                self.next += 1;
                out.push(leased(LeaseId(id), &lease));
                self.held.insert(id, lease);
            }
        }
        self.waiting = self.depth();
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
