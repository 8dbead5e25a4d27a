//! Proven configuration: one that has been in force for ten seconds with an open queue. It is kept on disk as one to revert to, and files that it does not
//! need are removed.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge_state::ClientFile;
use tokio::time::Instant;

use crate::config::{Config, Local};
use crate::run::configuration::last_configuration;
use crate::run::queue::open_queue::{OpenQueue, Waiting};

/// Time in force after which a configuration counts as proven.
const AFTER: Duration = Duration::from_secs(10);
/// Pause until the next check while the queue is not open.
const NOT_OPEN: Duration = Duration::from_secs(5);
/// Pause before work that the disk refused is tried again.
const REFUSED: Duration = Duration::from_secs(10);

/// State of the proof of the configuration in force.
pub(super) struct Proof {
    /// Time of the next check; `None` once all is done.
    due: Option<Instant>,
    /// Queue, set once it is open.
    queue: OpenQueue,
    /// Reason why the disk does not take the configuration; `None`: it does, or was not asked yet.
    unkept: Option<String>,
}

impl Proof {
    pub(super) fn new() -> Self {
        Self { due: Some(Instant::now() + AFTER), queue: OpenQueue::default(), unkept: None }
    }

    /// Begins the proof of another configuration, which is in force without a restart of the parts.
    pub(super) fn restart(&mut self) {
        self.due = Some(Instant::now() + AFTER);
    }

    /// Goes on with the proof of the configuration in force, whose files were read again: readings that come more often than a proof takes must not put
    /// it off for ever. One that was done is made again, since the text that is kept may differ.
    pub(super) fn go_on(&mut self) {
        self.due.get_or_insert_with(|| Instant::now() + AFTER);
    }

    /// Begins the proof of the configuration with which all parts restart. Returns the place of the queue, once it is open.
    pub(super) fn begin_run(&mut self) -> OpenQueue {
        *self = Self { unkept: self.unkept.take(), ..Self::new() };
        self.queue.clone()
    }

    /// Returns whether the queue is open.
    pub(super) fn has_queue(&self) -> bool {
        self.queue.is_open()
    }

    /// Returns the figures of what waits in the queue.
    pub(super) async fn waiting(&self) -> Waiting {
        self.queue.waiting().await
    }

    /// Has the link to the hub look at its certificate.
    pub(super) async fn look_at_certificate(&self) {
        self.queue.look_at_certificate().await;
    }

    /// Returns why a configuration in force is not kept for the next start, if the disk refused it.
    pub(super) fn unkept(&self) -> Option<String> {
        self.unkept.clone()
    }

    /// Waits for the next check; for ever once all is done.
    pub(super) async fn due(&self) {
        match self.due {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Keeps a proven configuration for a start whose files have mistakes, and removes files that it does not need.
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
        let before = self.unkept.take();
        self.due = match kept.await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::FileTooLarge => {
                tracing::warn!(%error, "the configuration is too large to be kept: a start with mistakes has none to go back to");
                None
            }
            Ok(Err(error)) => {
                if before.is_none() {
                    tracing::warn!(%error, "the configuration is not kept for the next start: tried again every 10 s");
                }
                self.unkept = Some(error.to_string());
                Some(Instant::now() + REFUSED)
            }
            _ => None,
        };
    }
}

/// Removes saved clients of an earlier configuration if this one keeps none: not before it is proven, because the gateway may revert to the
/// earlier one.
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
