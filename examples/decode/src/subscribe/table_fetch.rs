//! Session tables from the hub: retained below each topic whose batches wait, at or below `TOPIC/table/GATEWAY`.
//!
//! A hub sends what it retains when it is subscribed to, on a new connection always. So a table that has left the memory is fetched
//! by a new connection, with the topics that are needed then; how often is bounded for each topic and for all of them.

#![allow(clippy::disallowed_methods, reason = "a shell: the clock")]

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use edge_bridge::escape::Escaped;
use edge_bridge::{Bridge, Command, Commands};
use tokio::time::Instant;

use super::hub::Hub;
use crate::tell;

/// Most topics that one connection asks for.
const TOPICS_MAX: usize = 10_000;
/// Bytes of topics that fill a connection, which keeps each. It has room for those of all batches that can wait.
const TOPIC_BYTES_MAX: usize = 6 << 20;
/// Shortest time between the begins of two connections.
const CONNECT_EVERY: Duration = Duration::from_millis(250);
/// Shortest time between two fetches for one topic. It doubles, up to [`PAUSE_MAX`], while they bring nothing that a batch waited for.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest time to which [`PAUSE`] grows.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Time after a table for which its connection is not given up for another one, to which the hub would send all tables again.
const BUSY: Duration = Duration::from_secs(1);
/// Longest time for which [`BUSY`] keeps a connection, so that a hub that sends tables without end holds up no fetch.
const BUSY_MAX: Duration = Duration::from_secs(20);
/// Level of a table's topic between the topic of its batches and the gateway's name.
const TABLE_LEVEL: &str = "/table";

pub(super) struct TableFetch<'a> {
    hub: &'a Hub<'a>,
    link: Option<Link>,
    /// By the topics' hashes: senders choose topics of up to 64 KiB, and as many as they like.
    asks: HashMap<u64, Ask>,
    hashes: RandomState,
    connected_at: Option<Instant>,
    /// The reason why the last connection could not even be begun: a certificate's file has gone, say.
    not_begun: Option<String>,
}

/// A connection. With it go its subscriptions, and what they had not handed over.
struct Link {
    bridge: Bridge,
    /// Hashes of the topics that it asks for.
    topics: HashSet<u64>,
    topic_bytes: usize,
    /// Subscription to the tables of all topics. There is one, so that what waits in it is bounded; `None` before the first.
    tables: Option<Commands>,
    last_table: Option<Instant>,
}

#[derive(Debug)]
struct Ask {
    at: Instant,
    pause: Duration,
}

impl Ask {
    fn is_over(&self, now: Instant) -> bool {
        now >= self.at + self.pause
    }
}

impl<'a> TableFetch<'a> {
    pub(super) fn new(hub: &'a Hub<'a>) -> Self {
        Self {
            hub,
            link: None,
            asks: HashMap::new(),
            hashes: RandomState::new(),
            connected_at: None,
            not_begun: None,
        }
    }

    /// The next message at or below `TOPIC/table` of a topic that was asked for. Waits for ever when there is nothing to wait for.
    pub(super) async fn next(&mut self) -> Command {
        if let Some(Link { tables: Some(tables), .. }) = &mut self.link
            && let Some(command) = tables.next().await
        {
            return command;
        }
        std::future::pending().await
    }

    /// The topics of batches that this message may be a table of: those that were asked for above its own.
    pub(super) fn topics_of(&mut self, table: &str, now: Instant) -> Vec<String> {
        let Some(link) = &mut self.link else { return Vec::new() };
        link.last_table = Some(now);
        let above = table.match_indices(TABLE_LEVEL).map(|(at, _)| table.split_at(at));
        let above =
            above.filter(|(_, below)| *below == TABLE_LEVEL || below[TABLE_LEVEL.len()..].starts_with('/'));
        let is_asked = |topic: &str| link.topics.contains(&self.hashes.hash_one(topic));
        above.filter(|(topic, _)| is_asked(topic)).map(|(topic, _)| topic.to_owned()).collect()
    }

