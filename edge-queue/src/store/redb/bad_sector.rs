//! A sector that stays bad. redb reads no more after an error until it is opened again, and then may need every page, so it stops all lanes: after
//! the usual patience the file is rebuilt without the sector.

use super::RedbStore;
use super::file::{OPEN_TRIES, unreadable};
use super::panic_fence::Trouble;
use crate::row::{Lane, Seq};
use crate::state::State;
use crate::store::{ReadLimit, StoredChunk};

impl RedbStore {
    /// Makes the first write of an open again that a bad sector failed, at last without the sector.
    pub(super) fn raise_again(&mut self, state: &State, mut trouble: Trouble) -> Result<(), Trouble> {
        for _ in 1..OPEN_TRIES {
            if !self.backend.has_bad_sector() {
                return Err(trouble);
            }
            self.backend.forget_unread();
            match self.write(&[], state, false) {
                Err(again) => trouble = again,
                Ok(()) => return Ok(()),
            }
        }
        self.set_unreadable_aside(trouble)?;
        self.write(&[], state, false)
    }

    /// Reads rows, if need be without the sectors that cannot be read.
    pub(super) fn read_chunk_anyhow(
        &mut self,
        lane: Lane,
        from: Seq,
        limit: ReadLimit,
    ) -> Result<StoredChunk, Trouble> {
        self.backend.forget_unread();
        self.read_chunk(lane, from, limit).or_else(|trouble| {
            self.set_unreadable_aside(trouble)?;
            self.read_chunk(lane, from, limit)
        })
    }

    /// Rebuilds the file after an error that a bad sector caused; any other error stays one.
    fn set_unreadable_aside(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        match trouble {
            Trouble::Io(e) if self.backend.has_bad_sector() => self.rebuild(&unreadable(&e)),
            other => Err(other),
        }
    }
}
