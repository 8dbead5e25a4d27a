//! Limit of open files of this process (`RLIMIT_NOFILE`), and the number of local clients that fit below it. At the limit no client is accepted,
//! the hub is not dialled and `/metrics` does not answer, so a part of the limit is reserved for these.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files and sockets reserved for other parts than local clients: the queue, the parked rows, the hub, HTTP pages, control commands, and the
/// runtime.
const OTHERS: u64 = 128;

/// Limit of open files of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenFiles {
    /// Limit in force (soft limit).
    pub(crate) soft: u64,
    /// Limit up to which the process may raise it (hard limit).
    pub(crate) hard: u64,
}

impl OpenFiles {
    /// Returns the limit that the system reports.
    pub(crate) fn of_this_process() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        Self { soft: current.unwrap_or(u64::MAX), hard: maximum.unwrap_or(u64::MAX) }
    }

    /// Returns how many of `wanted` connections fit, once the limit is raised.
    pub(crate) fn connections(self, wanted: u32) -> u32 {
        // With a very low limit both sides share it.
        let left = self.hard.saturating_sub(OTHERS).max(self.hard / 2);
        wanted.min(u32::try_from(left).unwrap_or(u32::MAX))
    }

    /// Raises the limit of this process to the need of `connections`, as far as the hard limit allows.
    ///
    /// # Errors
    /// The system refuses to raise it.
    pub(crate) fn raise_for(self, connections: u32) -> io::Result<()> {
        let needed = (u64::from(connections) + OTHERS).min(self.hard);
        if needed <= self.soft {
            return Ok(());
        }
        let maximum = (self.hard < u64::MAX).then_some(self.hard);
        Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum })?)
    }
}

#[cfg(test)]
impl OpenFiles {
    pub(crate) const PLENTY: Self = Self { soft: 1_024, hard: 1 << 20 };

    pub(crate) fn at_most(hard: u64) -> Self {
        Self { soft: hard, hard }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_have_their_share_of_the_limit() {
        let fits = |hard, wanted| OpenFiles::at_most(hard).connections(wanted);
        assert_eq!([1_127, 1_128, 5_000, u64::MAX].map(|hard| fits(hard, 1_000)), [999, 1_000, 1_000, 1_000]);
        assert_eq!([20, 200, 256, 300].map(|hard| fits(hard, 1_000)), [10, 100, 128, 172]);
        assert_eq!(fits(u64::MAX, 100_000), 100_000);
    }
}
