//! Progress of a pass over a lane's stored rows, while pushes and acknowledgements go on.
//!
//! A row that is done counts less only if the pass has added it before. A consumer may still hold a row that damage took: the
//! pass does not find it, and it is somebody's until its lease ends.

use std::collections::BTreeMap;

use crate::model::usage::Size;
use crate::model::{Cursor, Model};
use crate::row::Seq;
use crate::store::Lost;

/// A pass under way.
pub(super) struct Progress {
    pub(super) lane: usize,
    /// Rows below were looked at.
    pub(super) at: Seq,
    /// Damage that the pass met.
    pub(super) lost: Vec<Lost>,
}

impl Progress {
    /// A pass that begins at `at`.
    pub(super) fn new(lane: usize, at: Seq) -> Progress {
        Progress { lane, at, lost: Vec::new() }
    }

    /// Returns whether the pass came by a row and could read it.
    pub(super) fn has_read(&self, lane: usize, seq: Seq) -> bool {
        lane == self.lane && seq < self.at && !self.has_lost(seq)
    }

    fn has_lost(&self, seq: Seq) -> bool {
        self.lost.iter().any(|lost| (lost.first..=lost.last).contains(&seq))
    }

    /// Rows below `below` that a consumer holds and nobody can read any more.
    pub(super) fn held<'a>(
        &'a self,
        cursor: &'a Cursor,
        below: Seq,
    ) -> impl Iterator<Item = (Seq, Size)> + 'a {
        let gone = move |seq: Seq| seq < below && self.has_lost(seq);
        cursor.leased.iter().filter(move |(seq, _)| gone(**seq)).map(|(seq, out)| (*seq, out.size))
    }

    /// Returns the rows below `below` that any consumer holds and nobody can read any more, each once.
    pub(super) fn held_by_any(&self, model: &Model, below: Seq) -> impl Iterator<Item = Size> + use<> {
        let held: BTreeMap<Seq, Size> =
            model.cursors(self.lane).flat_map(|cursor| self.held(cursor, below)).collect();
        held.into_values()
    }
}
