//! Watchdog: notices that the control loop does not scan any more.

/// Watchdog that compares the time of the loop's last scan with the present. It must not run on the thread that it watches.
///
/// ```
/// use edge_filter::control::{Watchdog, WatchdogChange};
///
/// let mut watchdog = Watchdog::new(50_000_000);
/// assert_eq!(watchdog.check(160_000_000, 100_000_000), Some(WatchdogChange::Tripped));
/// assert_eq!(watchdog.check(170_000_000, 165_000_000), Some(WatchdogChange::Recovered));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchdog {
    limit_ns: u64,
    tripped: bool,
}

/// Finding of a [`Watchdog`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "gone, or back")]
pub enum WatchdogChange {
    /// Nothing was scanned for too long. Bring every output to its safe state, and keep it there.
    Tripped,
    /// The loop scans again and drives its outputs itself.
    Recovered,
}

impl Watchdog {
    /// Creates a watchdog that trips when the last scan is more than `limit_ns` ago.
    #[must_use]
    pub fn new(limit_ns: u64) -> Self {
        Watchdog { limit_ns, tripped: false }
    }

    /// Returns whether the watchdog holds the outputs in their safe states.
    #[must_use]
    pub fn is_tripped(&self) -> bool {
        self.tripped
    }

    /// Compares `beat_ns`, the time of the last scan, with `now_ns`. `beat_ns` 0 checks nothing: until the first scan pass the time of the start,
    /// because the outputs are then as an earlier process left them.
    /// Returns the change, or `None` if there is none.
    pub fn check(&mut self, now_ns: u64, beat_ns: u64) -> Option<WatchdogChange> {
        let gone = beat_ns > 0 && now_ns.saturating_sub(beat_ns) > self.limit_ns;
        if gone == self.tripped {
            return None;
        }
        self.tripped = gone;
        Some(if gone { WatchdogChange::Tripped } else { WatchdogChange::Recovered })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_trips_once_and_gives_the_outputs_back() {
        let mut watchdog = Watchdog::new(50);
        assert_eq!(watchdog.check(1_000, 0), None, "the loop has not begun");
        assert_eq!(watchdog.check(1_050, 1_000), None);
        assert_eq!(watchdog.check(1_051, 1_000), Some(WatchdogChange::Tripped));
        assert_eq!((watchdog.check(1_060, 1_000), watchdog.is_tripped()), (None, true));
        assert_eq!(watchdog.check(1_070, 1_065), Some(WatchdogChange::Recovered));
        assert_eq!(watchdog.check(1_070, 2_000), None, "a beat of a moment later is alive");
    }
}
