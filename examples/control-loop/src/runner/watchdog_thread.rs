//! Watchdog thread: while the control thread does not scan, it keeps the outputs in their safe states. It ends after
//! that thread, or when it has taken over the outputs of a control thread that does not respond.

use super::LoopStats;
use crate::{Actuate, Clock};
use edge_filter::control::{Watchdog, WatchdogChange};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) struct Guard {
    pub(super) watchdog: Watchdog,
    pub(super) period_ns: u64,
    pub(super) safe: Vec<f64>,
    pub(super) clock: Clock,
    pub(super) wake: UnixStream,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) stats: Arc<LoopStats>,
}

impl Guard {
    pub(super) fn run(mut self, mut actuator: impl Actuate) {
        // Until the first scan the start is the sign of life: an actuator may hang in its first call.
        let begun_ns = self.clock.now_ns();
        let mut next_ns = begun_ns;
        while !self.is_over() {
            next_ns = next_ns.max(self.clock.now_ns()).saturating_add(self.period_ns);
            self.clock.sleep_until(next_ns);
            match self.watchdog.check(self.clock.now_ns(), self.stats.beat_ns().max(begun_ns)) {
                Some(WatchdogChange::Tripped) => self.stats.tripped(true),
                Some(WatchdogChange::Recovered) => self.stats.tripped(false),
                None => {}
            }
            if self.watchdog.is_tripped() {
                actuator.apply(&self.safe);
                // As the control thread's: whoever reads has everything to read.
                let _ = self.wake.write(&[1]);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) && (self.stats.has_ended() || self.watchdog.is_tripped())
    }
}
