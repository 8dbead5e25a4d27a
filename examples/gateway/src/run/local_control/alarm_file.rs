//! Alarms that were acknowledged or shelved, kept on disk, so that a kill does not change their state.
//!
//! ```text
//! edge-gateway alarms 1 SHA-256-OF-THE-REST
//! [{"match": "plant/#", "alarms": [["t", STATE], …]}, …]
//! ```
//! Written at each command, before its answer, and when such an alarm changes by itself, so at most twice per command. If the write fails, the
//! old file is removed, because an alarm that is raised once more is better than a new one that counts as acknowledged.

#![allow(clippy::disallowed_methods, reason = "a shell: one small file, and a task that writes it")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use control_loop::mqtt::Said;
use edge_bridge::net::Clock;
use edge_filter::alarm::LimitAlarmState;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::run::log::once_a_minute::OnceAMinute;
use crate::run::sensors::ingest::GatewayIngest;

use super::alarm_commands::dispatcher::milliseconds;
use edge_state::checksummed as checksummed_file;

const FILE: &str = "alarms";
const VERSION: &str = "edge-gateway alarms 1 ";
/// Size of the largest file that is read, in bytes. All sensors of some filters, all shelved, need less. One that a program did not write takes no
/// memory, whatever its size.
const BYTES_MAX: u64 = 64 << 20;
/// Pause before a failed write is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Kept alarms of one filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptAlarms {
    /// The route's `match`.
    #[serde(rename = "match")]
    pub(crate) filter_topic: String,
    /// Alarm states, each with its sensor's name.
    pub(crate) alarms: Vec<(Box<str>, LimitAlarmState)>,
}

/// Returns the alarms that the last process kept. A damaged file is logged and counts as empty.
pub(in crate::run) fn read(state: &Path) -> Vec<KeptAlarms> {
    let read = checksummed_file::read(state, FILE, VERSION, BYTES_MAX);
    match read.and_then(|body| serde_json::from_slice(&body).map_err(io::Error::other)) {
        Ok(kept) => kept,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                let path = state.join(FILE);
                tracing::warn!(path = %path.display(), %error, "acknowledgements and shelving are lost: alarms begin anew");
            }
            Vec::new()
        }
    }
}

/// Removes the file, if there is one.
pub(in crate::run) fn remove(state: &Path) -> io::Result<()> {
    match fs::remove_file(state.join(FILE)) {
        // Perhaps of an attempt whose sync failed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    edge_state::file::sync_names(state)
}

/// Replaces the file, or removes it if that fails.
pub(in crate::run) fn write(state: &Path, kept: &[KeptAlarms]) -> io::Result<()> {
    if kept.is_empty() {
        return remove(state);
    }
    let written = serde_json::to_vec(kept).map_err(io::Error::other);
    let written = written.and_then(|body| checksummed_file::replace(state, FILE, VERSION, &body));
    if written.is_err() {
        // An error here changes nothing: the one above is told, and it is tried again.
        let _ = remove(state);
    }
    written
}

/// Writes the alarms to disk and answers the commands that wait for it, for as long as it is polled.
pub(in crate::run) async fn keep(
    state: PathBuf,
    clock: Clock,
    ingest: GatewayIngest,
    to_keep: Arc<Notify>,
    said: mpsc::Sender<Said>,
) {
    let (mut written, mut line) = (None, OnceAMinute::default());
    loop {
        to_keep.notified().await;
        let (kept, waiting) = ingest.alarms_to_keep();
        if written.as_ref() != Some(&kept) {
            let dir = state.clone();
            let done = tokio::task::spawn_blocking(move || write(&dir, &kept).map(|()| kept)).await;
            written = match done {
                Ok(Ok(kept)) => Some(kept),
                Ok(Err(error)) => {
                    if line.may_say(Instant::now()) {
                        tracing::warn!(%error, "acknowledgements and shelving are not kept: a kill loses them, and commands wait for their answer");
                    }
                    tokio::time::sleep(AGAIN).await;
                    to_keep.notify_one();
                    None
                }
                Err(_) => return,
            };
        }
        if written.is_none() {
            continue;
        }
        for command in ingest.alarms_are_kept(waiting) {
            if let Some(answer) = command.answer(None, 0, milliseconds(clock.now())) {
                // Its receiver ends with the gateway.
                let _ = said.send(answer).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
