//! Background saving of the clients' sessions to disk, soon after a change, but rarely enough to spare flash.

use std::io;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};

use crate::listener::Saved;

/// Delay from a change to its write, so that changes within it are written together.
const SETTLE: Duration = Duration::from_secs(1);
/// Delay from a message to or from a connected client to the write of its session. After a kill within it the message may be sent again, or be
/// forgotten.
const EXCHANGES: Duration = Duration::from_secs(60);
/// Most bytes written per second, on average: 350 MB a day.
const BYTES_PER_S: u32 = 4096;
/// Bytes that a file system writes beside those of a small file that is replaced, measured on ext4: 19 KiB.
const FILE_BYTES: usize = 20 * 1024;
/// Change of the wall clock, in milliseconds, that counts as a change of the state: the age of everything saved depends on the clock.
const CLOCK_STEP_MS: u64 = 10_000;
/// Delay before a write that the disk refused is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// Longest wait for the disk at a start, and for a damaged file to be renamed.
const FIRST: Duration = Duration::from_secs(5);
/// Longest wait for the last write at a stop, because other parts have to stop too.
const LAST: Duration = Duration::from_secs(1);

/// Storage in which a server keeps sessions with their waiting messages, and retained messages, over a restart
/// ([`Listener::save`](crate::listener::Listener::save)). Called on a thread that may block.
pub trait ClientStore: Send + 'static {
    /// Returns the bytes that were saved last; `None` if none were saved yet. They have checksums of their own, so that damage costs a part of them alone.
    ///
    /// # Errors
    ///
    /// The bytes cannot be read. They are [set aside](Self::set_aside) then.
    fn load(&mut self) -> io::Result<Option<Vec<u8>>>;

    /// Saves these bytes durably, in place of those saved before.
    ///
    /// # Errors
    ///
    /// The disk failed. The bytes saved before should still be there.
    fn save(&mut self, saved: &[u8]) -> io::Result<()>;

    /// Keeps the saved bytes, which are damaged, for inspection: the next [`save`](Self::save), which follows soon, does not replace them there.
    /// Until then [`load`](Self::load) should return them, so that a kill does not cost the whole records in them.
    ///
    /// # Errors
    ///
    /// The bytes stay where they are, and nothing is saved; it is tried again a minute later.
    fn set_aside(&mut self) -> io::Result<()>;
}

pub(super) type Store = Box<dyn ClientStore>;

/// Time of the save that a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SaveWhen {
    /// The time at which it is due, which spares flash.
    Due,
    /// At once, as where the supply of power is failing.
    Now,
}

/// Version of the clients' state, to find out if there is anything new to save.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    /// Number of [changes](crate::listener::Listener::changes).
    pub(super) changes: u64,
    /// Number of [exchanges](crate::listener::Listener::exchanges).
    pub(super) exchanges: u64,
    /// Wall clock at the start of the process, as far as it is known now.
    pub(super) started_ms: i64,
}

/// Ended write.
struct Written {
    store: Store,
    /// Set if what was saved before still has to be set aside.
    must_set_aside: bool,
    result: io::Result<()>,
}

/// Client store of a running server, if it has one.
pub(super) struct ClientSaving {
    /// Store to write to; `None` without a store, or while it is being written to.
    store: Option<Store>,
    writing: Option<JoinHandle<Written>>,
    /// Version of the state that is on disk, or was to be written.
    saved: Mark,
    /// Set if the disk refused the last write.
    is_refused: bool,
    /// Set while what was saved before has to be set aside before it is replaced.
    must_set_aside: bool,
    /// Time at which a later change was seen first; with that of a later message of a connected client.
    changed: Option<Instant>,
    exchanged: Option<Instant>,
    not_before: Instant,
    /// Set if the next write is due as soon as there is anything new.
    is_urgent: bool,
    /// Set if the last write left something out at the size limit.
    leaves_out: bool,
    /// Callers that wait for the next write; with those that wait for the present one.
    wait_for_next: Vec<oneshot::Sender<()>>,
    wait_for_this: Vec<oneshot::Sender<()>>,
}

impl ClientSaving {
    /// Creates the saving of a server without a store.
    pub(super) fn none() -> Self {
        Self {
            store: None,
            writing: None,
            saved: Mark::default(),
            is_refused: false,
            must_set_aside: false,
            changed: None,
            exchanged: None,
            not_before: Instant::now(),
            is_urgent: false,
            leaves_out: false,
            wait_for_next: Vec::new(),
            wait_for_this: Vec::new(),
        }
    }

    /// Saves to `store`, which has the state of version `saved`.
    pub(super) fn new(store: Store, saved: Mark) -> Self {
        Self { store: Some(store), saved, ..Self::none() }
    }

    /// Saves to `store` soon, because what was there at `now` differs from what the listener has.
    pub(super) fn outdated(store: Store, now: Mark) -> Self {
        // No state has had so many changes.
        Self::new(store, Mark { changes: u64::MAX, ..now })
    }

    /// Saves to `store` once what is there can be set aside, which it could not just now.
    pub(super) fn blocked(store: Store, now: Mark) -> Self {
        let not_before = Instant::now() + RETRY;
        Self { must_set_aside: true, is_refused: true, not_before, ..Self::outdated(store, now) }
    }

