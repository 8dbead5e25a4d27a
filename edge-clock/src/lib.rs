#![doc = include_str!("../README.md")]

use std::io;
use std::time::Duration;

/// The kernel's word on its wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WallClock {
    /// A time service keeps it right, and has spoken to the kernel lately: without that the kernel marks the clock as not
    /// synchronised when its estimate of the error, which grows by 500 ppm, reaches 16 s (after nine hours).
    pub is_synchronised: bool,
    /// Bound of the error as the time service and the kernel reckon it; 16 s when nobody ever said.
    pub max_error: Duration,
}

/// Asks the kernel. Cost: one system call, less than a microsecond.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] where a sandbox refuses the call; [`io::ErrorKind::Unsupported`] on systems other than Linux.
pub fn wall_clock() -> io::Result<WallClock> {
    system::wall_clock()
}

#[cfg(target_os = "linux")]
mod system {
    use super::{Duration, WallClock, io};

    pub(super) fn wall_clock() -> io::Result<WallClock> {
        let (state, timex) = adjtimex()?;
        // TIME_ERROR is STA_UNSYNC, and PPS signals that were asked for and do not come.
        let is_synchronised = state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
        // `From`: it has 32 bits on some targets.
        #[allow(clippy::useless_conversion, reason = "not on all targets")]
        let max_error = u64::try_from(i64::from(timex.maxerror)).unwrap_or(u64::MAX);
        Ok(WallClock { is_synchronised, max_error: Duration::from_micros(max_error) })
    }

    /// Reads the clock's state (`modes` is 0: nothing is set).
    #[allow(unsafe_code, reason = "no safe wrapper gives the status: docs/dependencies.md")]
    fn adjtimex() -> io::Result<(libc::c_int, libc::timex)> {
        let mut timex = std::mem::MaybeUninit::<libc::timex>::zeroed();
        // SAFETY: the pointer is valid for reads and writes of one `timex`, which the C library does not keep. All of it is integers, for
        // which zeros are values.
        let (state, timex) = unsafe { (libc::adjtimex(timex.as_mut_ptr()), timex.assume_init()) };
        if state == -1 { Err(io::Error::last_os_error()) } else { Ok((state, timex)) }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn wall_clock() -> super::io::Result<super::WallClock> {
        Err(super::io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// A wrong layout would give nonsense for the error; 16 s is the kernel's own limit (`NTP_PHASE_LIMIT`).
    #[test]
    fn the_kernel_answers_with_a_bound_of_the_error() {
        match wall_clock() {
            Ok(state) => {
                assert!(state.max_error <= Duration::from_secs(16), "{state:?}");
                assert!(state.is_synchronised || state.max_error > Duration::ZERO, "{state:?}");
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
    }
}
