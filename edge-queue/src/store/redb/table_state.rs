//! Soundness of the table of rows. redb searches pages without checking their checksums, so with a damaged number on one of them the rows found
//! depend on where a read begins.
//!
//! Signs of it are a row under another's key, keys that do not ascend, and rows that are missing although no entry is unreadable. The first two
//! prove it. The third may result from an earlier damage. If every consumer is done with those rows, they were reported as lost or are not
//! wanted; else the whole table is checked, once after an open. A table that is not sound is [rebuilt](super::salvage), so that every read finds
//! the same.

use redb::{Database, ReadableDatabase, ReadableTable};

use super::panic_fence::Trouble;
use super::table::ROWS;
use super::value::{RowValue, decode_row};
use crate::row::{Lane, Seq};

/// Most commits between two attempts to rebuild a table for which there was no space.
const PAUSE_MAX: u32 = 1024;
/// Most entries in a row that are skipped because they are out of order: more mean pages linked in a circle.
const ASTRAY_MAX: u32 = 10_000;

/// State of the check of the table of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TableState {
    /// The table was not checked since the open.
    #[default]
    Unknown,
    /// The table was checked, or was rebuilt.
    Sound,
    /// The table is not sound, and the disk had no space for another one. The rebuild is tried again after `left` more commits, and if it fails
    /// again after twice as many as the last time.
    GivenUp { left: u32, pause: u32 },
}

impl TableState {
    /// Returns whether entries out of order are skipped.
    pub(super) fn is_given_up(self) -> bool {
        matches!(self, TableState::GivenUp { left: 1.., .. })
    }

    /// Returns whether a sign of damage leads to a check of the whole table.
    pub(super) fn is_open(self) -> bool {
        matches!(self, TableState::Unknown | TableState::GivenUp { left: 0, .. })
    }

    /// Defers the rebuild of the table.
    pub(super) fn give_up(&mut self) {
        let pause = match self {
            TableState::GivenUp { pause, .. } => pause.saturating_mul(2).min(PAUSE_MAX),
            _ => 1,
        };
        *self = TableState::GivenUp { left: pause, pause };
    }

    /// Counts a successful commit, which shows that the disk accepts writes.
    pub(super) fn note_commit(&mut self) {
        if let TableState::GivenUp { left, .. } = self {
            *left = left.saturating_sub(1);
        }
    }
}

/// Number of entries out of order that a search has skipped since the last one in order.
#[derive(Default)]
pub(super) struct Astray(u32);

impl Astray {
    /// Skips one more entry; an error if they are too many to be only damaged keys.
    pub(super) fn pass_over(&mut self) -> Result<(), Trouble> {
        self.0 = self.0.saturating_add(1);
        if self.0 > ASTRAY_MAX { Err(out_of_place()) } else { Ok(()) }
    }

    pub(super) fn ends(&mut self) {
        self.0 = 0;
    }
}

/// Order in which keys of one lane must come.
pub(super) struct Order {
    lane: u8,
    /// Lowest sequence number that may come next.
    next: Seq,
}

impl Order {
    pub(super) fn from(lane: Lane, next: Seq) -> Order {
        Order { lane: lane.0, next }
    }

    /// Returns whether an entry with this key may come here; `row` is its row, `None` if that cannot be read.
    pub(super) fn admits(&mut self, key: (u8, Seq), row: Option<&RowValue>) -> bool {
        let in_place = key.0 == self.lane && key.1 >= self.next && holds(key, row);
        if in_place {
            self.next = key.1.saturating_add(1);
        }
        in_place
    }
}

fn holds(key: (u8, Seq), row: Option<&RowValue>) -> bool {
    row.is_none_or(|found| (found.row.lane.0, found.row.seq) == key)
}

/// Makes the error for an entry in a place where no sound table has it.
pub(super) fn out_of_place() -> Trouble {
    Trouble::Damaged("a search for rows goes astray on a damaged page".into())
}

/// Checks the whole table: keys must ascend, and a search for each must find the same entry as the walk.
pub(super) fn check(db: &Database) -> Result<(), Trouble> {
    let txn = db.begin_read().map_err(redb::Error::from)?;
    let table = txn.open_table(ROWS).map_err(redb::Error::from)?;
    let mut last = None;
    for entry in table.iter().map_err(redb::Error::from)? {
        let (key, value) = entry.map_err(redb::Error::from)?;
        let (key, value) = (key.value(), value.value());
        let found = table.get(key).map_err(redb::Error::from)?;
        let is_found = found.is_some_and(|found| found.value() == value);
        if !is_found || last.is_some_and(|last| key <= last) || !holds(key, decode_row(value).ok().as_ref()) {
            return Err(out_of_place());
        }
        last = Some(key);
    }
    Ok(())
}