    /// Returns when to [begin](Self::begin) a write; `None` while there is nothing new.
    pub(super) fn due(&mut self, now: Mark) -> Option<Instant> {
        self.store.as_ref()?;
        let is_stepped = now.started_ms.abs_diff(self.saved.started_ms) > CLOCK_STEP_MS;
        let is_changed = self.saved.changes != now.changes || is_stepped || self.is_refused;
        let first =
            |is_there: bool, at: &mut Option<Instant>| is_there.then(|| *at.get_or_insert_with(Instant::now));
        let changed = first(is_changed, &mut self.changed).map(|at| at + SETTLE);
        let exchanged =
            first(self.saved.exchanges != now.exchanges, &mut self.exchanged).map(|at| at + EXCHANGES);
        let due = changed.into_iter().chain(exchanged).min()?.max(self.not_before);
        Some(if self.is_urgent { due.min(Instant::now()) } else { due })
    }

    /// Answers when the present state is on disk, at once without a store.
    pub(super) fn when_saved(&mut self, now: Mark, answer: oneshot::Sender<()>, when: SaveWhen) {
        let is_saved = now.changes == self.saved.changes && now.exchanges == self.saved.exchanges;
        if !self.has_store() || (is_saved && self.writing.is_none() && !self.is_refused) {
            answer_all([answer]);
        } else if is_saved && self.writing.is_some() {
            self.wait_for_this.push(answer);
        } else {
            self.wait_for_next.push(answer);
            self.is_urgent |= when == SaveWhen::Now;
        }
    }

    /// Starts a write in the background. Returns the number of items left out, if that should be reported.
    pub(super) fn begin(&mut self, now: Mark, saved: Saved) -> Option<usize> {
        let mut store = self.store.take()?;
        self.saved = now;
        (self.changed, self.exchanged) = (None, None);
        self.is_urgent = false;
        self.wait_for_this.append(&mut self.wait_for_next);
        self.not_before = Instant::now() + rest_after(saved.bytes.len());
        let news = self.news(saved.left_out);
        let must_set_aside = self.must_set_aside;
        self.writing = Some(spawn_blocking(move || {
            let set = if must_set_aside { store.set_aside() } else { Ok(()) };
            // Not again where the save alone fails: its bytes may be in place, and would be set aside over the damaged ones.
            let must_set_aside = set.is_err();
            let result = set.and_then(|()| store.save(&saved.bytes));
            Written { store, must_set_aside, result }
        }));
        news
    }

    /// Returns whether there is a store to save to.
    pub(super) fn has_store(&self) -> bool {
        self.store.is_some() || self.writing.is_some()
    }

    /// Records the number of items left out of a write. Returns it if nothing was left out before.
    pub(super) fn news(&mut self, left_out: usize) -> Option<usize> {
        let left_out_before = std::mem::replace(&mut self.leaves_out, left_out > 0);
        (left_out > 0 && !left_out_before).then_some(left_out)
    }

    /// Waits for the end of the present write, for ever if there is none. Returns its error, unless the write before failed too: a disk that
    /// goes on failing is told once. Cancel-safe.
    pub(super) async fn ended(&mut self) -> Option<io::Error> {
        let Some(writing) = &mut self.writing else { return std::future::pending().await };
        let ended = writing.await;
        self.writing = None;
        let Ok(Written { store, must_set_aside, result }) = ended else {
            // There is no store from now on.
            answer_all(self.wait_for_this.drain(..).chain(self.wait_for_next.drain(..)));
            return Some(io::Error::other("its thread has panicked"));
        };
        self.store = Some(store);
        self.must_set_aside = must_set_aside;
        let was_refused = std::mem::replace(&mut self.is_refused, result.is_err());
        let Err(error) = result else {
            answer_all(self.wait_for_this.drain(..));
            return None;
        };
        self.wait_for_next.append(&mut self.wait_for_this);
        self.not_before = Instant::now() + RETRY;
        (!was_refused).then_some(error)
    }

    /// Writes for the last time. Returns the error, also if the disk takes too long.
    pub(super) async fn finish(&mut self, saved: Saved) -> Option<io::Error> {
        timeout(LAST, self.save_last(saved)).await.unwrap_or_else(|_| Some(io::ErrorKind::TimedOut.into()))
    }

    async fn save_last(&mut self, saved: Saved) -> Option<io::Error> {
        if self.writing.is_some() {
            // What comes now replaces it, whether it went well or not.
            self.ended().await;
        }
        self.store.as_ref()?;
        self.begin(Mark::default(), saved);
        self.is_refused = false;
        self.ended().await
    }
}

fn answer_all(waiting: impl IntoIterator<Item = oneshot::Sender<()>>) {
    for answer in waiting {
        // Nobody may be waiting any more.
        let _ = answer.send(());
    }
}

/// Returns the pause after a write of this many bytes.
fn rest_after(bytes: usize) -> Duration {
    Duration::from_secs((bytes + FILE_BYTES) as u64) / BYTES_PER_S
}

/// Reads a store. Returns the store too, unless the disk takes too long; then this process does not use it.
pub(super) async fn load(store: Store) -> (Option<Store>, io::Result<Option<Vec<u8>>>) {
    at_start(store, |store| store.load()).await
}

/// Sets aside the bytes of a store, so that they are not overwritten. Returns the store too, unless the disk takes too long.
pub(super) async fn set_aside(store: Store) -> (Option<Store>, io::Result<()>) {
    at_start(store, |store| store.set_aside()).await
}

/// Calls a store on a thread that may block, for which a start does not wait longer than [`FIRST`].
async fn at_start<T: Send + 'static>(
    mut store: Store,
    call: impl FnOnce(&mut Store) -> io::Result<T> + Send + 'static,
) -> (Option<Store>, io::Result<T>) {
    let called = spawn_blocking(move || {
        let answer = call(&mut store);
        (Some(store), answer)
    });
    match timeout(FIRST, called).await {
        Ok(called) => called.unwrap_or_else(|error| (None, Err(io::Error::other(error)))),
        Err(_) => (None, Err(io::ErrorKind::TimedOut.into())),
    }
}

#[cfg(test)]
mod tests;
