//! Acknowledgements by identity in a life of the rig.

use edge_queue::testing::{JudgeRule, Rng};
use edge_queue::{AckIdsError, IdRange, Lane, RowId};

use super::rule::accepted;
use super::{NAMES, Rig, Rule, Violation};

impl Rig {
    /// A receipt names some of the newest rows of a lane: of this open, or of an earlier one.
    pub(super) fn ack_ids(&mut self, rng: &mut Rng) -> Result<(), Violation> {
        let lane = usize::try_from(rng.below(2)).unwrap();
        let name = NAMES[usize::try_from(rng.below(2)).unwrap()];
        let epoch = self.epoch - u32::from(rng.one_in(3)).min(self.epoch);
        let seq = self.model.next_seq(lane).saturating_sub(rng.between(1, 40)).max(1);
        let last = seq + rng.below(12);
        let asked_at = self.dir.recorded();
        let first = RowId {
            gateway: self.queue()?.gateway_id(),
            lane: Lane(u8::try_from(lane).unwrap()),
            epoch,
            seq,
        };
        let acked = match self.queue()?.ack_ids(name, &[IdRange { first, last }]) {
            Err(AckIdsError::NoConsumer) if !self.consumers.contains_key(name) => {
                return self.commit_of(asked_at);
            }
            answer => accepted("ack_ids", answer)?,
        };
        // It commits before it acknowledges: a power cut may leave the one without the other.
        self.model.commit();
        self.note_moment(asked_at, self.dir.recorded() > asked_at);
        let ids = self.model.ack_ids(name, lane, epoch, seq..last + 1);
        self.note_moment(asked_at, self.dir.recorded() > asked_at);
        // A power cut inside the call may find them acknowledged.
        for id in &ids {
            let known = self.rows.get_mut(id);
            known.into_iter().for_each(|known| drop(known.ended_at.entry(name).or_insert(asked_at)));
        }
        let expected = u64::try_from(ids.len()).unwrap();
        let right = acked.acked == expected && acked.acked + acked.gone == last + 1 - seq;
        Rule::Lease.require(right, || format!("{name} acknowledged by identity {acked:?}, expected {ids:?}"))
    }
}
