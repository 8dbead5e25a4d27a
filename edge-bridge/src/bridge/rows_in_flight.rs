//! Bound of the rows that wait for a PUBACK. A batch of a thousand readings is a kilobyte or two on the wire, so the [window](super::window) lets hundreds of
//! them out where the hub is late; in memory each row is there until its answer, with its lease and its payload.

/// Rows in flight at most: of about 1 KiB each.
pub(super) const ROWS_MAX: usize = 4_096;

/// Number of rows in flight on one connection.
#[derive(Debug, Default)]
pub(super) struct RowsInFlight(usize);

impl RowsInFlight {
    /// Tells that a message of so many rows may be sent. One may always be, however many it has.
    pub(super) fn admits(&self, rows: usize) -> bool {
        self.0 == 0 || self.0 + rows <= ROWS_MAX
    }

    /// Tells that no further row may be leased.
    pub(super) fn is_full(&self) -> bool {
        self.0 >= ROWS_MAX
    }

    pub(super) fn on_sent(&mut self, rows: usize) {
        self.0 += rows;
    }

    pub(super) fn on_acked(&mut self, rows: usize) {
        self.0 = self.0.saturating_sub(rows);
    }
}

#[cfg(test)]
mod tests;
