//! Compact encoding for one topic: its sensors, its session tables and its encoder.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use edge_bridge::ingest::Now;
use edge_bridge::wire::Utf8;
use edge_codec::compact::{Encoder, Level, Table};

use crate::run::filters::reading_row::ReadingRow;
use crate::run::log::once_an_hour::OnceAnHour;

use super::super::batch::{self, Head, Piece, pieces};
use super::announcement_schedule::Schedule;
use super::echoed_tables::{EchoedTables, Marks, Message};
use super::kept_tables::KeptTables;
use super::learning_sample::Sample;
use super::sensor_numbers::Names;
use super::shown_table::ShownTable;
use super::version_name;
use super::versions::{Announced, Seen, Versions};

/// Bytes of a table's packet beside the table: topic, properties, lengths.
const PACKET_OVERHEAD_BYTES: usize = 128;

/// Milliseconds that the hub has to send the first of its retained tables, and each further one; those that did not come count as lost.
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
    shown: Option<ShownTable>,
    schedule: Schedule,
    /// Versions to be published in this turn of the schedule.
    pending: VecDeque<Announced>,
    marks: Marks,
    /// Up time by which the hub has sent the next of its retained tables.
    answer_due_ms: Option<u64>,
    now_ms: u64,
    /// Rate limit of log lines about versions that the hub has, and that are published.
    shown_lines: OnceAnHour,
    announced_lines: OnceAnHour,
    lost_lines: OnceAnHour,
    /// Rate limit of log lines about tables that are too large for the hub, by their size and the hub's limit.
    too_large_lines: OnceAnHour,
}

