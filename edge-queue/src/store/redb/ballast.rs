//! Ballast: space reserved for the moment when the file system is full, because redb cannot even delete without fresh pages.

use std::io;

use crate::medium::Dir;

const NAME: &str = "ballast";
const BALLAST_BYTES: u64 = 1024 * 1024;

/// The ballast file, held or spent.
#[derive(Debug)]
pub(super) struct Ballast {
    held: bool,
    /// Bytes of rows that were deleted inside redb's file since the ballast was spent, whose space may be used again.
    regained_bytes: u64,
}

impl Ballast {
    /// Reserves the space if there is enough.
    pub(super) fn take(dir: &dyn Dir) -> Ballast {
        Ballast { held: reserve(dir).is_ok(), regained_bytes: 0 }
    }

    /// Releases the space to the file system.
    pub(super) fn spend(&mut self, dir: &dyn Dir) {
        self.held = false;
        self.regained_bytes = 0;
        // A name that is not there was spent before.
        let _ = Ballast::give_up(dir);
    }

    /// Releases the ballast before there is a store; returns whether there was any.
    pub(super) fn give_up(dir: &dyn Dir) -> bool {
        dir.remove(NAME).and_then(|()| dir.sync()).is_ok()
    }

    /// Returns whether `bytes` of new rows may be written. Without ballast only half of the space that deletions freed may be used, because redb
    /// copies pages: the space needed for deletions is never used by new rows.
    pub(super) fn admits(&mut self, dir: &dyn Dir, bytes: u64) -> bool {
        if bytes == 0 || self.held {
            return true;
        }
        if reserve(dir).is_ok() {
            self.held = true;
            return true;
        }
        let Some(left) = self.regained_bytes.checked_sub(bytes.saturating_mul(2)) else { return false };
        self.regained_bytes = left;
        true
    }

    /// Counts the bytes of rows that were deleted, durably.
    pub(super) fn regain(&mut self, bytes: u64) {
        if !self.held {
            self.regained_bytes = self.regained_bytes.saturating_add(bytes);
        }
    }
}

fn reserve(dir: &dyn Dir) -> io::Result<()> {
    let mut file = match dir.open(NAME) {
        Ok(file) => file,
        Err(_) => dir.create(NAME)?,
    };
    if file.len()? < BALLAST_BYTES {
        let reserved = file.allocate(0, BALLAST_BYTES);
        if let Err(e) = reserved {
            drop(file);
            let _ = dir.remove(NAME);
            return Err(e);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SimDir;

    #[test]
    fn without_ballast_new_rows_take_half_of_what_was_given_back_since() {
        let dir = SimDir::new();
        let mut ballast = Ballast::take(&dir);
        assert!(ballast.admits(&dir, u64::MAX), "it is held");
        ballast.spend(&dir);
        dir.set_capacity(dir.allocated_bytes());
        assert!(!ballast.admits(&dir, 1) && ballast.admits(&dir, 0), "nothing but acknowledgements");
        ballast.regain(1_000);
        assert!(!ballast.admits(&dir, 501) && ballast.admits(&dir, 400));
        assert!(!ballast.admits(&dir, 101) && ballast.admits(&dir, 100));
        ballast.regain(1_000);
        ballast.spend(&dir);
        assert!(!ballast.admits(&dir, 1), "the disk was full again: that space is gone");
        dir.set_capacity(u64::MAX);
        assert!(ballast.admits(&dir, u64::MAX), "it is held again");
    }
}
