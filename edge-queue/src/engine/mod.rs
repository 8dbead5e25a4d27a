#![allow(clippy::disallowed_methods, reason = "the shell around the model: one thread, condvars, the store")]
//! Shell around the pure model: locks, the writer thread, and every call that may wait.
//!
//! Lock order: store, then model; no thread locks the store while it holds the model, so a push never waits for a sync. The thread that calls
//! [`Engine::commit`] writes the commit itself; the writer thread does so when one is due.

mod ack_ids;
mod consumers;
mod damage;
#[cfg(any(feature = "ring", feature = "redb"))]
mod export;
mod file_name;
mod group_commit;
mod health;
mod lease;
mod ledgers;
mod open;
mod push;
mod push_wait;
mod stats;
mod stop_and_wait;
mod store_fence;
mod store_full;
mod store_watchdog;
#[cfg(test)]
mod tests;
mod wakes;
mod writer_thread;

#[cfg(feature = "tokio")]
pub(crate) use lease::Quick;
pub use lease::Wait;
#[cfg(any(feature = "ring", feature = "redb"))]
pub(crate) use open::open_store;
#[cfg(feature = "tokio")]
pub(crate) use push_wait::WaitingProducer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

use crate::event::{Event, Events};
use crate::gap::Gap;
use crate::locks_and_atomics::{Mutex, MutexGuard, lock};
use crate::model::{Done, LeaseKey, Model, Outbox, WaitObserver};
use crate::planted_flaw::{Flaw, planted};
use crate::row::Lane;
use crate::shell::Clock;
use crate::state::{GapRecord, State};

use file_name::NameLook;
use stats::Seen;
use stop_and_wait::StopAndWait;
use store_fence::{FencedStore, FirstPanic};
use store_watchdog::StoreWatchdog;
use wakes::{WaitingConsumers, WaitingProducers};
use writer_thread::Writer;

/// The store and the lock of its directory.
pub(crate) struct Open {
    store: FencedStore,
    _lock: Option<Box<dyn Send>>,
}

/// Engine behind all handles of a queue: the model under its lock, and the store, which one thread at a time calls.
pub(crate) struct Engine {
    model: Mutex<Model>,
    store: Mutex<Option<Open>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: Mutex<Events>,
    writer: Writer,
    rows: WaitingConsumers,
    room: WaitingProducers,
    stop_and_wait: Mutex<StopAndWait<ThreadId>>,
    watchdog: StoreWatchdog,
    /// Panic in a call of the store, after which nothing is stored any more.
    store_panic: Arc<FirstPanic>,
    /// Panic that ended the writer thread.
    writer_panic: FirstPanic,
    name: NameLook,
    seen: Mutex<Seen>,
    /// Set once rows were acknowledged by identity: since then a lease may end without its holder or a time limit.
    acks_by_id: AtomicBool,
    /// Durable state of the last successful commit.
    committed: Mutex<Arc<State>>,
}

/// Kinds of threads to wake after a call.
#[derive(Clone, Copy)]
struct Wake {
    writer: bool,
    consumers: bool,
}

