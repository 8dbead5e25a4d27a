//! Compaction of the parked rows. Rows that leave out of order leave holes, which keep segments on disk and cost ranges in the consumer's cursor.
//! While no parked row is leased, a pass may first move all parked rows to the end, in their order (closing holes).
//!
//! A compaction may be interrupted anywhere (by a restart, a full or failing disk), with the oldest rows behind younger ones. So each row is
//! stored with its *turn*: 0 when it is parked, and the highest of all once it is moved. Rows of the highest turn are older than all others, and
//! rows of one turn are in their order, because a row is moved only after every older one. A pass over mixed turns therefore hands out the rows
//! of the highest turn first and then the others, and the next compaction continues with the others. Turns are read once after a restart, to find
//! out if they are mixed.

use std::sync::atomic::Ordering;

use edge_queue::{Lease, aio};

use super::{Envelope, Parking, RANGES_MAX};
use crate::wire::ReasonCode;

/// Stage of the present pass over the parked rows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Reads the turns of the rows that an earlier process parked.
    Look,
    /// Compacts: moves rows that do not have the highest turn to the end.
    Close,
    /// Hands rows to the link: all of them, or with mixed turns those of the highest turn.
    #[default]
    HandOut,
    /// Hands the rows of lower turns to the link, after those of the highest.
    HandOutYounger,
}

/// Compaction of the parked rows: their turns, and the pass over them.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    stage: Stage,
    /// Set once turns were read, or if there was nothing to read.
    is_known: bool,
    highest: u32,
    /// Lowest turn found while reading turns; `None` before the first row.
    lowest: Option<u32>,
    /// Set while rows of lower turns may stand before some of the highest turn.
    is_mixed: bool,
    /// Set if the next pass compacts first.
    is_wanted: bool,
    /// Number of new rows that had been parked when the present compaction began to read.
    parked_before: u64,
    /// Number of rows that were read or moved without being handed out.
    passed: u64,
}

impl Compaction {
    /// Creates the state after a start. `existed`: rows of an earlier process may be there.
    pub(super) fn new(existed: bool) -> Self {
        Self { is_known: !existed, ..Self::default() }
    }
}

impl Parking {
    /// Returns whether a compaction is worthwhile, because there are many holes, or unfinished.
    pub(in crate::net) fn has_holes(&self) -> bool {
        let ledgers = self.shared.queue.get().into_iter().flat_map(aio::Queue::ledger);
        self.compaction.is_mixed || ledgers.map(|ledger| ledger.ranges).sum::<u64>() > RANGES_MAX
    }

    /// Makes the next pass compact before it hands rows out. No parked row may be leased.
    pub(in crate::net) fn close_holes(&mut self) {
        self.compaction.is_wanted = true;
    }

    /// Begins the stage of a pass.
    pub(super) fn begin_stage(&mut self) {
        if !self.compaction.is_known {
            if std::mem::replace(&mut self.compaction.stage, Stage::Look) == Stage::Look {
                return;
            }
        } else if std::mem::take(&mut self.compaction.is_wanted) && self.is_settled() && self.has_holes() {
            self.begin_closing();
        } else {
            self.compaction.stage = Stage::HandOut;
        }
        self.rescan();
    }

    fn begin_closing(&mut self) {
        let compaction = &mut self.compaction;
        if !std::mem::replace(&mut compaction.is_mixed, true) {
            compaction.highest = compaction.highest.saturating_add(1);
        }
        compaction.stage = Stage::Close;
        compaction.parked_before = self.shared.parked.load(Ordering::Acquire);
        self.shared.is_closing_over.store(false, Ordering::Release);
    }

    fn rescan(&mut self) {
        if let Some(consumer) = self.consumer() {
            consumer.scan();
        }
    }

    /// Returns whether parked rows may be read now. During a compaction they may not while moved rows fill the channel to the parking task.
    pub(in crate::net) fn may_read(&mut self) -> bool {
        if self.compaction.stage != Stage::Close {
            return true;
        }
        if !self.shared.is_closing_over.load(Ordering::Acquire) {
            return self.has_room();
        }
        if !self.is_settled() {
            return false;
        }
        self.compaction.stage = Stage::HandOut;
        self.rescan();
        true
    }

    /// Starts the next stage once all rows are read. Returns whether the pass goes on.
    pub(in crate::net) fn next_stage(&mut self) -> bool {
        if !self.consumer.as_ref().is_some_and(aio::Consumer::at_end) {
            return false;
        }
        match self.compaction.stage {
            Stage::Look => {
                self.compaction.is_known = true;
                self.begin_stage();
                return true;
            }
            Stage::Close if !self.is_settled() => return false,
            Stage::Close => {
                let parked = self.shared.parked.load(Ordering::Acquire);
                // What came meanwhile stands among what was moved: it goes to the end as well.
                if std::mem::replace(&mut self.compaction.parked_before, parked) == parked {
                    self.compaction.is_mixed = self.shared.is_closing_over.load(Ordering::Acquire);
                    self.compaction.stage = Stage::HandOut;
                }
            }
            Stage::HandOut if self.compaction.is_mixed => self.compaction.stage = Stage::HandOutYounger,
            Stage::HandOut | Stage::HandOutYounger => return false,
        }
        self.rescan();
        true
    }

    /// Moves or skips the rows that this stage does not hand out, and returns the others.
    pub(in crate::net) fn sift(&mut self, rows: Vec<Lease>) -> Vec<Lease> {
        let stage = self.compaction.stage;
        if matches!(stage, Stage::HandOut | Stage::HandOutYounger) && !self.compaction.is_mixed {
            return rows;
        }
        let mut out = Vec::new();
        for row in rows {
            let (turn, highest) = (turn_of(&row), self.compaction.highest);
            match stage {
                Stage::HandOut if turn >= highest => out.push(row),
                Stage::HandOutYounger if turn < highest => out.push(row),
                Stage::Close if turn < highest => {
                    self.compaction.passed += 1;
                    self.send(row, None, Some(highest), ReasonCode::UNSPECIFIED_ERROR);
                }
                stage => {
                    self.compaction.passed += 1;
                    if stage == Stage::Look {
                        self.compaction.note(turn);
                    }
                    row.pass();
                }
            }
        }
        out
    }

    /// Number of rows that were read or moved without being handed out.
    pub(in crate::net) fn passed(&self) -> u64 {
        self.compaction.passed
    }

    /// Returns whether this is the last stage of a pass, after which no more rows are handed out.
    pub(super) fn hands_out_last(&self) -> bool {
        match self.compaction.stage {
            Stage::Look | Stage::Close => false,
            Stage::HandOut => !self.compaction.is_mixed,
            Stage::HandOutYounger => true,
        }
    }
}

impl Compaction {
    fn note(&mut self, turn: u32) {
        let lowest = self.lowest.map_or(turn, |lowest| lowest.min(turn));
        self.is_mixed |= turn > lowest;
        self.highest = self.highest.max(turn);
        self.lowest = Some(lowest);
    }
}

fn turn_of(row: &Lease) -> u32 {
    Envelope::open(row.meta()).map_or(0, |(envelope, _)| envelope.turn)
}
