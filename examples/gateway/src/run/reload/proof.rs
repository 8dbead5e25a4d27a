//! Proof of a configuration: once the queue is open and it has been in force for a while it is one to go back to, and what it wants gone may go.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use edge_state::ClientFile;
use tokio::time::Instant;

use crate::config::{Config, Local};
use crate::run::last_configuration;

/// Time in force after which a configuration is proven.
const AFTER: Duration = Duration::from_secs(10);
/// Pause until a queue that is not open yet is looked at again.
const NOT_OPEN: Duration = Duration::from_secs(5);
/// Pause after which what the disk refused is tried again.
const REFUSED: Duration = Duration::from_secs(60);

/// State of the proof of the configuration in force.
pub(super) struct Proof {
    /// Time of the next look; `None` once all is done.
    due: Option<Instant>,
    /// Set by the run once its queue is open.
    is_open: Arc<AtomicBool>,
    /// Set once the log has a line about a disk that refuses.
    is_told: bool,
}

impl Proof {
    pub(super) fn new() -> Self {
        Self { due: Some(Instant::now() + AFTER), is_open: Arc::default(), is_told: false }
    }

    /// Begins anew for another configuration of the same run.
    pub(super) fn restart(&mut self) {
        self.due = Some(Instant::now() + AFTER);
    }

    /// Begins anew for another run. Returns the flag that the run sets once its queue is open.
    pub(super) fn begin_run(&mut self) -> Arc<AtomicBool> {
        *self = Self::new();
        self.is_open.clone()
    }

    /// Returns whether the queue is open.
    pub(super) fn has_queue(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Waits for the next look; for ever once all is done.
    pub(super) async fn due(&self) {
        match self.due {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Keeps a proven configuration for a start whose files have mistakes, and removes what it does not want.
    pub(super) async fn look(&mut self, config: Arc<Config>, state: &Path) {
        if !self.has_queue() {
            self.due = Some(Instant::now() + NOT_OPEN);
            return;
        }
        let state = state.to_owned();
        let kept = tokio::task::spawn_blocking(move || {
            remove_unwanted(&state, &config);
            last_configuration::keep(&state, &config)
        });
        self.due = match kept.await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::FileTooLarge => {
                tracing::warn!(%error, "the configuration is too large to be kept: a start with mistakes has none to go back to");
                None
            }
            Ok(Err(error)) => {
                if !std::mem::replace(&mut self.is_told, true) {
                    tracing::warn!(%error, "the configuration is not kept for the next start: tried again each minute");
                }
                Some(Instant::now() + REFUSED)
            }
            _ => None,
        };
    }
}

/// Removes the clients that an earlier run kept, where this one keeps none: not before it is proven, since another configuration may want them.
fn remove_unwanted(state: &Path, config: &Config) {
    if matches!(&config.local, Local::Listen { persistence: true, .. }) {
        return;
    }
    match ClientFile::new(state).remove() {
        Ok(true) => {
            tracing::info!(
                "sessions and retained messages of an earlier run are removed: this one keeps none"
            );
        }
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(%error, "sessions and retained messages of an earlier run cannot be removed");
        }
    }
}
