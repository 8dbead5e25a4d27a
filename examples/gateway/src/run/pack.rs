//! Rows to messages at drain: raw rows one by one, readings of one topic and format as batches.
//!
//! A batch goes when it has `batch_max` readings, when its rows come to what one message may carry, or when its first
//! row has waited here for `batch_age`: a backlog fills big batches by itself. Every reading keeps its row's identity, so
//! a resend that cuts differently is recognised. Rows of one topic and lane leave in their order, whatever their marks; in
//! the compact format those of one sensor do.

#![deny(clippy::indexing_slicing)]

mod messages;

use std::collections::VecDeque;

use edge_bridge::Format as RowFormat;
use edge_bridge::bridge::spool::{LeaseId, Leased};
use edge_bridge::bridge::{Pack, Packing, RawPack};
use edge_bridge::ingest::Now;
use edge_bridge::wire::Utf8;

use crate::config::{Format, Route};

use super::compact::Compact;
use super::formats::{row_format, shape};

/// A batch is decoded as a whole at the other end, whatever the hub takes.
const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// Fixed header, packet identifier, lengths, content type and what the uplink adds.
const PACKET_OVERHEAD_BYTES: usize = 128;
/// For rows of a route that the configuration has no longer.
const BATCH_AGE_MS: u64 = 200;
const BATCH_MAX: usize = 1_000;
/// Batches of one topic and lane that may be open: one of live rows and one of the backlog.
const OPEN_ALIKE_MAX: usize = 2;
/// Prefix of the topics of messages that could not be used.
const DEAD_LETTER_PREFIX: &str = "dead-letter/";

/// The gateway's [`Pack`].
#[derive(Debug)]
pub(crate) struct BatchPack {
    cuts: Vec<Cut>,
    compact: Compact,
    raw: RawPack,
    /// The last message was a raw one: a batch is next, if one is finished.
    raw_was_last: bool,
    open: Vec<Batch>,
    /// In the order in which they were full.
    closed: VecDeque<Batch>,
    ready: VecDeque<Packing>,
    ready_bytes: usize,
    message_bytes_max: usize,
}

/// Limits by which batches of one topic are cut.
#[derive(Clone, Debug)]
struct Cut {
    topic: Utf8,
    format: RowFormat,
    age_ms: u64,
    rows_max: usize,
    bytes_max: usize,
}

/// Properties that all rows of a batch share.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    topic: Utf8,
    format: RowFormat,
    /// Gateway, lane and epoch.
    source: Option<(u64, u8, u32)>,
    possible_duplicate: bool,
}

#[derive(Debug)]
struct Batch {
    key: Key,
    rows: Vec<Leased>,
    bytes: usize,
    rows_max: usize,
    /// Encoded.
    bytes_max: usize,
    due_ms: u64,
}

impl BatchPack {
    pub(crate) fn new(routes: &[Route], compact: Compact) -> Self {
        let cut = |route: &Route| {
            Some(Cut {
                topic: Utf8::try_from(route.to.as_str()).ok()?,
                format: row_format(route.format),
                age_ms: u64::try_from(route.batch_age.as_millis()).unwrap_or(u64::MAX),
                rows_max: usize::try_from(route.batch_max.readings).unwrap_or(usize::MAX).max(1),
                bytes_max: route.batch_max.bytes.map_or(MESSAGE_BYTES_MAX, |bytes| bytes as usize),
            })
        };
        Self {
            cuts: routes.iter().filter(|route| route.format != Format::Raw).filter_map(cut).collect(),
            compact,
            raw: RawPack::new(true),
            raw_was_last: false,
            open: Vec::new(),
            closed: VecDeque::new(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            message_bytes_max: MESSAGE_BYTES_MAX,
        }
    }

    fn add_reading(&mut self, now: Now, row: Leased) {
        let key = Key::of(&row);
        // Numbers rise within a batch, but live rows and the backlog's come in turns, and a lease that came back behind
        // younger rows: two batches of a kind may be open, and a row belongs to the one it follows most closely.
        let alike = |batch: &Batch| batch.key.is_alike(&key);
        let fits = self.open.iter().enumerate().filter(|(_, batch)| alike(batch) && batch.rises_with(&row));
        let followed = fits.max_by_key(|(_, batch)| batch.last()).map(|(at, batch)| (at, batch.key == key));
        let at = match followed {
            Some((at, true)) => at,
            _ => {
                // A row with another mark, format or start never overtakes the one that it follows.
                let are_many = self.open.iter().filter(|batch| alike(batch)).count() >= OPEN_ALIKE_MAX;
                let oldest = || self.open.iter().position(alike).filter(|_| are_many);
                if let Some(before) = followed.map(|(at, _)| at).or_else(oldest) {
                    self.closed.push_back(self.open.remove(before));
                }
                let batch = self.batch(now, key);
                self.open.push(batch);
                self.open.len() - 1
            }
        };
        let Some(batch) = self.open.get_mut(at) else { return };
        batch.bytes += row.row.payload.len();
        batch.rows.push(row);
        if batch.rows.len() >= batch.rows_max || batch.bytes >= self.message_bytes_max {
            self.closed.push_back(self.open.remove(at));
        }
    }

    /// Of several routes to one topic the first decides.
    fn batch(&self, now: Now, key: Key) -> Batch {
        let cut = self.cuts.iter().find(|cut| cut.topic == key.topic && cut.format == key.format);
        let (age_ms, rows_max, bytes_max) = cut.map_or((BATCH_AGE_MS, BATCH_MAX, MESSAGE_BYTES_MAX), |cut| {
            (cut.age_ms, cut.rows_max, cut.bytes_max)
        });
        Batch {
            key,
            rows: Vec::new(),
            bytes: 0,
            rows_max,
            bytes_max,
            due_ms: now.up_ms.saturating_add(age_ms),
        }
    }

    fn poll_raw(&mut self, now: Now, max_packet: usize) -> Option<Packing> {
        let raw = self.raw.poll(now, max_packet);
        self.raw_was_last = raw.is_some();
        raw
    }

    /// Makes messages of the next batch that is full or has waited long enough. `false`: there is none.
    fn finish_next(&mut self, now: Now, max_packet: usize) -> bool {
        let due = self.open.iter().position(|batch| batch.due_ms <= now.up_ms);
        let batch = self.closed.pop_front().or_else(|| due.map(|at| self.open.remove(at)));
        let Some(batch) = batch else { return false };
        let room = max_packet.saturating_sub(PACKET_OVERHEAD_BYTES + batch.key.topic.len());
        let ready = batch.into_messages(now, room, &mut self.compact);
        self.ready_bytes += ready.iter().map(payload_bytes).sum::<usize>();
        self.ready.extend(ready);
        true
    }
}

impl Pack for BatchPack {
    fn topic(&self, row: &Leased) -> Utf8 {
        let topic = &row.row.topic;
        row.row.dead_letter.and_then(|_| dead_letter_topic(topic)).unwrap_or_else(|| topic.clone())
    }

