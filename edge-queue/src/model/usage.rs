//! Size of a row and totals of rows, as the limits count them: number, weight and bytes.

use crate::row::StoredRow;
use crate::state::LaneState;

/// Weight and bytes of a row as limits count them, and the wall time of its push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) weight: u64,
    pub(crate) bytes: u64,
    pub(crate) wall_ms: i64,
}

impl Size {
    pub(crate) fn of(row: &StoredRow) -> Size {
        Size { weight: u64::from(row.weight), bytes: row.bytes(), wall_ms: row.stamp.wall_ms }
    }
}

/// Totals of rows, such as the wanted rows of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) rows: u64,
    pub(crate) weight: u64,
    pub(crate) bytes: u64,
}

impl Usage {
    pub(crate) fn of(state: &LaneState) -> Usage {
        Usage { rows: state.rows, weight: state.weight, bytes: state.bytes }
    }

    pub(crate) fn add(&mut self, size: Size) {
        self.rows += 1;
        self.weight = self.weight.saturating_add(size.weight);
        self.bytes = self.bytes.saturating_add(size.bytes);
    }

    pub(crate) fn add_all(&mut self, other: &Usage) {
        self.rows += other.rows;
        self.weight = self.weight.saturating_add(other.weight);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    // Saturating: after a crash inside a commit the totals may be off by that commit until the lane is empty.
    pub(crate) fn sub(&mut self, size: Size) {
        self.rows = self.rows.saturating_sub(1);
        self.weight = self.weight.saturating_sub(size.weight);
        self.bytes = self.bytes.saturating_sub(size.bytes);
        self.end();
    }

    /// Subtracts the totals of rows that these include. Unlike [`Usage::sub`] it does not clear the rest when no row is left.
    pub(crate) fn sub_all(&mut self, other: &Usage) {
        self.rows = self.rows.saturating_sub(other.rows);
        self.weight = self.weight.saturating_sub(other.weight);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }

    /// Sets everything to zero once no row is left, because a lost row's bytes were estimated.
    pub(super) fn end(&mut self) {
        if self.rows == 0 {
            *self = Usage::default();
        }
    }
}
