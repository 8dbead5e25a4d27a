//! Subscriber of the session tables that the hub retains; records which of them the hub has.

#![allow(clippy::disallowed_methods, reason = "a shell: a task per topic")]

use std::time::Duration;

use edge_bridge::{Command, Link};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

use crate::config::Config;

use super::compact::{EchoedTables, table_topics, version_of};

/// Pause between two SUBSCRIBEs that make the hub send its retained tables again on the same connection, though none was published.
const ASK_EVERY: Duration = Duration::from_secs(3600);

/// Topics of a configuration's session tables.
#[derive(Debug)]
pub(crate) struct TableSubscriber {
    /// Topics of the session tables; each version of a table has a topic below.
    pub(crate) topics: Vec<String>,
}

impl TableSubscriber {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            topics: table_topics(&config.routes, &config.id).into_iter().map(|(_, table)| table).collect(),
        }
    }

    /// Subscribes to the tables and records which of them the hub retains, until the link ends. `more`: topics of routes that were added while
    /// the gateway runs.
    pub(crate) async fn listen(
        self,
        link: Link,
        echoed: EchoedTables,
        mut more: mpsc::UnboundedReceiver<String>,
    ) {
        let (ask, asks) = watch::channel(());
        let (mut tasks, mut ask) = (JoinSet::new(), Some(ask));
        let mut topics = self.topics;
        loop {
            for topic in topics.drain(..) {
                let (link, echoed) = (link.clone(), echoed.clone());
                tasks.spawn(Listener { link, topic, echoed }.run(asks.clone()));
            }
            // Nothing is watched for nobody.
            if let Some(ask) = ask.take_if(|_| !tasks.is_empty()) {
                tasks.spawn(watch(link.clone(), echoed.clone(), ask));
            }
            tokio::select! {
                Some(topic) = more.recv() => topics.push(topic),
                Some(_) = tasks.join_next() => {}
                else => return,
            }
        }
    }
}

/// Subscription to the tables of one topic.
struct Listener {
    link: Link,
    topic: String,
    echoed: EchoedTables,
}

impl Listener {
    async fn run(self, mut asks: watch::Receiver<()>) {
        // Also what is above: nothing of ours.
        let filter = format!("{}/#", self.topic);
        // A filter that is subscribed to again, after its handle was dropped, brings what the hub retains; for a session that has
        // it from an earlier run the first time alone would not.
        let mut before = self.link.subscribe(&filter).await;
        let mut doubts_all = true;
        loop {
            if let Err(error) = &before {
                tracing::error!(topic = filter, %error, "batches will carry their names");
                return;
            }
            if doubts_all {
                self.echoed.ask(&self.topic);
            }
            drop(before);
            before = self.link.subscribe(&filter).await;
            let Ok(tables) = &mut before else { continue };
            doubts_all = loop {
                tokio::select! {
                    biased;
                    message = tables.next() => {
                        let Some(message) = message else { return };
                        if self.take(message) {
                            // A new version says nothing against the others, whose answers may come late on a full link.
                            break false;
                        }
                    }
                    Ok(()) = asks.changed() => break true,
                }
            };
        }
    }

    /// Records a message. Returns whether to subscribe again, so that the hub sends what it retains.
    fn take(&self, message: Command) -> bool {
        let is_to_be_asked = version_of(&self.topic, message.topic())
            .is_some_and(|id| self.echoed.note(&self.topic, id, message.payload(), message.is_retained()));
        message.done();
        is_to_be_asked
    }
}

/// Subscribes again on every new connection, and every hour, so that the hub sends its retained tables.
async fn watch(link: Link, echoed: EchoedTables, ask: watch::Sender<()>) {
    let mut stats = link.watch();
    let (mut connects, mut lost, mut was_up) = (0, 0, false);
    let mut hourly = interval_at(Instant::now() + ASK_EVERY, ASK_EVERY);
    loop {
        tokio::select! {
            changed = stats.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = stats.borrow_and_update().clone();
                let is_up = now.link.is_connected();
                let is_other = now.connects != connects;
                if now.sessions_lost != lost {
                    // A hub that has lost our session has lost our tables.
                    echoed.lose();
                } else if is_other || (was_up && !is_up) {
                    echoed.doubt();
                }
                if is_other && is_up {
                    ask.send_replace(());
                }
                (lost, was_up) = (now.sessions_lost, is_up);
                if is_up {
                    connects = now.connects;
                }
            }
            _ = hourly.tick() => {
                ask.send_replace(());
            }
        }
    }
}
