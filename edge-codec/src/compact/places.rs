//! Numbers of a batch's sensors, or their positions in a table.

use super::stream::bits::{BitReader, bit_len, unzigzag, zigzag};
use super::stream::script::Script;
use super::table::Table;

/// Each is mostly one more than the one before.
pub(super) struct Places {
    expected: i64,
    low: u32,
}

impl Places {
    pub(super) fn new(table: Option<&Table>) -> Self {
        Self { expected: 0, low: table.map_or(3, |t| bit_len(t.entries.len() as u64) / 2) }
    }

    pub(super) fn write(&mut self, place: u32, script: &mut Script) {
        script.eg(zigzag(i64::from(place) - self.expected), self.low);
        (self.expected, self.low) = (i64::from(place) + 1, 0);
    }

    pub(super) fn read(&mut self, bits: &mut BitReader<'_>) -> Option<u32> {
        let place = self.expected.wrapping_add(unzigzag(bits.eg(self.low)));
        (self.expected, self.low) = (place.wrapping_add(1), 0);
        u32::try_from(place).ok()
    }
}
