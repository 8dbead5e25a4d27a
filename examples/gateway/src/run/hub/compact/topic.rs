//! Compact encoding for one topic: its sensors, its session tables and its encoder.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use edge_bridge::ingest::Now;
use edge_bridge::wire::Utf8;
use edge_codec::Limits;
use edge_codec::compact::{Encoder, Level, Table};

use crate::run::filters::reading_row::ReadingRow;
use crate::run::log::once_an_hour::OnceAnHour;

use super::super::batch::{self, Head, Piece, pieces};
use super::announcement_schedule::Schedule;
use super::echoed_tables::{EchoedTables, Marks, Message};
use super::kept_tables::KeptTables;
use super::learning_sample::Sample;
use super::sensor_numbers::Names;
use super::version_name;
use super::versions::{Seen, Versions};

/// Bytes of a table's packet beside the table: topic, properties, lengths.
const PACKET_OVERHEAD_BYTES: usize = 128;

/// Milliseconds that the hub has to send its retained tables; those that did not come count as lost.
const ANSWER_MS: u64 = 10_000;

#[derive(Debug)]
pub(super) struct Topic {
    /// Topic of the batches.
    pub(super) batches: Utf8,
    /// Topic above those of the tables, one for each version.
    pub(super) tables: Utf8,
    level: Level,
    /// Milliseconds for which a version stays retained at the hub after it was replaced; `None`: as long as the limits allow.
    max_age_ms: Option<u64>,
    names: Names,
    sample: Sample,
    versions: Versions,
    /// Files of the versions, from which they are read after a restart.
    kept: KeptTables,
    /// Generation of the sensors' numbers when the newest version was made.
    newest_generation: u64,
    /// Newest version that the hub has echoed.
    shown: Option<Usable>,
    /// Encoder against `shown`, which caches the plan of each sensor.
    encoder: Option<Encoder>,
    schedule: Schedule,
    /// Versions to be published in this turn of the schedule.
    pending: VecDeque<Arc<Table>>,
    marks: Marks,
    /// Up time by which the hub has sent its retained tables.
    answer_due_ms: Option<u64>,
    now_ms: u64,
    /// Rate limit of log lines about versions that the hub has, and that are published.
    shown_lines: OnceAnHour,
    announced_lines: OnceAnHour,
    lost_lines: OnceAnHour,
    /// Rate limit of log lines about tables that are too large for the hub, by their size and the hub's limit.
    too_large_lines: OnceAnHour,
}

/// Table that batches may refer to.
#[derive(Debug)]
struct Usable {
    table: Arc<Table>,
    /// The table's own numbers of the sensors, if the topic's have changed since. `None`: both are the same.
    names: Option<Names>,
}

