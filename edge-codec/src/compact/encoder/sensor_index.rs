//! Sensor index: the column of each sensor, with a small cache in front of the hash map.

#![deny(clippy::indexing_slicing)]

use std::collections::HashMap;

/// Index of the column of each sensor. The ones looked up last are found without hashing.
#[derive(Clone, Debug)]
pub(crate) struct SensorIndex {
    columns: HashMap<u32, u32>,
    /// Sensor and column, by the sensor's low bits.
    recent: Box<[(u32, u32); RECENT]>,
}

const RECENT: usize = 128;
const NONE: u32 = u32::MAX;

impl Default for SensorIndex {
    fn default() -> Self {
        Self { columns: HashMap::new(), recent: Box::new([(0, NONE); RECENT]) }
    }
}

impl SensorIndex {
    #[inline]
    pub(crate) fn get(&mut self, sensor: u32) -> Option<usize> {
        #[expect(clippy::indexing_slicing, reason = "the mask is the array's length")]
        let recent = &mut self.recent[sensor as usize & (RECENT - 1)];
        if recent.0 != sensor || recent.1 == NONE {
            *recent = (sensor, *self.columns.get(&sensor)?);
        }
        Some(recent.1 as usize)
    }

    /// Returns the bytes outside of the index itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        // A slot has a byte of control beside sensor and column.
        self.columns.capacity() * 9 + size_of::<[(u32, u32); RECENT]>()
    }

    pub(crate) fn insert(&mut self, sensor: u32, column: usize) {
        self.columns.insert(sensor, column as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensors_that_share_low_bits_keep_their_columns() {
        let mut index = SensorIndex::default();
        let sensors = [0, 128, 5, u32::MAX, 256, 133];
        for (column, sensor) in sensors.into_iter().enumerate() {
            assert_eq!(index.get(sensor), None);
            index.insert(sensor, column);
        }
        for _ in 0..2 {
            assert!((0..).zip(sensors).all(|(column, sensor)| index.get(sensor) == Some(column)));
        }
        assert_eq!(index.get(1), None);
    }
}
