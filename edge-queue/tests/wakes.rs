//! Wake protocol in a model checker, which tries every order of steps of those who sleep and of those who wake them, with up to three
//! threads stopped in the middle. A wake-up that is lost leaves a thread asleep for good: a deadlock. The controls break one rule each and
//! must be found out.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    unreachable_pub,
    missing_docs,
    dead_code,
    reason = "test code"
)]

/// Locks and atomics of the model checker in the place of those of `src/locks_and_atomics.rs`.
mod locks_and_atomics {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
#[path = "../src/contained_waker.rs"]
mod contained_waker;
#[path = "../src/engine/wakes/mod.rs"]
mod wakes;

use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use locks_and_atomics::{Condvar, Mutex, lock};
use loom::thread;
use wakes::{WaitingConsumers, WaitingProducers, WriterSleep};

/// No sleep ends by time here: what would be late in a queue is a deadlock.
const LONG: Duration = Duration::from_secs(1);

/// The model as the protocol sees it: rows, room and a commit that is due, under one lock.
#[derive(Default)]
struct Model {
    rows: u32,
    room: u32,
    due: bool,
}

#[derive(Default)]
struct Shell {
    model: Mutex<Model>,
    rows: WaitingConsumers,
    room: WaitingProducers,
    writer: WriterSleep,
}

impl Shell {
    fn take_row(&self) {
        loop {
            let mut model = lock(&self.model);
            if model.rows > 0 {
                model.rows -= 1;
                return;
            }
            self.rows.sleep(model, Some(LONG));
        }
    }

    fn take_row_as_task(&self) {
        let task = Arc::new(Task::default());
        loop {
            let mut model = lock(&self.model);
            if model.rows > 0 {
                model.rows -= 1;
                return;
            }
            self.rows.wait_as_task(1, &Waker::from(task.clone()));
            drop(model);
            task.sleep();
        }
    }

    fn push(&self) {
        let mut model = lock(&self.model);
        model.rows += 1;
        let claimed = self.rows.claim();
        drop(model);
        if claimed {
            self.rows.wake();
        }
    }

    fn take_room(&self) {
        let waiter = self.room.enter();
        loop {
            let seen = self.room.count();
            if self.try_room() {
                return self.room.leave(waiter);
            }
            self.room.sleep(seen, LONG);
        }
    }

    fn take_room_as_task(&self) {
        let waiter = self.room.enter();
        let task = Arc::new(Task::default());
        loop {
            let seen = self.room.count();
            if self.try_room() {
                return self.room.leave(waiter);
            }
            while self.room.poll_turn(waiter, seen, &Waker::from(task.clone())) == Poll::Pending {
                task.sleep();
            }
        }
    }

    fn try_room(&self) -> bool {
        let mut model = lock(&self.model);
        let any = model.room > 0;
        model.room -= u32::from(any);
        any
    }

    fn make_room(&self) {
        lock(&self.model).room += 1;
        self.room.turn();
    }

    fn write_when_due(&self) {
        loop {
            let model = lock(&self.model);
            if model.due {
                return;
            }
            self.writer.sleep(model, 60_000, LONG);
        }
    }
}

/// Sleep of a task that is polled.
#[derive(Default)]
struct Task {
    woken: Mutex<bool>,
    asleep: Condvar,
}

impl Task {
    fn sleep(&self) {
        let mut woken = lock(&self.woken);
        while !*woken {
            woken = self.asleep.wait(woken).unwrap();
        }
        *woken = false;
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        *lock(&self.woken) = true;
        self.asleep.notify_one();
    }
}

/// Runs these at once, in every order of their steps that stops threads three times at most: without a bound three threads take minutes.
fn at_once(threads: &[fn(&Shell)]) {
    let threads = threads.to_vec();
    let mut checker = loom::model::Builder::new();
    checker.preemption_bound = Some(3);
    checker.check(move || {
        let shell = Arc::new(Shell::default());
        let threads = threads.iter().map(|run| {
            let (run, shell) = (*run, shell.clone());
            thread::spawn(move || run(&shell))
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_push_wakes_the_consumer_that_found_nothing() {
    at_once(&[Shell::take_row, Shell::push]);
    at_once(&[Shell::take_row_as_task, Shell::push]);
}

#[test]
fn two_pushes_wake_two_consumers() {
    at_once(&[Shell::take_row, Shell::take_row, |shell| {
        shell.push();
        shell.push();
    }]);
}

/// A consumer that was forgotten wakes everybody, and takes the wake-up of a push from nobody.
#[test]
fn whoever_wakes_everybody_costs_no_consumer_its_push() {
    let wake_all = |shell: &Shell| {
        drop(lock(&shell.model));
        shell.rows.wake();
    };
    at_once(&[Shell::take_row, Shell::push, wake_all]);
    at_once(&[Shell::take_row_as_task, Shell::push, wake_all]);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_claim_without_the_lock_is_found_out() {
    let wake_all = |shell: &Shell| {
        drop(lock(&shell.model));
        let _claimed = shell.rows.claim();
        shell.rows.wake();
    };
    at_once(&[Shell::take_row, Shell::push, wake_all]);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_claim_before_the_change_is_found_out() {
    at_once(&[Shell::take_row, |shell| {
        let claimed = shell.rows.claim();
        lock(&shell.model).rows += 1;
        if claimed {
            shell.rows.wake();
        }
    }]);
}

#[test]
fn room_that_comes_between_try_and_sleep_is_not_missed() {
    at_once(&[Shell::take_room, Shell::make_room]);
    at_once(&[Shell::take_room_as_task, Shell::make_room]);
    at_once(&[Shell::take_room, Shell::take_room, |shell| {
        shell.make_room();
        shell.make_room();
    }]);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_counter_that_is_read_after_the_try_is_found_out() {
    at_once(&[
        |shell| {
            let waiter = shell.room.enter();
            while !shell.try_room() {
                shell.room.sleep(shell.room.count(), LONG);
            }
            shell.room.leave(waiter);
        },
        Shell::make_room,
    ]);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_producer_that_counts_itself_after_its_try_is_found_out() {
    at_once(&[
        |shell| {
            let seen = shell.room.count();
            if !shell.try_room() {
                let waiter = shell.room.enter();
                shell.room.sleep(seen, LONG);
                shell.room.leave(waiter);
            }
        },
        Shell::make_room,
    ]);
}

#[test]
fn the_writer_is_woken_for_what_is_due_before_it_would_wake() {
    at_once(&[Shell::write_when_due, |shell| {
        let mut model = lock(&shell.model);
        model.due = true;
        let beyond = shell.writer.lasts_beyond(5);
        drop(model);
        if beyond {
            shell.writer.wake();
        }
    }]);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_look_at_the_writer_before_the_change_is_found_out() {
    at_once(&[Shell::write_when_due, |shell| {
        let beyond = shell.writer.lasts_beyond(5);
        lock(&shell.model).due = true;
        if beyond {
            shell.writer.wake();
        }
    }]);
}
