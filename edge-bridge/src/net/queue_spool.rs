//! Spool on the queue on disk, with one consumer for waiting rows and one for parked ones.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use edge_queue::{ConsumerError, LANES_MAX, Lane, Lease, ROW_OVERHEAD_BYTES, aio};
use tokio::sync::Notify;

use super::parking::{Envelope, Parking, identity};
use crate::bridge::spool::{Identity, LeaseId, Leased, Left, ParkedCount, Settled, Spool};
use crate::row::Row;
use crate::wire::{ReasonCode, Utf8};

/// Name of the consumer whose rows a bridge sends.
pub(super) const CONSUMER: &str = "hub";
/// Most parked rows that one call reads without handing them out.
const PASSED_PER_TURN: u64 = 64;

/// Consumer of an [`edge_queue::aio::Queue`] as a [`Spool`]. Never blocks: the queue's worker reads from disk and then wakes the link, and a
/// task parks rows. Leases stay with this value until they are acknowledged or given back; dropping it gives all of them back.
pub(super) struct QueueSpool {
    consumer: aio::Consumer,
    parking: Parking,
    waker: Waker,
    held: HashMap<u64, Held>,
    next: u64,
    failed: bool,
}

/// Lease of a row, and whether it is a parked one.
struct Held {
    lease: Lease,
    parked: bool,
}

/// Wakes the link's task when the queue has rows.
struct WakeLink(Arc<Notify>);

impl Wake for WakeLink {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl QueueSpool {
    pub(super) fn new(consumer: aio::Consumer, parking: Parking, wake: Arc<Notify>) -> Self {
        Self {
            consumer,
            parking,
            waker: Waker::from(Arc::new(WakeLink(wake))),
            held: HashMap::new(),
            next: 1,
            failed: false,
        }
    }

    /// Leases rows that are in RAM: parked ones if `parked`, otherwise new ones of the bridge's consumer. If it returns none, there are none or they are
    /// being read from disk; the link is woken when there are some.
    fn lease_some(&mut self, parked: bool, max_rows: usize, max_bytes: u64) -> Vec<Lease> {
        let consumer = if parked { self.parking.consumer() } else { Some(&mut self.consumer) };
        let Some(consumer) = consumer else { return Vec::new() };
        // An error registers no waker. The lane that could not be read pauses, so that the next poll does, or has rows of another lane.
        for _ in 0..=LANES_MAX {
            let lease = pin!(consumer.lease_up_to(max_rows, max_bytes));
            match lease.poll(&mut Context::from_waker(&self.waker)) {
                Poll::Ready(Ok(chunk)) => {
                    self.failed = false;
                    return chunk.into_iter().collect();
                }
                Poll::Ready(Err(error)) => {
                    if !std::mem::replace(&mut self.failed, true) {
                        tracing::error!(%error, parked, "the queue cannot be read");
                    }
                    if !matches!(error, ConsumerError::Store(_)) {
                        break;
                    }
                }
                Poll::Pending => break,
            }
        }
        Vec::new()
    }

    fn lease_from(&mut self, parked: bool, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        let (mut out, mut left) = (Vec::new(), max_bytes as u64);
        // Adopts the consumer of the parked rows, which is there some time after the start, before it is asked how many there are.
        self.parking.consumer();
        let passed = self.parking.passed();
        while out.len() < max_rows && left > 0 {
            // Parked rows that are handed out need no room.
            if !if parked { self.parking.may_read() } else { self.parking.has_room() } {
                break;
            }
            if self.parking.passed() > passed + PASSED_PER_TURN {
                self.waker.wake_by_ref();
                break;
            }
            let mut leases = self.lease_some(parked, max_rows - out.len(), left);
            if leases.is_empty() {
                if parked && self.parking.next_stage() {
                    continue;
                }
                break;
            }
            if parked {
                leases = self.parking.sift(leases);
            }
            // Exactly: usually there is one.
            out.reserve_exact(leases.len());
            for lease in leases {
                left = left.saturating_sub(size(&lease));
                let id = self.next;
                self.next += 1;
                if !parked {
                    self.parking.on_leased(&lease);
                }
                out.push(leased(LeaseId(id), &lease, parked, now_ms));
                self.held.insert(id, Held { lease, parked });
            }
        }
        out
    }

    fn park_as(&mut self, id: LeaseId, count: Option<&ParkedCount>, why: ReasonCode) {
        match self.held.remove(&id.0) {
            Some(Held { lease, parked: true }) => lease.pass(),
            // The hub has it by another way: its receipt ended the lease.
            Some(Held { lease, parked: false }) if lease.is_over() => {}
            Some(Held { lease, parked: false }) => self.parking.park(lease, count, why),
            None => {}
        }
    }

    fn take(&mut self, id: LeaseId) -> Option<Lease> {
        let Held { lease, parked } = self.held.remove(&id.0)?;
        if parked {
            self.parking.on_end();
        }
        Some(lease)
    }
}

impl Spool for QueueSpool {
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        if self.parking.takes_again() {
            self.consumer.rewind();
        }
        let rows = self.lease_from(false, now_ms, max_rows, max_bytes);
        if self.parking.is_looking() && self.consumer.at_end() {
            self.parking.on_all_leased();
        }
        rows
    }

