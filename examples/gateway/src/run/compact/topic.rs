//! One topic: its sensors, its tables, its encoder.

use std::sync::Arc;

use bytes::Bytes;
use edge_bridge::ingest::Now;
use edge_bridge::wire::Utf8;
use edge_codec::compact::{Encoder, Level, Table};
use edge_codec::{Limits, SensorTable};

use super::super::batch::{self, Head, Piece, pieces};
use super::super::reading_row::ReadingRow;
use super::names::Names;
use super::sample::Sample;
use super::schedule::Schedule;
use super::shown::Shown;

/// Beside the table in its packet: topic, properties, lengths.
const PACKET_OVERHEAD_BYTES: usize = 128;

#[derive(Debug)]
pub(super) struct Topic {
    /// Topic of the batches.
    pub(super) batches: Utf8,
    /// Topic of their tables.
    pub(super) tables: Utf8,
    level: Level,
    names: Names,
    sample: Sample,
    /// The last that was made, shown or not.
    newest: Option<Arc<Table>>,
    /// The last that the hub has shown. It has the sensors with the first numbers.
    shown: Option<Arc<Table>>,
    /// Against `shown`: remembers what suits each sensor.
    encoder: Option<Encoder<SensorTable<'static>>>,
    schedule: Schedule,
    losses: u64,
}

impl Topic {
    /// `saved`: a table of an earlier run, which is announced again: the same bytes, hence the same version and name.
    pub(super) fn new(batches: Utf8, tables: Utf8, level: Level, saved: Option<&Bytes>) -> Self {
        let mut topic = Self {
            batches,
            tables,
            level,
            names: Names::default(),
            sample: Sample::default(),
            newest: None,
            shown: None,
            encoder: None,
            schedule: Schedule::default(),
            losses: 0,
        };
        if let Some((table, names)) = saved.and_then(restore) {
            topic.names = names;
            topic.newest = Some(Arc::new(table));
            topic.schedule.want();
        }
        topic
    }

    /// Takes note of what the hub has shown, or lost.
    pub(super) fn look_at(&mut self, hub: &Shown) {
        let losses = hub.losses();
        if self.losses != losses {
            self.losses = losses;
            (self.shown, self.encoder) = (None, None);
            if self.newest.is_some() {
                self.schedule.want_at_once();
            }
        }
        let Some(bytes) = hub.take(&self.tables) else { return };
        match &self.newest {
            Some(newest) if *newest.bytes() == bytes => {
                let (version, sensors) = (newest.version(), newest.sensors().len());
                tracing::info!(topic = %self.tables, version, sensors, "the hub has the session table");
                (self.shown, self.encoder) = (Some(newest.clone()), None);
                self.schedule.shown();
            }
            // One that was overtaken by the newest, or somebody else's: ours is announced again when it is due.
            _ => {
                tracing::debug!(topic = %self.tables, "the hub has another session table");
            }
        }
    }

    pub(super) fn encode(
        &mut self,
        head: Head,
        rows: &[(u64, ReadingRow<'_>)],
        max_bytes: usize,
    ) -> Vec<Piece> {
        let numbers: Option<Vec<u32>> =
            rows.iter().map(|(_, row)| self.names.number(&row.sensor, &row.unit)).collect();
        let Some(numbers) = numbers else { return self_contained(self.level, head, rows, max_bytes) };
        for ((_, row), number) in rows.iter().zip(&numbers) {
            self.sample.take(&batch::reading(row, *number));
        }
        let is_new =
            self.newest.as_ref().is_none_or(|table| table.sensors().len() < self.names.len() as usize);
        if is_new || self.sample.is_riper() {
            self.schedule.want();
        }
        match &self.shown {
            Some(table) if numbers.iter().all(|number| (*number as usize) < table.sensors().len()) => {
                let encoder = self.encoder.take().filter(|_| head.id.is_some());
                let encoder = encoder.unwrap_or_else(|| Encoder::new(self.level).table(table.clone()));
                let (pieces, encoder) = pieces!(encoder, head, rows, &numbers, max_bytes);
                self.encoder = Some(encoder);
                pieces
            }
            _ => self_contained(self.level, head, rows, max_bytes),
        }
    }

    /// The table that batches refer to.
    pub(super) fn table(&self) -> Option<&Table> {
        self.shown.as_deref()
    }

    /// The table to publish now.
    pub(super) fn announce(&mut self, now: Now, max_packet: usize) -> Option<Bytes> {
        if !self.schedule.is_due(now.up_ms) {
            return None;
        }
        self.schedule.announced(now.up_ms);
        let is_old = self
            .newest
            .as_ref()
            .is_none_or(|table| table.sensors().len() < self.names.len() as usize || self.sample.is_riper());
        if is_old {
            let version = self.newest.as_ref().map_or(1, |table| table.version().saturating_add(1));
            self.newest = Some(Arc::new(Table::learn(version, &self.names.to_table(), self.sample.learn())));
        }
        let table = self.newest.as_ref()?;
        let (bytes, sensors) = (table.bytes().len(), table.sensors().len());
        let (topic, version) = (&self.tables, table.version());
        if bytes + topic.len() + PACKET_OVERHEAD_BYTES > max_packet {
            tracing::warn!(%topic, version, sensors, bytes, max_packet, "the hub takes no session table of this size: batches carry their names");
            return None;
        }
        tracing::info!(%topic, version, sensors, bytes, "announcing a session table");
        Some(table.bytes().clone())
    }

    pub(super) fn poll_timeout(&self) -> Option<u64> {
        self.schedule.poll_timeout()
    }
}

/// Batches that any reader understands alone.
pub(super) fn self_contained(
    level: Level,
    head: Head,
    rows: &[(u64, ReadingRow<'_>)],
    max_bytes: usize,
) -> Vec<Piece> {
    let (names, numbers) = batch::number(rows);
    pieces!(Encoder::new(level).sensors(&names), head, rows, &numbers, max_bytes).0
}

/// A table of ours has the sensors 0, 1, 2 …
fn restore(bytes: &Bytes) -> Option<(Table, Names)> {
    let table = Table::decode(bytes, &Limits::default()).ok()?;
    let mut names = Names::default();
    let is_ours =
        table.sensors().zip(0..).all(|(s, n)| s.id == n && names.number(&s.name, &s.unit) == Some(n));
    is_ours.then_some((table, names))
}
