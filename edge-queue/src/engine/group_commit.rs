//! Group commit: one write and one sync for all rows that wait, in the thread that requested it, and then their receipts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::CommitError;
use crate::event::Event;
use crate::locks_and_atomics::lock;
use crate::model::{Batch, HEAD_READ, LaneModel, Model};
use crate::state::{Change, State};
use crate::store::StoreError;

use super::{Engine, Open};

/// Most times that one commit frees a segment for its rows and tries again.
const SEGMENT_TRIES: u32 = 3;

impl Engine {
    /// Makes durable all rows pushed before the call. Waits for a commit in progress.
    pub(crate) fn commit(&self) -> Result<(), CommitError> {
        let mut store = self.lock_store();
        let open = store.as_mut().ok_or(CommitError::Closed)?;
        self.commit_with(open)
    }

    /// Makes acknowledgements, losses and counters from before the call durable, but no rows.
    pub(crate) fn commit_ends(&self) -> Result<(), CommitError> {
        let mut store = self.lock_store();
        let open = store.as_mut().ok_or(CommitError::Closed)?;
        self.commit_what(open, Model::begin_ends)
    }

    /// Commits what is due: rows and bookkeeping, or bookkeeping alone when no receipt is due.
    pub(super) fn commit_due(&self) -> Result<(), CommitError> {
        let mut store = self.lock_store();
        let open = store.as_mut().ok_or(CommitError::Closed)?;
        let now = self.clock.now();
        let rows = self.model().rows_due(&now);
        self.commit_what(open, if rows { Model::begin } else { Model::begin_changes })
    }

    /// Commits everything, leaves the clean-close mark and gives the directory back.
    pub(crate) fn close(&self) -> Result<(), CommitError> {
        let mut store = self.lock_store();
        self.model().closed = true;
        let result = match store.take() {
            None => Ok(()),
            // Whatever unwinds, nobody is left to wait for a queue that is closed.
            Some(mut open) => catch_unwind(AssertUnwindSafe(|| self.close_store(&mut open)))
                .unwrap_or(Err(CommitError::Store(StoreError::Panicked { op: "close" }))),
        };
        drop(store);
        self.refuse_all();
        self.stop_writer();
        result
    }

    fn close_store(&self, open: &mut Open) -> Result<(), CommitError> {
        self.commit_what(open, Model::begin_last)?;
        let state = self.model().snapshot();
        let closed = self.watched(|| open.store.commit(&[Change::Closed], &state));
        closed.map_err(CommitError::Store)
    }

    pub(super) fn commit_with(&self, open: &mut Open) -> Result<(), CommitError> {
        self.commit_what(open, Model::begin)
    }

    /// Commits, and then performs counts that an earlier read error deferred; waiting rows are more urgent than these.
    fn commit_what(
        &self,
        open: &mut Open,
        begin: fn(&mut Model) -> Option<Batch>,
    ) -> Result<(), CommitError> {
        let done = self.commit_once(open, begin);
        if done.is_ok() {
            self.count_when_due(open);
        }
        done
    }

    fn commit_once(
        &self,
        open: &mut Open,
        begin: fn(&mut Model) -> Option<Batch>,
    ) -> Result<(), CommitError> {
        for attempt in 0..=SEGMENT_TRIES {
            let Some(batch) = self.begin(open, begin) else {
                return open.store.check().map_err(CommitError::Store);
            };
            let error = match self.write(open, batch) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if attempt < SEGMENT_TRIES && self.relieve(open, &error) {
                continue;
            }
            return Err(self.degrade(error));
        }
        Ok(())
    }

    /// Begins a commit after every consumer was brought within its own limits; `None` if there is nothing to write.
    fn begin(&self, open: &mut Open, begin: fn(&mut Model) -> Option<Batch>) -> Option<Batch> {
        loop {
            let up_ms = self.clock.now().up_ms;
            let step = self.with_model(|model| match model.move_slow_forward(up_ms) {
                None => Ok(begin(model)),
                Some(wanted) => Err(wanted),
            });
            let wanted = match step {
                Ok(batch) => return batch,
                Err(wanted) => wanted,
            };
            match self.read(open, wanted.lane, wanted.from, HEAD_READ) {
                Ok(chunk) => self.with_model(|model| model.fill_own_head(wanted, chunk)),
                // What waits is more urgent; the next commit tries again.
                Err(_) => return self.with_model(begin),
            }
        }
    }

    /// Writes a commit and reports the result to the model.
    fn write(&self, open: &mut Open, batch: Batch) -> Result<(), StoreError> {
        let Batch { rows, changes, state } = batch;
        let lanes = rows.len();
        let written = self.watched(|| {
            self.check_name(open)?;
            rows.iter().flatten().try_for_each(|rows| open.store.append_shared(rows))?;
            open.store.commit(&changes, &state)
        });
        // The tail takes its rows back: nobody else may hold them.
        drop(rows);
        match &written {
            Ok(()) => {
                let state = Arc::new(state);
                // Before the receipts: who has one finds its row in the committed ledger.
                lock(&self.committed).clone_from(&state);
                self.finish(open, &state, lanes);
            }
            Err(_) => {
                let now = self.clock.now();
                self.with_model(|model| model.not_written(&changes, &now));
            }
        }
        written
    }

    /// Finishes a commit that was written: gives its receipts, frees segments of done rows, and reads ahead the sizes for the next eviction.
    /// `lanes` is the number of lanes, 0 after a commit without rows.
    fn finish(&self, open: &mut Open, state: &State, lanes: usize) {
        self.writer.note_commit();
        let room = self.note_figures(open).room_bytes;
        let (free, healed) = self.with_model(|model| {
            let failing = model.degraded_mode.is_some();
            (model.written(state, &room, lanes > 0), failing && !model.degraded_mode.is_some())
        });
        if healed {
            lock(&self.events).put(Event::Recovered);
        }
        if !free.is_empty() {
            for (lane, done) in free {
                // What cannot be reused now is offered again with the next rows that are done.
                let _again = open.store.advance(lane, &done);
            }
            let room = self.note_figures(open).room_bytes;
            self.with_model(|model| model.set_room(&room));
        }
        self.note_segments(open);
        self.room.turn();
        for lane in 0..lanes {
            let wanted = self.with_model(|model| model.head_wanted(lane, true));
            if let Some((from, below)) = wanted {
                // Without it the push that needs it reads, and meets the error itself.
                let _later = self.read_head(open, lane, from, below);
            }
        }
    }

    /// Reads from the store which segments hold rows, for each lane that is short of room. Emits an event for a lane whose unacknowledged rows
    /// lie in most of its segments.
    pub(super) fn note_segments(&self, open: &Open) {
        let told: Vec<Event> = self.with_model(|model| {
            let Model { rules, lanes, .. } = model;
            let look = |lane: &mut LaneModel| {
                lane.segments = if lane.is_short(rules) { open.store.segments(lane.id) } else { None };
                lane.tell_pinned()
            };
            lanes.iter_mut().filter_map(look).collect()
        });
        if !told.is_empty() {
            let mut events = lock(&self.events);
            told.into_iter().for_each(|event| events.put(event));
        }
    }

    pub(super) fn commit_changes(&self, open: &mut Open) -> bool {
        let Some(batch) = self.with_model(Model::begin_changes) else { return false };
        self.write(open, batch).is_ok()
    }
}
