//! Quota of ranges of done rows, because every commit and every snapshot stores all of them. Each consumer has its own quota for its own holes.
//!
//! [`RANGES_EACH`] belong to every consumer; beyond them all take from the [`RANGES_SHARED`]. A consumer for which none is left gets no new
//! leases above its floor, and its acknowledgements that would need a range wait. Eviction goes on: it skips the rows between leases and evicts
//! those after the last lease, which form one range; [`RANGES_SPARE`] are kept for that. So there are never more than [`RANGES_BOUND`].

use super::consumers::CONSUMERS_MAX;
use super::{LaneModel, Model};
use crate::config::OnFull;
use crate::planted_flaw::{Flaw, planted};
use crate::row::Seq;

/// Ranges each consumer may have whatever the others have.
pub(crate) const RANGES_EACH: usize = 128;
/// Ranges that all consumers share beyond their own.
pub(crate) const RANGES_SHARED: usize = 896;
/// Ranges per consumer beyond its own and the shared ones, for evicted rows.
pub(crate) const RANGES_SPARE: usize = 8;
/// Most ranges over all consumers.
#[cfg(feature = "ring")]
pub(crate) const RANGES_BOUND: usize = CONSUMERS_MAX * (RANGES_EACH + 2 * RANGES_SPARE) + RANGES_SHARED;

impl Model {
    /// Returns whether a consumer may get another range by acknowledging.
    pub(super) fn range_free(&self, consumer: usize) -> bool {
        self.ranges_within(consumer, RANGES_EACH, RANGES_SHARED)
    }

    /// Returns whether a consumer may begin another run of live rows, which may cost it a range.
    pub(super) fn may_part(&self, consumer: usize) -> bool {
        self.ranges_within(consumer, RANGES_EACH / 2, RANGES_SHARED / 2)
    }

    /// Returns whether a consumer has fewer than `own` ranges, or all together have taken fewer than `shared` beyond their own.
    fn ranges_within(&self, consumer: usize, own: usize, shared: usize) -> bool {
        let one_budget = planted(Flaw::RangesShared);
        let (each, shared) = if one_budget { (0, shared + RANGES_EACH) } else { (RANGES_EACH, shared) };
        let has =
            |r: &super::ConsumerModel| r.lanes.iter().map(|cursor| cursor.pos.acked.len()).sum::<usize>();
        let taken = || self.consumers.iter().map(|r| has(r).saturating_sub(each)).sum::<usize>();
        (each > 0 && self.consumers.get(consumer).is_some_and(|r| has(r) < own)) || taken() < shared
    }

    /// Returns the number of ranges that every consumer can still get at the same time.
    pub(super) fn ranges_for_each(&self) -> usize {
        let has =
            |r: &super::ConsumerModel| r.lanes.iter().map(|cursor| cursor.pos.acked.len()).sum::<usize>();
        let taken: usize = self.consumers.iter().map(|r| has(r).saturating_sub(RANGES_EACH)).sum();
        let own = self.consumers.iter().map(|r| RANGES_EACH.saturating_sub(has(r))).min();
        own.unwrap_or(RANGES_EACH) + RANGES_SHARED.saturating_sub(taken) / self.consumers.len().max(1)
    }

    /// Returns whether evicting the row would need a range that some consumer may not have.
    pub(super) fn range_exceeded(&self, at: usize, seq: Seq) -> bool {
        let (own, shared) = (RANGES_EACH + RANGES_SPARE, RANGES_SHARED + CONSUMERS_MAX * RANGES_SPARE);
        let exceeds = |consumer: usize| {
            let cursor = self.consumers.get(consumer).and_then(|r| r.lanes.get(at));
            !self.ranges_within(consumer, own, shared)
                && cursor.is_some_and(|cursor| cursor.pos.grows_with(seq))
        };
        !planted(Flaw::RangesUnbounded) && (0..self.consumers.len()).any(exceeds)
    }

