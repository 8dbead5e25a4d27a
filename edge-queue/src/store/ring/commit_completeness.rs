//! Commit completeness, determined from the frames: after a power cut inside a commit any part of it may be there.
//!
//! A lane's part of a commit is whole when its frames follow each other from part 0 to the one that ends it. A part that is not whole is either
//! damaged or torn. It is damaged if a later frame of the same run proves that the commit had been synced; else none of its rows had a receipt,
//! and it counts as torn: its changes may refer to rows that are missing.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use super::frame::Head;

/// A lane's share of a commit, named by the commit's epoch and number: rule 4 of the [epochs](super::epoch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CommitPart {
    epoch: u32,
    commit: u64,
}

impl CommitPart {
    pub(super) fn of(head: &Head) -> CommitPart {
        CommitPart { epoch: head.epoch, commit: head.commit }
    }
}

/// Number of the newest commit of each epoch that a later frame proves to be synced: every part of a commit up to it was on the disk.
#[derive(Debug, Default)]
pub(super) struct Completeness(BTreeMap<u32, u64>);

impl Completeness {
    /// Records that the commits of a run up to `synced` were synced, according to one of its frames.
    pub(super) fn note(&mut self, epoch: u32, synced: u64) {
        let known = self.0.entry(epoch).or_default();
        *known = synced.max(*known);
    }

    /// Returns whether the commit of a run is known to have been synced.
    pub(super) fn proves(&self, epoch: u32, commit: u64) -> bool {
        self.0.get(&epoch).is_some_and(|upto| *upto >= commit)
    }

    /// Returns the torn parts among a lane's frames, which come in order. `closed` is the run that closed the ring last, of which
    /// no commit is torn; `None` when none is known.
    pub(super) fn torn<'a>(
        &self,
        frames: impl Iterator<Item = &'a Head>,
        closed: Option<u32>,
    ) -> BTreeSet<CommitPart> {
        let mut torn = BTreeSet::new();
        let mut last: Option<&Head> = None;
        for head in frames {
            let before = last.filter(|b| CommitPart::of(b) == CommitPart::of(head));
            let follows = match before {
                Some(before) => head.base == before.counter.saturating_add(1),
                None => head.part == 0,
            };
            if !follows {
                torn.insert(CommitPart::of(head));
            }
            if let Some(other) = last.filter(|b| before.is_none() && !b.ends) {
                torn.insert(CommitPart::of(other));
            }
            last = Some(head);
        }
        torn.extend(last.filter(|head| !head.ends).map(CommitPart::of));
        torn.retain(|part| closed != Some(part.epoch) && !self.proves(part.epoch, part.commit));
        torn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ring::frame::tests::sample;

    /// (commit, part, counter, ends).
    fn frames(list: &[(u64, u32, u64, bool)]) -> Vec<Head> {
        let head = |&(commit, part, counter, ends): &(u64, u32, u64, bool)| Head {
            commit,
            part,
            base: counter,
            counter,
            ends,
            synced: commit - 1,
            ..sample()
        };
        list.iter().map(head).collect()
    }

    fn torn(list: &[(u64, u32, u64, bool)]) -> Vec<u64> {
        let (frames, mut finished) = (frames(list), Completeness::default());
        frames.iter().for_each(|head| finished.note(head.epoch, head.synced));
        finished.torn(frames.iter(), None).into_iter().map(|part| part.commit).collect()
    }

    #[test]
    fn a_part_without_its_first_middle_or_last_frame_is_torn() {
        let whole = [(7, 0, 1, true), (8, 0, 2, false), (8, 1, 3, false), (8, 2, 4, true)];
        assert!(torn(&whole).is_empty());
        for missing in 1..whole.len() {
            let mut list = whole.to_vec();
            list.remove(missing);
            assert_eq!(torn(&list), [8], "frame {missing}");
        }
    }

    #[test]
    fn what_a_later_commit_proves_synced_is_damaged_and_not_torn() {
        assert!(torn(&[(7, 0, 1, false), (7, 2, 3, true), (8, 0, 4, true)]).is_empty());
        let list = frames(&[(7, 0, 1, false)]);
        let finished = Completeness::default();
        assert_eq!(finished.torn(list.iter(), None).len(), 1);
        assert!(finished.torn(list.iter(), Some(sample().epoch)).is_empty());
    }
}
