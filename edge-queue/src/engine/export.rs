//! Export of a running queue as a stream, read in pieces so that commits go on in between.

use std::io::Write;

use crate::error::CommitError;
use crate::gap::gaps_of;
use crate::model::HEAD_READ;
use crate::transfer::{ExportError, Exported, Exporter};

use super::Engine;

impl Engine {
    pub(crate) fn export(&self, out: &mut dyn Write, note: &[u8]) -> Result<Exported, ExportError> {
        self.commit().map_err(|error| match error {
            CommitError::Store(e) => ExportError::Read(e),
            CommitError::Closed => ExportError::Closed,
        })?;
        let state = self.model().snapshot();
        let mut exporter = Exporter::with_note(out, state.gateway, state.epoch, state.lanes, note)?;
        for (at, lane) in (0..usize::from(state.lanes)).zip(state.lane) {
            self.export_lane(&mut exporter, at, lane.floor, lane.next)?;
        }
        gaps_of(&state).try_for_each(|(consumer, gap)| exporter.gap(consumer, &gap))?;
        Ok(exporter.finish()?)
    }

    fn export_lane(
        &self,
        exporter: &mut Exporter<&mut dyn Write>,
        lane: usize,
        mut from: u64,
        below: u64,
    ) -> Result<(), ExportError> {
        while from < below {
            let mut store = self.lock_store();
            let open = store.as_mut().ok_or(ExportError::Closed)?;
            let chunk = self.read(open, lane, from, HEAD_READ).map_err(ExportError::Read)?;
            let (rows, upto) = self.with_model(|model| model.look_at(lane, from, below, chunk));
            drop(store);
            rows.iter().try_for_each(|row| exporter.row(row))?;
            from = upto;
        }
        Ok(())
    }
}
