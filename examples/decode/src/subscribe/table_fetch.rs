//! Session tables from the hub: retained below each topic whose batches wait, at or below `TOPIC/table/GATEWAY`.
//!
//! A hub sends what it retains when it is subscribed to, on a new connection always. So a table that has left the memory is fetched
//! by a new connection, with the topics that are needed then; how often is bounded for each topic and for all of them.

#![allow(clippy::disallowed_methods, reason = "a shell: a task per topic")]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use edge_bridge::{Bridge, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::hub::Hub;
use crate::tell;

/// Topics of one connection.
const TOPICS_MAX: usize = 10_000;
/// Tables handed over in one turn: about as much as a connection reads in one.
const HANDED_OVER: usize = 64;
/// Between two connections at least.
const CONNECT_EVERY: Duration = Duration::from_millis(250);
/// Between two fetches for one topic at least. Doubles while they bring nothing that a batch waited for.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A message at or below `TOPIC/table`.
#[derive(Debug)]
pub(super) struct Announced {
    /// `TOPIC`, that of the batches.
    pub(super) topic: String,
    pub(super) command: Command,
}

pub(super) struct TableFetch<'a> {
    hub: &'a Hub<'a>,
    link: Option<Link>,
    asks: HashMap<String, Ask>,
    connected_at: Option<Instant>,
    /// The reason why the last connection could not even be begun: a certificate's file has gone, say.
    not_begun: Option<String>,
    to: mpsc::Sender<Announced>,
    from: mpsc::Receiver<Announced>,
}

/// A connection. With it go its subscriptions, and what they had not handed over.
struct Link {
    bridge: Bridge,
    topics: HashSet<String>,
    tasks: JoinSet<()>,
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
        let (to, from) = mpsc::channel(HANDED_OVER);
        Self { hub, link: None, asks: HashMap::new(), connected_at: None, not_begun: None, to, from }
    }

    /// The next table. Never ends.
    pub(super) async fn next(&mut self) -> Announced {
        match self.from.recv().await {
            Some(announced) => announced,
            // Not while `to` lives.
            None => std::future::pending().await,
        }
    }

    /// A batch of this topic got its table: the next fetch may be soon.
    pub(super) fn found(&mut self, topic: &str) {
        if let Some(ask) = self.asks.get_mut(topic) {
            ask.pause = PAUSE;
        }
    }

    /// Asks for the tables of the topics whose batches wait, as far as it is time.
    pub(super) async fn ask<'t>(&mut self, needed: impl Iterator<Item = &'t str>, now: Instant) {
        let needed: HashSet<&str> = needed.collect();
        if self.wants_connection(&needed, now) {
            self.asks.retain(|topic, ask| !ask.is_over(now) || needed.contains(topic.as_str()));
            self.connected_at = Some(now);
            let begun = self.hub.tables().await;
            self.not_begun = begun.as_ref().err().map(ToString::to_string);
            let link = |bridge| Link { bridge, topics: HashSet::new(), tasks: JoinSet::new() };
            self.link = begun.ok().map(link);
        }
        let Some(link) = &mut self.link else { return };
        for topic in needed {
            if link.topics.len() >= TOPICS_MAX || link.topics.contains(topic) {
                continue;
            }
            link.topics.insert(topic.to_owned());
            let ask = self.asks.entry(topic.to_owned()).or_insert(Ask { at: now, pause: PAUSE / 2 });
            if ask.at == now || ask.is_over(now) {
                ask.pause = (2 * ask.pause).min(PAUSE_MAX);
            }
            ask.at = now;
            link.subscribe(topic, self.to.clone()).await;
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
    fn wants_connection(&self, needed: &HashSet<&str>, now: Instant) -> bool {
        if self.connected_at.is_some_and(|at| now < at + CONNECT_EVERY) {
            return false;
        }
        let Some(link) = &self.link else { return !needed.is_empty() };
        if link.bridge.stats().connects == 0 {
            return false;
        }
        let is_full = link.topics.len() >= TOPICS_MAX;
        needed.iter().any(|topic| match link.topics.contains(*topic) {
            true => self.asks.get(*topic).is_none_or(|ask| ask.is_over(now)),
            false => is_full,
        })
    }
}

impl Link {
    async fn subscribe(&mut self, topic: &str, to: mpsc::Sender<Announced>) {
        match self.bridge.subscribe(&filter(topic)).await {
            Ok(mut tables) => {
                let topic = topic.to_owned();
                self.tasks.spawn(async move {
                    while let Some(command) = tables.next().await {
                        if to.send(Announced { topic: topic.clone(), command }).await.is_err() {
                            return;
                        }
                    }
                });
            }
            Err(error) => tell(format_args!("{topic}: {error}")),
        }
    }
}

/// With all below `TOPIC/table/GATEWAY`.
fn filter(topic: &str) -> String {
    format!("{topic}/table/#")
}
