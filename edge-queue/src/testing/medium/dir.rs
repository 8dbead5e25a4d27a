//! Calls of a directory.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Shared, SimDir};
use crate::medium::{Call, Dir, Medium};
use crate::testing::disk::Op;

impl Dir for SimDir {
    fn create(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        let mut shared = self.lock_shared();
        shared.check(Call::Create)?;
        // Replacing cuts the old file in place, as O_TRUNC does: a crash may find its old content under new writes.
        let file = match shared.disk.lookup(name) {
            Some(file) => {
                shared.run(Op::SetLen { file, len: 0 });
                file
            }
            None => {
                let file = shared.disk.next_file();
                shared.run(Op::Create { name: name.to_owned(), file });
                file
            }
        };
        drop(shared);
        Ok(self.file(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        let mut shared = self.lock_shared();
        shared.check(Call::Open)?;
        let file = shared.disk.lookup(name).ok_or(io::ErrorKind::NotFound)?;
        drop(shared);
        Ok(self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut shared = self.lock_shared();
        shared.check(Call::Rename)?;
        shared.disk.lookup(from).ok_or(io::ErrorKind::NotFound)?;
        shared.run(Op::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut shared = self.lock_shared();
        shared.check(Call::Remove)?;
        shared.disk.lookup(name).ok_or(io::ErrorKind::NotFound)?;
        shared.run(Op::Remove { name: name.to_owned() });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut shared = self.lock_shared();
        shared.counters.dir_syncs += 1;
        shared.check(Call::SyncDir)?;
        shared.run(Op::SyncDir);
        Ok(())
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Send>> {
        let mut shared = self.lock_shared();
        shared.alive()?;
        if !shared.locks.insert(name.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Held { shared: Arc::clone(&self.shared), name: name.to_owned() }))
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let shared = self.lock_shared();
        Ok(shared.capacity_bytes.map(|capacity| capacity.saturating_sub(shared.disk.allocated_bytes())))
    }
}

struct Held {
    shared: Arc<Mutex<Shared>>,
    name: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).locks.remove(&self.name);
    }
}
