//! Handling of a full store: makes room for a commit or a push by acknowledgements that no commit has written yet, and by eviction if the policy
//! allows it.

use crate::config::OnFull;
use crate::fault::FaultKind;
use crate::model::{HEAD_READ, MadeRoom, Model};
use crate::row::{Lane, Seq};
use crate::store::StoreError;

use super::{Engine, Open};

impl Engine {
    /// Makes room after a commit that the store refused; `true` if the commit should be tried again.
    pub(super) fn relieve(&self, open: &mut Open, error: &StoreError) -> bool {
        match error {
            StoreError::Full { lane } => self.free_segment(open, *lane),
            // Acknowledgements alone still find room, and let a store that deletes give some back.
            _ if FaultKind::of(error) == FaultKind::DiskFull => {
                let moved = self.with_model(|model| (0..model.lanes.len()).any(|lane| model.more_done(lane)));
                moved && self.commit_changes(open)
            }
            StoreError::Io { .. } | StoreError::NameLost { .. } | StoreError::Panicked { .. } => false,
        }
    }

    /// Frees a segment for a lane's rows: by writing acknowledgements that came since the last commit, else by eviction if the policy is
    /// drop-oldest. `true` if the rows may fit now.
    fn free_segment(&self, open: &mut Open, lane: Lane) -> bool {
        let at = usize::from(lane.0);
        let unwritten = |model: &mut Model| model.lanes.get(at).map_or(0, |l| l.tail.unwritten_bytes());
        let freed = self.with_model(|model| model.more_done(at)) && self.commit_changes(open);
        if freed && self.with_model(|model| unwritten(model) <= model.lanes.get(at).map_or(0, |l| l.room)) {
            return true;
        }
        self.drop_segment(open, at) && self.commit_changes(open)
    }

    fn drop_segment(&self, open: &mut Open, at: usize) -> bool {
        let drops = self.model().lanes.get(at).is_some_and(|l| l.limits.on_full == OnFull::DropOldest);
        if !drops {
            return false;
        }
        loop {
            let up_ms = self.clock.now().up_ms;
            match self.with_model(|model| model.make_segment(at, up_ms)) {
                MadeRoom::Freed => return true,
                MadeRoom::Nothing => return false,
                MadeRoom::NeedHead => {
                    let wanted = self.with_model(|model| model.head_wanted(at, false));
                    let Some((from, below)) = wanted else { return false };
                    if self.read_head(open, at, from, below).is_err() {
                        return false;
                    }
                }
            }
        }
    }

    /// Reads the sizes of a lane's oldest rows for a push that has to evict.
    pub(super) fn fill_head(&self, lane: usize) -> Result<(), StoreError> {
        let mut store = self.lock_store();
        let Some(open) = store.as_mut() else { return Ok(()) };
        let Some((from, below)) = self.with_model(|model| model.head_wanted(lane, false)) else {
            return Ok(());
        };
        self.read_head(open, lane, from, below)
    }

    pub(super) fn read_head(
        &self,
        open: &mut Open,
        lane: usize,
        from: Seq,
        below: Seq,
    ) -> Result<(), StoreError> {
        let chunk = self.read(open, lane, from, HEAD_READ)?;
        self.with_model(|model| model.fill_head(lane, from, below, chunk));
        Ok(())
    }
}