    fn add(&mut self, now: Now, row: Leased) {
        match shape(row.row.format) {
            Some(_) if row.row.dead_letter.is_none() => self.add_reading(now, row),
            _ if row.row.dead_letter.is_some() => self.raw.add(now, dead_letter(row)),
            _ => self.raw.add(now, row),
        }
    }

    fn poll(&mut self, now: Now, max_packet: usize) -> Option<Packing> {
        self.message_bytes_max = max_packet.min(MESSAGE_BYTES_MAX);
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
            if let Some(table) = self.compact.poll(now, max_packet) {
                return Some(table);
            }
            if !self.finish_next(now, max_packet) {
                return self.poll_raw(now, max_packet);
            }
        }
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.open.iter().map(|batch| batch.due_ms).chain(self.compact.poll_timeout()).min()
    }

    fn held_bytes(&self) -> usize {
        let batches = self.open.iter().chain(&self.closed).map(|batch| batch.bytes).sum::<usize>();
        self.raw.held_bytes() + self.ready_bytes + batches
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
}

impl Key {
    fn of(row: &Leased) -> Self {
        Self {
            topic: row.row.topic.clone(),
            format: row.row.format,
            source: row.identity.map(|own| (own.gateway, own.lane, own.epoch)),
            possible_duplicate: row.row.possible_duplicate,
        }
    }

    /// Returns whether a sensor's readings may be of both: one topic and one lane.
    fn is_alike(&self, other: &Self) -> bool {
        let lane = |key: &Self| key.source.map(|(gateway, lane, _)| (gateway, lane));
        self.topic == other.topic && lane(self) == lane(other)
    }
}

/// Place of a row in its lane: epoch and number.
fn place(row: &Leased) -> Option<(u32, u64)> {
    row.identity.map(|own| (own.epoch, own.seq))
}

impl Batch {
    fn rises_with(&self, row: &Leased) -> bool {
        self.last().zip(place(row)).is_none_or(|(last, next)| last < next)
    }

    fn last(&self) -> Option<(u32, u64)> {
        self.rows.last().and_then(place)
    }
}

/// Topic of a dead letter; `None` if it would be too long.
fn dead_letter_topic(topic: &Utf8) -> Option<Utf8> {
    Utf8::try_from(format!("{DEAD_LETTER_PREFIX}{}", topic.as_str())).ok()
}

/// Makes a dead letter: a message that could not be used goes up as it came, under a topic that no reader of readings has subscribed, with the reason.
fn dead_letter(mut row: Leased) -> Leased {
    if let Some(topic) = dead_letter_topic(&row.row.topic) {
        row.row.topic = topic;
    }
    if let Some(reason) = row.row.dead_letter {
        let mut properties = row.row.properties.to_builder();
        // A message with properties at the limit of the format keeps what it has.
        let _ = properties.user("edge-reason", &reason.to_string());
        row.row.properties = properties.finish();
    }
    row
}

fn payload_bytes(packing: &Packing) -> usize {
    match packing {
        Packing::Message(packed) => packed.publish.payload.len(),
        Packing::Expired { .. } | Packing::Unsendable { .. } => 0,
    }
}

#[cfg(test)]
mod split_tests;
#[cfg(test)]
mod tests;
