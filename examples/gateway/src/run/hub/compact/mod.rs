//! Compact batches: they refer to a session table (the sensors' names and encoding plans) once the hub has echoed it, and are self-contained
//! until then.
//!
//! 1. The first batch of a topic makes a table of its sensors, which is published, retained, to `TO/table/GATEWAY/NAME`; its
//!    name is a hash of it, as in the batches.
//! 2. The gateway has subscribed to `TO/table/GATEWAY/#`. A table that comes back to it shows nothing yet: a hub that retains nothing sends it too. The gateway
//!    subscribes once more, and a table that the hub then sends as a retained message (echoes) is there: from then on batches refer to it.
//! 3. New sensors, and a sample four times the one before, make the next version. Until the hub echoes it, batches of known sensors refer to the
//!    last echoed version, and others carry their names. A batch of both is split, if that is shorter.
//! 4. Older versions stay retained beside it, for readers whose batches waited, until the queue's `max_age` has passed. Then each is cleared, again
//!    and again until the hub has acknowledged it, and its file is removed.
//! 5. An echo is valid until the connection ends. On the next one, and every hour, the gateway subscribes again; a version that is not echoed, or
//!    that another client cleared or overwrote, is published again.
//! 6. Tables from the hub are compared with the gateway's own and never adopted, because other clients may publish there. Each version is kept in
//!    a file, so that the gateway knows it as its own after a restart.
//! 7. A topic has at most 4 096 sensors. For a new one those that were silent longest are forgotten, and the rest are numbered anew in the next
//!    table.
//! 8. All topics share one memory budget. Where it is spent, the topic that holds most gives way: its table is decoded again for the next batch,
//!    then it forgets what it has learned, and last its sensors, whose batches carry their names until there is another table. A version that it
//!    can no longer publish stays retained at the hub.
//!
//! So no batch ever refers to a table that a reader cannot fetch, whatever is refused, lost or late. If the hub has lost its sessions, it is
//! assumed to have lost its retained messages too, and all tables are published again.

mod announcement_schedule;
mod echoed_tables;
mod kept_tables;
mod learning_sample;
mod memory_budget;
mod sensor_numbers;
mod shown_table;
mod topic;
mod versions;

use std::time::Duration;

use bytes::Bytes;
use edge_bridge::bridge::{Packed, Packing};
use edge_bridge::ingest::Now;
use edge_bridge::wire::{PropertiesBuilder, PropertyId, Publish, QoS, Utf8, Value};
use edge_codec::compact::{self, Level};
use edge_codec::{Batch, DecodeError, Limits};

use crate::config::{Format, Route};
use crate::run::filters::reading_row::ReadingRow;

use super::batch::{Head, Piece};
pub(crate) use echoed_tables::EchoedTables;
pub(crate) use kept_tables::KeptTables;
pub(crate) use memory_budget::RAM_BYTES;
use topic::Topic;
pub(crate) use versions::Announced;

/// Content type of the retained message; readers that know only the topic may rely on it.
const TABLE_CONTENT_TYPE: &str = "application/vnd.edge.table;v=1";

/// Session tables of all topics that have compact batches. Pure.
#[derive(Debug)]
pub(crate) struct Compact {
    topics: Vec<Topic>,
    echoed: EchoedTables,
    gateway: String,
    max_age_ms: Option<u64>,
    kept: KeptTables,
}

/// Returns pairs of a batch topic and the topic above those of its tables, for all routes with compact batches.
pub(crate) fn table_topics(routes: &[Route], gateway: &str) -> Vec<(String, String)> {
    let mut topics: Vec<&str> = routes
        .iter()
        .filter(|route| route.format == Format::Compact)
        .map(|route| route.to.as_str())
        .collect();
    topics.sort_unstable();
    topics.dedup();
    topics.into_iter().map(|topic| (topic.to_owned(), format!("{topic}/table/{gateway}"))).collect()
}

impl Compact {
    /// Creates the tables of the routes' topics. `saved`: tables that earlier processes made, each with the topic above the tables; `kept`:
    /// receives the changes of their files; `max_age`: time for which a replaced table stays retained at the hub.
    pub(crate) fn new(
        routes: &[Route],
        gateway: &str,
        max_age: Option<Duration>,
        echoed: EchoedTables,
        kept: &KeptTables,
        saved: &[(String, Announced)],
    ) -> Self {
        let max_age_ms = max_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let (gateway, kept) = (gateway.to_owned(), kept.clone());
        let mut compact = Self { topics: Vec::new(), echoed, gateway, max_age_ms, kept };
        compact.take_up(routes, saved);
        compact
    }

    /// Applies changed routes. A topic that no route has any more stays, because the queue may hold rows of it.
    pub(crate) fn follow(&mut self, routes: &[Route]) {
        self.take_up(routes, &[]);
    }

