//! Writer thread: writes a commit when one is due, and sleeps otherwise.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::locks_and_atomics::{AtomicBool, Mutex, Ordering, lock};
use crate::model::Model;

use super::Engine;
use super::wakes::WriterSleep;

/// Longest sleep in milliseconds; a bound on what a lost wake-up could cost.
const SLEEP_MAX_MS: u64 = 60_000;
/// Reason in the health after a panic that ended the writer thread.
const WRITER_ENDED: &str = "the queue's thread ended in a panic: nothing is written when it is due, but by calls of `commit` and `close`";

/// State of the writer thread: its sleep, and its work when no commit is due.
pub(super) struct Writer {
    pub(super) sleep: WriterSleep,
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
    /// Set when a commit was written since the store last prepared for the next one.
    wrote: AtomicBool,
}

impl Default for Writer {
    /// Starts with `wrote` set, so that a store that was opened may prepare for its first commit.
    fn default() -> Writer {
        let wrote = AtomicBool::new(true);
        Writer { sleep: WriterSleep::default(), thread: Mutex::default(), wrote }
    }
}

impl Writer {
    /// Records a commit, so that the preparation of the next commit may begin.
    pub(super) fn note_commit(&self) {
        self.wrote.store(true, Ordering::Relaxed);
    }

    /// Claims the preparation for the next commit; `true` once after each commit.
    fn may_prepare(&self) -> bool {
        self.wrote.swap(false, Ordering::Relaxed)
    }
}

impl Engine {
    pub(super) fn start_writer(self: &Arc<Self>) -> std::io::Result<()> {
        if self.clock.manual() {
            return Ok(());
        }
        let engine = self.clone();
        let thread =
            std::thread::Builder::new().name("edge-queue".into()).spawn(move || engine.run_contained())?;
        *lock(&self.writer.thread) = Some(thread);
        Ok(())
    }

    pub(super) fn stop_writer(&self) {
        self.writer.sleep.wake();
        let thread = lock(&self.writer.thread).take();
        if let Some(thread) = thread.filter(|t| t.thread().id() != std::thread::current().id()) {
            let _ended = thread.join();
        }
    }

    /// Performs one turn of the writer thread, for a manual clock: takes back leases whose time is over, wakes who waits for a store
    /// that can be read again, then writes a commit if one is due, else prepares for the next. Returns whether a commit was written.
    pub(crate) fn tick(&self) -> bool {
        let now = self.clock.now();
        if self.name.next_ms() <= now.up_ms {
            self.look_at_name();
        }
        if self.with_model(|model| self.is_due_for_waiters(model, now.up_ms)) {
            self.wake_all();
        }
        let due = self.model().due_at_ms().is_some_and(|at| at <= now.up_ms);
        if !due && self.writer.may_prepare() {
            self.prepare();
        }
        due && self.commit_due().is_ok()
    }

    /// Lets the store prefill space while no row waits. Only after a commit: an idle queue stays idle.
    fn prepare(&self) {
        if let Some(open) = self.lock_store().as_mut() {
            // A medium that fails will tell the next commit, which has something to say about it.
            let _told_later = self.watched(|| open.store.prepare());
        }
    }

    /// Runs the writer thread to its end, and records a panic that ended it.
    fn run_contained(&self) {
        if catch_unwind(AssertUnwindSafe(|| self.run())).is_err() {
            // If it held the store, that is given up now, and its own panic says so; nothing is written then by any call.
            drop(self.lock_store());
            if !self.store_panic.is_some() {
                self.writer_panic.note(WRITER_ENDED.to_owned(), self.clock.as_ref());
            }
        }
    }

    fn run(&self) {
        loop {
            let mut model = self.model();
            if model.closed {
                return;
            }
            let now = self.clock.now().up_ms;
            if self.is_due_for_waiters(&mut model, now) {
                drop(model);
                self.wake_all();
                continue;
            }
            if self.name.next_ms() <= now {
                drop(model);
                self.look_at_name();
                continue;
            }
            let due = model.due_at_ms();
            if due.is_some_and(|at| at <= now) {
                drop(model);
                // An error is noted in the model, with the time of the next try.
                let _noted = self.commit_due();
                continue;
            }
            if self.writer.may_prepare() {
                drop(model);
                self.prepare();
                continue;
            }
            let times = [due, model.read_again_at(), model.returns_at(), Some(self.name.next_ms())];
            let wakes_at = times.into_iter().flatten().min();
            let sleep = wakes_at.map_or(SLEEP_MAX_MS, |at| at.saturating_sub(now).min(SLEEP_MAX_MS));
            self.writer.sleep.sleep(model, now.saturating_add(sleep), Duration::from_millis(sleep));
        }
    }

    /// Returns whether consumers or producers have something new to look at since the last call: leases that came back by their time, a lane that
    /// could not be read and may be tried again, or a store that answers again.
    fn is_due_for_waiters(&self, model: &mut Model, up_ms: u64) -> bool {
        model.came_back(up_ms) | model.reads_are_due(up_ms) | self.watchdog.take_return()
    }
}
