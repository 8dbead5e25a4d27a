//! Panic fence around the store, which is foreign code or stands on a foreign medium. A panic in one of its calls leaves it in an unknown state: the
//! panic is caught, the store is never called again, and every later call is an error. So the queue goes on as on a disk that fails for good, no
//! receipt says `Stored` any more, and the file is left as if the process had ended there.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use crate::event::Event;
use crate::fault::FaultKind;
use crate::locks_and_atomics::{AtomicBool, MutexGuard, Ordering, PoisonError, lock};
use crate::row::{Lane, Seq, StoredRow};
use crate::shell::Clock;
use crate::state::{Change, State};
use crate::stats::Health;
use crate::store::{DoneRows, FileName, ReadLimit, Store, StoreError, StoreStats, StoredChunk};
use crate::time::Now;

use super::{Engine, Open};

/// Name of what panicked when a thread was unwound between the store's calls, for example by its clock.
const BETWEEN_CALLS: &str = "code around the store's calls";

/// First panic of its kind: its reason in words, the up time in milliseconds, and whether its event was emitted.
#[derive(Debug, Default)]
pub(super) struct FirstPanic {
    first: OnceLock<(String, u64)>,
    told: AtomicBool,
}

impl FirstPanic {
    /// Records a panic unless there was one before; `true` if there was none.
    pub(super) fn note(&self, reason: String, clock: &dyn Clock) -> bool {
        // The clock may be what panicked.
        let up_ms = catch_unwind(AssertUnwindSafe(|| clock.now().up_ms)).unwrap_or(0);
        self.first.set((reason, up_ms)).is_ok()
    }

    pub(super) fn is_some(&self) -> bool {
        self.first.get().is_some()
    }

    fn health(&self, now: &Now) -> Option<Health> {
        let (reason, at) = self.first.get()?;
        let since_ms = now.up_ms.saturating_sub(*at);
        Some(Health::Degraded { kind: FaultKind::Panicked, reason: reason.clone(), since_ms })
    }

    /// Returns the event of the panic, the first time only.
    fn event(&self) -> Option<Event> {
        let (reason, _) = self.first.get()?;
        let is_news = !self.told.swap(true, Ordering::Relaxed);
        is_news.then(|| Event::Degraded { kind: FaultKind::Panicked, reason: reason.clone() })
    }
}

/// A store behind the fence.
pub(super) struct FencedStore {
    store: Option<Box<dyn Store>>,
    /// Call that panicked; `None` while the store is sound.
    panicked: Cell<Option<&'static str>>,
    first: Arc<FirstPanic>,
    clock: Arc<dyn Clock>,
    /// Last known figures, for the time after a panic.
    figures: Cell<StoreStats>,
}

impl FencedStore {
    pub(super) fn new(store: Box<dyn Store>, first: Arc<FirstPanic>, clock: Arc<dyn Clock>) -> FencedStore {
        let (panicked, figures) = (Cell::new(None), Cell::new(StoreStats::default()));
        FencedStore { store: Some(store), panicked, first, clock, figures }
    }

