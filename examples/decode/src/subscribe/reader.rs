//! Messages from the hub: printed, flushed and then acknowledged; kept until their table is there; or set aside.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::bridge::{identity_text, is_possible_duplicate};
use edge_bridge::wire::{PropertyId, Publish, QoS};
use edge_bridge::{Bridge, Command};
use edge_codec::{DecodeError, Format};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::time::Instant;

use super::known_tables::KnownTables;
use super::letter::{Cause, Message};
use super::now_ms;
use super::published_table;
use super::table_cache::{Added, TableKey};
use super::table_fetch::TableFetch;
use super::unreadable::Unread;
use super::waiting::{Entry, Waiting};
use crate::format_name::Kind;
use crate::print::{Printer, RawMessage};
use crate::{Failure, tables};

const TABLE_CONTENT_TYPE: &str = "application/vnd.edge.table;v=1";
/// Part of a table's topic between the topic of its batches and the gateway's name.
const TABLE_LEVEL: &str = "/table/";
/// Time after a topic's batch waited in vain for which another one without a table is set aside at once.
const DISTRUST: Duration = Duration::from_secs(60);
/// Most topics that are remembered for [`DISTRUST`].
const DISTRUSTED_MAX: usize = 10_000;

/// The fate of messages. It owns what waits and what is known.
pub(super) struct Reader<'a, W> {
    pub(super) known: KnownTables,
    pub(super) waiting: Waiting<Message>,
    pub(super) fetch: TableFetch<'a>,
    pub(super) unread: Unread,
    pub(super) printer: Printer<W>,
    /// The format of messages without a content type.
    pub(super) default: Option<Kind>,
    /// Hashes of topics whose batches waited in vain, and until when a second one does not wait. Senders choose topics of up to 64 KiB.
    distrusted: HashMap<u64, Instant>,
    hashes: RandomState,
    last_message: Instant,
    last_table: Option<Instant>,
    /// Connections so far: the next one brings again what was not acknowledged.
    connects: u64,
    /// Messages with an acknowledgement so far, the copies too.
    received: u64,
}

impl<'a, W: Write> Reader<'a, W> {
    pub(super) fn new(
        known: KnownTables,
        waiting: Waiting<Message>,
        fetch: TableFetch<'a>,
        unread: Unread,
        printer: Printer<W>,
        now: Instant,
    ) -> Self {
        Self {
            known,
            waiting,
            fetch,
            unread,
            printer,
            default: None,
            distrusted: HashMap::new(),
            hashes: RandomState::new(),
            last_message: now,
            last_table: None,
            connects: 0,
            received: 0,
        }
    }

    /// Takes a message from the batches' subscription. `connects` counts the connections so far.
    pub(super) async fn message(
        &mut self,
        command: Command,
        connects: u64,
        now: Instant,
    ) -> Result<(), Failure> {
        self.note_connects(connects);
        self.last_message = now;
        let has_ack = command.message().qos != QoS::AtMostOnce;
        self.received += u64::from(has_ack);
        let (number, dup) = (has_ack.then_some(self.received), command.is_duplicate());
        let (publish, ack) = command.split();
        let content_type = publish.properties.str(PropertyId::ContentType).map(str::to_owned);
        let is_table = match content_type.as_deref() {
            Some(said) => said == TABLE_CONTENT_TYPE,
            None => published_table::is_one(&publish.topic, &publish.payload),
        };
        if is_table {
            if let Some((topic, _)) = publish.topic.as_str().rsplit_once(TABLE_LEVEL) {
                let topic = topic.to_owned();
                self.table(&topic, &publish, now)?;
            }
            ack.done();
            return Ok(());
        }
        let kind = match content_type.as_deref() {
            Some(said) => Format::for_content_type(said).map(Kind),
            None => Format::for_topic(&publish.topic).map(Kind).or(self.default),
        };
        let identity = identity_text(&publish.properties).map(Cow::into_owned);
        let pd = is_possible_duplicate(&publish.properties);
        let topic = publish.topic.as_str().to_owned();
        let payload = publish.payload;
        let message = Message { topic, content_type, payload, identity, pd, ack, number, dup };
        match kind {
            Some(kind) => self.batch(kind, message, now).await,
            None => self.raw(message),
        }
    }

