//! Messages of one row each, or of batches, and rows of which no message can be made.

use std::collections::VecDeque;

use bytes::Bytes;
use edge_bridge::bridge::spool::{LeaseId, Leased};
use edge_bridge::bridge::{Pack, Packing, RawPack};
use edge_bridge::ingest::Now;
use edge_bridge::wire::{ReasonCode, Utf8};

use super::text;

/// Rows of this topic are no messages.
pub(crate) const NO_MESSAGE: &str = "no/message";

/// One row, one message, but for rows of which none can be made; or batches of rows of one topic.
#[derive(Debug, Default)]
pub(crate) struct TestPack {
    raw: RawPack,
    unsendable: VecDeque<LeaseId>,
    /// Rows of a message at most; below two each row is one as it is.
    batch_rows: usize,
    rows: VecDeque<Leased>,
}

impl TestPack {
    pub(crate) fn batches(batch_rows: usize) -> Self {
        Self { batch_rows, ..Self::default() }
    }

    /// A message of the first row and those of its topic, payloads joined by commas.
    fn poll_batch(&mut self, now: Now) -> Option<Packing> {
        let first = self.rows.pop_front()?;
        if first.is_expired(now.up_ms) {
            return Some(Packing::Expired { rows: vec![first.id] });
        }
        let mut batch = vec![first];
        for row in std::mem::take(&mut self.rows) {
            let fits = batch.len() < self.batch_rows
                && row.row.topic == batch[0].row.topic
                && !row.is_expired(now.up_ms);
            if fits { batch.push(row) } else { self.rows.push_back(row) }
        }
        let payloads: Vec<_> = batch.iter().map(|row| row.row.payload.as_ref()).collect();
        let mut raw = RawPack::default();
        raw.add(now, batch[0].clone());
        let Some(Packing::Message(mut packed)) = raw.poll(now, usize::MAX) else { return None };
        packed.publish.payload = Bytes::from(payloads.join(&b','));
        packed.rows = batch.iter().map(|row| row.id).collect();
        packed.expires_ms = batch.iter().filter_map(|row| row.expires_ms).min();
        Some(Packing::Message(packed))
    }
}

impl Pack for TestPack {
    fn topic(&self, row: &Leased) -> Utf8 {
        let topic = &row.row.topic;
        row.row.dead_letter.map_or_else(|| topic.clone(), |_| text(&format!("dead-letter/{topic}")))
    }

    fn add(&mut self, now: Now, mut row: Leased) {
        row.row.topic = self.topic(&row);
        if row.row.topic == NO_MESSAGE {
            self.unsendable.push_back(row.id);
        } else if self.batch_rows > 1 {
            self.rows.push_back(row);
        } else {
            self.raw.add(now, row);
        }
    }

    fn poll(&mut self, now: Now, max_packet: usize) -> Option<Packing> {
        let reason = ReasonCode::PAYLOAD_FORMAT_INVALID;
        let row = self.unsendable.pop_front();
        row.map(|row| Packing::Unsendable { topic: text(NO_MESSAGE), rows: vec![row], reason })
            .or_else(|| self.raw.poll(now, max_packet))
            .or_else(|| self.poll_batch(now))
    }

    fn next_deadline(&self) -> Option<u64> {
        None
    }

    fn held_bytes(&self) -> usize {
        self.raw.held_bytes() + self.rows.iter().map(|row| row.row.payload.len()).sum::<usize>()
    }

    fn take_rows(&mut self) -> Vec<LeaseId> {
        let mut rows = self.raw.take_rows();
        rows.extend(self.unsendable.drain(..));
        rows.extend(self.rows.drain(..).map(|row| row.id));
        rows
    }
}
