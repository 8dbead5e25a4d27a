//! Upper bound of the RAM for bookkeeping, without rows that the application has leased.

use crate::model::evict::HEAD_ROWS_MAX;
use crate::model::ram_tail::{CACHE_BYTES, SPARE_ROWS_MAX};
use crate::model::read_ahead::AHEAD;
use crate::row::StoredRow;

/// Bytes of a row's entry in a list, with room for the list to grow into.
const ENTRY: u64 = 2 * size_of::<StoredRow>() as u64;
/// Bytes of the sizes of the oldest rows.
const HEAD: u64 = 32 * HEAD_ROWS_MAX as u64;

/// Most bytes per lane: rows just written, list entries kept for the next ones, and sizes for eviction.
pub(crate) const PER_LANE: u64 = CACHE_BYTES + SPARE_ROWS_MAX as u64 * ENTRY + HEAD + 64 * 1024;

/// Returns the most bytes per consumer and lane: rows read ahead, which keep the frames they lie in, and sizes for a limit of its
/// own.
pub(crate) fn per_consumer(row_bytes_max: u64) -> u64 {
    row_bytes_max.saturating_add(3 * 64 * 1024 + AHEAD.rows as u64 * ENTRY + HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_takes_its_rows_read_ahead_and_the_sizes_of_its_oldest() {
        let row = size_of::<StoredRow>() as u64;
        assert_eq!(per_consumer(1_000_000), 1_000_000 + 3 * 65_536 + 256 * 2 * row + 65_536);
    }
}