    fn take_up(&mut self, routes: &[Route], saved: &[(String, Announced)]) {
        for (batches, tables) in table_topics(routes, &self.gateway) {
            // Of several routes to one topic the first decides.
            let route = routes.iter().find(|route| route.format == Format::Compact && route.to == batches);
            let level = route.map_or_else(Level::default, |route| route.level);
            if let Some(known) = self.topics.iter_mut().find(|known| known.batches == *batches) {
                known.set_level(level);
                continue;
            }
            let saved = saved.iter().filter(|(topic, _)| *topic == tables).map(|(_, table)| table.clone());
            let topics = (Utf8::try_from(batches.as_str()), Utf8::try_from(tables.as_str()));
            let (Ok(batches), Ok(tables)) = topics else { continue };
            let kept = self.kept.clone();
            self.topics.push(Topic::new(batches, tables, level, self.max_age_ms, kept, saved));
            memory_budget::keep_within(&mut self.topics, memory_budget::BUDGET_BYTES);
        }
    }

    /// Returns for each row whether its sensor is in the table that the hub has. `None`: one batch of all rows is shorter than two.
    pub(crate) fn split(&mut self, topic: &Utf8, rows: &[(u64, ReadingRow<'_>)]) -> Option<Vec<bool>> {
        let known = self.topics.iter_mut().find(|known| known.batches == *topic)?;
        known.look_at(&self.echoed);
        known.split(rows)
    }

    /// Encodes rows of a topic as [`encode`](super::batch::encode) does.
    pub(crate) fn encode(
        &mut self,
        topic: &Utf8,
        head: Head,
        rows: &[(u64, ReadingRow<'_>)],
        max_bytes: usize,
    ) -> Vec<Piece> {
        memory_budget::keep_within(&mut self.topics, memory_budget::BUDGET_BYTES);
        match self.topics.iter_mut().find(|known| known.batches == *topic) {
            Some(known) => {
                known.look_at(&self.echoed);
                known.encode(head, rows, max_bytes)
            }
            // Rows of a route that the configuration has no longer.
            None => topic::self_contained(Level::default(), head, rows, max_bytes),
        }
    }

    /// Decodes a batch of this topic as a reader would, with those session tables alone that the hub retains and has sent back (echoed).
    ///
    /// # Errors
    /// The decoder's error, also if the batch refers to a table that the hub has not echoed.
    pub(crate) fn decode<'a>(&'a self, topic: &Utf8, batch: &'a [u8]) -> Result<Batch<'a>, DecodeError> {
        let limits = Limits::default();
        let known = self.topics.iter().find(|known| known.batches == *topic);
        match known
            .and_then(Topic::table)
            .filter(|_| compact::table_wanted(batch, &limits).is_ok_and(|id| id.is_some()))
        {
            Some(table) => table.decode_batch(batch, &limits),
            None => compact::decode(batch, &limits),
        }
    }

    /// Returns the next message that publishes a table, or that clears a retained one. `None`: none is due now.
    pub(crate) fn poll(&mut self, now: Now, max_packet: usize) -> Option<Packing> {
        self.topics.iter_mut().for_each(|topic| topic.turn(now, &self.echoed));
        memory_budget::keep_within(&mut self.topics, memory_budget::BUDGET_BYTES);
        self.topics.iter_mut().find_map(|topic| {
            let (id, table) = topic.announce(now, max_packet)?;
            self.echoed.published(&topic.tables, id, table.is_empty());
            Some(announcement(version_topic(&topic.tables, id)?, table))
        })
    }

    /// Notes that the hub has acknowledged a message that [`poll`](Self::poll) made.
    pub(crate) fn on_delivered(&mut self, message: &Publish) {
        if !message.payload.is_empty() {
            return;
        }
        for topic in &mut self.topics {
            if let Some(id) = version_of(&topic.tables, &message.topic) {
                topic.on_cleared(id);
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.topics.iter().filter_map(Topic::next_deadline).min()
    }
}

/// Returns the topic of one version. `None`: it would be too long.
fn version_topic(tables: &Utf8, id: u64) -> Option<Utf8> {
    Utf8::try_from(format!("{}/{}", tables.as_str(), version_name(id))).ok()
}

pub(crate) fn version_name(id: u64) -> String {
    format!("{id:016x}")
}

/// Returns the version whose topic this is. `None`: it is no version's topic.
pub(crate) fn version_of(tables: &str, topic: &str) -> Option<u64> {
    let name = topic.strip_prefix(tables)?.strip_prefix('/')?;
    let id = u64::from_str_radix(name, 16).ok()?;
    (version_name(id) == name).then_some(id)
}

/// Returns the message that publishes a table. No row waits for it; if the hub refuses it, batches stay self-contained.
fn announcement(topic: Utf8, table: Bytes) -> Packing {
    let mut properties = PropertiesBuilder::new();
    // A short static text always fits.
    let _ = properties.push(PropertyId::ContentType, Value::Utf8(TABLE_CONTENT_TYPE));
    Packing::Message(Packed {
        publish: Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: true,
            topic,
            packet_id: None,
            properties: properties.finish(),
            payload: table,
        },
        rows: Vec::new(),
        expires_ms: None,
    })
}

#[cfg(test)]
mod tests;
