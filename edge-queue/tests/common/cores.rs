//! Independent cases on all cores of the machine, for loops that would keep one busy for minutes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// The sums of both figures of `case`, which is called once with each number below `count`. A case that panics fails the caller.
pub(crate) fn sum_of(count: u64, case: impl Fn(u64) -> [u64; 2] + Sync) -> [u64; 2] {
    let next = AtomicU64::new(0);
    let work = || {
        let mut sums = [0, 0];
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= count {
                return sums;
            }
            for (sum, figure) in sums.iter_mut().zip(case(nth)) {
                *sum += figure;
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let ended = running.into_iter().map(|worker| worker.join().expect("a case failed"));
        ended.fold([0, 0], |[a, b], [c, d]| [a + c, b + d])
    })
}