    /// Takes a table that was asked for.
    pub(super) fn announced(&mut self, table: Command, now: Instant) -> Result<(), Failure> {
        for topic in self.fetch.topics_of(table.topic(), now) {
            self.table(&topic, table.message(), now)?;
        }
        table.done();
        Ok(())
    }

    /// Does what is due: asks for tables, gives up on those that did not come.
    pub(super) async fn turn(&mut self, bridge: &Bridge, now: Instant) {
        self.unread.retry(now);
        if self.unread.sets_aside() {
            let asked_at = |topic: &str| self.fetch.asked_at(topic);
            for entry in self.waiting.take_overdue(now, asked_at, self.last_table) {
                self.distrust(&entry.key.topic, now);
                let why = in_vain(&self.fetch, &entry.key, entry.waited(now));
                self.unread.message(entry.message, Cause::NoTable, &why);
            }
        } else {
            let asked_at = |topic: &str| self.fetch.asked_at(topic);
            for entry in self.waiting.tell_overdue(now, asked_at) {
                let why = in_vain(&self.fetch, &entry.key, entry.waited(now));
                self.unread.waits_on(&entry.message, &why);
            }
            self.waiting.still_told().into_iter().for_each(|message| self.unread.say_order(message));
        }
        self.note_connects(bridge.stats().connects);
        let waiting = self.waiting.messages().filter_map(|message| message.number).min();
        self.unread.watch_window(self.received, waiting, self.last_message, now);
        self.fetch.ask(self.waiting.topics(), now).await;
    }

    /// Gives up batches at QoS 0 that wait still, at the end: no hub sends them again.
    pub(super) fn give_up_what_nobody_keeps(&mut self, now: Instant) {
        for entry in self.waiting.take_those(|message| message.number.is_none()) {
            let why = in_vain(&self.fetch, &entry.key, entry.waited(now));
            self.unread.message(entry.message, Cause::NoTable, &why);
        }
    }

    async fn batch(&mut self, kind: Kind, message: Message, now: Instant) -> Result<(), Failure> {
        let id = match tables::wanted(kind, &message.payload) {
            Ok(id) => id,
            Err(error) => return self.no_batch(kind, message, &error),
        };
        let Some(id) = id else {
            return self.print(kind, message, None);
        };
        let key = TableKey { topic: message.topic.clone(), id };
        if self.known.find(&key).is_some() {
            return self.print(kind, message, Some(&key));
        }
        // What waits is no slice of a receive buffer, which may be large.
        let message = Message { payload: Bytes::copy_from_slice(&message.payload), ..message };
        let message = if message.dup {
            let is_same = |one: &Message, other: &Message| one.payload == other.payload;
            let Some(message) = self.waiting.renew(&key, message, is_same) else { return Ok(()) };
            message
        } else {
            message
        };
        // Behind that: a batch that comes again would be both set aside and printed.
        let until = self.distrusted.get(&self.hashes.hash_one(&key.topic));
        let is_distrusted = until.is_some_and(|until| now < *until);
        if self.unread.sets_aside() && is_distrusted && self.waiting.has(&key.topic) {
            let why = in_vain(&self.fetch, &key, Duration::ZERO);
            self.unread.message(message, Cause::NoTable, &why);
            return Ok(());
        }
        let texts = [&message.content_type, &message.identity].into_iter().flatten();
        let bytes = message.payload.len() + texts.map(String::len).sum::<usize>();
        let topic = key.topic.clone();
        for Entry { key, message, .. } in self.waiting.add(key, message, bytes, now) {
            let why = format!("there is no room for more that waits for a session table ({:016x})", key.id);
            self.unread.message(message, Cause::NoTable, &why);
        }
        self.fetch.ask(std::iter::once(topic.as_str()), now).await;
        Ok(())
    }

