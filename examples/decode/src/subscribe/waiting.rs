//! Batches that wait for their session table, bounded in bytes.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::table_cache::TableKey;

/// Wait for a table that was asked for, before the batch counts as one that cannot be read.
const TABLE_WITHIN: Duration = Duration::from_secs(10);
/// The longest that a batch waits, whether its table could be asked for or not.
const WITHIN_MAX: Duration = Duration::from_secs(60);
/// Number of unacknowledged batches that may fill a hub's window (some send 20, whatever the client takes), and hold up all others.
const CROWD: usize = 16;
/// The wait in a crowd, since the last table came.
const CROWD_WITHIN: Duration = Duration::from_secs(2);
/// Memory of a batch beside its content and topic, about, in bytes.
const ENTRY_BYTES: usize = 256;
/// Number of copies of the topic: of the message, of the table's key, and of the list of topics.
const TOPIC_COPIES: usize = 3;

/// Waiting batches, in the order of their arrival.
#[derive(Debug)]
pub(super) struct Waiting<M> {
    list: Vec<Entry<M>>,
    bytes_by_topic: HashMap<String, usize>,
    bytes: usize,
    max_bytes: usize,
}

/// A batch and the table it needs.
#[derive(Debug)]
pub(super) struct Entry<M> {
    pub(super) key: TableKey,
    pub(super) message: M,
    bytes: usize,
    since: Instant,
    /// First time that its table was asked for after it was needed.
    asked: Option<Instant>,
    /// Set once the log has said that the batch waits for too long.
    is_told: bool,
    /// Set once the hub has sent the batch again by the present connection.
    came_again: bool,
}

impl<M> Entry<M> {
    pub(super) fn waited(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Notes when its table was asked for last.
    fn note_ask(&mut self, at: Option<Instant>) {
        self.asked = self.asked.or(at.filter(|at| *at >= self.since));
    }

    /// Returns whether the table has had ten seconds since it was asked for.
    fn is_overdue(&self, now: Instant) -> bool {
        now >= self.since + WITHIN_MAX || self.asked.is_some_and(|at| now >= at + TABLE_WITHIN)
    }

    /// Returns whether it had two seconds in which no table came.
    fn is_overdue_in_a_crowd(&self, now: Instant, last_table: Option<Instant>) -> bool {
        self.asked.is_some_and(|at| now >= last_table.map_or(at, |last| last.max(at)) + CROWD_WITHIN)
    }
}

impl<M> Waiting<M> {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { list: Vec::new(), bytes_by_topic: HashMap::new(), bytes: 0, max_bytes }
    }

    /// Returns the number of batches that have waited too long already.
    pub(super) fn told(&self) -> usize {
        self.list.iter().filter(|entry| entry.is_told).count()
    }

    pub(super) fn has(&self, topic: &str) -> bool {
        self.bytes_by_topic.contains_key(topic)
    }

    /// The topics whose batches wait.
    pub(super) fn topics(&self) -> impl Iterator<Item = &str> {
        self.bytes_by_topic.keys().map(String::as_str)
    }

    /// Adds a batch with `content_bytes` beside its topic. Returns those for which there is no room now: the oldest of the topic that has most bytes
    /// here, so that a topic with much costs only itself.
    pub(super) fn add(
        &mut self,
        key: TableKey,
        message: M,
        content_bytes: usize,
        now: Instant,
    ) -> Vec<Entry<M>> {
        let bytes = content_bytes + TOPIC_COPIES * key.topic.len() + ENTRY_BYTES;
        self.bytes += bytes;
        *self.bytes_by_topic.entry(key.topic.clone()).or_default() += bytes;
        self.list.push(Entry {
            key,
            message,
            bytes,
            since: now,
            asked: None,
            is_told: false,
            came_again: false,
        });
        let mut out = Vec::new();
        while self.bytes > self.max_bytes {
            let heaviest = self.bytes_by_topic.iter().max_by_key(|(_, bytes)| **bytes);
            let Some(at) =
                heaviest.and_then(|(topic, _)| self.list.iter().position(|e| e.key.topic == *topic))
            else {
                break;
            };
            out.extend(self.remove(|_, number| number == at));
        }
        out
    }

    /// Replaces the message of a batch that the hub sends again, so that the batch is printed once, and acknowledged where it came last. Returns
    /// the message if no batch that waits is the same.
    pub(super) fn renew(
        &mut self,
        key: &TableKey,
        message: M,
        is_same: impl Fn(&M, &M) -> bool,
    ) -> Option<M> {
        let is_copy = |entry: &&mut Entry<M>| {
            !entry.came_again && entry.key == *key && is_same(&entry.message, &message)
        };
        let Some(entry) = self.list.iter_mut().find(is_copy) else { return Some(message) };
        entry.message = message;
        entry.came_again = true;
        None
    }

