//! Saving of what the listener knows of its clients: in the background, a moment after a change, and so seldom that flash is spared.

use std::io;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};

use crate::listener::Saved;

/// Time from a change to its writing: what happens within it is written together.
const SETTLE: Duration = Duration::from_secs(1);
/// Bytes written a second at most, over time: 350 MB a day.
const BYTES_PER_S: u32 = 4096;
/// Time after which what the disk refused is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// Longest wait for the disk at a start and at a stop.
const LAST: Duration = Duration::from_secs(5);

/// Place where a server keeps what it knows of its clients over a restart: sessions with what waits for them, and retained messages
/// ([`Listener::save`](crate::listener::Listener::save)). Called on a thread where it may wait.
pub trait ClientStore: Send + 'static {
    /// Returns what was kept last, with a checksum or the like of its own; `None`: nothing was kept yet.
    ///
    /// # Errors
    ///
    /// It cannot be read. It is [set aside](Self::set_aside) then.
    fn load(&mut self) -> io::Result<Option<Vec<u8>>>;

    /// Keeps this in place of what was kept before, durably.
    ///
    /// # Errors
    ///
    /// The disk refused. What was kept before should still be there.
    fn save(&mut self, saved: &[u8]) -> io::Result<()>;

    /// Puts what was kept out of the way of [`save`](Self::save), for people to look at.
    ///
    /// # Errors
    ///
    /// It stays where it is, and nothing is saved in this run.
    fn set_aside(&mut self) -> io::Result<()>;
}

pub(super) type Store = Box<dyn ClientStore>;

/// Client store of a running server, if it has one.
pub(super) struct ClientSaving {
    /// `None`: there is none, or it is being written to.
    store: Option<Store>,
    writing: Option<JoinHandle<(Store, io::Result<()>)>>,
    /// Number of changes up to what is on disk, or was to be.
    saved: u64,
    /// The disk refused it.
    is_refused: bool,
    /// Time at which a later change was seen first.
    changed: Option<Instant>,
    not_before: Instant,
    /// Something was left out of what was saved last.
    leaves_out: bool,
}

impl ClientSaving {
    /// A server without a store.
    pub(super) fn none() -> Self {
        Self {
            store: None,
            writing: None,
            saved: 0,
            is_refused: false,
            changed: None,
            not_before: Instant::now(),
            leaves_out: false,
        }
    }

    /// Saves to `store` what changes beyond the listener's present number of changes.
    pub(super) fn new(store: Store, changes: u64) -> Self {
        Self { store: Some(store), saved: changes, ..Self::none() }
    }

    /// Returns when to [begin](Self::begin) to save, `changes` being the listener's number of them.
    pub(super) fn due(&mut self, changes: u64) -> Option<Instant> {
        if self.store.is_none() || (self.saved == changes && !self.is_refused) {
            return None;
        }
        let changed = *self.changed.get_or_insert_with(Instant::now);
        Some((changed + SETTLE).max(self.not_before))
    }

    /// Writes in the background. Returns how much is left out, if that is news.
    pub(super) fn begin(&mut self, changes: u64, saved: Saved) -> Option<usize> {
        let mut store = self.store.take()?;
        self.saved = changes;
        self.changed = None;
        self.not_before = Instant::now() + rest_after(saved.bytes.len());
        let left_out_before = std::mem::replace(&mut self.leaves_out, saved.left_out > 0);
        let news = (saved.left_out > 0 && !left_out_before).then_some(saved.left_out);
        self.writing = Some(spawn_blocking(move || {
            let result = store.save(&saved.bytes);
            (store, result)
        }));
        news
    }

    /// Waits for the end of what is being written; for ever while nothing is. Returns the error, if that is news. Cancel-safe.
    pub(super) async fn ended(&mut self) -> Option<io::Error> {
        let Some(writing) = &mut self.writing else { return std::future::pending().await };
        let ended = writing.await;
        self.writing = None;
        let Ok((store, result)) = ended else { return Some(io::Error::other("its thread has panicked")) };
        self.store = Some(store);
        let was_refused = std::mem::replace(&mut self.is_refused, result.is_err());
        let error = result.err()?;
        self.not_before = Instant::now() + RETRY;
        (!was_refused).then_some(error)
    }

    /// Saves for the last time. Returns the error, also of a disk that takes too long.
    pub(super) async fn finish(&mut self, saved: Saved) -> Option<io::Error> {
        let late = |_| Some(io::Error::from(io::ErrorKind::TimedOut));
        if self.writing.is_some() {
            // What comes now replaces it, whether it went well or not.
            match timeout(LAST, self.ended()).await {
                Ok(_) => {}
                Err(elapsed) => return late(elapsed),
            }
        }
        self.store.as_ref()?;
        self.begin(0, saved);
        self.is_refused = false;
        timeout(LAST, self.ended()).await.unwrap_or_else(late)
    }
}

/// Time for which nothing is written behind so many bytes.
fn rest_after(bytes: usize) -> Duration {
    Duration::from_secs(bytes as u64) / BYTES_PER_S
}

/// Reads a store. Returns it too, unless the disk takes too long: then it is not used in this run.
pub(super) async fn load(mut store: Store) -> (Option<Store>, io::Result<Option<Vec<u8>>>) {
    let loading = spawn_blocking(move || {
        let loaded = store.load();
        (Some(store), loaded)
    });
    match timeout(LAST, loading).await {
        Ok(loaded) => loaded.unwrap_or_else(|error| (None, Err(io::Error::other(error)))),
        Err(_) => (None, Err(io::ErrorKind::TimedOut.into())),
    }
}

/// Sets aside what a store has, so that it is not overwritten. Returns the store, if that went well.
pub(super) async fn set_aside(mut store: Store) -> io::Result<Store> {
    let setting = spawn_blocking(move || store.set_aside().map(|()| store));
    setting.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests;
