//! Limit of rows that wait for a PUBACK. A batch of a thousand readings has a kilobyte or two on the wire, so the [congestion
//! window](super::congestion_window) admits hundreds of batches to a slow hub; but each of their rows stays in RAM, with its lease and its payload, until
//! the PUBACK.

/// Most rows in flight, of about 1 KiB each.
pub(super) const ROWS_MAX: usize = 4_096;

/// Number of rows in flight on one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct RowsInFlight(usize);

impl RowsInFlight {
    /// Returns whether a message of this many rows may be sent. With nothing in flight it always may.
    pub(super) fn admits(&self, rows: usize) -> bool {
        self.0 == 0 || self.0 + rows <= ROWS_MAX
    }

    /// Returns whether no further row may be leased.
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