    /// Returns the sequence number from which rows of a lane may be evicted while ranges are short: the one after the last leased row, 0 if none
    /// is leased. `None` while ranges are not short.
    pub(super) fn evict_from(&self, at: usize) -> Option<Seq> {
        if planted(Flaw::RangesUnbounded)
            || (0..self.consumers.len()).all(|consumer| self.range_free(consumer))
        {
            return None;
        }
        let leased = self.cursors(at).filter_map(|cursor| cursor.leased.last_key_value());
        Some(leased.map(|(seq, _)| seq.saturating_add(1)).max().unwrap_or(0))
    }

    /// Returns whether a lane with drop-newest goes on dropping new rows although there is room again. A stored row between dropped ones costs
    /// a range, so while ranges are short the lane takes rows again only when it is half empty.
    pub(super) fn keeps_dropping(&self, at: usize) -> bool {
        let dropping = |lane: &&LaneModel| lane.limits.on_full == OnFull::DropNewest && is_half_full(lane);
        let Some(lane) = self.lanes.get(at).filter(dropping) else { return false };
        let last = lane.next.saturating_sub(1);
        let dropped = |cursor: &super::Cursor| cursor.pos.range_of(last).is_some();
        self.cursors(at).any(dropped) && self.evict_from(at).is_some()
    }
}

fn is_half_full(lane: &LaneModel) -> bool {
    lane.usage.weight > lane.limits.messages / 2 || lane.usage.bytes > lane.limits.bytes / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::model::tests::{model, push, ranges};

    /// Two consumers with so many ranges; of the second's the first begins at 10, of the first's at 10 000.
    fn sharing(first: usize, second: usize) -> Model {
        let mut m = model(&Config::default().lanes(1));
        ["first", "second"].into_iter().for_each(|name| assert!(m.register(name).is_ok()));
        ranges(&mut m, 0, 0, 10_000, first);
        ranges(&mut m, 1, 0, 10, second);
        m
    }

    #[test]
    fn live_rows_come_in_parts_while_half_of_the_ranges_are_free() {
        assert!(sharing(63, 576).may_part(0), "its own");
        assert!(!sharing(64, 576).may_part(0));
        assert!(sharing(64, 575).may_part(0), "shared");
    }

    #[test]
    fn what_every_consumer_may_take_is_the_least_of_their_own_and_an_equal_part_of_the_shared() {
        assert_eq!(model(&Config::default().lanes(1)).ranges_for_each(), 1_024);
        assert_eq!(sharing(63, 100).ranges_for_each(), 28 + 448);
        assert_eq!(sharing(63, 576).ranges_for_each(), 224);
    }

    #[test]
    fn giving_up_a_row_takes_a_spare_range_beyond_both_and_no_other() {
        // Number 10 is done for the second, and would be a range for the first.
        assert!(!sharing(135, 1_081).range_exceeded(0, 10), "its own");
        assert!(!sharing(136, 1_079).range_exceeded(0, 10), "shared");
        assert!(sharing(136, 1_080).range_exceeded(0, 10));
        assert!(!sharing(136, 1_080).range_exceeded(0, 1), "the floor moves over it");
    }

    #[test]
    fn a_lane_that_drops_its_newest_rows_takes_none_before_half_of_it_is_free() {
        let keeps = |on_full, weight, bytes, count| {
            let mut m = sharing(count, 1_100);
            push(&mut m, 3);
            (0..2).for_each(|consumer| m.cursor_mut(consumer, 0).unwrap().pos.mark(3, 3));
            let lane = m.lanes.first_mut().unwrap();
            (lane.limits.messages, lane.limits.bytes, lane.limits.on_full) = (80, 8_000, on_full);
            (lane.usage.weight, lane.usage.bytes) = (weight, bytes);
            m.keeps_dropping(0)
        };
        assert!(keeps(OnFull::DropNewest, 41, 0, 136) && keeps(OnFull::DropNewest, 0, 4_001, 136));
        assert!(!keeps(OnFull::DropNewest, 40, 4_000, 136), "half of it is free");
        assert!(!keeps(OnFull::DropOldest, 41, 4_001, 136));
    }
}
