//! A clock of foreign code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use edge_queue::{Clock, Now, SystemClock};

/// A clock that panics once on the queue's own thread, or on any.
#[derive(Debug)]
pub(crate) struct PanickingClock {
    pub(crate) clock: SystemClock,
    pub(crate) armed: Arc<AtomicBool>,
    pub(crate) reads: AtomicU32,
    /// Number of reads after which it panics, counted from when it is armed.
    pub(crate) after: u32,
    pub(crate) only_the_writer: bool,
}

impl Clock for PanickingClock {
    fn now(&self) -> Now {
        let here = !self.only_the_writer || std::thread::current().name() == Some("edge-queue");
        if here && self.armed.load(Ordering::SeqCst) {
            let read = self.reads.fetch_add(1, Ordering::SeqCst);
            if read >= self.after {
                self.armed.store(false, Ordering::SeqCst);
                panic!("own clock");
            }
        }
        self.clock.now()
    }
}
