//! Acknowledgement by identity in a random history.

use edge_queue::{AckIdsError, IdRange, Lane, RowId};
use proptest::prelude::*;

use super::Rig;

/// Rows that a receipt names: `rows` numbers of a lane from `back` before its newest row on, of an open so many before this one.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    lane: usize,
    back: u64,
    rows: u64,
    opens_ago: u32,
}

pub(super) fn named() -> impl Strategy<Value = Named> {
    let parts = (0usize..4, 0u64..30, 1u64..20, 0u32..3);
    parts.prop_map(|(lane, back, rows, opens_ago)| Named { lane, back, rows, opens_ago })
}

impl Rig {
    pub(super) fn ack_ids(&mut self, name: &str, named: Named) -> Result<(), TestCaseError> {
        let lane = named.lane % self.model.lanes();
        let first = self.model.next_seq(lane).saturating_sub(named.back).max(1);
        let (seqs, epoch) = (first..first + named.rows, self.epoch.saturating_sub(named.opens_ago));
        let first =
            RowId { gateway: self.queue().gateway_id(), lane: Lane(lane as u8), epoch, seq: seqs.start };
        let asked = seqs.end - seqs.start;
        let answer = self.queue().ack_ids(name, &[IdRange { first, last: seqs.end - 1 }]);
        if !self.model.consumers().iter().any(|known| known == name) {
            prop_assert!(
                matches!(answer, Err(AckIdsError::NoConsumer)),
                "acknowledged for nobody: {answer:?}"
            );
            self.model.commit();
            return Ok(());
        }
        let acked = answer.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let ids = self.model.ack_ids(name, lane, epoch, seqs);
        let found = (acked.acked, acked.gone, acked.no_range);
        prop_assert_eq!(found, (ids.len() as u64, asked - ids.len() as u64, 0), "acknowledged by identity");
        Ok(())
    }
}