    /// Notes a new connection, by which the hub may send every batch again.
    pub(super) fn expect_again(&mut self) {
        self.list.iter_mut().for_each(|entry| entry.came_again = false);
    }

    /// Returns a message that came again by the present connection and has waited too long already.
    pub(super) fn still_told(&self) -> Option<&M> {
        self.list.iter().find(|entry| entry.is_told && entry.came_again).map(|entry| &entry.message)
    }

    /// The messages that wait.
    pub(super) fn messages(&self) -> impl Iterator<Item = &M> {
        self.list.iter().map(|entry| &entry.message)
    }

    /// Takes the batches that wait for this table.
    pub(super) fn take(&mut self, key: &TableKey) -> Vec<Entry<M>> {
        if !self.has(&key.topic) {
            return Vec::new();
        }
        self.remove(|entry, _| entry.key == *key)
    }

    /// Takes the batches of these messages.
    pub(super) fn take_those(&mut self, is_one: impl Fn(&M) -> bool) -> Vec<Entry<M>> {
        self.remove(|entry, _| is_one(&entry.message))
    }

    /// Takes those that have waited too long: ten seconds since their table was asked for, or two without a table coming when there is a crowd.
    pub(super) fn take_overdue(
        &mut self,
        now: Instant,
        asked_at: impl Fn(&str) -> Option<Instant>,
        last_table: Option<Instant>,
    ) -> Vec<Entry<M>> {
        let crowded = self.list.len() >= CROWD;
        self.list.iter_mut().for_each(|entry| entry.note_ask(asked_at(&entry.key.topic)));
        self.remove(|entry, _| {
            entry.is_overdue(now) || crowded && entry.is_overdue_in_a_crowd(now, last_table)
        })
    }

    /// Returns the batches that have waited too long and of which it was not said yet. They go on waiting.
    pub(super) fn tell_overdue(
        &mut self,
        now: Instant,
        asked_at: impl Fn(&str) -> Option<Instant>,
    ) -> impl Iterator<Item = &Entry<M>> {
        self.list.iter_mut().filter_map(move |entry| {
            entry.note_ask(asked_at(&entry.key.topic));
            let is_news = !entry.is_told && entry.is_overdue(now);
            entry.is_told |= is_news;
            is_news.then_some(&*entry)
        })
    }

