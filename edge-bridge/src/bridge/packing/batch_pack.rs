//! Batching when the spool is drained: rows of one topic and format become one message of many rows; all other rows become a message each.
//!
//! A batch is closed when it reaches its limit of rows or bytes, when its first row has waited for the batch's maximum age, or when it is the largest
//! while the rows of all open batches cost too much RAM. A backlog therefore fills large batches without a setting for it. An [`Encode`] turns a
//! batch into messages. Every row keeps its identity, so a receiver recognises a row that is sent again in a batch with another cut. Rows of one
//! topic and lane leave in their order, duplicate mark or not.

use std::collections::VecDeque;

use crate::bridge::spool::{LeaseId, Leased};
use crate::bridge::{HubAnswer, IdentityForm, Pack, Packing, RawPack};
use crate::ingest::Now;
use crate::row::Format;
use crate::wire::{Publish, Utf8};

use super::dead_letter_address::dead_letter_topic;

/// Most bytes of rows in a batch, and of payload in a message made of it. The receiver decodes a batch as a whole, so this limit holds even if
/// the hub accepts larger packets.
const BATCH_BYTES_MAX: usize = 128 * 1024;
/// Bound on the cost of all rows in open batches together, in bytes; about 4 000 small rows. Above it the largest batch is sent before its
/// time.
const OPEN_COST_MAX: usize = 1024 * 1024;
/// Bytes that a row costs in RAM beside its payload: its lease, its entry in the batch, its topic.
const ROW_COST: usize = 256;
/// Bytes of a PUBLISH beside topic and payload: fixed header, packet identifier, lengths, content type and the properties that the uplink adds.
const PACKET_OVERHEAD_BYTES: usize = 128;
/// Open batches per topic and lane: one for live rows and one for the backlog.
const OPEN_ALIKE_MAX: usize = 2;

/// Encoder of the batches of a [`BatchPack`]. Pure.
pub trait Encode {
    /// Limits of a batch that begins with `row`; `None` sends the row as a message of its own. Must depend on topic and format alone. Not
    /// called for dead letters, which are never part of a batch.
    fn limits(&self, row: &Leased) -> Option<BatchLimits>;

    /// Returns whether [`limits`](Self::limits) may have changed since the last call. If so, they hold for the open batches too: the age counts
    /// from the first row, and a batch that is beyond a limit is closed. Called at each poll. Default: `false`.
    fn take_limits_changed(&mut self) -> bool {
        false
    }

    /// Makes messages of a batch, each of at most `bytes_max` bytes of payload. Every row must be in one of them, or be reported as expired or
    /// unsendable.
    fn encode(&mut self, now: Now, batch: &RowBatch, bytes_max: usize) -> Vec<Packing>;

    /// Returns a message without rows that must go before the next batch, such as a table that batches refer to; `None` if there is no such
    /// message. Default: `None`.
    fn poll(&mut self, _now: Now, _max_packet: usize) -> Option<Packing> {
        None
    }

    /// Up time at which [`poll`](Self::poll) is to be called again, in milliseconds of `Now::up_ms`; `None` if no such time is known. Default:
    /// `None`.
    fn next_deadline(&self) -> Option<u64> {
        None
    }

    /// Notes that the hub acknowledged a message without rows that [`poll`](Self::poll) made. See [`Pack::on_delivered`].
    fn on_delivered(&mut self, _message: &Publish) {}

    /// Notes the hub's answer to any message. See [`Pack::on_answer`].
    fn on_answer(&mut self, _answer: &HubAnswer<'_>) {}
}

/// Limits of a batch. New fields come only with a breaking release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Longest time that the first row of a batch waits for further rows, in milliseconds.
    pub age_ms: u64,
    /// Most rows in a batch, at least 1.
    pub rows: usize,
    /// Most bytes of payload in an encoded message. The hub's limit and 128 KiB apply as well.
    pub bytes: usize,
}

/// Rows that become messages together, because they share topic, format, lane, epoch and duplicate mark. Their sequence numbers rise.
#[derive(Debug)]
#[non_exhaustive]
pub struct RowBatch {
    /// Topic of the messages.
    pub topic: Utf8,
    /// Format of the rows.
    pub format: Format,
    /// Common part of the rows' identities; `None` if the rows have no identity.
    pub source: Option<Source>,
    /// The rows may be copies of rows that the hub has (promise 4).
    pub possible_duplicate: bool,
    /// Rows in their order.
    pub rows: Vec<Leased>,
    bytes: usize,
    limits: BatchLimits,
    begun_ms: u64,
}

/// Common part of the [identities](crate::bridge::spool::Identity) of a batch's rows. New fields come only with a breaking release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Gateway id: random number that the queue was given when it was made.
    pub gateway: u64,
    /// Priority class of the rows.
    pub lane: u8,
    /// Epoch: number of the start in which the rows were pushed.
    pub epoch: u32,
}

