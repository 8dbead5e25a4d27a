//! The rules of the stores' judges: [`CrashRig`](super::CrashRig), [`Lives`](super::Lives) and [`survive`](super::survive()).
//!
//! Each rule is checked in one place and each verdict names its rule, so that a negative control can say which rule must
//! convict it, and a rule that is switched off leaves a control unconvicted.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::row::{Lane, Seq, StoredRow};
use crate::state::State;
use crate::store::Recovered;

/// Something that every store must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums, reason = "a rule without a control is not to compile")]
pub enum Rule {
    /// A store whose medium works refuses nothing.
    Refusal,
    /// No call panics.
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
    /// What is written after a crash is there after the next one.
    NextLifeRow,
    /// The second crash brings back nothing that the first one left out.
    NextLifeGhost,
    /// A commit that said `Ok` after failures told the truth.
    FalseOk,
    /// A medium that works again is used again.
    Healing,
}

thread_local! {
    static OFF: Cell<u32> = const { Cell::new(0) };
}

impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 22] = [
        Rule::Refusal,
        Rule::Panic,
        Rule::ReadOrder,
        Rule::ReadProgress,
        Rule::LossReported,
        Rule::Damage,
        Rule::SetAside,
        Rule::CloseMark,
        Rule::Gateway,
        Rule::Epoch,
        Rule::Bookkeeping,
        Rule::OtherBytes,
        Rule::Ghost,
        Rule::HighestSeq,
        Rule::ReceiptedRow,
        Rule::ToldRow,
        Rule::LiveRow,
        Rule::LiveGhost,
        Rule::NextLifeRow,
        Rule::NextLifeGhost,
        Rule::FalseOk,
        Rule::Healing,
    ];

    /// Runs `f` in this thread with these rules switched off: no judge convicts by them.
    pub fn without<T>(rules: &[Rule], f: impl FnOnce() -> T) -> T {
        let before = OFF.get();
        OFF.set(rules.iter().fold(before, |off, rule| off | rule.bit()));
        let result = f();
        OFF.set(before);
        result
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }

    fn is_off(self) -> bool {
        OFF.get() & self.bit() != 0
    }

    /// The verdict where the rule is broken.
    pub(super) fn broken(self, why: impl FnOnce() -> String) -> Result<(), Violation> {
        if self.is_off() { Ok(()) } else { Err(Violation { rule: self, why: why() }) }
    }

    /// The verdict where the rule holds if `holds`.
    pub(super) fn require(self, holds: bool, why: impl FnOnce() -> String) -> Result<(), Violation> {
        if holds { Ok(()) } else { self.broken(why) }
    }

    /// The violation after which nothing can be judged any more.
    pub(super) fn fatal(self, why: String) -> Violation {
        Violation { rule: self, why }
    }
}

/// A rule that was broken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// What was found, in words for who mends it.
    pub why: String,
}

impl Violation {
    /// The same with the place before it.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Violation {
        Violation { why: format!("{place}: {}", self.why), ..self }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.why)
    }
}

impl std::error::Error for Violation {}

impl From<Violation> for String {
    fn from(violation: Violation) -> String {
        violation.to_string()
    }
}

/// Gives what a call gave, or says which call was refused.
pub(super) fn accepted<T, E: fmt::Display>(call: &str, result: Result<T, E>) -> Result<T, Violation> {
    result.map_err(|e| Rule::Refusal.fatal(format!("{call} failed: {e}")))
}

/// The verdict of `f`. A panic of the store is a violation; after one by a rule that is off nothing more is judged.
pub(super) fn judged<T: Default>(f: impl FnOnce() -> Result<T, Violation>) -> Result<T, Violation> {
    let verdict =
        catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| Err(Rule::Panic.fatal("it panicked".into())));
    verdict.or_else(|why| if why.rule.is_off() { Ok(T::default()) } else { Err(why) })
}

/// A power cut is no damage.
pub(super) fn undamaged(found: &Recovered) -> Result<(), Violation> {
    Rule::Damage.require(found.damage.is_empty(), || format!("a power cut is no damage: {:?}", found.damage))
}

/// The mark of a clean close is found as it was written; `None`: nobody can know whether it was.
pub(super) fn close_mark(written: Option<bool>, found: &Recovered) -> Result<(), Violation> {
    let right =
        written.is_none_or(|written| written == found.clean) && !(found.clean && found.tail_uncertain);
    let uncertain = found.tail_uncertain;
    Rule::CloseMark.require(right, || {
        format!("closed clean: {written:?}, found clean: {}, uncertain: {uncertain}", found.clean)
    })
}

/// The same gateway, in a new epoch.
pub(super) fn identity(before: &State, found: &State) -> Result<(), Violation> {
    Rule::Gateway.require(before.gateway == found.gateway, || {
        format!("gateway {} was gateway {}", found.gateway, before.gateway)
    })?;
    Rule::Epoch
        .require(before.epoch < found.epoch, || format!("epoch {} after epoch {}", found.epoch, before.epoch))
}

/// A row that came back is the one that was `expected`, if any was.
pub(super) fn recognised(row: &StoredRow, expected: Option<&StoredRow>) -> Result<(), Violation> {
    let (Lane(lane), seq) = (row.lane, row.seq);
    match expected {
        Some(expected) => Rule::OtherBytes
            .require(row == expected, || format!("lane {lane} row {seq} came back with other bytes")),
        None => Rule::Ghost.broken(|| format!("lane {lane} row {seq} is a ghost")),
    }
}

/// The highest number that an open names is not below the `last` row found.
pub(super) fn not_above(lane: Lane, last: Option<Seq>, found: &Recovered) -> Result<(), Violation> {
    let highest = found.highest_seq.get(usize::from(lane.0)).copied().unwrap_or(0);
    let (Lane(lane), last) = (lane, last.unwrap_or(0));
    Rule::HighestSeq
        .require(last <= highest, || format!("lane {lane} row {last} is above highest_seq {highest}"))
}
