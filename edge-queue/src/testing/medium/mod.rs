//! [`SimDir`] and [`SimFile`]: the simulated disk behind the two traits of [`medium`](crate::medium).

mod dir;
mod file;
mod recording;

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use file::SimFile;
pub use recording::Recording;

use super::disk::{Disk, Op, Outcome};
use super::fault::{Fault, FaultError, Faults};
use super::hold::{Gate, Hold};
use crate::medium::{Call, Medium};

/// Counters of the program's calls to the simulated disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimCounters {
    /// Number of `write_at` calls.
    pub writes: u64,
    /// Bytes given to `write_at`.
    pub bytes_written: u64,
    /// Number of `Medium::sync` calls.
    pub syncs: u64,
    /// Number of `Dir::sync` calls.
    pub dir_syncs: u64,
    /// Number of `read_at` calls.
    pub reads: u64,
    /// Number of operations that changed something or synced; the power can be cut between any two of them.
    pub operations: u64,
    /// Planted faults that fired.
    pub faults: u64,
}

/// Fault of a simulated disk's syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncBug {
    /// Syncs return `Ok` and do nothing.
    Nothing,
    /// Syncs leave out what lies at or beyond this offset: some lanes, or all but the superblock.
    OnlyBelow(u64),
    /// A sync that failed is called again, and its `Ok` is believed, as databases did for twenty years: Linux has
    /// marked the pages clean.
    Retried,
}

/// A simulated directory. Clones are handles to the same one.
///
/// Deterministic: the same calls and the same seeds give the same bytes. A crash is `let after = dir.crash(..)`:
/// a new directory holding what the power cut left; the old one goes on undisturbed.
#[derive(Clone, Debug, Default)]
pub struct SimDir {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    disk: Disk,
    log: Option<Log>,
    faults: Faults,
    counters: SimCounters,
    locks: BTreeSet<String>,
    locked_files: BTreeSet<usize>,
    freeze_at: Option<u64>,
    sync_bug: Option<SyncBug>,
    gate: Option<Arc<Gate>>,
    capacity_bytes: Option<u64>,
}

#[derive(Clone, Debug)]
struct Log {
    base: Disk,
    ops: Vec<Op>,
}

impl SimDir {
    /// Makes an empty directory.
    pub fn new() -> SimDir {
        SimDir::default()
    }

    /// Starts recording, so that the power can be cut after every operation from here on, with [`SimDir::recording`].
    pub fn record(&self) {
        let mut shared = self.lock_shared();
        shared.log = Some(Log { base: shared.disk.clone(), ops: Vec::new() });
    }

    /// Number of operations recorded so far: the boundary the program is at.
    pub fn recorded(&self) -> usize {
        self.lock_shared().log.as_ref().map_or(0, |log| log.ops.len())
    }

    /// Returns the run recorded so far, in which the power can be cut at every boundary. Empty without [`SimDir::record`].
    pub fn recording(&self) -> Recording {
        let shared = self.lock_shared();
        match &shared.log {
            Some(log) => Recording { disk: log.base.clone(), ops: log.ops.clone(), at: 0 },
            None => Recording { disk: shared.disk.clone(), ops: Vec::new(), at: 0 },
        }
    }

    /// Cuts the power after `operations` more operations: from then on every call fails and changes nothing.
    pub fn freeze_after(&self, operations: u64) {
        let mut shared = self.lock_shared();
        shared.freeze_at = Some(shared.counters.operations.saturating_add(operations));
    }

    /// Returns whether the power is cut.
    pub(in crate::testing) fn is_frozen(&self) -> bool {
        self.lock_shared().alive().is_err()
    }

    /// Returns the directory that a power cut now would leave, as `outcome` and `seed` decide.
    pub fn crash(&self, outcome: Outcome, seed: u64) -> SimDir {
        SimDir::from_disk(self.lock_shared().disk.crash(outcome, seed))
    }

