//! Shared slot for the receipts of rows pushed one after the other: one allocation, one lock and one wake-up for all of
//! them.

use std::sync::{Arc, OnceLock, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::contained_waker::Wakers;
use crate::locks_and_atomics::{Condvar, Mutex, PoisonError, lock};
use crate::receipt::{Receipt, WaitError};
use crate::row::Seq;

/// Outcome of a receipt.
pub(super) type Answer = Result<Receipt, WaitError>;

/// Listener for waits on receipts.
pub(crate) trait WaitObserver: Send + Sync {
    /// Calls `wait`, in which a producer waits for a receipt, and may act before it, such as commit.
    fn while_waited(&self, wait: &mut dyn FnMut());
}

/// Receipts of rows that share one slot; the rows are numbered from 0 in it.
#[derive(Default)]
pub(crate) struct Slot {
    state: Mutex<State>,
    arrived: Condvar,
    /// Observer of waits, set before a producer can wait.
    observer: OnceLock<Weak<dyn WaitObserver>>,
}

/// Consecutive rows in a slot whose receipts are outstanding, or are being given.
#[derive(Clone, Default)]
pub(crate) struct Ticket {
    pub(crate) slot: Arc<Slot>,
    /// Index of the first row in the slot; `rows` is the number of rows.
    pub(crate) at: u32,
    pub(crate) rows: u32,
    /// Sequence number of the first row in its lane.
    pub(crate) first: Seq,
}

impl Ticket {
    /// Returns the sequence number behind the last row.
    pub(in crate::model) fn end(&self) -> Seq {
        self.first.saturating_add(u64::from(self.rows))
    }

    /// Returns the ticket of `rows` of these rows, from the one with the index `from` on.
    pub(in crate::model) fn part(&self, from: u32, rows: u32) -> Ticket {
        let (at, first) = (self.at.saturating_add(from), self.first.saturating_add(u64::from(from)));
        Ticket { slot: self.slot.clone(), at, rows, first }
    }

    /// Returns whether `next` begins in the slot where this ticket ends.
    pub(in crate::model) fn goes_on_with(&self, next: &Ticket) -> bool {
        self.at.checked_add(self.rows) == Some(next.at) && Arc::ptr_eq(&self.slot, &next.slot)
    }
}

/// Answer that the rows from `at` on to below `end` share.
#[derive(Clone, Copy)]
struct Given {
    at: u32,
    end: u32,
    answer: Answer,
}

#[derive(Default)]
struct State {
    /// Answer given first, usually to all rows at once, so that `others` stays empty; `None` before it.
    first: Option<Given>,
    others: Vec<Given>,
    wakers: Wakers<u32>,
    /// Set once a thread has blocked on the slot; before that an answer needs no system call.
    waiting: bool,
}

impl State {
    fn get(&self, at: u32) -> Option<Answer> {
        let holds = |given: &&Given| (given.at..given.end).contains(&at);
        self.first.iter().chain(&self.others).find(holds).map(|given| given.answer)
    }

    fn put(&mut self, given: Given) {
        let Some(first) = &mut self.first else {
            self.first = Some(given);
            return;
        };
        let last = self.others.last_mut().unwrap_or(first);
        if last.end == given.at && last.answer == given.answer {
            last.end = given.end;
        } else {
            self.others.push(given);
        }
    }
}

impl Slot {
    /// Answers `rows` rows from `at` on. Each row is answered once.
    pub(in crate::model) fn resolve(&self, at: u32, rows: u32, answer: Answer) {
        let end = at.saturating_add(rows);
        let mut state = lock(&self.state);
        state.put(Given { at, end, answer });
        let woken = state.wakers.take(|row| (at..end).contains(row));
        if state.waiting {
            self.arrived.notify_all();
        }
        drop(state);
        woken.wake();
    }

    /// Sets the observer of waits. Only the first call counts, because all rows of a slot are of one queue.
    pub(crate) fn observed_by<H: WaitObserver + 'static>(&self, observer: &Arc<H>) {
        self.observer.get_or_init(|| {
            let observer: Weak<H> = Arc::downgrade(observer);
            observer
        });
    }

    pub(crate) fn get(&self, at: u32) -> Option<Answer> {
        lock(&self.state).get(at)
    }

    /// Waits for the answer without a time limit, through the observer.
    pub(crate) fn wait_observed(&self, at: u32) -> Option<Answer> {
        let mut done = self.get(at);
        if done.is_none() {
            // Who is gone has answered all there was to answer.
            match self.observer.get().and_then(Weak::upgrade) {
                Some(observer) => observer.while_waited(&mut || done = self.wait(at, None)),
                None => done = self.wait(at, None),
            }
        }
        done
    }

    pub(crate) fn wait(&self, at: u32, time: Option<Duration>) -> Option<Answer> {
        let mut state = lock(&self.state);
        state.waiting = true;
        let open = |state: &mut State| state.get(at).is_none();
        match time {
            None => {
                let state = self.arrived.wait_while(state, open);
                state.unwrap_or_else(PoisonError::into_inner).get(at)
            }
            Some(time) => {
                let waited = self.arrived.wait_timeout_while(state, time, open);
                waited.unwrap_or_else(PoisonError::into_inner).0.get(at)
            }
        }
    }

    pub(crate) fn poll(&self, at: u32, waker: &Waker) -> Poll<Answer> {
        let mut state = lock(&self.state);
        if let Some(answer) = state.get(at) {
            return Poll::Ready(answer);
        }
        state.wakers.set(at, waker);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::state::Reason;

    const STORED: Answer = Ok(Receipt::Stored);

    #[test]
    fn rows_answered_apart_keep_their_own_answers() {
        let slot = Slot::default();
        slot.resolve(3, 2, Ok(Receipt::HandedOver));
        slot.resolve(0, 2, STORED);
        slot.resolve(2, 1, STORED);
        slot.resolve(6, 1, Ok(Receipt::Settled(Reason::Overflow)));
        let answers: Vec<_> = (0..8).map(|at| slot.get(at)).collect();
        let (handed, dropped) = (Ok(Receipt::HandedOver), Ok(Receipt::Settled(Reason::Overflow)));
        let (s, h, d) = (Some(STORED), Some(handed), Some(dropped));
        assert_eq!(answers, [s, s, s, h, h, None, d, None]);
        assert_eq!(lock(&slot.state).others.len(), 2, "neighbours with one answer are kept as one");
    }

    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_those_who_are_answered_are_woken_and_each_once() {
        let slot = Slot::default();
        let counts: Vec<Arc<Count>> = (0..4).map(|_| Arc::new(Count(AtomicU32::new(0)))).collect();
        for (at, count) in (0u32..).zip(&counts) {
            for _ in 0..3 {
                assert!(slot.poll(at, &Waker::from(count.clone())).is_pending());
            }
        }
        slot.resolve(1, 2, STORED);
        let woken = || counts.iter().map(|count| count.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
        assert_eq!(woken(), [0, 1, 1, 0]);
        slot.resolve(0, 1, STORED);
        slot.resolve(3, 1, STORED);
        assert_eq!(woken(), [1; 4]);
    }
}