    /// Returns an error if the store has panicked.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.panicked.get().map_or(Ok(()), |op| Err(StoreError::Panicked { op }))
    }

    /// Gives the store up because of a panic in `op`.
    fn give_up(&self, op: &'static str) -> StoreError {
        self.panicked.set(Some(op));
        let error = StoreError::Panicked { op };
        self.first.note(error.to_string(), self.clock.as_ref());
        error
    }

    fn call<T>(
        &mut self,
        op: &'static str,
        call: impl FnOnce(&mut dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.check()?;
        let Some(store) = self.store.as_deref_mut() else { return Err(StoreError::Panicked { op }) };
        match catch_unwind(AssertUnwindSafe(|| call(store))) {
            // A store that has a fence of its own says so.
            Ok(Err(StoreError::Panicked { op })) => Err(self.give_up(op)),
            Ok(result) => result,
            Err(_) => Err(self.give_up(op)),
        }
    }

    /// Makes a call that cannot fail; `None` once the store has panicked.
    fn look<T>(&self, op: &'static str, call: impl FnOnce(&dyn Store) -> T) -> Option<T> {
        self.check().ok()?;
        let store = self.store.as_deref()?;
        let result = catch_unwind(AssertUnwindSafe(|| call(store)));
        result.map_err(|_| self.give_up(op)).ok()
    }

    pub(super) fn append_shared(&mut self, rows: &Arc<Vec<StoredRow>>) -> Result<(), StoreError> {
        self.call("append", |store| store.append_shared(rows))
    }

    pub(super) fn commit(&mut self, changes: &[Change], state: &State) -> Result<(), StoreError> {
        self.call("commit", |store| store.commit(changes, state))
    }

    pub(super) fn read(
        &mut self,
        lane: Lane,
        from: Seq,
        limit: ReadLimit,
    ) -> Result<StoredChunk, StoreError> {
        self.call("read", |store| store.read(lane, from, limit))
    }

    pub(super) fn read_past_errors(
        &mut self,
        lane: Lane,
        from: Seq,
        limit: ReadLimit,
    ) -> Result<StoredChunk, StoreError> {
        self.call("read", |store| store.read_past_errors(lane, from, limit))
    }

    pub(super) fn advance(&mut self, lane: Lane, done: &DoneRows) -> Result<(), StoreError> {
        self.call("advance", |store| store.advance(lane, done))
    }

    pub(super) fn prepare(&mut self) -> Result<(), StoreError> {
        self.call("prepare", |store| store.prepare())
    }

    pub(super) fn segments(&self, lane: Lane) -> Option<Vec<(Seq, Seq)>> {
        self.look("segments", |store| store.segments(lane)).flatten()
    }

    pub(super) fn file_name(&self) -> FileName {
        self.look("file_name", |store| store.file_name()).unwrap_or(FileName::Unknown)
    }

    /// Returns the store's figures; the last known ones after a panic.
    pub(super) fn stats(&self) -> StoreStats {
        if let Some(figures) = self.look("stats", |store| store.stats()) {
            self.figures.set(figures);
        }
        self.figures.get()
    }
}

impl Drop for FencedStore {
    fn drop(&mut self) {
        let store = self.store.take();
        // Everything that matters is committed before, or is not stored and was not told to be.
        let _contained = catch_unwind(AssertUnwindSafe(|| drop(store)));
    }
}

impl Engine {
    /// Locks the store. If a thread was unwound while it held it, nobody knows how far the call had come: the store is given up, as after a panic of
    /// its own.
    pub(super) fn lock_store(&self) -> MutexGuard<'_, Option<Open>> {
        self.store.lock().unwrap_or_else(|poisoned| self.store_of(poisoned))
    }

    /// Returns the store whose holder was unwound, given up.
    pub(super) fn store_of<'a>(
        &self,
        poisoned: PoisonError<MutexGuard<'a, Option<Open>>>,
    ) -> MutexGuard<'a, Option<Open>> {
        let store = poisoned.into_inner();
        if let Some(open) = store.as_ref()
            && open.store.check().is_ok()
        {
            open.store.give_up(BETWEEN_CALLS);
            // The call that was under way will not return.
            self.watchdog.forget();
        }
        store
    }

    /// Returns the health after a panic of the store or of the writer thread; `None` if there was none.
    pub(super) fn health_after_panic(&self, now: &Now) -> Option<Health> {
        self.store_panic.health(now).or_else(|| self.writer_panic.health(now))
    }

    /// Emits the event of each panic once.
    pub(super) fn tell_panics(&self) {
        let told = [self.store_panic.event(), self.writer_panic.event()];
        told.into_iter().flatten().for_each(|event| lock(&self.events).put(event));
    }
}
