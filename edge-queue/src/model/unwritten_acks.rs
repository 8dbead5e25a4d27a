//! Unwritten acknowledgements: those of stored rows that no commit has taken. A crash undoes them, so their number and age are bounded.

/// Done stored rows that no commit has taken yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UnwrittenAcks {
    rows: u64,
    since_ms: Option<u64>,
}

impl UnwrittenAcks {
    pub(super) fn add(&mut self, rows: u64, up_ms: u64) {
        self.rows = self.rows.saturating_add(rows);
        self.since_ms.get_or_insert(up_ms);
    }

    /// Clears the set, because a commit takes these acknowledgements.
    pub(super) fn clear(&mut self) {
        *self = UnwrittenAcks::default();
    }

    pub(super) fn is_none(self) -> bool {
        self.rows == 0
    }

    /// Returns whether at least `rows` acknowledgements are unwritten.
    pub(super) fn reaches(self, rows: u64) -> bool {
        self.rows >= rows
    }

    /// Up time in milliseconds at which the oldest has waited for `time_ms`; `None` when there is none.
    pub(super) fn due_ms(self, time_ms: u64) -> Option<u64> {
        self.since_ms.map(|at| at.saturating_add(time_ms))
    }
}
