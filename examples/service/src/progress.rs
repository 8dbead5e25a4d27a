//! Progress of a queue's writer, as far as a service watchdog is concerned: what a new start of the process could mend.

use edge_queue::{STALLED_AFTER_MS, Stats};

/// A writer that is so late with a commit, with no call of the store under way, does nothing.
const LATE_MS_MAX: u64 = 10_000;

/// Tells whether the queue's writer turns. It does at a disk that is full or fails, where it tries again by itself, and in a call that does not return: a
/// process that is killed for a disk that hangs ends when the disk answers, and control of the plant ends at once. It does not when a commit is due
/// and nobody writes it.
#[must_use]
pub fn makes_progress(stats: &Stats) -> bool {
    stats.overdue_ms <= LATE_MS_MAX || stats.call_ms >= STALLED_AFTER_MS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a second thread makes the call that hangs")]

    use std::sync::Arc;

    use edge_queue::testing::{Call, Fault, FaultError, SimDir};
    use edge_queue::{Config, Health, ManualClock, Now, Queue, Row};

    use super::*;

    /// With this clock a queue has no writer thread: a writer that is stuck.
    fn queue(dir: &SimDir) -> (Queue, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
        let config = Config::default().max_bytes(1 << 20);
        (Queue::open_in(Box::new(dir.clone()), config, clock.clone()).unwrap(), clock)
    }

    #[test]
    fn a_writer_that_leaves_a_commit_undone_makes_none() {
        let (queue, clock) = queue(&SimDir::new());
        clock.advance_ms(3_600_000);
        assert!(makes_progress(&queue.stats()), "nothing is due");
        let _waiting = queue.push(Row::new("reading")).unwrap();
        clock.advance_ms(LATE_MS_MAX);
        assert!(makes_progress(&queue.stats()));
        clock.advance_ms(LATE_MS_MAX - queue.stats().overdue_ms);
        assert!(makes_progress(&queue.stats()));
        clock.advance_ms(1);
        assert!(!makes_progress(&queue.stats()));
        queue.commit().unwrap();
        assert!(makes_progress(&queue.stats()));
    }

    #[test]
    fn a_disk_that_hangs_is_no_writer_that_is_stuck() {
        let dir = SimDir::new();
        let (queue, clock) = queue(&dir);
        let hold = dir.hold(Call::Sync);
        let _waiting = queue.push(Row::new("reading")).unwrap();
        let writer = queue.clone();
        let commit = std::thread::spawn(move || writer.commit());
        hold.wait_until_held();
        for _ in 0..10 {
            clock.advance_ms(60_000);
            assert!(makes_progress(&queue.stats()));
        }
        drop(hold);
        commit.join().unwrap().unwrap();
        assert!(makes_progress(&queue.stats()));
    }

    #[test]
    fn a_disk_that_refuses_is_no_writer_that_is_stuck() {
        let dir = SimDir::new();
        let (queue, clock) = queue(&dir);
        let _waiting = queue.push(Row::new("reading")).unwrap();
        dir.fail(Fault { call: Call::Write, after: 0, error: FaultError::NoSpace, sticky: true });
        for _ in 0..10 {
            clock.advance_ms(60_000);
            queue.commit().unwrap_err();
            assert!(matches!(queue.stats().health, Health::Degraded { .. }));
            assert!(makes_progress(&queue.stats()));
        }
        // Nobody tries again: the writer is gone, whatever the disk does.
        clock.advance_ms(3_600_000);
        assert!(!makes_progress(&queue.stats()));
    }
}