impl Topic {
    /// Creates the topic. `saved`: tables of an earlier process. The newest is published again with the same bytes, hence as the same version.
    pub(super) fn new(
        batches: Utf8,
        tables: Utf8,
        level: Level,
        max_age_ms: Option<u64>,
        kept: KeptTables,
        saved: impl Iterator<Item = Announced>,
    ) -> Self {
        let mut topic = Self {
            batches,
            tables,
            level,
            max_age_ms,
            names: Names::default(),
            sample: Sample::default(),
            versions: Versions::of(saved.collect()),
            kept,
            newest_generation: 0,
            shown: None,
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
        let Some(newest) = topic.versions.newest() else { return topic };
        match newest.decode().and_then(|newest| Some((Names::of(&newest)?, newest.plans()))) {
            Some((names, plans)) => {
                topic.names = names;
                topic.sample.take_up(plans);
            }
            // Its bytes made room in memory: another table is made.
            None => topic.names.clear(),
        }
        topic.schedule.want();
        topic
    }

    /// Sets the compression level of batches from now on.
    pub(super) fn set_level(&mut self, level: Level) {
        if self.level != level {
            self.level = level;
            self.shown.iter_mut().for_each(ShownTable::drop_encoder);
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
        // On a thin link the answer takes minutes. A live message is no part of it, and any client may send one at any time.
        if message.is_retained
            && let Some(due_ms) = &mut self.answer_due_ms
        {
            *due_ms = self.now_ms.saturating_add(ANSWER_MS);
        }
        match self.versions.see(self.now_ms, message) {
            Seen::Shown(table) => {
                self.schedule.answered();
                let is_newest = self.versions.newest().is_some_and(|newest| newest.id == id);
                if is_newest && table.bytes.is_some() && !self.refers_to(id) {
                    let (version, sensors) = (table.version, table.sensors);
                    // The hub is asked on every connection, and a link may have many.
                    if self.shown_lines.may_say(self.now_ms, &version_name(id)) {
                        tracing::info!(topic = %self.tables, version, sensors, "the hub has the session table");
                    }
                    self.shown = Some(ShownTable::new(id, self.newest_generation));
                }
                if !self.is_old() && self.versions.missing().next().is_none() {
                    self.schedule.shown();
                }
            }
            // Somebody else cleared or overwrote it. The pauses of the schedule bound a quarrel with them.
            Seen::Lost { table, was_there } => {
                if was_there && self.lost_lines.may_say(self.now_ms, &version_name(id)) {
                    tracing::warn!(topic = %self.tables, version = table.version, "the hub has lost a session table");
                }
                if self.refers_to(id) {
                    self.fall_back();
                }
                self.schedule.want();
            }
            Seen::Foreign => {}
        }
    }

    /// Makes batches self-contained from now on.
    fn fall_back(&mut self) {
        self.shown = None;
    }

    fn refers_to(&self, id: u64) -> bool {
        self.shown.as_ref().is_some_and(|shown| shown.id == id)
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
        if self.shown.as_ref().is_some_and(|shown| !self.versions.is_kept(shown.id)) {
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
        self.open_shown();
        let shown = self.shown.as_mut();
        shown
            .and_then(|shown| shown.encode(self.level, head, rows, &numbers, max_bytes))
            .unwrap_or_else(|| self_contained(self.level, head, rows, max_bytes))
    }

    /// Decodes the table that batches refer to, if it is not.
    fn open_shown(&mut self) {
        if self.shown.as_mut().is_some_and(|shown| !shown.open(&self.versions, &self.names)) {
            self.fall_back();
        }
    }

    /// Returns for each row whether the echoed table has its sensor, if two separate batches are shorter: the names of the known sensors would
    /// take more bytes than another packet.
    pub(super) fn split(&mut self, rows: &[(u64, ReadingRow<'_>)]) -> Option<Vec<bool>> {
        self.open_shown();
        let shown = self.shown.as_ref()?;
        let all: Vec<bool> = rows.iter().map(|(_, row)| shown.knows(&self.names, row)).collect();
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
        self.shown.iter_mut().for_each(ShownTable::keep_numbers);
        number(&mut self.names)
    }

    /// Returns the table that batches refer to.
    pub(super) fn table(&self) -> Option<&Table> {
        self.shown.as_ref().and_then(ShownTable::table)
    }

    /// Returns the bytes of memory that names, sample, tables and encoder take, within some percent.
    pub(super) fn memory_bytes(&self) -> usize {
        let shown = self.shown.as_ref().map_or(0, ShownTable::memory_bytes);
        self.names.memory_bytes() + self.sample.memory_bytes() + self.versions.memory_bytes() + shown
    }

    /// Makes room in memory, in steps from what is made anew at once to what makes batches carry their names until there is another table.
    /// Returns `false` if nothing was left.
    pub(super) fn give_way(&mut self) -> bool {
        if self.shown.as_mut().is_some_and(ShownTable::close) {
            return true;
        }
        self.pending.clear();
        if self.versions.drop_oldest_bytes(false) || self.sample.clear() {
            return true;
        }
        let had = self.memory_bytes() > 0;
        self.fall_back();
        self.versions.drop_oldest_bytes(true);
        self.names.clear();
        had
    }

    /// Returns the id and bytes of a version to publish now; without bytes a version whose retained message is to be cleared.
    pub(super) fn announce(&mut self, now: Now, max_packet: usize) -> Option<(u64, Bytes)> {
        while let Some(id) = self.versions.give_up_clear() {
            self.kept.remove(&self.tables, id);
        }
        if let Some(id) = self.versions.clear_due(now.up_ms) {
            return Some((id, Bytes::new()));
        }
        if self.schedule.is_due(now.up_ms) {
            self.schedule.announced(now.up_ms);
            if self.is_old() && self.names.len() > 0 {
                let version = self.versions.newest().map_or(1, |table| table.version.saturating_add(1));
                let table = Table::learn(version, &self.names.to_table(), self.sample.learn());
                self.kept.keep(&self.tables, table.id(), table.bytes().clone());
                self.versions.push(Announced::of(&table));
                self.newest_generation = self.names.generation();
            }
            self.pending = self.versions.missing().cloned().collect();
            if self.pending.is_empty() {
                // What the hub lacks made room in memory here, or it was not asked yet.
                self.schedule.shown();
            }
        }
        while let Some(table) = self.pending.pop_front() {
            let Announced { id, version, sensors, .. } = table;
            let (topic, bytes) = (&self.tables, table.len());
            if bytes + topic.len() + PACKET_OVERHEAD_BYTES > max_packet {
                // The hub says its limit on every connection, and a link may have many.
                if self.too_large_lines.may_say(now.up_ms, &format!("{bytes} of {max_packet}")) {
                    tracing::warn!(%topic, version, sensors, bytes, max_packet, "the hub takes no session table of this size: batches carry their names");
                }
                continue;
            }
            let Some(table) = table.bytes.filter(|_| self.versions.is_missing(id)) else { continue };
            if self.announced_lines.may_say(now.up_ms, &version_name(id)) {
                tracing::info!(%topic, version, sensors, bytes, "announcing a session table");
            }
            return Some((id, table));
        }
        None
    }

    /// Notes that the hub has cleared a version's retained message. Its file goes with that: a process that ends before clears the version again in
    /// its next run.
    pub(super) fn on_cleared(&mut self, id: u64) {
        if self.versions.cleared(id) {
            self.kept.remove(&self.tables, id);
        }
    }

    /// Returns whether a table made now would have more sensors than the newest, or better plans.
    fn is_old(&self) -> bool {
        let is_new = |newest: &Announced| newest.sensors < self.names.len() as usize;
        let is_renumbered = self.newest_generation != self.names.generation();
        is_renumbered || self.versions.newest().is_none_or(is_new) || self.sample.is_riper()
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        let pending = (!self.pending.is_empty()).then_some(self.now_ms);
        let clear = self.versions.next_clear_ms();
        [pending, clear, self.schedule.next_deadline(), self.answer_due_ms].into_iter().flatten().min()
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