/// [`Pack`] that sends batches and, alternating with them, raw rows and dead letters as messages of their own.
#[derive(Debug)]
pub struct BatchPack<E> {
    encoder: E,
    raw: RawPack,
    /// Set if the last message was a single raw row, so that a finished batch goes next.
    raw_was_last: bool,
    open: Vec<RowBatch>,
    /// Full batches, in the order in which they became full.
    closed: VecDeque<RowBatch>,
    ready: VecDeque<Packing>,
    ready_bytes: usize,
    batch_bytes_max: usize,
}

impl<E: Encode> BatchPack<E> {
    /// Creates a pack without rows. Raw rows and dead letters carry their identity as [text](IdentityForm::Text).
    pub fn new(encoder: E) -> Self {
        Self {
            encoder,
            raw: RawPack::new(IdentityForm::Text),
            raw_was_last: false,
            open: Vec::new(),
            closed: VecDeque::new(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            batch_bytes_max: BATCH_BYTES_MAX,
        }
    }

    /// Sets the form of the identity of raw rows and dead letters. Batches carry the identities of their rows in the payload.
    #[must_use]
    pub fn with_identity(self, form: IdentityForm) -> Self {
        Self { raw: self.raw.with_identity(form), ..self }
    }

    fn add_to_batch(&mut self, now: Now, row: Leased, limits: BatchLimits) {
        let at = self.batch_of(now, &row, limits);
        let Some(batch) = self.open.get_mut(at) else { return };
        batch.bytes += row.row.payload.len();
        batch.rows.push(row);
        if batch.is_full(self.batch_bytes_max) {
            self.closed.push_back(self.open.remove(at));
        }
    }

    /// Gives open batches the limits that a batch begun now would have.
    fn renew_limits(&mut self) {
        let (encoder, bytes_max) = (&self.encoder, self.batch_bytes_max);
        let is_full = |batch: &mut RowBatch| {
            let limits = batch.rows.first().and_then(|row| encoder.limits(row));
            batch.limits = limits.unwrap_or(BatchLimits { age_ms: 0, ..batch.limits });
            batch.is_full(bytes_max)
        };
        self.closed.extend(self.open.extract_if(.., is_full));
    }

    /// Returns the position of the open batch for `row`. Sequence numbers must rise within a batch, but live rows alternate with those of the
    /// backlog, and a returned lease comes behind younger rows. So two batches with the same header may be open, and a row joins the one whose
    /// last sequence number is closest below its own.
    fn batch_of(&mut self, now: Now, row: &Leased, limits: BatchLimits) -> usize {
        let fits = |batch: &RowBatch| batch.is_alike(row) && batch.rises_with(row);
        let followed = self.open.iter().enumerate().filter(|(_, batch)| fits(batch));
        let followed =
            followed.max_by_key(|(_, batch)| batch.last()).map(|(at, batch)| (at, batch.takes(row)));
        if let Some((at, true)) = followed {
            return at;
        }
        // A row with another mark, format or start never overtakes the one that it follows.
        let is_alike = |batch: &RowBatch| batch.is_alike(row);
        let are_many = self.open.iter().filter(|batch| is_alike(batch)).count() >= OPEN_ALIKE_MAX;
        let oldest = || self.open.iter().position(is_alike).filter(|_| are_many);
        if let Some(before) = followed.map(|(at, _)| at).or_else(oldest) {
            self.closed.push_back(self.open.remove(before));
        }
        self.open.push(RowBatch::begin(now, row, limits));
        self.open.len() - 1
    }

    fn poll_raw(&mut self, now: Now, max_packet: usize) -> Option<Packing> {
        let raw = self.raw.poll(now, max_packet);
        self.raw_was_last = raw.is_some();
        raw
    }

    fn open_cost(&self) -> usize {
        self.open.iter().map(RowBatch::cost).sum()
    }

    /// Returns the position of the open batch to close next: one that has reached its maximum age, or the largest one while all open batches
    /// together cost more RAM than [`OPEN_COST_MAX`].
    fn next_open(&self, now: Now) -> Option<usize> {
        let due = self.open.iter().position(|batch| batch.due_ms() <= now.up_ms);
        let largest = || {
            let is_too_much = self.open_cost() >= OPEN_COST_MAX;
            let by_cost = self.open.iter().enumerate().max_by_key(|(_, batch)| batch.cost());
            by_cost.filter(|_| is_too_much).map(|(at, _)| at)
        };
        due.or_else(largest)
    }

    /// Encodes the next batch that is full or due. Returns `false` if no batch is.
    fn finish_next(&mut self, now: Now, max_packet: usize) -> bool {
        let open = |pack: &mut Self| pack.next_open(now).map(|at| pack.open.remove(at));
        let batch = self.closed.pop_front().or_else(|| open(self));
        let Some(batch) = batch else { return false };
        let room = max_packet.saturating_sub(PACKET_OVERHEAD_BYTES + batch.topic.len());
        let bytes_max = room.min(batch.limits.bytes).min(BATCH_BYTES_MAX);
        let ready = self.encoder.encode(now, &batch, bytes_max);
        self.ready_bytes += ready.iter().map(payload_bytes).sum::<usize>();
        self.ready.extend(ready);
        true
    }
}

impl<E: Encode> Pack for BatchPack<E> {
    fn topic(&self, row: &Leased) -> Utf8 {
        dead_letter_topic(&row.row)
    }

