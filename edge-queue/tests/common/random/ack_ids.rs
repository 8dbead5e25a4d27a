//! Acknowledgement by identity in a random history.

use std::ops::Range;

use edge_queue::{AckIdsError, IdRange, Lane, RowId};
use proptest::prelude::*;

use super::Rig;

impl Rig {
    pub(super) fn ack_ids(
        &mut self,
        name: &str,
        lane: usize,
        seqs: Range<u64>,
        epoch: u32,
    ) -> Result<(), TestCaseError> {
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
