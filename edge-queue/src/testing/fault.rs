//! Planted faults: calls that fail on purpose.

use std::io;

use crate::medium::Call;

/// Error of a failing call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultError {
    /// The device failed (EIO). A sync that fails so leaves a seeded part of its bytes durable and forgets the
    /// rest, as Linux does: the next sync does not bring them back.
    Io,
    /// No space left (ENOSPC).
    NoSpace,
    /// A write that wrote a part and then failed, or a read that found a short file.
    Short,
    /// The file system was remounted read-only (EROFS): what changes nothing goes on.
    ReadOnly,
}

/// A failure to be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Kind of the call that fails.
    pub call: Call,
    /// Number of calls of that kind that still succeed first, from when the fault is planted.
    pub after: u64,
    /// Error of the call.
    pub error: FaultError,
    /// True if every later call of the kind fails too, until [`SimDir::heal`](super::SimDir::heal).
    pub sticky: bool,
}

impl FaultError {
    pub(super) fn error(self, call: Call) -> io::Error {
        match self {
            FaultError::Io => io::Error::from_raw_os_error(5),
            FaultError::NoSpace => io::Error::from_raw_os_error(28),
            FaultError::ReadOnly => io::Error::from_raw_os_error(30),
            FaultError::Short if call == Call::Read => io::ErrorKind::UnexpectedEof.into(),
            FaultError::Short => io::ErrorKind::WriteZero.into(),
        }
    }
}

/// The planted faults and how often they fired.
#[derive(Debug, Default)]
pub(super) struct Faults {
    planted: Vec<Fault>,
    pub(super) fired: u64,
}

impl Faults {
    pub(super) fn plant(&mut self, fault: Fault) {
        self.planted.push(fault);
    }

    pub(super) fn heal(&mut self) {
        self.planted.clear();
    }

    /// Counts one call down, and returns the error with which it fails; `None` when it does not fail.
    pub(super) fn check(&mut self, call: Call) -> Option<FaultError> {
        let mut hit = None;
        self.planted.retain_mut(|fault| {
            if fault.call != call && fault.call != Call::Any {
                return true;
            }
            if fault.after > 0 {
                fault.after -= 1;
                return true;
            }
            if fault.error == FaultError::ReadOnly && !changes(call) {
                return true;
            }
            hit = Some(fault.error);
            fault.sticky
        });
        self.fired += u64::from(hit.is_some());
        hit
    }
}

/// Returns whether a file system that became read-only refuses this call. It refuses `Open`, which asks for writing too.
fn changes(call: Call) -> bool {
    !matches!(call, Call::Read | Call::Sync | Call::SyncDir)
}