    /// A batch of this topic got its table: the next fetch may be soon.
    pub(super) fn found(&mut self, topic: &str) {
        if let Some(ask) = self.asks.get_mut(&self.hashes.hash_one(topic)) {
            ask.pause = PAUSE;
        }
    }

    /// Returns when the tables of this topic were asked for last.
    pub(super) fn asked_at(&self, topic: &str) -> Option<Instant> {
        self.asks.get(&self.hashes.hash_one(topic)).map(|ask| ask.at)
    }

    /// Asks for the tables of the topics whose batches wait, as far as it is time.
    pub(super) async fn ask<'t>(&mut self, needed: impl Iterator<Item = &'t str>, now: Instant) {
        let needed: HashMap<u64, &str> = needed.map(|topic| (self.hashes.hash_one(topic), topic)).collect();
        if self.wants_connection(&needed, now) {
            self.asks.retain(|topic, ask| !ask.is_over(now) || needed.contains_key(topic));
            self.connected_at = Some(now);
            let begun = self.hub.tables().await;
            self.not_begun = begun.as_ref().err().map(ToString::to_string);
            self.link = begun.ok().map(Link::new);
        }
        let Some(link) = &mut self.link else { return };
        for (hash, topic) in needed {
            if link.is_full() || !link.topics.insert(hash) {
                continue;
            }
            let ask = self.asks.entry(hash).or_insert(Ask { at: now, pause: PAUSE / 2 });
            if ask.at == now || ask.is_over(now) {
                ask.pause = (2 * ask.pause).min(PAUSE_MAX);
            }
            ask.at = now;
            link.subscribe(topic).await;
        }
    }

    /// Returns the reason why no table may come, as far as it is known.
    pub(super) fn trouble(&self, topic: &str) -> Option<String> {
        let Some(link) = &self.link else { return self.not_begun.clone() };
        let stats = link.bridge.stats();
        let filter = filter(topic);
        let refused = stats.refused_subscriptions.iter().find(|refused| refused.filter.as_str() == filter);
        match refused {
            Some(refused) => {
                Some(format!("the hub refused the subscription to {filter}: {}", refused.reason))
            }
            None => stats.last_error.map(|error| format!("the connection for tables: {error}")),
        }
    }

    /// Returns whether a topic is needed that this connection has had its answer for, or has no room for.
    fn wants_connection(&self, needed: &HashMap<u64, &str>, now: Instant) -> bool {
        let since = self.connected_at.map(|at| now.saturating_duration_since(at));
        if since.is_some_and(|since| since < CONNECT_EVERY) {
            return false;
        }
        let Some(link) = &self.link else { return !needed.is_empty() };
        let is_busy = link.last_table.is_some_and(|at| now < at + BUSY);
        if link.bridge.stats().connects == 0 || is_busy && since.is_some_and(|since| since < BUSY_MAX) {
            return false;
        }
        needed.keys().any(|topic| match link.topics.contains(topic) {
            true => self.asks.get(topic).is_none_or(|ask| ask.is_over(now)),
            false => link.is_full(),
        })
    }
}

impl Link {
    fn new(bridge: Bridge) -> Self {
        Self { bridge, topics: HashSet::new(), topic_bytes: 0, tables: None, last_table: None }
    }

    fn is_full(&self) -> bool {
        self.topics.len() >= TOPICS_MAX || self.topic_bytes >= TOPIC_BYTES_MAX
    }

    async fn subscribe(&mut self, topic: &str) {
        let filter = filter(topic);
        let outcome = match &self.tables {
            Some(tables) => self.bridge.add_filter(tables, &filter).await,
            None => self.bridge.subscribe(&filter).await.map(|tables| self.tables = Some(tables)),
        };
        if let Err(error) = outcome {
            tell(format_args!("{}: {error}", Escaped(topic)));
        }
        self.topic_bytes += topic.len();
    }
}

/// Returns the filter of a topic's tables, with all below `TOPIC/table/GATEWAY`.
fn filter(topic: &str) -> String {
    format!("{topic}{TABLE_LEVEL}/#")
}
