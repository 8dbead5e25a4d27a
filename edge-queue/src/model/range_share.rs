//! Bounds the ranges of done rows, of which every commit and every snapshot holds all: each consumer pays for its own holes.
//!
//! [`RANGES_EACH`] are every consumer's own; beyond them all take from the [`RANGES_SHARED`]. One that has neither gets no
//! new leases above its floor, and its acknowledgements that would need a range wait. Eviction goes on: it passes over the
//! rows between leases and takes those behind the last one, which form one range; [`RANGES_SPARE`] are kept for that. So
//! there are never more than [`RANGES_BOUND`].

use super::members::CONSUMERS_MAX;
use super::{LaneModel, Model};
use crate::config::OnFull;
use crate::flaw::{Flaw, planted};
use crate::row::Seq;

/// Ranges each consumer may have whatever the others have.
pub(crate) const RANGES_EACH: usize = 128;
/// Ranges beyond those, for whoever comes first.
pub(crate) const RANGES_SHARED: usize = 896;
/// Ranges per consumer beyond both, for rows that are given up.
pub(crate) const RANGES_SPARE: usize = 8;
/// Most ranges over all consumers.
#[cfg(feature = "ring")]
pub(crate) const RANGES_BOUND: usize = CONSUMERS_MAX * (RANGES_EACH + 2 * RANGES_SPARE) + RANGES_SHARED;

impl Model {
    /// Returns whether a consumer may get another range by acknowledging.
    pub(super) fn range_free(&self, reader: usize) -> bool {
        self.ranges_within(reader, RANGES_EACH, RANGES_SHARED)
    }

    /// Returns whether a consumer may get another part of live rows, each of which may come to a range.
    pub(super) fn may_part(&self, reader: usize) -> bool {
        self.ranges_within(reader, RANGES_EACH / 2, RANGES_SHARED / 2)
    }

    /// Returns whether a consumer has fewer than `own` ranges, or all together have taken fewer than `shared` beyond their own.
    fn ranges_within(&self, reader: usize, own: usize, shared: usize) -> bool {
        let one_budget = planted(Flaw::RangesShared);
        let (each, shared) = if one_budget { (0, shared + RANGES_EACH) } else { (RANGES_EACH, shared) };
        let has = |r: &super::Reader| r.lanes.iter().map(|place| place.pos.acked.len()).sum::<usize>();
        let taken = || self.readers.iter().map(|r| has(r).saturating_sub(each)).sum::<usize>();
        (each > 0 && self.readers.get(reader).is_some_and(|r| has(r) < own)) || taken() < shared
    }

    /// Ranges that every consumer may still take, all of them together.
    pub(super) fn ranges_for_each(&self) -> usize {
        let has = |r: &super::Reader| r.lanes.iter().map(|place| place.pos.acked.len()).sum::<usize>();
        let taken: usize = self.readers.iter().map(|r| has(r).saturating_sub(RANGES_EACH)).sum();
        let own = self.readers.iter().map(|r| RANGES_EACH.saturating_sub(has(r))).min();
        own.unwrap_or(RANGES_EACH) + RANGES_SHARED.saturating_sub(taken) / self.readers.len().max(1)
    }

    /// Returns whether giving up the row would need a range that some consumer may not have.
    pub(super) fn range_exceeded(&self, at: usize, seq: Seq) -> bool {
        let (own, shared) = (RANGES_EACH + RANGES_SPARE, RANGES_SHARED + CONSUMERS_MAX * RANGES_SPARE);
        let exceeds = |reader: usize| {
            let place = self.readers.get(reader).and_then(|r| r.lanes.get(at));
            !self.ranges_within(reader, own, shared) && place.is_some_and(|place| place.pos.grows_with(seq))
        };
        !planted(Flaw::RangesUnbounded) && (0..self.readers.len()).any(exceeds)
    }

    /// While ranges are short, the number from which on rows of a lane may be given up: behind everything that is leased.
    pub(super) fn evict_from(&self, at: usize) -> Option<Seq> {
        if planted(Flaw::RangesUnbounded) || (0..self.readers.len()).all(|reader| self.range_free(reader)) {
            return None;
        }
        let leased = self.places(at).filter_map(|place| place.leased.last_key_value());
        Some(leased.map(|(seq, _)| seq.saturating_add(1)).max().unwrap_or(0))
    }

    /// Returns whether a lane that drops its newest rows goes on doing so although a row has left it: each row taken in between
    /// costs a range, so while ranges are short half of the lane must be free first.
    pub(super) fn keeps_dropping(&self, at: usize) -> bool {
        let dropping = |lane: &&LaneModel| lane.limits.on_full == OnFull::DropNewest && is_half_full(lane);
        let Some(lane) = self.lanes.get(at).filter(dropping) else { return false };
        let last = lane.next.saturating_sub(1);
        let dropped = |place: &super::Place| place.pos.range_of(last).is_some();
        self.places(at).any(dropped) && self.evict_from(at).is_some()
    }
}

fn is_half_full(lane: &LaneModel) -> bool {
    lane.usage.weight > lane.limits.messages / 2 || lane.usage.bytes > lane.limits.bytes / 2
}
