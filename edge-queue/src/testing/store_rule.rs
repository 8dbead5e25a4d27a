//! The rules of the stores' judges: [`CrashRig`](super::CrashRig), [`Lives`](super::Lives) and [`survive`](super::survive()).

use std::fmt;

use super::rule::{JudgeRule, Violation};
use crate::row::{Lane, Seq, StoredRow};
use crate::state::State;
use crate::store::Recovered;

crate::judge_rules! {
    /// Invariant of every store; a variant names the one that is violated.
    pub enum Rule {
        /// A store whose medium works refuses nothing.
        Refusal,
        /// No call of the store panics.
        Panic,
        /// A read gives rows in ascending order, none below where it begins.
        ReadOrder,
        /// A read that is not at the end goes on.
        ReadProgress,
        /// Without damage no row is reported as lost.
        LossReported,
        /// A power cut is no damage.
        Damage,
        /// A power cut is no reason to set anything aside.
        SetAside,
        /// An open finds the mark of a clean close exactly where one was written.
        CloseMark,
        /// The gateway number stays.
        Gateway,
        /// Every open raises the epoch.
        Epoch,
        /// The bookkeeping of a lane is that of the last receipt, or of a commit that was under way.
        Bookkeeping,
        /// A row comes back as it was pushed.
        OtherBytes,
        /// A row that comes back was pushed, and not yet given up.
        Ghost,
        /// No row is above the highest number that an open names.
        HighestSeq,
        /// A receipted row is there.
        ReceiptedRow,
        /// A row that the bookkeeping speaks of is there.
        ToldRow,
        /// While the store lives, committed rows can be read.
        LiveRow,
        /// While the store lives, no other rows can be read.
        LiveGhost,
        /// Rows written after a crash are there after the next one.
        NextLifeRow,
        /// The second crash brings back nothing that the first one left out.
        NextLifeGhost,
        /// A commit that said `Ok` after failures told the truth.
        FalseOk,
        /// A medium that works again is used again.
        Healing,
    }
}

/// Returns the result of a call; an error is a violation that names the call.
pub(super) fn accepted<T, E: fmt::Display>(call: &str, result: Result<T, E>) -> Result<T, Violation> {
    result.map_err(|e| Rule::Refusal.fatal(format!("{call} failed: {e}")))
}

/// Gives the verdict of `f`. A panic of the store is a violation.
pub(super) fn judged<T: Default>(f: impl FnOnce() -> Result<T, Violation>) -> Result<T, Violation> {
    Rule::Panic.catching(f)
}

/// Requires that an open reports no damage, because a power cut is none.
pub(super) fn undamaged(found: &Recovered) -> Result<(), Violation> {
    Rule::Damage.require(found.damage.is_empty(), || format!("a power cut is no damage: {:?}", found.damage))
}

/// Requires that the mark of a clean close is found as it was `written`; `None` when nobody can know whether it was.
pub(super) fn close_mark(written: Option<bool>, found: &Recovered) -> Result<(), Violation> {
    let right =
        written.is_none_or(|written| written == found.clean) && !(found.clean && found.tail_uncertain);
    let uncertain = found.tail_uncertain;
    Rule::CloseMark.require(right, || {
        format!("closed clean: {written:?}, found clean: {}, uncertain: {uncertain}", found.clean)
    })
}

/// Requires the same gateway, in a new epoch.
pub(super) fn identity(before: &State, found: &State) -> Result<(), Violation> {
    Rule::Gateway.require(before.gateway == found.gateway, || {
        format!("gateway {} was gateway {}", found.gateway, before.gateway)
    })?;
    Rule::Epoch
        .require(before.epoch < found.epoch, || format!("epoch {} after epoch {}", found.epoch, before.epoch))
}

/// Requires that a row that came back is the `expected` one; `None` when no such row was pushed.
pub(super) fn recognised(row: &StoredRow, expected: Option<&StoredRow>) -> Result<(), Violation> {
    let (Lane(lane), seq) = (row.lane, row.seq);
    match expected {
        Some(expected) => Rule::OtherBytes
            .require(row == expected, || format!("lane {lane} row {seq} came back with other bytes")),
        None => Rule::Ghost.broken(|| format!("lane {lane} row {seq} is a ghost")),
    }
}

/// Requires that the highest sequence number that an open reports for a lane covers the `last` row that was found in that lane; `None`: none was found.
pub(super) fn highest_seq_covers(lane: Lane, last: Option<Seq>, found: &Recovered) -> Result<(), Violation> {
    let highest = found.highest_seq.get(usize::from(lane.0)).copied().unwrap_or(0);
    let (Lane(lane), last) = (lane, last.unwrap_or(0));
    Rule::HighestSeq
        .require(last <= highest, || format!("lane {lane} row {last} is above highest_seq {highest}"))
}