    fn add(&mut self, now: Now, row: Leased) {
        let is_reading = row.row.dead_letter.is_none();
        match is_reading.then(|| self.encoder.limits(&row)).flatten() {
            Some(limits) => self.add_to_batch(now, row, limits),
            None => self.raw.add(now, row),
        }
    }

    fn poll(&mut self, now: Now, max_packet: usize) -> Option<Packing> {
        self.batch_bytes_max = max_packet.min(BATCH_BYTES_MAX);
        if self.encoder.take_limits_changed() {
            self.renew_limits();
        }
        loop {
            if let Some(ready) = self.ready.pop_front() {
                self.ready_bytes -= payload_bytes(&ready);
                return Some(ready);
            }
            // In turns: neither kind waits for the end of the other.
            if !std::mem::take(&mut self.raw_was_last)
                && let Some(raw) = self.poll_raw(now, max_packet)
            {
                return Some(raw);
            }
            if let Some(beside) = self.encoder.poll(now, max_packet) {
                return Some(beside);
            }
            if !self.finish_next(now, max_packet) {
                return self.poll_raw(now, max_packet);
            }
        }
    }

    fn next_deadline(&self) -> Option<u64> {
        self.open.iter().map(|batch| batch.due_ms()).chain(self.encoder.next_deadline()).min()
    }

    fn held_bytes(&self) -> usize {
        let batches = self.open.iter().chain(&self.closed).map(|batch| batch.bytes).sum::<usize>();
        self.raw.held_bytes() + self.ready_bytes + batches
    }

    fn open_room(&self) -> usize {
        if self.open.is_empty() { 0 } else { OPEN_COST_MAX.saturating_sub(self.open_cost()) }
    }

    fn is_empty(&self) -> bool {
        self.raw.is_empty() && self.ready.is_empty() && self.open.is_empty() && self.closed.is_empty()
    }

    fn take_rows(&mut self) -> Vec<LeaseId> {
        let mut rows = self.raw.take_rows();
        self.ready_bytes = 0;
        rows.extend(self.ready.drain(..).flat_map(|packing| match packing {
            Packing::Message(packed) => packed.rows,
            Packing::Expired { rows } | Packing::Unsendable { rows, .. } => rows,
        }));
        let batches = self.open.drain(..).chain(self.closed.drain(..));
        rows.extend(batches.flat_map(|batch| batch.rows).map(|row| row.id));
        rows
    }

    fn on_delivered(&mut self, message: &Publish) {
        self.encoder.on_delivered(message);
    }

    fn on_answer(&mut self, answer: &HubAnswer<'_>) {
        self.encoder.on_answer(answer);
    }
}

impl RowBatch {
    fn begin(now: Now, row: &Leased, limits: BatchLimits) -> Self {
        Self {
            topic: row.row.topic.clone(),
            format: row.row.format,
            source: Source::of(row),
            possible_duplicate: row.row.possible_duplicate,
            rows: Vec::new(),
            bytes: 0,
            limits,
            begun_ms: now.up_ms,
        }
    }

    fn due_ms(&self) -> u64 {
        self.begun_ms.saturating_add(self.limits.age_ms)
    }

    fn is_full(&self, bytes_max: usize) -> bool {
        self.rows.len() >= self.limits.rows || self.bytes >= bytes_max
    }

    fn cost(&self) -> usize {
        self.bytes + self.rows.len() * ROW_COST
    }

    /// Returns whether `row` has the batch's topic and lane, so that their order matters.
    fn is_alike(&self, row: &Leased) -> bool {
        let lane = |source: Option<Source>| source.map(|source| (source.gateway, source.lane));
        self.topic == row.row.topic && lane(self.source) == lane(Source::of(row))
    }

    /// Returns whether the batch's header (topic, format, source, duplicate mark) is also that of `row`.
    fn takes(&self, row: &Leased) -> bool {
        self.topic == row.row.topic
            && self.format == row.row.format
            && self.source == Source::of(row)
            && self.possible_duplicate == row.row.possible_duplicate
    }

    fn rises_with(&self, row: &Leased) -> bool {
        self.last().zip(position(row)).is_none_or(|(last, next)| last < next)
    }

    fn last(&self) -> Option<(u32, u64)> {
        self.rows.last().and_then(position)
    }
}

impl Source {
    fn of(row: &Leased) -> Option<Self> {
        row.identity.map(|own| Self { gateway: own.gateway, lane: own.lane, epoch: own.epoch })
    }
}

/// Position of a row in its lane: epoch and sequence number. `None` without an identity.
fn position(row: &Leased) -> Option<(u32, u64)> {
    row.identity.map(|own| (own.epoch, own.seq))
}

fn payload_bytes(packing: &Packing) -> usize {
    match packing {
        Packing::Message(packed) => packed.publish.payload.len(),
        Packing::Expired { .. } | Packing::Unsendable { .. } => 0,
    }
}

#[cfg(test)]
mod changed_limits_tests;
#[cfg(test)]
mod open_batches_tests;
#[cfg(test)]
mod own_messages_tests;
#[cfg(test)]
mod parked_rows_tests;
#[cfg(test)]
mod tests;
