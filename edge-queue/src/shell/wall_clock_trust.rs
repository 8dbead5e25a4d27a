//! Sources by which the wall clock counts as synchronised.

use std::fmt;
use std::path::Path;
use std::time::Duration;

/// File that systemd-timesyncd makes when it first set the clock.
const TIMESYNCD_FILE: &str = "/run/systemd/timesync/synchronized";
/// Error of the clock from which it does not count as synchronised, although the kernel reports it.
const ERROR_MAX: Duration = Duration::from_secs(1);

/// Source by which a machine's wall clock counts as synchronised, or [`ClockSync::Unknown`]. [`SystemClock::sync`](super::SystemClock::sync)
/// returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClockSync {
    /// The kernel reports it, set by chrony with `rtcsync`, systemd-timesyncd, ntpd or `phc2sys`. The error is below a second. Needs the feature
    /// `kernel-clock`.
    Kernel {
        /// Bound of the error.
        max_error: Duration,
    },
    /// systemd-timesyncd has set the clock in this boot: `/run/systemd/timesync/synchronized` exists.
    Timesyncd,
    /// The program assumes it: [`SystemClock::assume_synced`](super::SystemClock::assume_synced).
    Assumed,
    /// No source reports that the clock is synchronised.
    Unknown,
}

impl ClockSync {
    /// Returns whether the wall clock counts as synchronised.
    #[must_use]
    pub fn is_synced(self) -> bool {
        self != ClockSync::Unknown
    }

    /// Reads the operating system's sources; `is_assumed` counts if they report nothing.
    pub(super) fn ask(is_assumed: bool) -> ClockSync {
        ClockSync::of(kernel_error(), Path::new(TIMESYNCD_FILE).exists(), is_assumed)
    }

    fn of(kernel_error: Option<Duration>, timesyncd: bool, is_assumed: bool) -> ClockSync {
        match kernel_error {
            Some(max_error) if max_error < ERROR_MAX => ClockSync::Kernel { max_error },
            _ if timesyncd => ClockSync::Timesyncd,
            _ if is_assumed => ClockSync::Assumed,
            _ => ClockSync::Unknown,
        }
    }
}

impl fmt::Display for ClockSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClockSync::Kernel { max_error } => {
                write!(f, "synchronised within {} ms, says the kernel", max_error.as_micros().div_ceil(1000))
            }
            ClockSync::Timesyncd => f.write_str("synchronised, says systemd-timesyncd"),
            ClockSync::Assumed => f.write_str("taken as right, says the configuration"),
            ClockSync::Unknown => f.write_str("not known to be right"),
        }
    }
}

/// Returns the error bound of the kernel's clock; `None` unless a time service keeps it.
#[cfg(feature = "kernel-clock")]
fn kernel_error() -> Option<Duration> {
    edge_clock::wall_clock().ok().filter(|clock| clock.is_synchronised).map(|clock| clock.max_error)
}

#[cfg(not(feature = "kernel-clock"))]
fn kernel_error() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_counts_before_timesyncds_file_and_that_before_a_statement() {
        let (near, far) = (Some(Duration::from_millis(3)), Some(ERROR_MAX));
        let kernel = ClockSync::Kernel { max_error: Duration::from_millis(3) };
        assert_eq!(ClockSync::of(near, false, false), kernel);
        assert_eq!(ClockSync::of(near, true, true), kernel);
        assert_eq!(ClockSync::of(far, true, true), ClockSync::Timesyncd);
        assert_eq!(ClockSync::of(None, true, false), ClockSync::Timesyncd);
        assert_eq!(ClockSync::of(None, false, true), ClockSync::Assumed);
        assert_eq!(ClockSync::of(far, false, false), ClockSync::Unknown);
        assert!(kernel.is_synced() && !ClockSync::Unknown.is_synced());
    }
}
