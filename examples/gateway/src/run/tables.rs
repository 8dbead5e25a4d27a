//! Session tables between the hub, the disk and the pack: what the hub shows is noted and kept for the next start.

#![allow(clippy::disallowed_methods, reason = "a shell: small files, and a task per table")]

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use edge_bridge::{Link, net};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use crate::config::Config;

use super::compact::{Shown, table_topics};

/// A larger one is none of ours.
const TABLE_BYTES_MAX: u64 = 1 << 20;

/// The tables of a configuration, and where they are kept.
#[derive(Debug)]
pub(crate) struct Tables {
    topics: Vec<String>,
    state: PathBuf,
}

impl Tables {
    pub(crate) fn new(config: &Config, state: &Path) -> Self {
        let topics = table_topics(&config.routes, &config.id).into_iter().map(|(_, table)| table).collect();
        Self { topics, state: state.to_owned() }
    }

    /// Returns what the hub had in the last run, by topic. A file that is damaged is found out by the pack, and not used.
    pub(crate) fn load(&self) -> Vec<(String, Bytes)> {
        let load = |topic: &String| {
            let path = self.path(topic);
            let small = fs::metadata(&path).is_ok_and(|meta| meta.len() <= TABLE_BYTES_MAX);
            let bytes = small.then(|| fs::read(&path).ok()).flatten()?;
            Some((topic.clone(), Bytes::from(bytes)))
        };
        self.topics.iter().filter_map(load).collect()
    }

    /// Until the link ends.
    pub(crate) async fn listen(self, link: Link, shown: Shown) {
        let mut tasks = JoinSet::new();
        for topic in &self.topics {
            match link.subscribe(topic).await {
                Ok(commands) => tasks.spawn(listen(commands, topic.clone(), self.path(topic), shown.clone())),
                Err(error) => {
                    tracing::error!(topic, %error, "batches will carry their names");
                    continue;
                }
            };
        }
        if tasks.is_empty() {
            return;
        }
        tasks.spawn(losses(link, shown));
        while tasks.join_next().await.is_some() {}
    }

    fn path(&self, topic: &str) -> PathBuf {
        let name: String = Sha256::digest(topic).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self.state.join(format!("table-{name}"))
    }
}

async fn listen(mut tables: net::Commands, topic: String, path: PathBuf, shown: Shown) {
    while let Some(message) = tables.next().await {
        // A slice of a receive buffer.
        let table = Bytes::copy_from_slice(message.payload());
        // Without the file the next run makes a new table, a version of its own.
        if let Err(error) = save(&path, &table) {
            tracing::warn!(path = %path.display(), %error, "the session table is not kept for the next start");
        }
        shown.note(&topic, table);
        message.done();
    }
}

fn save(path: &Path, table: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, table)?;
    fs::rename(&new, path)
}

/// A hub that has lost our session has lost our tables.
async fn losses(link: Link, shown: Shown) {
    let mut stats = link.watch();
    let mut known = stats.borrow().sessions_lost;
    while stats.changed().await.is_ok() {
        let lost = stats.borrow().sessions_lost;
        if lost != known {
            known = lost;
            shown.lose();
        }
    }
}