impl Engine {
    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        lock(&self.model)
    }

    /// Calls `f` with the model locked, and gives the receipts that it decided on after the lock is released.
    #[inline]
    pub(crate) fn with_model<T>(&self, f: impl FnOnce(&mut Model) -> T) -> T {
        let mut model = self.model();
        let result = f(&mut model);
        let out = std::mem::take(&mut model.out);
        drop(model);
        out.deliver();
        result
    }

    pub(crate) fn tell(&self, event: Event) {
        lock(&self.events).put(event);
    }

    /// Ends leases of one consumer, all with the same outcome. Leases that have ended already are skipped.
    pub(crate) fn end_leases(&self, consumer: u64, rows: impl IntoIterator<Item = LeaseKey>, how: Done) {
        let up_ms = self.clock.now().up_ms;
        self.change_leases(|model| {
            for key in rows {
                if model.holds(consumer, key) {
                    model.end_lease(consumer, key.lane, key.seq, how, up_ms);
                }
            }
        });
    }

    /// Gives a leased row back after `delay`; at once when that is zero.
    pub(crate) fn give_back(&self, consumer: u64, key: LeaseKey, delay: Duration) {
        let up_ms = self.clock.now().up_ms;
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.change_leases(|model| match model.holds(consumer, key) {
            false => {}
            true if delay_ms == 0 => model.give_back(consumer, key.lane, key.seq),
            // For ever is as long as the queue is open.
            true => model.give_back_at(consumer, key.lane, key.seq, up_ms.saturating_add(delay_ms)),
        });
    }

    /// Returns whether a lease without a time limit may have ended by itself.
    pub(crate) fn ends_leases(&self) -> bool {
        self.acks_by_id.load(Ordering::Relaxed)
    }

    pub(crate) fn pass(&self, consumer: u64, key: LeaseKey) {
        self.change_leases(|model| {
            if model.holds(consumer, key) {
                model.pass(consumer, key.lane, key.seq);
            }
        });
    }

    pub(crate) fn ack_gaps(&self, consumer: u64, gaps: &[Gap]) {
        let up_ms = self.clock.now().up_ms;
        let gaps: Vec<(Lane, GapRecord)> = gaps.iter().map(|gap| (gap.lane, gap.record())).collect();
        self.change_leases(|model| model.ack_gaps(consumer, &gaps, up_ms));
    }

    /// Changes the leases of a consumer, and wakes the threads concerned; producers too, because a row that is not leased can be evicted.
    fn change_leases<T>(&self, change: impl FnOnce(&mut Model) -> T) -> T {
        let (result, wake) = self.with_model(|model| {
            let result = change(model);
            (result, self.whom_to_wake(model))
        });
        self.wake(wake);
        self.room.turn();
        result
    }

    /// Decides which threads to wake. The caller holds the model's lock, so that a thread either sleeps already or sees the change.
    fn whom_to_wake(&self, model: &Model) -> Wake {
        // Consumers also after an acknowledgement: leases may have been at their limit.
        let consumers = !planted(Flaw::AckWakesNobody) && self.rows.claim();
        Wake { writer: self.writer_sleeps_beyond(model), consumers }
    }

    fn writer_sleeps_beyond(&self, model: &Model) -> bool {
        let wakes_at = [model.due_at_ms(), model.returns_at()].into_iter().flatten().min();
        wakes_at.is_some_and(|at| self.writer.sleep.lasts_beyond(at))
    }

    fn wake(&self, whom: Wake) {
        if whom.writer {
            self.writer.sleep.wake();
        }
        if whom.consumers {
            self.rows.wake();
        }
    }

    /// Wakes the writer, all consumers and all producers, for example after a consumer was forgotten or the queue was closed.
    fn wake_all(&self) {
        self.wake(Wake { writer: true, consumers: true });
        self.room.turn();
    }

    /// Closes the model, and fails the receipts that a closed queue cannot give.
    fn refuse_all(&self) {
        let out: Outbox = {
            let mut model = self.model();
            model.close();
            std::mem::take(&mut model.out)
        };
        out.deliver();
        self.wake_all();
    }
}

impl WaitObserver for Engine {
    /// Commits before the wait if the producer waits after each push (stop-and-wait), because group commit only adds latency for it.
    fn while_waited(&self, wait: &mut dyn FnMut()) {
        let thread = std::thread::current().id();
        let row = lock(&self.stop_and_wait).begin(&thread, self.clock.now().up_ms);
        let commits = row.commits() && !planted(Flaw::WaitsNotCounted);
        if commits || self.clock.manual() {
            // An error leaves the receipt pending, which is what the caller waits for.
            let _noted = self.commit();
        }
        wait();
        lock(&self.stop_and_wait).end(thread, row, self.clock.now().up_ms);
    }
}
