//! A recorded run, in which the power can be cut at every boundary between two operations.

use super::SimDir;
use crate::testing::disk::{Disk, Op, Outcome};

/// A recorded run, walked boundary by boundary.
#[derive(Clone, Debug)]
pub struct Recording {
    pub(super) disk: Disk,
    pub(super) ops: Vec<Op>,
    pub(super) at: usize,
}

impl Recording {
    /// Number of recorded operations. Boundary `n` lies after the n-th; 0 is before the first.
    pub fn operations(&self) -> usize {
        self.ops.len()
    }

    /// Returns the directory that a power cut at boundary `at` would have left. Boundaries must be asked for in ascending order
    /// (the same one may be asked again); an earlier one answers for the latest asked.
    pub fn crash_at(&mut self, at: usize, outcome: Outcome, seed: u64) -> SimDir {
        while self.at < at {
            let Some(op) = self.ops.get(self.at) else { break };
            self.disk.apply(op);
            self.at += 1;
        }
        SimDir::from_disk(self.disk.crash(outcome, seed))
    }
}
