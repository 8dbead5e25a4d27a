//! Disk work of the start, off the runtime's thread. That thread waits up to a time limit for the disk, so that no message is received meanwhile,
//! which the closed intake would drop. Behind a slow disk the thread goes on, so that loops and local clients get their messages, while messages
//! to the hub find no room.

#![allow(clippy::disallowed_methods, reason = "a shell: it waits for the disk")]

use std::io;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// Time limit for all waits of the runtime's thread together.
#[derive(Clone, Copy, Debug)]
pub(in crate::run) struct DiskWait {
    until: Instant,
}

impl DiskWait {
    pub(in crate::run) fn new(within: Duration) -> Self {
        Self { until: Instant::now() + within }
    }

    /// Performs `work` and returns its result, however long it takes. The runtime's thread is blocked until the time limit is over.
    ///
    /// # Errors
    /// The work panicked.
    pub(in crate::run) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (done, result) = sync_channel(1);
        // An error says that the start was given up.
        let working = tokio::task::spawn_blocking(move || drop(done.send(work())));
        if let Ok(result) = result.recv_timeout(self.until.saturating_duration_since(Instant::now())) {
            return Ok(result);
        }
        working.await.map_err(io::Error::other)?;
        result.try_recv().map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise 14: others run beside a disk that hangs.
    #[tokio::test(flavor = "current_thread")]
    async fn a_disk_that_hangs_holds_up_nobody() {
        let (thaw, frozen) = sync_channel::<()>(1);
        // A runtime that waits for the disk is found out, and does not wait for ever.
        let hangs = move || frozen.recv_timeout(Duration::from_secs(60)).is_ok();
        let (thawed, sent) =
            tokio::join!(DiskWait::new(Duration::from_millis(10)).run(hangs), async move { thaw.send(()) });
        assert!(thawed.unwrap(), "the runtime waited for the disk");
        sent.unwrap();
    }

    /// Messages received at QoS 0 before the gate is open are dropped.
    #[tokio::test(flavor = "current_thread")]
    async fn nothing_else_runs_while_a_healthy_disk_works() {
        let (ran, others) = sync_channel(1);
        let other = tokio::spawn(async move { ran.send(()) });
        let wait = DiskWait::new(Duration::from_secs(60));
        assert_eq!((wait.run(|| 1).await.unwrap(), wait.run(|| 2).await.unwrap()), (1, 2));
        assert!(others.try_recv().is_err(), "a listener would have received");
        other.await.unwrap().unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn work_that_panics_is_an_error() {
        let failed: io::Result<()> = DiskWait::new(Duration::from_secs(60)).run(|| panic!("planted")).await;
        failed.unwrap_err();
    }
}
