//! Open file of the simulated disk: performs, counts and, if a fault says so, fails each read, write and sync.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Shared, SyncBug};
use crate::medium::{Call, Medium};
use crate::testing::disk::Op;
use crate::testing::fault::FaultError;

/// An open file of a [`SimDir`](super::SimDir).
#[derive(Debug)]
pub struct SimFile {
    pub(super) shared: Arc<Mutex<Shared>>,
    pub(super) file: usize,
    pub(super) has_lock: bool,
}

impl SimFile {
    fn lock_shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Medium for SimFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        pass(&self.shared, Call::Read);
        let mut shared = self.lock_shared();
        shared.counters.reads += 1;
        shared.check(Call::Read)?;
        match shared.disk.live(self.file) {
            Some(image) if image.read(offset, buf) => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        pass(&self.shared, Call::Write);
        let file = self.file;
        let mut shared = self.lock_shared();
        shared.counters.writes += 1;
        shared.counters.bytes_written += data.len() as u64;
        shared.alive()?;
        if let Some(error) = shared.faults.check(Call::Write) {
            if error == FaultError::Short {
                let part = data.get(..data.len() / 2).unwrap_or_default();
                shared.run_in_space(Op::Write { file, offset, data: part.into() })?;
            }
            return Err(error.error(Call::Write));
        }
        shared.run_in_space(Op::Write { file, offset, data: data.into() })
    }

    fn sync(&mut self) -> io::Result<()> {
        pass(&self.shared, Call::Sync);
        let file = self.file;
        let mut shared = self.lock_shared();
        shared.counters.syncs += 1;
        shared.alive()?;
        if let Some(error) = shared.faults.check(Call::Sync) {
            let seed = shared.counters.operations;
            shared.run(Op::FailedSync { file, seed });
            if shared.sync_bug != Some(SyncBug::Retried) {
                return Err(error.error(Call::Sync));
            }
        }
        let op = match shared.sync_bug {
            Some(SyncBug::Nothing) => Op::PartSync { file, below: 0 },
            Some(SyncBug::OnlyBelow(below)) => Op::PartSync { file, below },
            Some(SyncBug::Retried) | None => Op::Sync { file },
        };
        shared.run(op);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let shared = self.lock_shared();
        shared.alive()?;
        Ok(shared.disk.live(self.file).map_or(0, |image| image.len()))
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let mut shared = self.lock_shared();
        shared.check(Call::SetLen)?;
        shared.run(Op::SetLen { file: self.file, len });
        Ok(())
    }

    fn allocate(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let mut shared = self.lock_shared();
        shared.check(Call::Allocate)?;
        shared.run_in_space(Op::Allocate { file: self.file, offset, len })
    }

    fn lock(&mut self) -> io::Result<()> {
        let mut shared = self.lock_shared();
        shared.alive()?;
        if !self.has_lock && !shared.locked_files.insert(self.file) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        drop(shared);
        self.has_lock = true;
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if self.has_lock {
            self.lock_shared().locked_files.remove(&self.file);
        }
    }
}

/// Blocks, without a lock held, if this call is one that is to hang.
fn pass(shared: &Mutex<Shared>, call: Call) {
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let gate = shared.gate.take_if(|gate| gate.is_for(call));
    drop(shared);
    if let Some(gate) = gate {
        gate.pass();
    }
}
