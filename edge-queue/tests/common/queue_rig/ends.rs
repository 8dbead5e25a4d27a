//! Ends of rows in a life of the rig: by their leases, and by a receipt that names them.

use edge_queue::testing::{JudgeRule, Rng};
use edge_queue::{AckIdsError, IdRange, Lane, Lease, Reason, RowId};

use super::rule::accepted;
use super::seen::QueueBug;
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
        // What it acknowledged is durable now, whatever it wrote.
        self.note_moment(asked_at, !ids.is_empty() || self.dir.recorded() > asked_at);
        // A power cut inside the call may find them acknowledged.
        ids.iter().for_each(|id| self.note_end(name, *id, asked_at));
        let expected = u64::try_from(ids.len()).unwrap();
        let right = acked.acked == expected && acked.acked + acked.gone == last + 1 - seq;
        Rule::Lease.require(right, || format!("{name} acknowledged by identity {acked:?}, expected {ids:?}"))
    }

    pub(super) fn settle_held(&mut self, rng: &mut Rng) -> Result<(), Violation> {
        // The oldest first, so that no lease keeps its segment for ever.
        for _ in 0..rng.between(1, 30).min(self.held.len() as u64) {
            let (name, lane, id, lease) = self.held.remove(0);
            // What is done with a lease that a receipt ended changes nothing: the row ended then, not now.
            let (is_held, how) = (self.model.is_leased(name, lane, id), rng.below(9));
            match how {
                0..=2 => {
                    drop(lease);
                    self.model.give_back(name, lane, id);
                }
                3 => {
                    lease.moved();
                    self.model.moved(name, lane, id);
                }
                4 => {
                    if self.has(QueueBug::DiscardAcked) {
                        lease.ack();
                    } else {
                        lease.discard();
                    }
                    self.model.give_up(name, lane, id, Reason::Discarded);
                }
                _ => {
                    lease.ack();
                    self.model.ack(name, lane, id);
                }
            }
            if is_held && how >= 3 {
                self.note_end(name, id, self.dir.recorded());
            }
        }
        Ok(())
    }

    pub(super) fn ack(&mut self, name: &'static str, lane: usize, id: u64, lease: Lease) {
        lease.ack();
        self.model.ack(name, lane, id);
        self.note_end(name, id, self.dir.recorded());
    }

    /// From boundary `at` on a power cut may find the row ended.
    fn note_end(&mut self, name: &'static str, id: u64, at: usize) {
        if let Some(known) = self.rows.get_mut(&id) {
            known.ended_at.insert(name, at);
        }
    }
}