impl Usable {
    /// Returns the table's numbers of these rows' sensors, if it has all of them. `numbers` are those of the topic.
    fn numbers(&self, numbers: &[u32], rows: &[(u64, ReadingRow<'_>)]) -> Option<Vec<u32>> {
        let Some(names) = &self.names else {
            let len = self.table.sensors().len();
            return numbers.iter().all(|number| (*number as usize) < len).then(|| numbers.to_vec());
        };
        rows.iter().map(|(_, row)| names.find(&row.sensor, &row.unit)).collect()
    }
}

impl Topic {
    /// Creates the topic. `saved`: tables of an earlier process. The newest is published again with the same bytes, hence as the same version.
    pub(super) fn new(
        batches: Utf8,
        tables: Utf8,
        level: Level,
        max_age_ms: Option<u64>,
        kept: KeptTables,
        saved: impl Iterator<Item = Bytes>,
    ) -> Self {
        let mut topic = Self {
            batches,
            tables,
            level,
            max_age_ms,
            names: Names::default(),
            sample: Sample::default(),
            versions: Versions::of(saved.filter_map(|bytes| restore(&bytes)).collect()),
            kept,
            newest_generation: 0,
            shown: None,
            encoder: None,
            schedule: Schedule::default(),
            pending: VecDeque::new(),
            marks: Marks::default(),
            answer_due_ms: None,
            now_ms: 0,
            shown_lines: OnceAnHour::default(),
            announced_lines: OnceAnHour::default(),
            lost_lines: OnceAnHour::default(),
            too_large_lines: OnceAnHour::default(),
        };
        if let Some(names) = topic.versions.newest().and_then(|newest| Names::of(newest)) {
            topic.names = names;
            topic.schedule.want();
        }
        topic
    }

    /// Sets the compression level of batches from now on.
    pub(super) fn set_level(&mut self, level: Level) {
        if self.level != level {
            (self.level, self.encoder) = (level, None);
        }
    }

    /// Handles echoes of the hub, and lost ones.
    pub(super) fn look_at(&mut self, hub: &EchoedTables) {
        let marks = hub.marks(&self.tables);
        let before = std::mem::replace(&mut self.marks, marks);
        if marks.lost != before.lost {
            self.fall_back();
            self.versions.doubt();
            self.versions.conclude();
            if self.versions.newest().is_some() {
                self.schedule.want_at_once();
            }
        } else if marks.broken != before.broken {
            self.fall_back();
            self.versions.doubt();
            // It is asked again as soon as there is a connection.
            self.answer_due_ms = None;
        }
        if marks.asked != before.asked {
            self.versions.doubt();
            self.answer_due_ms = Some(self.now_ms.saturating_add(ANSWER_MS));
        }
        for message in hub.take(&self.tables) {
            self.see(message);
        }
    }

    fn see(&mut self, message: Message) {
        let id = message.id;
        match self.versions.see(self.now_ms, message) {
            Seen::Shown(table) => {
                self.schedule.answered();
                let is_newest = self.versions.newest().is_some_and(|newest| newest.id() == table.id());
                if is_newest && self.table().is_none_or(|shown| shown.id() != table.id()) {
                    let (version, sensors) = (table.version(), table.sensors().len());
                    // The hub is asked on every connection, and a link may have many.
                    if self.shown_lines.may_say(self.now_ms, &version_name(id)) {
                        tracing::info!(topic = %self.tables, version, sensors, "the hub has the session table");
                    }
                    let is_alike = self.newest_generation == self.names.generation();
                    let names = if is_alike { None } else { Names::of(&table) };
                    (self.shown, self.encoder) = (Some(Usable { table, names }), None);
                }
                if !self.is_old() && self.versions.missing().next().is_none() {
                    self.schedule.shown();
                }
            }
            // Somebody else cleared or overwrote it. The pauses of the schedule bound a quarrel with them.
            Seen::Lost { table, was_there } => {
                if was_there && self.lost_lines.may_say(self.now_ms, &version_name(id)) {
                    tracing::warn!(topic = %self.tables, version = table.version(), "the hub has lost a session table");
                }
                if self.table().is_some_and(|shown| shown.id() == table.id()) {
                    self.fall_back();
                }
                self.schedule.want();
            }
            Seen::Foreign => {}
        }
    }

    /// Makes batches self-contained from now on.
    fn fall_back(&mut self) {
        (self.shown, self.encoder) = (None, None);
    }

    /// Advances the time: handles echoes that did not come, and versions that no batch refers to any more.
    pub(super) fn turn(&mut self, now: Now, hub: &EchoedTables) {
        self.now_ms = now.up_ms;
        self.look_at(hub);
        if self.answer_due_ms.is_some_and(|due_ms| due_ms <= now.up_ms) {
            self.answer_due_ms = None;
            self.versions.conclude();
            if self.versions.missing().next().is_some() {
                self.schedule.want();
            }
        }
        if let Some(max_age_ms) = self.max_age_ms {
            self.versions.expire(now.up_ms, max_age_ms);
        }
        if self.table().is_some_and(|shown| !self.versions.is_kept(shown)) {
            tracing::warn!(topic = %self.tables, "the hub does not show the session table any more");
            self.fall_back();
        }
        hub.set_unanswered(&self.tables, self.schedule.is_unanswered());
    }

    pub(super) fn encode(
        &mut self,
        head: Head,
        rows: &[(u64, ReadingRow<'_>)],
        max_bytes: usize,
    ) -> Vec<Piece> {
        self.names.begin_batch();
        let Some(numbers) = self.number(rows) else {
            return self_contained(self.level, head, rows, max_bytes);
        };
        for ((_, row), number) in rows.iter().zip(&numbers) {
            self.sample.take(&batch::reading(row, *number));
        }
        if self.is_old() {
            self.schedule.want();
        }
        let usable =
            self.shown.as_ref().and_then(|shown| Some((&shown.table, shown.numbers(&numbers, rows)?)));
        let Some((table, numbers)) = usable else { return self_contained(self.level, head, rows, max_bytes) };
        let encoder = self.encoder.take().filter(|_| head.id.is_some());
        let mut encoder = encoder.unwrap_or_else(|| Encoder::with_table(table.clone()).level(self.level));
        let pieces = pieces(&mut encoder, head, rows, &numbers, max_bytes);
        self.encoder = Some(encoder);
        pieces
    }

    /// Returns for each row whether the echoed table has its sensor, if two separate batches are shorter: the names of the known sensors would
    /// take more bytes than another packet.
    pub(super) fn split(&self, rows: &[(u64, ReadingRow<'_>)]) -> Option<Vec<bool>> {
        let shown = self.shown.as_ref()?;
        let names = shown.names.as_ref().unwrap_or(&self.names);
        let len = shown.table.sensors().len();
        let is_known = |row: &ReadingRow<'_>| {
            names.find(&row.sensor, &row.unit).is_some_and(|number| (number as usize) < len)
        };
        let all: Vec<bool> = rows.iter().map(|(_, row)| is_known(row)).collect();
        if all.iter().all(|is_known| *is_known) {
            return None;
        }
        let known = rows.iter().zip(&all).filter(|(_, is_known)| **is_known).map(|((_, row), _)| row);
        let named: HashSet<(&str, &str)> = known.map(|row| (&*row.sensor, &*row.unit)).collect();
        let bytes = named.iter().map(|(name, unit)| name.len() + unit.len()).sum::<usize>();
        (bytes > PACKET_OVERHEAD_BYTES).then_some(all)
    }

    /// Numbers the sensors of a batch, and forgets those that were silent longest to make room. `None`: the batch alone exceeds the limit.
    fn number(&mut self, rows: &[(u64, ReadingRow<'_>)]) -> Option<Vec<u32>> {
        let number = |names: &mut Names| -> Option<Vec<u32>> {
            rows.iter().map(|(_, row)| names.number(&row.sensor, &row.unit)).collect()
        };
        if let Some(numbers) = number(&mut self.names) {
            return Some(numbers);
        }
        let renumbered = self.names.forget()?;
        self.sample.renumber(&renumbered);
        let shown = self.shown.iter_mut().filter(|shown| shown.names.is_none());
        shown.for_each(|shown| shown.names = Names::of(&shown.table));
        number(&mut self.names)
    }

    /// Returns the table that batches refer to.
    pub(super) fn table(&self) -> Option<&Table> {
        self.shown.as_ref().map(|shown| &*shown.table)
    }

    /// Returns the id and bytes of a version to publish now; without bytes a version whose retained message is to be cleared.
    pub(super) fn announce(&mut self, now: Now, max_packet: usize) -> Option<(u64, Bytes)> {
        if let Some(id) = self.versions.take_retired() {
            self.kept.remove(&self.tables, id);
            return Some((id, Bytes::new()));
        }
        if self.schedule.is_due(now.up_ms) {
            self.schedule.announced(now.up_ms);
            if self.is_old() {
                let version = self.versions.newest().map_or(1, |table| table.version().saturating_add(1));
                let table = Table::learn(version, &self.names.to_table(), self.sample.learn());
                self.kept.keep(&self.tables, table.id(), table.bytes().clone());
                self.versions.push(Arc::new(table));
                self.newest_generation = self.names.generation();
            }
            self.pending = self.versions.missing().cloned().collect();
        }
        while let Some(table) = self.pending.pop_front() {
            let (bytes, sensors) = (table.bytes().len(), table.sensors().len());
            let (topic, version) = (&self.tables, table.version());
            if bytes + topic.len() + PACKET_OVERHEAD_BYTES > max_packet {
                // The hub says its limit on every connection, and a link may have many.
                if self.too_large_lines.may_say(now.up_ms, &format!("{bytes} of {max_packet}")) {
                    tracing::warn!(%topic, version, sensors, bytes, max_packet, "the hub takes no session table of this size: batches carry their names");
                }
                continue;
            }
            if self.versions.is_missing(&table) {
                self.versions.announced(&table);
                if self.announced_lines.may_say(now.up_ms, &version_name(table.id())) {
                    tracing::info!(%topic, version, sensors, bytes, "announcing a session table");
                }
                return Some((table.id(), table.bytes().clone()));
            }
        }
        None
    }

    /// Returns whether a table made now would have more sensors than the newest, or better plans.
    fn is_old(&self) -> bool {
        let is_new = |newest: &Arc<Table>| newest.sensors().len() < self.names.len() as usize;
        let is_renumbered = self.newest_generation != self.names.generation();
        is_renumbered || self.versions.newest().is_none_or(is_new) || self.sample.is_riper()
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        let pending = (!self.pending.is_empty() || self.versions.has_retired()).then_some(self.now_ms);
        [pending, self.schedule.next_deadline(), self.answer_due_ms].into_iter().flatten().min()
    }
}

/// Encodes batches that need no table.
pub(super) fn self_contained(
    level: Level,
    head: Head,
    rows: &[(u64, ReadingRow<'_>)],
    max_bytes: usize,
) -> Vec<Piece> {
    let (names, numbers) = batch::number(rows);
    pieces(&mut Encoder::new(&names).level(level), head, rows, &numbers, max_bytes)
}

/// Reads a table that this gateway made.
fn restore(bytes: &Bytes) -> Option<Table> {
    let table = Table::decode(bytes, &Limits::default()).ok()?;
    Names::of(&table).is_some().then_some(table)
}
