//! Session tables that the hub has echoed: recorded by the subscriptions, read by the packer. Other clients may publish there, so none of their
//! bytes are kept: a digest is enough for the comparison.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Most unread messages of one topic. At the limit the oldest are dropped, and the gateway subscribes again.
const MESSAGES_MAX: usize = 256;

/// SHA-256 of a table's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableDigest([u8; 32]);

impl TableDigest {
    pub(super) fn of(table: &[u8]) -> Self {
        Self(Sha256::digest(table).into())
    }
}

/// Handle to the echoes; clones share their state.
#[derive(Clone, Debug, Default)]
pub(crate) struct EchoedTables(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    lost: u64,
    broken: u64,
    topics: HashMap<String, Topic>,
}

/// Message of the hub on the topic of a version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// Id of the version.
    pub(super) id: u64,
    pub(super) digest: TableDigest,
    /// Set if the hub retains the message; otherwise it is a live message of some client.
    pub(super) is_retained: bool,
}

#[derive(Debug, Default)]
struct Topic {
    asked: u64,
    messages: Vec<Message>,
    /// Ids of versions that were published, and have not come back since.
    published: BTreeSet<u64>,
    /// Set if the hub echoes no table of this topic although it was published again and again.
    is_unanswered: bool,
}

/// Counters of events that make earlier echoes invalid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// Number of times that the hub lost its sessions, and its retained messages with them.
    pub(super) lost: u64,
    /// Number of times that the connection ended, after which the hub may have restarted from an older state.
    pub(super) broken: u64,
    /// Number of SUBSCRIBEs that put all tables in doubt until the hub sends them; those after a publication do not.
    pub(super) asked: u64,
}

impl EchoedTables {
    /// Records a message of the hub below a topic of tables, for the version `id`; an empty payload clears it. `is_retained`: the hub retains the
    /// message. Returns whether the hub is to be asked what it retains: a version that was published has come back as a message of the moment,
    /// which any subscriber gets, also from a hub that retains nothing. One publication gives rise to one question, whoever sends copies of it.
    pub(crate) fn note(&self, topic: &str, id: u64, table: &[u8], is_retained: bool) -> bool {
        let message = Message { id, digest: TableDigest::of(table), is_retained };
        let mut state = self.lock();
        let Topic { messages, published, .. } = state.topics.entry(topic.to_owned()).or_default();
        if messages.len() >= MESSAGES_MAX {
            messages.remove(0);
        }
        messages.push(message);
        published.remove(&id) && !is_retained
    }

    /// Records that a version is published now; `is_cleared`: that its retained message is cleared instead.
    pub(super) fn published(&self, topic: &str, id: u64, is_cleared: bool) {
        let mut state = self.lock();
        let published = &mut state.topics.entry(topic.to_owned()).or_default().published;
        if is_cleared {
            published.remove(&id);
        } else {
            published.insert(id);
        }
    }

    /// Records that a SUBSCRIBE is about to make the hub send all tables below a topic.
    pub(crate) fn ask(&self, topic: &str) {
        let mut state = self.lock();
        let topic = state.topics.entry(topic.to_owned()).or_default();
        topic.asked += 1;
        topic.messages.clear();
    }

    /// Records that the connection ended, or that there is a new one.
    pub(crate) fn doubt(&self) {
        let mut state = self.lock();
        state.forget();
        state.broken += 1;
    }

    /// Records that the hub has lost its sessions, and its retained messages with them.
    pub(crate) fn lose(&self) {
        let mut state = self.lock();
        state.forget();
        state.lost += 1;
    }

    pub(super) fn marks(&self, topic: &str) -> Marks {
        let state = self.lock();
        let asked = state.topics.get(topic).map_or(0, |topic| topic.asked);
        Marks { lost: state.lost, broken: state.broken, asked }
    }

    /// Sets whether the hub echoes no table of a topic although it was published again and again.
    pub(super) fn set_unanswered(&self, topic: &str, is_unanswered: bool) {
        if let Some(topic) = self.lock().topics.get_mut(topic) {
            topic.is_unanswered = is_unanswered;
        }
    }

    /// Returns the number of topics whose tables the hub does not echo although they were published again and again.
    pub(crate) fn unanswered(&self) -> usize {
        self.lock().topics.values().filter(|topic| topic.is_unanswered).count()
    }

    /// Takes the messages since the last call, in order.
    pub(super) fn take(&self, topic: &str) -> Vec<Message> {
        self.lock().topics.get_mut(topic).map(|topic| std::mem::take(&mut topic.messages)).unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while holding it; if something did, a map is still a map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self) {
        self.topics.values_mut().for_each(|topic| topic.messages.clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_the_hub_was_asked_is_no_answer() {
        let echoed = EchoedTables::default();
        echoed.note("t", 1, b"a table", true);
        echoed.note("other", 2, b"another", true);
        let before = echoed.marks("t");
        echoed.ask("t");
        assert_eq!(echoed.marks("t"), Marks { asked: before.asked + 1, ..before });
        assert!(echoed.take("t").is_empty(), "the hub may have lost it since");
        assert_eq!(echoed.take("other").len(), 1, "nobody asked about it");
        echoed.note("t", 1, b"a table", true);
        assert_eq!(echoed.take("t").len(), 1);
    }

    /// Else any client could make the gateway subscribe without end.
    #[test]
    fn a_version_that_comes_back_is_asked_about_once_for_each_publication() {
        let echoed = EchoedTables::default();
        let live = |id| echoed.note("t", id, b"a table", false);
        assert!(!live(1), "not published");
        echoed.published("t", 1, false);
        assert_eq!([live(2), live(1), live(1)], [false, true, false]);
        echoed.published("t", 1, false);
        assert!(live(1));
        echoed.published("t", 1, false);
        assert!(!echoed.note("t", 1, b"a table", true), "that is the answer");
        assert!(!live(1));
        echoed.published("t", 1, false);
        echoed.published("t", 1, true);
        assert!(!live(1), "cleared");
        assert!(!echoed.note("other", 1, b"a table", false));
    }

    #[test]
    fn of_what_nobody_looks_at_the_newest_is_kept() {
        let echoed = EchoedTables::default();
        let most = MESSAGES_MAX as u64;
        for id in 0..most + 3 {
            echoed.note("t", id, b"a table", true);
        }
        let ids: Vec<_> = echoed.take("t").iter().map(|message| message.id).collect();
        assert_eq!(ids, (3..most + 3).collect::<Vec<_>>());
    }
}
