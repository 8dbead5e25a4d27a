//! Acknowledgement by identity, read in pieces so that commits go on in between, durable when the call returns.

use std::sync::atomic::Ordering;

use crate::acked_ids::{AckIdsError, AckedIds, IdRange};
use crate::model::HEAD_READ;
use crate::planted_flaw::{Flaw, planted};

use super::Engine;

impl Engine {
    pub(crate) fn ack_ids(&self, consumer: &str, ids: &[IdRange]) -> Result<AckedIds, AckIdsError> {
        let own = self.model().gateway();
        if let Some(range) = ids.iter().find(|range| range.first.gateway != own) {
            return Err(AckIdsError::OtherGateway { found: range.first.gateway, own });
        }
        // Every row that a range can name is on the medium then, where it can be read.
        self.commit()?;
        let id = self.model().find_consumer(consumer).ok_or(AckIdsError::NoConsumer)?;
        self.acks_by_id.store(true, Ordering::Relaxed);
        let mut acked = AckedIds::default();
        for range in ids {
            let before = acked.found();
            self.ack_range(id, range, &mut acked)?;
            let found = acked.found().saturating_sub(before);
            acked.gone = acked.gone.saturating_add(range.ids().saturating_sub(found));
        }
        if !planted(Flaw::AckedIdsUnwritten) {
            self.commit_ends()?;
        }
        Ok(acked)
    }

    fn ack_range(&self, id: u64, range: &IdRange, acked: &mut AckedIds) -> Result<(), AckIdsError> {
        let lane = usize::from(range.first.lane.0);
        let mut from = range.first.seq;
        loop {
            let mut store = self.lock_store();
            let open = store.as_mut().ok_or(AckIdsError::Closed)?;
            let Some((at, below)) = self.model().next_to_ack(id, range, from) else { return Ok(()) };
            let chunk = self.read(open, lane, at, HEAD_READ).map_err(AckIdsError::Store)?;
            let up_ms = self.clock.now().up_ms;
            from = self.change_leases(|model| model.ack_read(id, range, (at, below), chunk, up_ms, acked));
        }
    }
}
