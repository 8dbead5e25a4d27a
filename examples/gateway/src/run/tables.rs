//! Session tables between the hub, the disk and the pack: what the hub shows is noted and kept for the next start.

#![allow(clippy::disallowed_methods, reason = "a shell: small files, and a task per topic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::bridge::LinkState;
use edge_bridge::{Command, Link};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

use crate::config::Config;

use super::compact::{Shown, table_topics, version_of};
use super::once_a_minute::OnceAMinute;

/// A larger one is none of ours.
const TABLE_BYTES_MAX: u64 = 1 << 20;
/// Files of one topic. Others may publish there.
const FILES_MAX: usize = 32;
/// Between two questions to a hub whose connection holds.
const ASK_EVERY: Duration = Duration::from_secs(3600);

/// The tables of a configuration, and where they are kept.
#[derive(Debug)]
pub(crate) struct Tables {
    /// Above those of the tables.
    topics: Vec<String>,
    state: PathBuf,
}

impl Tables {
    pub(crate) fn new(config: &Config, state: &Path) -> Self {
        let topics = table_topics(&config.routes, &config.id).into_iter().map(|(_, table)| table).collect();
        Self { topics, state: state.to_owned() }
    }

    /// Returns what the hub had in the last run, with the topic above it. A file that is damaged is found out by the pack, and
    /// not used.
    pub(crate) fn load(&self) -> Vec<(String, Bytes)> {
        let mut tables = Vec::new();
        for topic in &self.topics {
            for path in Files::of(&self.state, topic).list() {
                let is_small = fs::metadata(&path).is_ok_and(|meta| meta.len() <= TABLE_BYTES_MAX);
                let bytes = is_small.then(|| fs::read(&path).ok()).flatten();
                tables.extend(bytes.map(|bytes| (topic.clone(), Bytes::from(bytes))));
            }
        }
        tables
    }

    /// Until the link ends.
    pub(crate) async fn listen(self, link: Link, shown: Shown) {
        let (ask, asks) = watch::channel(());
        let mut tasks = JoinSet::new();
        for topic in self.topics {
            let files = Files::of(&self.state, &topic);
            let (link, shown, not_kept) = (link.clone(), shown.clone(), OnceAMinute::default());
            tasks.spawn(Listener { link, topic, files, shown, not_kept }.run(asks.clone()));
        }
        if tasks.is_empty() {
            return;
        }
        tasks.spawn(watch(link, shown, ask));
        while tasks.join_next().await.is_some() {}
    }
}

/// The subscription to the tables of one topic.
struct Listener {
    link: Link,
    topic: String,
    files: Files,
    shown: Shown,
    /// The line about tables that are not kept: others may publish there.
    not_kept: OnceAMinute,
}

impl Listener {
    async fn run(mut self, mut asks: watch::Receiver<()>) {
        // Also what is above: nothing of ours.
        let filter = format!("{}/#", self.topic);
        // A filter that is subscribed to again, after its handle was dropped, brings what the hub retains; for a session that has
        // it from an earlier run the first time alone would not.
        let mut before = self.link.subscribe(&filter).await;
        loop {
            if let Err(error) = &before {
                tracing::error!(topic = filter, %error, "batches will carry their names");
                return;
            }
            self.shown.ask(&self.topic);
            drop(before);
            before = self.link.subscribe(&filter).await;
            let Ok(tables) = &mut before else { continue };
            loop {
                tokio::select! {
                    biased;
                    message = tables.next() => match message {
                        Some(message) => self.take(message),
                        None => return,
                    },
                    Ok(()) = asks.changed() => break,
                }
            }
        }
    }

    fn take(&mut self, message: Command) {
        if let Some(id) = version_of(&self.topic, message.topic()) {
            // A slice of a receive buffer.
            let table = Bytes::copy_from_slice(message.payload());
            // Without the file the next run makes a new table, a version of its own.
            if let Err(error) = self.files.keep(id, &table)
                && self.not_kept.may_say(Instant::now())
            {
                tracing::warn!(topic = message.topic(), %error, "the session table is not kept for the next start");
            }
            self.shown.note(&self.topic, id, table);
        }
        message.done();
    }
}

/// The files of the tables of one topic: one for each version.
struct Files {
    state: PathBuf,
    prefix: String,
}

impl Files {
    fn of(state: &Path, topic: &str) -> Self {
        let name: String = Sha256::digest(topic).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { state: state.to_owned(), prefix: format!("table-{name}-") }
    }

    fn list(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.state).into_iter().flatten().flatten();
        let is_table = |name: &str| {
            name.strip_prefix(&self.prefix).is_some_and(|id| u32::from_str_radix(id, 16).is_ok())
        };
        entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_table))
            .map(|entry| entry.path())
            .take(FILES_MAX)
            .collect()
    }

    /// Nothing: the hub retains it no longer.
    fn keep(&self, id: u32, table: &[u8]) -> std::io::Result<()> {
        let path = self.state.join(format!("{}{id:08x}", self.prefix));
        if table.is_empty() {
            return if path.exists() { fs::remove_file(path) } else { Ok(()) };
        }
        if !path.exists() && self.list().len() >= FILES_MAX {
            return Err(std::io::Error::other("there are too many"));
        }
        let new = path.with_extension("new");
        fs::write(&new, table)?;
        fs::rename(&new, path)
    }
}

/// Has the hub asked again on every connection, and every hour.
async fn watch(link: Link, shown: Shown, ask: watch::Sender<()>) {
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
                let is_up = !matches!(now.link, LinkState::Offline | LinkState::BackingOff);
                let is_other = now.connects != connects;
                if now.sessions_lost != lost {
                    // A hub that has lost our session has lost our tables.
                    shown.lose();
                } else if is_other || (was_up && !is_up) {
                    shown.doubt();
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
