//! Positions of a batch's sensors, which are their numbers or their positions in the session table, delta-encoded.

use super::session_table::Table;
use super::stream::bits::{BitReader, bit_len};
use super::stream::op_buffer::OpBuffer;
use crate::zigzag::{unzigzag, zigzag};

/// Coder of positions as differences to the expected one, which is one more than the last.
pub(super) struct SensorPositions {
    expected: i64,
    low: u32,
}

impl SensorPositions {
    pub(super) fn new(table: Option<&Table>) -> Self {
        Self { expected: 0, low: table.map_or(3, |t| bit_len(t.entries.len() as u64) / 2) }
    }

    pub(super) fn write(&mut self, position: u32, ops: &mut OpBuffer) {
        ops.eg(zigzag(i64::from(position) - self.expected), self.low);
        (self.expected, self.low) = (i64::from(position) + 1, 0);
    }

    pub(super) fn read(&mut self, bits: &mut BitReader<'_>) -> Option<u32> {
        let position = self.expected.wrapping_add(unzigzag(bits.eg(self.low)));
        (self.expected, self.low) = (position.wrapping_add(1), 0);
        u32::try_from(position).ok()
    }
}