    fn remove(&mut self, mut is_out: impl FnMut(&Entry<M>, usize) -> bool) -> Vec<Entry<M>> {
        let mut number = 0;
        let out: Vec<Entry<M>> = self
            .list
            .extract_if(.., |entry| {
                number += 1;
                is_out(entry, number - 1)
            })
            .collect();
        for entry in &out {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            if let Some(bytes) = self.bytes_by_topic.get_mut(&entry.key.topic) {
                *bytes = bytes.saturating_sub(entry.bytes);
                if *bytes == 0 {
                    self.bytes_by_topic.remove(&entry.key.topic);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::TableId;

    fn key(topic: &str, id: TableId) -> TableKey {
        TableKey { topic: topic.to_owned(), id }
    }

    fn names(entries: Vec<Entry<&'static str>>) -> Vec<&'static str> {
        entries.into_iter().map(|entry| entry.message).collect()
    }

    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_table_frees_its_batches_in_order_and_time_frees_the_rest() {
        let start = start();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut waiting = Waiting::new(10_000);
        for (key, since, name) in
            [(key("x", 1), 0, "a"), (key("x", 2), 1, "b"), (key("x", 1), 2, "c"), (key("y", 1), 3, "d")]
        {
            assert!(waiting.add(key, name, 10, at(since)).is_empty());
        }
        assert_eq!(names(waiting.take(&key("x", 1))), ["a", "c"], "not those of another topic");
        for entry in &mut waiting.list {
            entry.note_ask(Some(entry.since));
        }
        let asked = |_: &str| Some(start);
        assert_eq!(names(waiting.take_overdue(at(10), asked, None)), Vec::<&str>::new());
        assert_eq!(waiting.tell_overdue(at(11), asked).map(|entry| entry.message).collect::<Vec<_>>(), ["b"]);
        assert_eq!((waiting.tell_overdue(at(11), asked).count(), waiting.told()), (0, 1), "said once");
        assert_eq!(names(waiting.take_overdue(at(11), asked, None)), ["b"]);
        assert_eq!(waiting.topics().collect::<Vec<_>>(), ["y"]);
        assert_eq!(names(waiting.take_those(|name| *name == "b")), [""; 0]);
        assert_eq!(names(waiting.take_those(|name| *name == "d")), ["d"]);
        assert!(waiting.add(key("y", 1), "d", 10, at(3)).is_empty());
        assert_eq!(names(waiting.take_overdue(at(63), asked, None)), ["d"]);
        assert!(waiting.list.is_empty() && waiting.bytes == 0 && !waiting.has("y"));
    }

    #[test]
    fn a_crowd_waits_for_two_seconds_after_the_last_table() {
        let start = start();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut waiting = Waiting::new(1 << 20);
        for id in 0..CROWD as TableId {
            assert!(waiting.add(key("x", id), "a", 10, at(0)).is_empty());
        }
        let asked = |_: &str| Some(start);
        assert!(waiting.take_overdue(at(3), asked, Some(at(2))).is_empty(), "tables are coming");
        assert_eq!(waiting.take_overdue(at(4), asked, Some(at(2))).len(), CROWD);
        for id in 1..CROWD as TableId {
            assert!(waiting.add(key("x", id), "a", 10, at(5)).is_empty());
        }
        let asked = |_: &str| Some(at(5));
        assert!(waiting.take_overdue(at(14), asked, Some(at(2))).is_empty(), "one fewer is none");
    }

    /// It was: ten seconds from the arrival, also of a batch whose table was not asked for yet.
    #[test]
    fn the_wait_begins_when_the_table_is_asked_for() {
        let start = start();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut waiting = Waiting::new(1 << 20);
        for id in 0..CROWD as TableId {
            assert!(waiting.add(key("x", id), "a", 10, at(0)).is_empty());
        }
        let asked = |_: &str| Some(at(30));
        assert!(waiting.take_overdue(at(29), |_| None, None).is_empty());
        assert!(waiting.take_overdue(at(31), asked, None).is_empty());
        assert_eq!(waiting.tell_overdue(at(31), asked).count(), 0);
        assert_eq!(waiting.tell_overdue(at(40), |_| Some(at(35))).count(), CROWD, "asked for twice");
        assert!(waiting.add(key("y", 1), "b", 10, at(40)).is_empty());
        assert_eq!(waiting.take_overdue(at(99), |_| None, None).len(), CROWD);
        assert_eq!(names(waiting.take_overdue(at(100), |_| None, None)), ["b"], "in the end all the same");
    }

    #[test]
    fn a_batch_that_comes_again_takes_its_own_place_once_for_each_connection() {
        let mut waiting = Waiting::new(10_000);
        for name in ["a", "b", "a"] {
            assert!(waiting.add(key("x", 1), name, 10, start()).is_empty());
        }
        let renew = |waiting: &mut Waiting<&'static str>, key: &TableKey, name| {
            waiting.renew(key, name, |one, other| one.eq_ignore_ascii_case(other))
        };
        assert_eq!(renew(&mut waiting, &key("y", 1), "A"), Some("A"), "of another topic");
        assert_eq!(
            [renew(&mut waiting, &key("x", 1), "A"), renew(&mut waiting, &key("x", 1), "A")],
            [None; 2]
        );
        assert_eq!(renew(&mut waiting, &key("x", 1), "A"), Some("A"), "two had these bytes");
        assert_eq!(waiting.messages().copied().collect::<Vec<_>>(), ["A", "b", "A"]);
        waiting.expect_again();
        assert_eq!(renew(&mut waiting, &key("x", 1), "a"), None);
        assert_eq!(names(waiting.take(&key("x", 1))), ["a", "b", "A"]);
    }

    #[test]
    fn when_it_is_full_the_topic_that_has_most_gives_its_oldest() {
        let start = start();
        let mut waiting = Waiting::new(4 * (1_000 + ENTRY_BYTES + TOPIC_COPIES));
        for (topic, name) in [("x", "small"), ("y", "a"), ("y", "b"), ("y", "c")] {
            assert!(waiting.add(key(topic, 1), name, 1_000, start).is_empty());
        }
        assert_eq!(names(waiting.add(key("z", 1), "new", 1_000, start)), ["a"]);
        assert_eq!(
            names(waiting.add(key("z", 1), "huge", 100_000, start)),
            ["new", "huge"],
            "larger than all"
        );
        assert_eq!(waiting.list.len(), 3);
    }
}