    /// Plants a bug: from here on syncs of files are not what they say.
    pub fn plant(&self, bug: SyncBug) {
        self.lock_shared().sync_bug = Some(bug);
    }

    /// The next `Read`, `Write` or `Sync` hangs until the hold is dropped; other calls meanwhile go on. One hold at a time.
    pub fn hold(&self, call: Call) -> Hold {
        let (gate, hold) = Gate::new(call);
        self.lock_shared().gate = Some(gate);
        hold
    }

    /// Plants a failure in the calls to come.
    pub fn fail(&self, fault: Fault) {
        self.lock_shared().faults.plant(fault);
    }

    /// Removes all planted failures; power and space come back too.
    pub fn heal(&self) {
        let mut shared = self.lock_shared();
        shared.faults.heal();
        shared.freeze_at = None;
        shared.capacity_bytes = None;
    }

    /// Releases all locks, as the system does when the process that holds them is killed.
    #[cfg(test)]
    pub(crate) fn release_locks(&self) {
        let mut shared = self.lock_shared();
        shared.locks.clear();
        shared.locked_files.clear();
    }

    /// Limits the space that files with a name may take; what goes beyond it is ENOSPC.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock_shared().capacity_bytes = Some(bytes);
    }

    /// Space taken by the files that have a name.
    pub fn allocated_bytes(&self) -> u64 {
        self.lock_shared().disk.allocated_bytes()
    }

    /// Figures since the directory was made.
    pub fn counters(&self) -> SimCounters {
        let shared = self.lock_shared();
        SimCounters { faults: shared.faults.fired, ..shared.counters }
    }

    /// Names of the files, sorted.
    pub fn names(&self) -> Vec<String> {
        self.lock_shared().disk.names()
    }

    /// Content of a file as the program sees it; `None` when there is no such file.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let shared = self.lock_shared();
        let image = shared.disk.live(shared.disk.lookup(name)?)?;
        let mut out = vec![0; usize::try_from(image.len()).ok()?];
        image.read(0, &mut out).then_some(out)
    }

    /// Overwrites bytes of a file behind the program's back, durably: damage of the medium. False when there is no
    /// such file.
    pub fn damage(&self, name: &str, offset: u64, data: &[u8]) -> bool {
        let mut shared = self.lock_shared();
        let Some(file) = shared.disk.lookup(name) else { return false };
        shared.disk.damage(file, offset, data);
        true
    }

    fn from_disk(disk: Disk) -> SimDir {
        SimDir { shared: Arc::new(Mutex::new(Shared { disk, ..Shared::default() })) }
    }

    fn lock_shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, file: usize) -> Box<dyn Medium> {
        Box::new(SimFile { shared: Arc::clone(&self.shared), file, has_lock: false })
    }
}

impl Shared {
    fn check(&mut self, call: Call) -> io::Result<()> {
        self.alive()?;
        match self.faults.check(call) {
            Some(error) => Err(error.error(call)),
            None => Ok(()),
        }
    }

    fn alive(&self) -> io::Result<()> {
        match self.freeze_at {
            Some(at) if self.counters.operations >= at => Err(io::Error::other("the power is cut")),
            _ => Ok(()),
        }
    }

    /// Applies, counts and records one operation.
    fn run(&mut self, op: Op) {
        self.disk.apply(&op);
        self.counters.operations += 1;
        if let Some(log) = &mut self.log {
            log.ops.push(op);
        }
    }

    /// Like `run`, for operations that may need space.
    fn run_in_space(&mut self, op: Op) -> io::Result<()> {
        if let Some(capacity) = self.capacity_bytes {
            let before = self.disk.allocated_bytes();
            let mut trial = self.disk.clone();
            trial.apply(&op);
            let after = trial.allocated_bytes();
            if after > before && after > capacity {
                return Err(FaultError::NoSpace.error(Call::Write));
            }
        }
        self.run(op);
        Ok(())
    }
}