    fn table(&mut self, topic: &str, publish: &Publish, now: Instant) -> Result<(), Failure> {
        let source = publish.topic.as_str();
        if publish.payload.is_empty() {
            // No longer retained.
            return Ok(());
        }
        let table = match published_table::decode(&publish.payload) {
            Ok(table) => table,
            Err(error) => {
                self.unread.table(source, Cause::BadTable, &format!("a session table: {error}"));
                return Ok(());
            }
        };
        self.last_table = Some(now);
        let key = TableKey { topic: topic.to_owned(), id: table.id() };
        if let Added::Conflict(conflict) = self.known.learn(&key, source, table) {
            self.unread.table(source, Cause::TwoTables, &conflict.to_string());
        }
        for entry in self.waiting.take(&key) {
            self.fetch.found(topic);
            self.distrusted.remove(&self.hashes.hash_one(topic));
            self.print(Kind(Format::Compact), entry.message, Some(&key))?;
        }
        Ok(())
    }

    /// Prints a batch and acknowledges it when that has left; or what is wrong with it. `key` names a table that is known.
    fn print(&mut self, kind: Kind, message: Message, key: Option<&TableKey>) -> Result<(), Failure> {
        let table = match key.and_then(|key| self.known.find(key)).transpose() {
            Ok(table) => table,
            Err(conflict) => {
                let why = conflict.to_string();
                self.unread.message(message, Cause::TwoTables, &why);
                return Ok(());
            }
        };
        let printed = match tables::decode(kind, &message.payload, table, Some(now_ms())) {
            Ok(batch) => {
                self.unread.passed_over(&message.topic, batch.skipped());
                self.printer.batch(batch, Some(&message.topic))?
            }
            Err(error) => Err(error),
        };
        match printed {
            Ok(()) => {
                self.printer.flush()?;
                message.ack.done();
                Ok(())
            }
            Err(error) => self.no_batch(kind, message, &error),
        }
    }

    /// Takes a message that cannot be read as a batch. One that a publisher sent through a raw route has his content type, which may be that of
    /// batches, and is a raw message all the same.
    fn no_batch(&mut self, kind: Kind, message: Message, error: &DecodeError) -> Result<(), Failure> {
        let is_raw =
            message.identity.is_some() || kind == Kind(Format::Json) && is_json_of_others(&message.payload);
        if is_raw {
            return self.raw(message);
        }
        self.unread.message(message, cause(error), &error.to_string());
        Ok(())
    }

    /// Prints a raw message, and acknowledges it when that has left.
    fn raw(&mut self, message: Message) -> Result<(), Failure> {
        self.printer.raw(&RawMessage {
            topic: Some(&message.topic),
            id: message.identity.as_deref(),
            pd: message.pd,
            content_type: message.content_type.as_deref(),
            payload: &message.payload,
        })?;
        self.printer.flush()?;
        message.ack.done();
        Ok(())
    }

    fn note_connects(&mut self, connects: u64) {
        if std::mem::replace(&mut self.connects, connects) != connects {
            self.waiting.expect_again();
            self.unread.expect_again();
        }
    }

    fn distrust(&mut self, topic: &str, now: Instant) {
        if self.distrusted.len() >= DISTRUSTED_MAX {
            self.distrusted.retain(|_, until| now < *until);
        }
        if self.distrusted.len() < DISTRUSTED_MAX {
            self.distrusted.insert(self.hashes.hash_one(topic), now + DISTRUST);
        }
    }
}

/// Key that every JSON batch has.
#[derive(Deserialize)]
struct BatchKey {
    readings: Option<IgnoredAny>,
}

/// Returns whether this is JSON, and no batch: without identities (`identity = "off"`) nothing else tells a raw message from one.
fn is_json_of_others(payload: &[u8]) -> bool {
    match payload.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice::<BatchKey>(payload).is_ok_and(|outer| outer.readings.is_none()),
        _ => serde_json::from_slice::<IgnoredAny>(payload).is_ok(),
    }
}

fn cause(error: &DecodeError) -> Cause {
    match error {
        DecodeError::Table { .. } => Cause::NoTable,
        _ => Cause::Malformed,
    }
}

fn in_vain(fetch: &TableFetch<'_>, key: &TableKey, waited: Duration) -> String {
    let trouble = fetch.trouble(&key.topic).map(|trouble| format!(": {trouble}")).unwrap_or_default();
    format!("its session table {:016x} did not come within {} s{trouble}", key.id, waited.as_secs())
}