    fn ack(&mut self, id: LeaseId) {
        self.take(id).into_iter().for_each(Lease::ack);
    }

    fn settle(&mut self, id: LeaseId, why: Settled) {
        let Some(lease) = self.take(id) else { return };
        match why {
            Settled::Expired => lease.expire(),
            Settled::Discarded => lease.discard(),
        }
    }

    fn give_back(&mut self, id: LeaseId) {
        self.held.remove(&id.0);
    }

    fn park(&mut self, id: LeaseId, why: ReasonCode) {
        self.park_as(id, None, why);
    }

    fn park_for(&mut self, id: LeaseId, count: &ParkedCount, why: ReasonCode) {
        self.park_as(id, Some(count), why);
    }

    fn take_left(&mut self) -> Vec<Left> {
        self.parking.take_left()
    }

    fn scan_parked(&mut self) {
        self.parking.scan();
    }

    fn is_scanned(&self) -> Option<bool> {
        Some(self.parking.is_scanned())
    }

    fn has_holes(&self) -> bool {
        self.parking.has_holes()
    }

    fn close_holes(&mut self) {
        if !self.held.values().any(|held| held.parked) {
            self.parking.close_holes();
        }
    }

    fn passed(&self) -> u64 {
        self.parking.passed()
    }

    fn is_settled(&self) -> bool {
        self.parking.is_settled()
    }

    fn commit(&mut self) {
        self.parking.commit();
    }

    fn is_committed(&self) -> bool {
        self.parking.is_committed()
    }

    fn weight(&self, id: LeaseId) -> u64 {
        self.held.get(&id.0).map_or(0, |held| u64::from(held.lease.weight()))
    }

    fn drops_refused(&self, id: LeaseId) -> bool {
        let held = self.held.get(&id.0).filter(|held| !held.parked);
        let row = held.and_then(|held| Row::from_meta(held.lease.meta(), Bytes::new()));
        row.is_some_and(|row| row.drop_refused)
    }

    fn ttl_left_ms(&self, id: LeaseId, _now_ms: u64) -> Option<u64> {
        self.held.get(&id.0).and_then(|held| held.lease.ttl_left_ms())
    }

    fn in_place(&self) -> u64 {
        self.parking.in_place()
    }

    fn in_place_reason(&self) -> Option<String> {
        self.parking.why()
    }

    fn lease_parked(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        self.lease_from(true, now_ms, max_rows, max_bytes)
    }

    fn identity(&self, id: LeaseId) -> Option<Identity> {
        self.held.get(&id.0).map(|held| origin(&held.lease, held.parked).0)
    }

    fn waiting(&self) -> u64 {
        self.consumer.waiting()
    }

    fn parked(&self) -> u64 {
        self.parking.messages()
    }

    fn undelivered(&self) -> u64 {
        // Rows being parked are still leased from the first queue.
        self.consumer.queued().saturating_add(self.parking.stored())
    }
}

impl Row {
    /// Makes a row of an [`edge_queue::Queue`]. The payload is not copied.
    pub fn into_queue_row(self) -> edge_queue::Row {
        let mut row =
            edge_queue::Row::new(self.payload.clone()).meta(self.to_meta()).key(self.key).weight(self.weight);
        row.lane = self.lane.map(Lane);
        row.ttl_ms = self.ttl_ms;
        row
    }
}

/// Returns the size of a leased row in bytes, as the queue's limits count it.
fn size(lease: &Lease) -> u64 {
    (lease.payload().len() + lease.meta().len() + lease.key().len()) as u64 + ROW_OVERHEAD_BYTES
}

/// Returns the identity of a row and, for a parked row, its envelope and the meta inside.
fn origin(lease: &Lease, parked: bool) -> (Identity, Option<(Envelope, Bytes)>) {
    let sealed = if parked { Envelope::open(lease.meta()) } else { None };
    (sealed.as_ref().map_or_else(|| identity(lease), |(first, _)| first.identity), sealed)
}

fn leased(id: LeaseId, lease: &Lease, parked: bool, now_ms: u64) -> Leased {
    let mut age_ms = lease.age_ms().unwrap_or(0);
    let mut meta = lease.meta().clone();
    let mut ttl_ms = lease.ttl_left_ms().map(|left_ms| left_ms.saturating_add(age_ms));
    let (identity, sealed) = origin(lease, parked);
    if let Some((first, own_meta)) = sealed {
        age_ms = age_ms.saturating_add(first.age_ms);
        (meta, ttl_ms) = (own_meta, first.ttl_ms);
    }
    let row = Row::from_meta(&meta, lease.payload().clone()).unwrap_or_else(|| {
        // Not one of ours: it has no topic, and the uplink says so.
        Row::new(Utf8::default(), lease.payload().clone())
    });
    let row =
        Row { lane: Some(identity.lane), key: lease.key().clone(), weight: lease.weight(), ttl_ms, ..row };
    Leased::new(id, row, now_ms, age_ms, Some(identity))
}
